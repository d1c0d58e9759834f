//! Figures in Prometheus' text format (version 0.0.4).

use crate::replica::{Replica, phase_name};
use plimsoll_wire::gateway::{BUCKETS_US, Figures, RouteFigures};
use std::{collections::BTreeMap, fmt::Write};

/// All figures.
pub(crate) fn text<'a>(gateways: &BTreeMap<String, Figures>, replicas: impl Iterator<Item = &'a Replica>) -> String {
    let mut out = String::new();
    head(&mut out, "plimsoll_replica", "gauge", "1 for the phase that a replica is in.");
    let mut restarts = String::new();
    for replica in replicas {
        let (id, service) = (&replica.id, escaped(&replica.id.service));
        let phase = phase_name(replica.phase());
        line(&mut out, format_args!("plimsoll_replica{{service=\"{service}\",replica=\"{id}\",phase=\"{phase}\"}} 1"));
        let count = replica.restarts;
        line(&mut restarts, format_args!("plimsoll_restarts_total{{service=\"{service}\",replica=\"{id}\"}} {count}"));
    }
    head(&mut out, "plimsoll_restarts_total", "counter", "Times that a replica was started again.");
    out.push_str(&restarts);
    head(&mut out, "plimsoll_requests_total", "counter", "Requests by route and class of answer.");
    for (gateway, route, figures) in routes(gateways) {
        for (class, count) in &figures.statuses {
            let labels = format!("gateway=\"{gateway}\",route=\"{route}\",class=\"{class}\"");
            line(&mut out, format_args!("plimsoll_requests_total{{{labels}}} {count}"));
        }
    }
    head(&mut out, "plimsoll_request_duration_seconds", "histogram", "Time until the end of answers, by route.");
    for (gateway, route, figures) in routes(gateways) {
        histogram(&mut out, &format!("gateway=\"{gateway}\",route=\"{route}\""), figures);
    }
    out
}

fn routes(gateways: &BTreeMap<String, Figures>) -> impl Iterator<Item = (&String, String, &RouteFigures)> {
    gateways
        .iter()
        .flat_map(|(name, figures)| figures.routes.iter().map(move |(route, figures)| (name, escaped(route), figures)))
}

#[expect(clippy::cast_precision_loss, reason = "bucket bounds are small")]
fn histogram(out: &mut String, labels: &str, figures: &RouteFigures) {
    let mut total = 0;
    for (place, count) in figures.latency.iter().enumerate() {
        total += count;
        let bound = BUCKETS_US.get(place).map_or("+Inf".to_owned(), |us| (*us as f64 / 1e6).to_string());
        line(out, format_args!("plimsoll_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {total}"));
    }
    line(out, format_args!("plimsoll_request_duration_seconds_count{{{labels}}} {total}"));
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}"));
    line(out, format_args!("# TYPE {name} {kind}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    writeln!(out, "{text}").ok();
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
