//! Promises about releases: `rollback` and `releases`.

use crate::{
    node::Node,
    reading::{Fields, Reading, ReferenceKind},
    section::{Foreign::Called, Section, Shape, key},
};
use plimsoll_model::promise::Kind;

pub(crate) static ROLLBACK: Section = Section {
    name: "a rollback",
    keys: &[
        key(
            "max",
            Shape::Duration,
            "From the command or the verdict until all traffic goes to the old version. At most.",
        ),
        key("service", Shape::Name, "The service. Default: the one behind the first path of the ingress."),
        key(
            "bad",
            crate::env::SHAPE,
            "Variables that make a version bad on purpose, which its analysis must send back. Default: back by command.",
        ),
    ],
    foreign: &[("within", Called("it is called `max` here")), ("env", Called("it is called `bad` here"))],
};

pub(crate) static RELEASES: Section = Section {
    name: "releases",
    keys: &[
        key("count", Shape::Integer, "How many, one after the other under load; none may fail a request."),
        key("service", Shape::Name, "The service. Default: the one behind the first path of the ingress."),
    ],
    foreign: &[("failed", Called("no request may fail: leave it out"))],
};

impl Reading<'_, '_> {
    /// Reads a `rollback`.
    pub(crate) fn rollback(&mut self, name: &str, node: &Node, path: &str) -> Option<Kind> {
        let fields = self.fields(node, &ROLLBACK, path)?;
        let max = self.required(&fields, "max", "5m").and_then(|node| self.some_duration(node));
        let service = self.some_service(name, &fields);
        let bad = fields.get("bad").map(|node| self.env(node)).unwrap_or_default();
        let bad = bad.into_iter().map(|(variable, value, _)| (variable, value)).collect();
        Some(Kind::Rollback { service: service?, max: max?, bad })
    }

    /// Reads `releases`.
    pub(crate) fn releases(&mut self, name: &str, node: &Node, path: &str) -> Option<Kind> {
        let fields = self.fields(node, &RELEASES, path)?;
        let count = self.required(&fields, "count", "10").and_then(|node| self.count(node, 1..=10_000));
        let service = self.some_service(name, &fields);
        Some(Kind::Releases { service: service?, count: count? })
    }

    /// `None`: a service is given, and wrong.
    #[expect(clippy::option_option, reason = "wrong and absent are told apart")]
    fn some_service(&mut self, from: &str, fields: &Fields<'_>) -> Option<Option<String>> {
        let Some(node) = fields.get("service") else { return Some(None) };
        let service = self.some_text(node)?;
        self.refer(ReferenceKind::Service, from, &service, node.at);
        Some(Some(service))
    }
}
