//! The report as one HTML page that needs nothing else: no script, no font, no image from elsewhere.
//!
//! Invariant: every text that comes from outside is escaped; a verdict is told by a word, never by colour alone.

use crate::chart;
use crate::proof::{Proof, Run};
use crate::report::Report;
use plimsoll_report::{escape, margin};

/// Failures listed one by one for each run; JSON lists them all.
const FAILURES_SHOWN: usize = 100;

/// The report as an HTML page.
pub fn page(report: &Report) -> String {
    let environment = report.environment.as_ref().map_or_else(String::new, |name| format!(" ({})", escape(name)));
    let system = escape(&report.system);
    let rows: String = report.proofs.iter().enumerate().map(|(index, proof)| row(index, proof)).collect();
    let details: String = report.proofs.iter().enumerate().map(|(index, proof)| detail(index, proof)).collect();
    let summary = escape(&report.summary());
    let (at, cores, seed) = (escape(&report.at), report.cores, report.seed);
    let body = format!(
        "<h1>Promises of {system}{environment}</h1>\n\
         <p class=\"summary\">{summary}</p>\n\
         <p>Measured {at} on a machine of {cores} cores, which the system and the load generator shared; seed {seed}.</p>\n\
         {}{details}",
        plimsoll_report::promises("Measured", &rows)
    );
    plimsoll_report::page(&format!("Promises of {}", report.system), &body)
}

fn row(index: usize, proof: &Proof) -> String {
    let (name, target) = (escape(&proof.promise), escape(&proof.target));
    let measured = if proof.measured.is_empty() { "–".to_owned() } else { escape(&proof.measured) };
    let asked = |count: u64| if proof.requests == 0 { "–".to_owned() } else { count.to_string() };
    let (margin, requests, failed) = (escape(&margin(proof.margin)), asked(proof.requests), asked(proof.failed));
    format!(
        "<tr><th scope=\"row\"><a href=\"#p{index}\">{name}</a></th><td>{target}</td><td>{measured}</td>\
         <td class=\"number\">{margin}</td><td class=\"number\">{requests}</td><td class=\"number\">{failed}</td>\
         <td>{}</td></tr>\n",
        verdict(proof)
    )
}

fn verdict(proof: &Proof) -> String {
    plimsoll_report::verdict(proof.verdict.word())
}

fn detail(index: usize, proof: &Proof) -> String {
    let line = proof.line.map_or_else(String::new, |line| format!(", line {line}"));
    let mut out = format!(
        "<section id=\"p{index}\" aria-labelledby=\"h{index}\">\n<h2 id=\"h{index}\">{} {}</h2>\n\
         <p class=\"quiet\">{}{line}: {}</p>\n",
        escape(&proof.promise),
        verdict(proof),
        escape(&proof.kind),
        escape(&proof.target)
    );
    for (what, text) in [("Why", &proof.why), ("To do", &proof.todo)] {
        if !text.is_empty() {
            out.push_str(&format!("<p><strong>{what}:</strong> {}</p>\n", escape(text)));
        }
    }
    out.push_str(&format!("<p>{}</p>\n", escape(&proof.statement)));
    if !proof.figures.is_empty() {
        let figure = |name: &str, value: &str| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value));
        let figures: String = proof.figures.iter().map(|one| figure(&one.name, &one.value)).collect();
        out.push_str(&format!("<dl>\n{figures}</dl>\n"));
    }
    proof.runs.iter().for_each(|run| out.push_str(&self::run(run)));
    out.push_str("</section>\n");
    out
}

/// How many of the failures the JSON report has one by one.
pub(crate) fn in_json(report: &plimsoll_load::Report) -> String {
    match report.failures.len() as u64 {
        listed if listed == report.failed => "JSON lists each".into(),
        listed => format!("JSON lists the first {listed}"),
    }
}

fn run(run: &Run) -> String {
    let (name, conditions) = (escape(&run.name), escape(&run.conditions));
    let mut out = format!("<details>\n<summary>{name}: {} requests</summary>\n<p>{conditions}</p>\n", run.report.asked);
    out.push_str(&chart::latency(&run.report));
    let listed = run.report.failures.len().min(FAILURES_SHOWN);
    if listed > 0 {
        let one = |failure: &plimsoll_load::Failure| {
            let (request, cause) = (escape(&failure.request), escape(&failure.cause.to_string()));
            format!("<li>{:.3} s: <code>{request}</code>, {cause}</li>\n", failure.at.as_secs_f64())
        };
        let all: String = run.report.failures.iter().take(listed).map(one).collect();
        let (failed, more) = (run.report.failed, run.report.failed.saturating_sub(listed as u64));
        let more =
            if more > 0 { format!("<p>… and {more} more; {}.</p>\n", in_json(&run.report)) } else { String::new() };
        out.push_str(&format!("<p>{failed} failed:</p>\n<ul>\n{all}</ul>\n{more}"));
    }
    out.push_str("</details>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::{Verdict, figure};
    use crate::testing::{proof, report};

    #[test]
    fn escapes_whatever_comes_from_the_file() {
        let evil = "<script>alert('x')</script>";
        let shown = Proof {
            promise: evil.into(),
            why: evil.into(),
            figures: vec![figure(evil, evil)],
            ..proof("x", Verdict::Broken)
        };
        let html = page(&report(vec![shown]));
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
    }

    #[test]
    fn needs_nothing_from_elsewhere() {
        let html = page(&report(vec![proof("fast", Verdict::Held)]));
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("<span class=\"verdict held\">held</span>"));
        assert!(html.contains("color-scheme") && html.contains("prefers-color-scheme: dark"));
    }
}
