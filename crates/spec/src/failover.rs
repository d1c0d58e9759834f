//! The promise `failover`: of a replica, or of a store's primary.

use crate::{
    node::Node,
    reading::{Fields, Reading, ReferenceKind},
    section::{Foreign::Called, Section, Shape, key},
};
use plimsoll_model::promise::Kind;

pub(crate) static FAILOVER: Section = Section {
    name: "a failover",
    keys: &[
        key("service", Shape::Name, "The service whose replica is killed."),
        key("store", Shape::Name, "Or the store whose primary is killed, and hangs, under writes."),
        key(
            "max",
            Shape::Duration,
            "From a replica's death until its replacement serves; of a store, until the first new write.",
        ),
        key("lost", Shape::Integer, "Of a store: so many acknowledged writes may be lost. Default 0."),
    ],
    foreign: &[("within", Called("it is called `max` here"))],
};

impl Reading<'_, '_> {
    /// Reads a `failover`.
    pub(crate) fn failover(&mut self, name: &str, node: &Node, path: &str) -> Option<Kind> {
        let fields = self.fields(node, &FAILOVER, path)?;
        let max = self.required(&fields, "max", "5s").and_then(|node| self.some_duration(node));
        if fields.entry("store").is_none() {
            if fields.entry("lost").is_some() {
                let headline = "a replica that is killed has no acknowledged writes that could be lost";
                self.refuse("promise-kind", fields.at("lost"), headline, "take `lost` away, or name a `store`");
            }
            let service =
                self.target_name(&fields, name, "service", &[ReferenceKind::Service, ReferenceKind::Failover]);
            return Some(Kind::Failover { service: service?, max: max? });
        }
        if fields.entry("service").is_some() {
            let headline = "this failover is of a service and of a store";
            self.refuse("promise-kind", fields.at("service"), headline, "write a promise for each");
            return None;
        }
        let store = self.target_name(&fields, name, "store", &[ReferenceKind::Store]);
        let lost = fields.get("lost").map_or(Some(0), |node| self.count(node, 0..=1_000_000));
        Some(Kind::StoreFailover { store: store?, max: max?, lost: lost? })
    }
}

/// A failover that names a store.
pub(crate) fn is_of_store(fields: &Fields<'_>) -> bool {
    fields.get("failover").is_some_and(|node| node.get("store").is_some())
}
