//! `metrics` of `autoscaling/v2`.

use crate::{
    node::Node,
    reading::{Fields, Reading, Reference, ReferenceKind},
    section::{Section, Shape, key},
};
use plimsoll_model::{
    MilliCpu, Ratio, System,
    autoscaling::{Described, Metric},
};

pub(crate) static METRIC: Section = Section {
    name: "a metric",
    keys: &[
        key("type", Shape::Word(&["Resource", "ContainerResource", "Pods", "Object", "External"]), "Its kind."),
        key("resource", Shape::Map(&RESOURCE), "Processor or memory of the replicas."),
        key("containerResource", Shape::Map(&RESOURCE), "The same of one container; a replica is one."),
        key("pods", Shape::Map(&SOURCE), "A metric of each replica."),
        key("object", Shape::Map(&SOURCE), "A metric of one object."),
        key("external", Shape::Map(&SOURCE), "A metric from outside."),
    ],
    foreign: &[],
};

static RESOURCE: Section = Section {
    name: "a resource metric",
    keys: &[
        key("name", Shape::Word(&["cpu", "memory"]), "cpu or memory."),
        key("container", Shape::Text, "The container."),
        key("target", Shape::Map(&TARGET), "What it is held at."),
    ],
    foreign: &[],
};

static SOURCE: Section = Section {
    name: "a metric's source",
    keys: &[
        key("metric", Shape::Map(&NAMED), "The metric."),
        key("describedObject", Shape::Map(&OBJECT), "The object: a Service or the Ingress of this file."),
        key("target", Shape::Map(&TARGET), "What it is held at."),
    ],
    foreign: &[],
};

static OBJECT: Section = Section {
    name: "a described object",
    keys: &[
        key("apiVersion", Shape::Text, "v1, or networking.k8s.io/v1."),
        key("kind", Shape::Text, "Service or Ingress."),
        key("name", Shape::Text, "Its name."),
    ],
    foreign: &[],
};

static NAMED: Section = Section {
    name: "a metric's name",
    keys: &[key("name", Shape::Text, "Its name."), key("selector", Shape::Anything, "Which of its series.")],
    foreign: &[],
};

static TARGET: Section = Section {
    name: "a metric's target",
    keys: &[
        key("type", Shape::Word(&["Utilization", "AverageValue", "Value"]), "How it is meant."),
        key("averageUtilization", Shape::Integer, "Percent of the request."),
        key("averageValue", Shape::Text, "Averaged over the replicas."),
        key("value", Shape::Text, "As it is."),
    ],
    foreign: &[],
};

const UNMEASURED: &str = "nothing on this machine measures this metric: it takes no part";

/// A figure that is not one of each replica.
fn total(name: String, of: Option<Described>, (value_milli, average_milli): (Option<i64>, Option<i64>)) -> Metric {
    match of {
        Some(of) => Metric::Object { of, name, value_milli, average_milli },
        None => Metric::External { name, value_milli, average_milli },
    }
}

#[derive(Clone, Copy)]
enum Aim {
    Utilization,
    AverageValue,
    Value,
}

impl Reading<'_, '_> {
    /// Reads a list of metrics.
    ///
    /// `takes_requests`: it has a port, so that gateways see its requests.
    pub(crate) fn metrics(&mut self, list: &Node, path: &str, takes_requests: bool, into: &mut Vec<Metric>) {
        let kinds = [
            ("Resource", "resource"),
            ("ContainerResource", "containerResource"),
            ("Pods", "pods"),
            ("Object", "object"),
            ("External", "external"),
        ];
        for item in self.list(list, "a list of metrics") {
            let Some(fields) = self.fields(item, &METRIC, path) else { continue };
            let Some(kind) = fields.get("type") else {
                self.refuse("missing-key", item.at, "this metric has no `type`", "write `type: Resource`");
                continue;
            };
            let Some(kind) = self.word(kind, &kinds) else { continue };
            let Some(source) = fields.get(kind) else {
                let help = format!("write `{kind}: {{ … }}` beside it");
                self.refuse("missing-key", item.at, format!("this metric has no `{kind}`"), help);
                continue;
            };
            if kind == "resource" || kind == "containerResource" {
                into.extend(self.resource_metric(source, path));
            } else {
                let found = self.source_metric(kind, source, path);
                if found.as_ref().is_some_and(|metric| !metric.is_measured_on_a_machine(takes_requests)) {
                    self.recorded(path, item.at, UNMEASURED);
                } else if let Some(Metric::Object { of, .. }) = &found {
                    self.refer(ReferenceKind::Described, path, of.name(), item.at);
                }
                into.extend(found);
            }
        }
    }

    fn resource_metric(&mut self, node: &Node, path: &str) -> Option<Metric> {
        let fields = self.fields(node, &RESOURCE, path)?;
        fields.get("container").and_then(|node| self.text(node));
        let Some(name) = fields.get("name") else {
            self.refuse("missing-key", node.at, "this metric names no resource", "write `name: cpu` or `name: memory`");
            return None;
        };
        let resource = self.word(name, &[("cpu", "cpu"), ("memory", "memory")])?;
        let (aim, target) = self.aim(&fields, node)?;
        match aim {
            Aim::Utilization => {
                let value = self.needed(&target, "averageUtilization")?;
                let percent = self.count(value, 1..=1000)?;
                Some(Metric::Utilization { resource: resource.into(), target: Ratio::percent(u64::from(percent)) })
            }
            Aim::AverageValue | Aim::Value => {
                let value = self.needed(&target, "averageValue")?;
                match resource {
                    "cpu" => self.cpu(value).map(|MilliCpu(milli)| Metric::AverageCpu(MilliCpu(milli))),
                    _ => self.bytes(value).map(|bytes| Metric::AverageMemory(bytes.0)),
                }
            }
        }
    }

    fn source_metric(&mut self, kind: &str, node: &Node, path: &str) -> Option<Metric> {
        let fields = self.fields(node, &SOURCE, path)?;
        let of = fields.get("describedObject").and_then(|node| self.described(node, path));
        let metric = fields.get("metric").and_then(|node| self.fields(node, &NAMED, path));
        let name = metric.and_then(|metric| {
            let _ = metric.get("selector");
            metric.get("name").and_then(|node| self.some_text(node))
        });
        let Some(name) = name else {
            self.refuse("missing-key", node.at, "this metric has no name", "write `metric: { name: NAME }`");
            return None;
        };
        let (aim, target) = self.aim(&fields, node)?;
        match (kind, aim) {
            ("pods", Aim::AverageValue) => {
                let value = self.needed(&target, "averageValue")?;
                let average_milli = self.milli(value)?;
                Some(Metric::Pods { name, average_milli })
            }
            ("object" | "external", Aim::AverageValue) => {
                let value = self.needed(&target, "averageValue")?;
                let average_milli = self.milli(value)?;
                Some(total(name, of.filter(|_| kind == "object"), (None, Some(average_milli))))
            }
            ("object" | "external", Aim::Value) => {
                let value = self.needed(&target, "value")?;
                let value_milli = self.milli(value)?;
                Some(total(name, of.filter(|_| kind == "object"), (Some(value_milli), None)))
            }
            _ => {
                let help = "write `type: AverageValue` and `averageValue`";
                self.refuse(
                    "unknown-word",
                    target.at("type"),
                    format!("`{kind}` metrics have no target of this type"),
                    help,
                );
                None
            }
        }
    }

    /// The object that is described, if it can be one of this file.
    fn described(&mut self, node: &Node, path: &str) -> Option<Described> {
        let fields = self.fields(node, &OBJECT, path)?;
        fields.get("apiVersion").and_then(|node| self.text(node));
        let kind = fields.get("kind").and_then(|node| self.text(node));
        let name = fields.get("name").and_then(|node| self.text(node));
        match kind.as_deref() {
            Some("Service") => name.map(Described::Service),
            Some("Ingress") => Some(Described::Ingress),
            _ => None,
        }
    }

    /// Metrics of objects that are not in the file, or take no requests, are from outside.
    pub(crate) fn check_described(&mut self, system: &mut System, references: &[Reference]) {
        for reference in references.iter().filter(|one| one.kind == ReferenceKind::Described) {
            let is_there = match reference.to.as_str() {
                "" => !system.ingress.listen.is_empty(),
                name => system.services.get(name).is_some_and(|service| service.port.is_some()),
            };
            if is_there {
                continue;
            }
            self.recorded(reference.from.as_str(), reference.at, UNMEASURED);
            let own = reference.from.split('.').nth(1).unwrap_or_default();
            let scaling = system.services.get_mut(own).and_then(|service| service.autoscaling.as_mut());
            for metric in scaling.into_iter().flat_map(|scaling| &mut scaling.metrics) {
                if let Metric::Object { of, name, value_milli, average_milli } = metric
                    && of.name() == reference.to
                {
                    *metric = total(std::mem::take(name), None, (*value_milli, *average_milli));
                }
            }
        }
    }

    fn aim<'n>(&mut self, fields: &Fields<'n>, node: &Node) -> Option<(Aim, Fields<'n>)> {
        let Some(target) = fields.get("target") else {
            let help = "write `target: { type: Utilization, averageUtilization: 70 }`";
            self.refuse("missing-key", node.at, "this metric has no `target`", help);
            return None;
        };
        let target = self.fields(target, &TARGET, "target")?;
        let words = [("Utilization", Aim::Utilization), ("AverageValue", Aim::AverageValue), ("Value", Aim::Value)];
        let aim = match target.get("type") {
            Some(node) => self.word(node, &words)?,
            None if target.get("averageUtilization").is_some() => Aim::Utilization,
            None if target.get("value").is_some() => Aim::Value,
            None => Aim::AverageValue,
        };
        Some((aim, target))
    }

    fn needed<'n>(&mut self, target: &Fields<'n>, key: &str) -> Option<&'n Node> {
        let node = target.get(key);
        if node.is_none() {
            self.refuse("missing-key", target.at, format!("this target has no `{key}`"), format!("write `{key}`"));
        }
        node
    }
}
