//! The report as text, for a terminal.

use std::fmt::Write as _;

use plimsoll_report::{margin, table as columns};

use crate::proof::{Proof, Verdict};
use crate::report::Report;

/// Failures written one by one for each run; the rest is in JSON.
const FAILURES_SHOWN: usize = 10;

/// How much is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The table, and why something is not held.
    Short,
    /// Also figures, conditions, failures and what each experiment shows.
    Full,
}

/// The report as text: a table (promise, target, measured, margin, N, failed, verdict), then what there is to say.
pub fn table(report: &Report, detail: Detail) -> String {
    let mut out = String::new();
    let head = ["promise", "target", "measured", "margin", "N", "failed", "verdict"].map(str::to_owned).to_vec();
    if !report.proofs.is_empty() {
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(report.proofs.iter().map(row)).collect();
        out.push_str(&columns(&rows, &(3..6)));
        line(&mut out, "");
    }
    for proof in &report.proofs {
        details(&mut out, proof, detail);
    }
    let environment = report.environment.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let (system, at, seed) = (&report.system, &report.at, report.seed);
    line(&mut out, &format!("{system}{environment}, {at}, seed {seed}: {}", report.summary()));
    out
}

fn row(proof: &Proof) -> Vec<String> {
    let asked = |count: u64| if proof.requests == 0 { "–".to_owned() } else { count.to_string() };
    let measured = if proof.measured.is_empty() { "–".to_owned() } else { proof.measured.clone() };
    vec![
        proof.promise.clone(),
        proof.target.clone(),
        measured,
        margin(proof.margin),
        asked(proof.requests),
        asked(proof.failed),
        proof.verdict.word().to_owned(),
    ]
}

fn details(out: &mut String, proof: &Proof, detail: Detail) {
    if proof.verdict == Verdict::Held && detail == Detail::Short {
        return;
    }
    line(out, &format!("{}: {}", proof.promise, proof.verdict.word()));
    if !proof.why.is_empty() {
        line(out, &format!("  why: {}", proof.why));
    }
    if !proof.todo.is_empty() {
        line(out, &format!("  to do: {}", proof.todo));
    }
    for figure in proof.figures.iter().filter(|_| detail == Detail::Full || proof.verdict == Verdict::Broken) {
        line(out, &format!("  {}: {}", figure.name, figure.value));
    }
    if detail == Detail::Full {
        line(out, &format!("  {}", proof.statement));
        for run in &proof.runs {
            line(out, &format!("  {}: {}", run.name, run.conditions));
        }
    }
    for run in &proof.runs {
        failures(out, &run.report);
    }
    line(out, "");
}

fn failures(out: &mut String, report: &plimsoll_load::Report) {
    for failure in report.failures.iter().take(FAILURES_SHOWN) {
        let at_s = failure.at.as_secs_f64();
        line(out, &format!("  failed at {at_s:.3} s: {} – {}", failure.request, failure.cause));
    }
    let more = report.failed.saturating_sub(report.failures.len().min(FAILURES_SHOWN) as u64);
    if more > 0 {
        line(out, &format!("  … and {more} more failed ({})", crate::page::in_json(report)));
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a String can't fail.
    let written = writeln!(out, "{text}");
    debug_assert!(written.is_ok(), "writing to a String can't fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{proof, report};

    #[test]
    fn lines_up_its_columns() {
        let held = Proof { margin: Some(0.634), requests: 1000, ..proof("fast", Verdict::Held) };
        let unproven = Proof { why: "no way".into(), todo: "make one".into(), ..proof("x", Verdict::Unproven) };
        let text = table(&report(vec![held, unproven]), Detail::Short);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "promise  target   measured  margin     N  failed  verdict");
        assert_eq!(lines[1], "fast     a bound  a figure   +63 %  1000       0  held");
        assert_eq!(lines[2], "x        a bound  a figure       –     –       –  unproven");
        assert!(text.contains("x: unproven\n  why: no way\n  to do: make one\n"), "{text}");
        assert!(text.ends_with("seed 7: 1 held, 0 broken, 1 unproven\n"), "{text}");
    }

    #[test]
    fn says_that_nothing_was_promised() {
        assert!(table(&report(Vec::new()), Detail::Full).contains("no promise was tested"));
    }
}
