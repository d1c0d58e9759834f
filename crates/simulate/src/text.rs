//! The report as text, for a terminal.

use crate::{predict::Verdict, report::Report, world::ServiceFigures};
use plimsoll_report::margin;
use std::{fmt::Write as _, ops::Range};

/// The report as text: streams, services, promises, and what it all is.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    table(&mut out, &streams(report), &(1..8));
    table(&mut out, &services(report), &(1..7));
    if !report.promises.is_empty() {
        table(&mut out, &promises(report), &(3..6));
    }
    for one in report.promises.iter().filter(|one| !one.why.is_empty()) {
        line(&mut out, &format!("{}: {}: {}", one.promise, one.verdict.word(), one.why));
    }
    if report.figures.sources.iter().any(|one| one.failed() > 0) {
        line(&mut out, &format!("failed: {}", report.causes));
    }
    if let Some((sum, currency)) = &report.cost_per_month {
        line(&mut out, &format!("cost of what is requested: {sum:.2} {currency} a month"));
    }
    for violation in &report.violations {
        line(&mut out, &format!("VIOLATION (a bug of Plimsoll; please report it with the seed): {violation}"));
    }
    let environment = report.environment.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let Report { system, mode, seed, events, digest, lasts_s, .. } = report;
    let counted =
        if *mode == "events" { format!("{events} events, trace {digest}") } else { format!("{events} steps") };
    line(&mut out, &format!("{system}{environment}: {lasts_s} s imagined in {mode}, seed {seed}, {counted}"));
    line(&mut out, &format!("predicted: {}", report.summary()));
    out
}

fn streams(report: &Report) -> Vec<Vec<String>> {
    let mut rows = vec![words(&["stream", "asked", "right", "failed", "p50", "p95", "p99", "p99.9"])];
    for one in report.figures.sources.iter().filter(|one| !one.silent) {
        let time = |per_mille| one.latency.percentile_ns(per_mille).map_or_else(|| "–".to_owned(), ms);
        rows.push(vec![
            one.name.clone(),
            one.asked.to_string(),
            one.outcomes[0].to_string(),
            one.failed().to_string(),
            time(500),
            time(950),
            time(990),
            time(999),
        ]);
    }
    rows
}

fn services(report: &Report) -> Vec<Vec<String>> {
    let mut rows = vec![words(&["service", "replicas", "mean", "cpu", "scalings", "restarts", "ejections", "course"])];
    for one in &report.figures.services {
        let cpu: u64 = one.steps.iter().map(|step| step.cpu_milli).sum();
        let (least, most) = (one.replicas_min.min(one.replicas_max), one.replicas_max);
        rows.push(vec![
            one.name.clone(),
            if least == most { most.to_string() } else { format!("{least}..{most}") },
            format!("{:.1}", one.replicas_mean()),
            format!("{}m", cpu / (one.steps.len() as u64).max(1)),
            one.scalings.to_string(),
            one.restarts.to_string(),
            one.ejections.to_string(),
            course(one),
        ]);
    }
    rows
}

/// The number of replicas over time, in twenty-four signs.
fn course(one: &ServiceFigures) -> String {
    const SIGNS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let count = one.steps.len().min(24);
    let highest = one.steps.iter().map(|step| step.wanted).max().unwrap_or(0).max(1);
    let sign = |place: usize| {
        let steps = &one.steps[place * one.steps.len() / count..(place + 1) * one.steps.len() / count];
        let most = steps.iter().map(|step| step.wanted).max().unwrap_or(0);
        SIGNS[(most as usize * 7).div_ceil(highest as usize).min(7)]
    };
    (0..count).map(sign).collect()
}

fn promises(report: &Report) -> Vec<Vec<String>> {
    let mut rows = vec![words(&["promise", "target", "predicted", "margin", "N", "failed", "verdict"])];
    for one in &report.promises {
        let known = |text: &str| if text.is_empty() { "–".to_owned() } else { text.to_owned() };
        let count = |count: u64| if one.verdict == Verdict::Unpredicted { "–".to_owned() } else { count.to_string() };
        rows.push(vec![
            one.promise.clone(),
            known(&one.target),
            known(&one.predicted),
            margin(one.margin),
            count(one.requests),
            count(one.failed),
            one.verdict.word().to_owned(),
        ]);
    }
    rows
}

/// A time as a person reads it.
pub(crate) fn ms(ns: u64) -> String {
    match ns as f64 / 1e6 {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1e3),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn table(out: &mut String, rows: &[Vec<String>], numbers: &Range<usize>) {
    out.push_str(&plimsoll_report::table(rows, numbers));
    out.push('\n');
}

fn line(out: &mut String, text: &str) {
    let written = writeln!(out, "{text}");
    debug_assert!(written.is_ok(), "writing to a String can't fail");
}
