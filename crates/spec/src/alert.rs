//! When somebody is to be told: `alerts.NAME`.

use crate::{
    diagnostic::shown,
    node::Node,
    quantity,
    reading::{Reading, ReferenceKind},
    section::{
        Foreign::{Called, Later},
        Section, Shape, key,
    },
    suggest::nearest,
};
use plimsoll_model::{
    Millis,
    system::{Alert, Condition},
};

pub(crate) static ALERT: Section = Section {
    name: "an alert",
    keys: &[
        key("when", Shape::Text, "A figure and its bound: errorRate > 5%."),
        key("for", Shape::Duration, "How long it must hold. Default: at once."),
        key("severity", Shape::Word(&["critical", "warning", "info"]), "Default warning."),
        key("service", Shape::Name, "The only service concerned."),
    ],
    foreign: &[
        ("expr", Called("write `when: errorRate > 5%`")),
        ("channel", Later("alerts are shown by `status` until then")),
        ("notify", Later("alerts are shown by `status` until then")),
    ],
};

/// The figures: name, how they compare, an example.
const FIGURES: [(&str, char, &str); 7] = [
    ("errorRate", '>', "5%"),
    ("latencyP95", '>', "500ms"),
    ("restarts", '>', "3"),
    ("replicationLag", '>', "10s"),
    ("cpu", '>', "80%"),
    ("memory", '>', "85%"),
    ("diskFree", '<', "10%"),
];

impl Reading<'_, '_> {
    /// Reads one alert.
    pub(crate) fn alert(&mut self, name: &str, node: &Node) -> Option<Alert> {
        let path = format!("alerts.{name}");
        let fields = self.fields(node, &ALERT, &path)?;
        let words = [("critical", "critical"), ("warning", "warning"), ("info", "info")];
        let when = self.required(&fields, "when", "errorRate > 5%").and_then(|node| self.condition(node));
        let service = fields.get("service").and_then(|node| {
            let service = self.some_text(node)?;
            self.refer(ReferenceKind::Alert, name, &service, node.at);
            Some(service)
        });
        let alert = Alert {
            hold: fields.get("for").and_then(|node| self.duration(node)).unwrap_or(Millis(0)),
            severity: fields.get("severity").and_then(|node| self.word(node, &words)).unwrap_or("warning").into(),
            service,
            when: when?,
        };
        if !self.machine.alerts {
            self.recorded(path, fields.at, "alerts come in a later version; nobody is told");
        }
        Some(alert)
    }

    /// `errorRate > 5%`.
    fn condition(&mut self, node: &Node) -> Option<Condition> {
        let text = self.some_text(node)?;
        let Some(sign) = text.find(['>', '<']) else {
            let headline = format!("`{}` compares nothing", shown(&text));
            self.refuse("quantity", node.at, headline, "write for example `errorRate > 5%`");
            return None;
        };
        let (name, rest) = (text[..sign].trim(), &text[sign..]);
        let Some((figure, compares, example)) = FIGURES.iter().find(|(figure, ..)| *figure == name) else {
            let help = match nearest(name, FIGURES.iter().map(|(figure, ..)| *figure)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known figures: {}", FIGURES.map(|(figure, ..)| figure).join(", ")),
            };
            self.refuse("unknown-word", node.at, format!("nothing measures `{}`", shown(name)), help);
            return None;
        };
        let bound = rest[1..].trim();
        let condition = match *figure {
            "errorRate" => quantity::percent(bound).map(Condition::ErrorRate),
            "latencyP95" => quantity::duration(bound).map(Condition::LatencyP95),
            "restarts" => bound.parse().ok().map(Condition::Restarts),
            "replicationLag" => quantity::duration(bound).map(Condition::ReplicationLag),
            "cpu" => quantity::percent(bound).map(Condition::Cpu),
            "memory" => quantity::percent(bound).map(Condition::Memory),
            _ => quantity::percent(bound).map(Condition::DiskFree),
        };
        if condition.is_none() || !rest.starts_with(*compares) {
            let headline = format!("`{}` is no condition", shown(&text));
            self.refuse("quantity", node.at, headline, format!("write for example `{figure} {compares} {example}`"));
            return None;
        }
        condition
    }
}
