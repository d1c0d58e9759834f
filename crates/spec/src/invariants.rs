//! The promise `invariants`: a system's own audit finds nothing wrong after kills under load.

use crate::{
    node::{Node, Value},
    reading::{Reading, ReferenceKind},
    section::{Foreign::Called, Section, Shape, key},
};
use plimsoll_model::{Millis, promise::Kind};

/// How long an audit may take that says nothing about it.
const MAX: Millis = Millis::from_secs(60);

pub(crate) static INVARIANTS: Section = Section {
    name: "invariants",
    keys: &[
        key("service", Shape::Name, "The service whose environment and folder the audit runs with."),
        key("command", Shape::Text, "A command of the shell that ends with 0 when everything is as it must be."),
        key("kill", Shape::List(&Shape::Name), "The services whose replicas are killed, in turn. Default: `service`."),
        key("route", Shape::Text, "What is asked for meanwhile. Default: the first path of the ingress."),
        key("max", Shape::Duration, "The audit ends within this. Default 60s."),
    ],
    foreign: &[
        ("audit", Called("it is called `command` here")),
        ("kills", Called("name services under `kill`, and their number as `load: { kills: 3 }`")),
    ],
};

impl Reading<'_, '_> {
    /// Reads `invariants`.
    pub(crate) fn invariants(&mut self, name: &str, node: &Node, path: &str) -> Option<Kind> {
        let fields = self.fields(node, &INVARIANTS, path)?;
        let service = self.target_name(&fields, name, "service", &[ReferenceKind::Service]);
        let command = self.required(&fields, "command", "./app audit").and_then(|node| self.some_text(node));
        let route = self.optional_route(name, &fields);
        let max = fields.get("max").map_or(Some(MAX), |node| self.some_duration(node));
        let mut kill = Vec::new();
        if let Some(node) = fields.get("kill") {
            for item in self.list(node, "a list such as [orders, payments]") {
                let Some(service) = self.some_text(item) else { continue };
                self.refer(ReferenceKind::Service, name, &service, item.at);
                kill.push(service);
            }
            if matches!(&node.value, Value::List(items) if items.is_empty()) {
                self.refuse("missing-key", node.at, "this list names no service", "name one, or leave `kill` out");
            }
        }
        let service = service?;
        if kill.is_empty() {
            kill.push(service.clone());
        }
        Some(Kind::Invariants { service, command: command?, kill, route: route?, max: max? })
    }
}
