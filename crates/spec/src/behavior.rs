//! `behavior` of `autoscaling/v2`: stabilisation and rates.

use crate::{
    node::Node,
    reading::Reading,
    section::{Section, Shape, key},
};
use plimsoll_model::{
    Ratio,
    autoscaling::{Behavior, RateKind, RatePolicy, Rules, Select},
};

pub(crate) static BEHAVIOR: Section = Section {
    name: "`behavior`",
    keys: &[key("scaleUp", Shape::Map(&RULES), "Growing."), key("scaleDown", Shape::Map(&RULES), "Shrinking.")],
    foreign: &[],
};

static RULES: Section = Section {
    name: "the rules of a direction",
    keys: &[
        key("stabilizationWindowSeconds", Shape::Integer, "0 to 3600. Default 0 up, 300 down."),
        key("selectPolicy", Shape::Word(&["Max", "Min", "Disabled"]), "Which of several rates holds. Default Max."),
        key("policies", Shape::List(&Shape::Map(&POLICY)), "Rates."),
        key("tolerance", Shape::Text, "How far from the target nothing is done: 0.1 is 10 %."),
    ],
    foreign: &[],
};

static POLICY: Section = Section {
    name: "a rate",
    keys: &[
        key("type", Shape::Word(&["Pods", "Percent"]), "What is counted."),
        key("value", Shape::Integer, "So many."),
        key("periodSeconds", Shape::Integer, "In so long: 1 to 1800."),
    ],
    foreign: &[],
};

impl Reading<'_, '_> {
    /// Reads both directions.
    pub(crate) fn behavior(&mut self, node: &Node, path: &str) -> Behavior {
        let Some(fields) = self.fields(node, &BEHAVIOR, path) else { return Behavior::default() };
        Behavior {
            scale_up: fields.get("scaleUp").and_then(|node| self.direction(node, &fields.path("scaleUp"))),
            scale_down: fields.get("scaleDown").and_then(|node| self.direction(node, &fields.path("scaleDown"))),
        }
    }

    fn direction(&mut self, node: &Node, path: &str) -> Option<Rules> {
        let fields = self.fields(node, &RULES, path)?;
        let selects = [("Max", Select::Max), ("Min", Select::Min), ("Disabled", Select::Disabled)];
        let mut policies = Vec::new();
        if let Some(list) = fields.get("policies") {
            for item in self.list(list, "[{ type: Percent, value: 100, periodSeconds: 60 }]") {
                policies.extend(self.rate_policy(item, &fields.path("policies")));
            }
        }
        Some(Rules {
            stabilization: fields.get("stabilizationWindowSeconds").and_then(|node| self.seconds(node, 0..=3600)),
            select: fields.get("selectPolicy").and_then(|node| self.word(node, &selects)),
            policies,
            tolerance: fields
                .get("tolerance")
                .and_then(|node| self.milli(node))
                .and_then(|milli| u64::try_from(milli).ok().map(|milli| Ratio(milli * 1000))),
        })
    }

    fn rate_policy(&mut self, node: &Node, path: &str) -> Option<RatePolicy> {
        let fields = self.fields(node, &POLICY, path)?;
        let (kind, value, period) = (fields.get("type"), fields.get("value"), fields.get("periodSeconds"));
        let (Some(kind), Some(value), Some(period)) = (kind, value, period) else {
            let help = "write `{ type: Percent, value: 100, periodSeconds: 60 }`";
            self.refuse("missing-key", node.at, "a rate has a type, a value and a period", help);
            return None;
        };
        let kind = self.word(kind, &[("Pods", RateKind::Pods), ("Percent", RateKind::Percent)]);
        let (value, period) = (self.count(value, 1..=1_000_000), self.seconds(period, 1..=1800));
        Some(RatePolicy { kind: kind?, value: value?, period: period? })
    }
}
