//! Figures in Prometheus' text format (version 0.0.4): rate, errors and duration by route, by edge and by replica, and what the
//! gateways did about it.
//!
//! Invariant: all samples of one name stand together, behind one HELP and one TYPE.
//! Invariant: counters are those of one process of a gateway, and begin at zero with it.

use crate::replica::{Replica, phase_name};
use plimsoll_model::ReplicaId;
use plimsoll_wire::gateway::{BUCKETS_US, Figures, ReplicaFigures, RouteFigures};
use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
};

/// All figures.
pub(crate) fn text<'a>(gateways: &BTreeMap<String, Figures>, replicas: impl Iterator<Item = &'a Replica>) -> String {
    let mut page = Page::default();
    of_processes(&mut page, replicas);
    of_routes(&mut page, gateways);
    of_replicas(&mut page, gateways);
    of_gateways(&mut page, gateways);
    page.0
}

/// What the engine knows by itself.
fn of_processes<'a>(page: &mut Page, replicas: impl Iterator<Item = &'a Replica>) {
    let all: Vec<(String, &Replica)> = replicas
        .map(|one| {
            (format!("service=\"{}\",replica=\"{}\"", escaped(&one.id.service), escaped(&one.id.to_string())), one)
        })
        .collect();
    page.head("plimsoll_replica", "gauge", "1 for the phase that a replica is in.");
    for (labels, one) in &all {
        page.sample("plimsoll_replica", &format!("{labels},phase=\"{}\"", phase_name(one.phase())), 1);
    }
    page.head("plimsoll_restarts_total", "counter", "Times that a replica was started again.");
    for (labels, one) in &all {
        page.sample("plimsoll_restarts_total", labels, one.restarts);
    }
}

/// Requests as clients see them, by route and edge.
fn of_routes(page: &mut Page, gateways: &BTreeMap<String, Figures>) {
    let all: Vec<(String, &RouteFigures)> = gateways
        .iter()
        .flat_map(|(gateway, figures)| figures.routes.iter().map(move |one| (gateway, one)))
        .map(|(gateway, (route, figures))| {
            (format!("gateway=\"{}\",route=\"{}\"", escaped(gateway), escaped(route)), figures)
        })
        .collect();
    page.head("plimsoll_requests_total", "counter", "Requests by route and class of answer.");
    for (labels, figures) in &all {
        for (class, count) in &figures.statuses {
            page.sample("plimsoll_requests_total", &format!("{labels},class=\"{class}\""), count);
        }
    }
    page.head("plimsoll_retries_total", "counter", "Tries beyond the first, by route.");
    for (labels, figures) in &all {
        page.sample("plimsoll_retries_total", labels, figures.retries);
    }
    page.head("plimsoll_shed_total", "counter", "Requests refused because of load or a rate limit, by route.");
    for (labels, figures) in &all {
        page.sample("plimsoll_shed_total", labels, figures.shed);
    }
    let name = "plimsoll_request_duration_seconds";
    page.head(name, "histogram", "Time until the end of answers, by route.");
    for (labels, figures) in &all {
        page.histogram(name, labels, &figures.latency, figures.latency_sum_us);
    }
}

/// What each replica did for the gateways.
fn of_replicas(page: &mut Page, gateways: &BTreeMap<String, Figures>) {
    let all: Vec<(String, &ReplicaFigures)> = gateways
        .iter()
        .flat_map(|(gateway, figures)| figures.replicas.iter().map(move |one| (gateway, one)))
        .map(|(gateway, (replica, figures))| (labels_of(gateway, replica), figures))
        .collect();
    page.head("plimsoll_replica_requests_total", "counter", "Requests that a replica got, tries and copies included.");
    for (labels, figures) in &all {
        page.sample("plimsoll_replica_requests_total", labels, figures.requests);
    }
    let help = "Answers 5xx of a replica, and requests that it did not answer.";
    page.head("plimsoll_replica_errors_total", "counter", help);
    for (labels, figures) in &all {
        page.sample("plimsoll_replica_errors_total", labels, figures.errors);
    }
    page.head("plimsoll_replica_in_flight", "gauge", "Requests that a replica has not answered to the end.");
    for (labels, figures) in &all {
        page.sample("plimsoll_replica_in_flight", labels, figures.in_flight);
    }
    page.head("plimsoll_replica_ejected", "gauge", "1 for a replica that is left out because it failed too often.");
    for (labels, figures) in &all {
        page.sample("plimsoll_replica_ejected", labels, u8::from(figures.ejected));
    }
    let name = "plimsoll_replica_request_duration_seconds";
    page.head(name, "histogram", "Time until the end of a replica's answers.");
    for (labels, figures) in &all {
        page.histogram(name, labels, &figures.latency, figures.latency_sum_us);
    }
}

/// What each gateway holds, and how often it left a replica out.
fn of_gateways(page: &mut Page, gateways: &BTreeMap<String, Figures>) {
    page.head("plimsoll_held", "gauge", "Requests that wait for a replica of a service.");
    for (gateway, figures) in gateways {
        for (service, held) in &figures.held {
            let labels = format!("gateway=\"{}\",service=\"{}\"", escaped(gateway), escaped(service));
            page.sample("plimsoll_held", &labels, held);
        }
    }
    page.head("plimsoll_ejections_total", "counter", "Decisions to leave a replica out, or to take it back.");
    for (gateway, figures) in gateways {
        page.sample("plimsoll_ejections_total", &format!("gateway=\"{}\"", escaped(gateway)), figures.ejections);
    }
    page.head("plimsoll_connections", "gauge", "Connections that clients have open, by worker of a gateway.");
    for (gateway, figures) in gateways {
        for (worker, open) in figures.connections_by_worker.iter().enumerate() {
            page.sample("plimsoll_connections", &format!("gateway=\"{}\",worker=\"{worker}\"", escaped(gateway)), open);
        }
    }
}

fn labels_of(gateway: &str, replica: &str) -> String {
    let service = replica.parse::<ReplicaId>().map_or_else(|_| replica.to_owned(), |id| id.service);
    let (gateway, service, replica) = (escaped(gateway), escaped(&service), escaped(replica));
    format!("gateway=\"{gateway}\",service=\"{service}\",replica=\"{replica}\"")
}

/// The text so far.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        self.line(format_args!("{name}{{{labels}}} {value}"));
    }

    /// Counts by bucket become counts up to each bound.
    #[expect(clippy::cast_precision_loss, reason = "a sum of microseconds is exact for 285 years")]
    fn histogram(&mut self, name: &str, labels: &str, buckets: &[u64], sum_us: u64) {
        let mut total = 0;
        for place in 0..=BUCKETS_US.len() {
            total += buckets.get(place).copied().unwrap_or(0);
            let bound = BUCKETS_US.get(place).map_or("+Inf".to_owned(), |us| (*us as f64 / 1e6).to_string());
            self.line(format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {total}"));
        }
        self.line(format_args!("{name}_sum{{{labels}}} {}", sum_us as f64 / 1e6));
        self.line(format_args!("{name}_count{{{labels}}} {total}"));
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string can't fail.
        writeln!(self.0, "{text}").ok();
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
