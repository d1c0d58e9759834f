//! The report as one HTML page that needs nothing else: no script, no font, no image from elsewhere.
//!
//! Invariant: every text that comes from outside is escaped; a verdict is told by a word, never by colour alone.

use crate::{
    chart::Chart,
    predict::{Prediction, Verdict},
    report::Report,
    text::ms,
    world::{ServiceFigures, SourceFigures},
};
use plimsoll_report::{escape, margin};

/// The report as an HTML page.
#[must_use]
pub fn page(report: &Report) -> String {
    let environment = report.environment.as_ref().map_or_else(String::new, |name| format!(" ({})", escape(name)));
    let system = escape(&report.system);
    let rows: String = report.promises.iter().map(promise).collect();
    let streams: String =
        report.figures.sources.iter().filter(|own| !own.silent).map(|own| stream(own, report.figures.step_s)).collect();
    let services: String = report.figures.services.iter().map(|own| service(own, report.figures.step_s)).collect();
    let Report { mode, seed, lasts_s, events, digest, .. } = report;
    let cost = report.cost_per_month.as_ref();
    let cost = cost.map_or_else(String::new, |(sum, currency)| {
        format!("<p>What is requested would cost {sum:.2} {} a month.</p>\n", escape(currency))
    });
    let digest = if digest.is_empty() { "–" } else { digest };
    let body = format!(
        "<h1>{system}{environment}, imagined</h1>\n\
         <p class=\"summary\">Predicted: {}</p>\n\
         <p>{lasts_s} s in {mode}, seed {seed}; {events} steps or events, trace {digest}. Nothing of this was measured on a \
         system that runs.</p>\n{cost}{}{streams}{services}",
        escape(&report.summary()),
        plimsoll_report::promises("Predicted", &rows)
    );
    plimsoll_report::page(&format!("{}, imagined", report.system), &body)
}

fn promise(one: &Prediction) -> String {
    let known = |text: &str| if text.is_empty() { "–".to_owned() } else { escape(text) };
    let count = |count: u64| if one.verdict == Verdict::Unpredicted { "–".to_owned() } else { count.to_string() };
    let predicted = if one.predicted.is_empty() { known(&one.why) } else { escape(&one.predicted) };
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{predicted}</td><td class=\"number\">{}</td>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td></tr>\n",
        escape(&one.promise),
        known(&one.target),
        margin(one.margin),
        count(one.requests),
        count(one.failed),
        plimsoll_report::verdict(one.verdict.word()),
    )
}

fn stream(own: &SourceFigures, step_s: f64) -> String {
    let time = |per_mille| own.latency.percentile_ns(per_mille).map_or_else(|| "–".to_owned(), ms);
    let told = format!(
        "{}: {} asked, {} failed; p50 {}, p95 {}, p99 {}",
        own.name,
        own.asked,
        own.failed(),
        time(500),
        time(950),
        time(990)
    );
    let marked: Vec<bool> = own.steps.iter().map(|step| step.failed > 0).collect();
    let rates = own.steps.iter().map(|step| step.asked as f64 / step_s).collect();
    let p50 = own.steps.iter().map(|step| step.p50_us as f64 / 1e3).collect();
    let p99 = own.steps.iter().map(|step| step.p99_us as f64 / 1e3).collect();
    let requests =
        Chart { told: told.clone(), step_s, lines: [rates, Vec::new()], marked: marked.clone(), unit: "/s" }.svg();
    let latency = Chart { told: told.clone(), step_s, lines: [p50, p99], marked, unit: "ms" }.svg();
    format!(
        "<section>\n<h2>{}</h2>\n<p class=\"quiet\">{}. Above: requests a second; below: median (solid) and 99th \
         percentile (dashed); marks: something failed.</p>\n{requests}{latency}</section>\n",
        escape(&own.name),
        escape(&told)
    )
}

fn service(own: &ServiceFigures, step_s: f64) -> String {
    let told = format!(
        "{}: {} to {} replicas, {} changes by its autoscaler, {} restarts",
        own.name,
        own.replicas_min.min(own.replicas_max),
        own.replicas_max,
        own.scalings,
        own.restarts
    );
    let wanted = own.steps.iter().map(|step| f64::from(step.wanted)).collect();
    let ready = own.steps.iter().map(|step| f64::from(step.ready)).collect();
    let cpu = own.steps.iter().map(|step| step.cpu_milli as f64 / 1e3).collect();
    let replicas =
        Chart { told: told.clone(), step_s, lines: [wanted, ready], marked: Vec::new(), unit: "replicas" }.svg();
    let cpu = Chart { told: told.clone(), step_s, lines: [cpu, Vec::new()], marked: Vec::new(), unit: "CPUs" }.svg();
    format!(
        "<section>\n<h2>{}</h2>\n<p class=\"quiet\">{}. Above: replicas wanted (solid) and ready (dashed); below: \
         processors in use.</p>\n{replicas}{cpu}</section>\n",
        escape(&own.name),
        escape(&told)
    )
}
