//! How many replicas: `replicas`, or `autoscaling` in our short form or as `autoscaling/v2` has it.

use crate::{
    behavior::BEHAVIOR,
    diagnostic::shown,
    hours::{PREDICTION, SCHEDULE},
    metrics::METRIC,
    node::Node,
    reading::{Fields, Reading},
    section::{Foreign::Called, Section, Shape, key},
};
use plimsoll_model::{
    Ratio,
    autoscaling::{Autoscaling, Metric, Vertical},
    service::Resources,
};

/// More replicas than this of one service are a slip of the pen.
const REPLICAS_MAX: u32 = 10_000;

pub(crate) static AUTOSCALING: Section = Section {
    name: "`autoscaling`",
    keys: &[
        key("minReplicas", Shape::Integer, "At least so many. Default 1."),
        key("maxReplicas", Shape::Integer, "At most so many; without it nothing is scaled."),
        key("cpu", Shape::Percent, "Processor, as a share of the request."),
        key("memory", Shape::Percent, "Memory, as a share of the request."),
        key("requestsPerSecond", Shape::Rate, "Requests for each replica, measured at the gateway."),
        key("concurrency", Shape::Integer, "Requests in flight for each replica, measured at the gateway."),
        key("schedules", Shape::List(&Shape::Map(&SCHEDULE)), "Other bounds at certain hours."),
        key(
            "prediction",
            Shape::Either(&[Shape::Boolean, Shape::Map(&PREDICTION)]),
            "A floor from the shape of former weeks. Default false.",
        ),
        key("manualFor", Shape::Duration, "How long bounds set by `plimsoll scale` hold. Default 1h."),
        key("metrics", Shape::List(&Shape::Map(&METRIC)), "Metrics as autoscaling/v2 has them."),
        key("behavior", Shape::Map(&BEHAVIOR), "Stabilisation and rates as autoscaling/v2 has them."),
        key("scaleTargetRef", Shape::Map(&TARGET), "Names this service."),
    ],
    foreign: &[
        ("min", Called("it is called `minReplicas` here")),
        ("max", Called("it is called `maxReplicas` here")),
        ("enabled", Called("leave `autoscaling` out to switch it off")),
        ("targetCPUUtilizationPercentage", Called("write `cpu: 70%`")),
        ("spec", Called("paste what stands under `spec`")),
        ("schedule", Called("it is called `schedules` here, and is a list")),
        ("predictive", Called("it is called `prediction` here")),
    ],
};

pub(crate) static TARGET: Section = Section {
    name: "a target",
    keys: &[
        key("apiVersion", Shape::Text, "apps/v1."),
        key("kind", Shape::Text, "Deployment."),
        key("name", Shape::Text, "This service."),
    ],
    foreign: &[],
};

impl Reading<'_, '_> {
    /// Reads who owns the number of replicas.
    pub(crate) fn scale(
        &mut self,
        service: &Fields<'_>,
        resources: &Resources,
    ) -> (u32, Option<Autoscaling>, Option<Vertical>) {
        let replicas = service.get("replicas").and_then(|node| self.count(node, 0..=REPLICAS_MAX));
        let autoscaling = service.get("autoscaling").and_then(|node| self.autoscaling(node, service, resources));
        if let (Some(_), Some(scaling)) = (replicas, &autoscaling) {
            let found = self
                .error_at(
                    "two-owners",
                    service.at("replicas"),
                    "both `replicas` and `autoscaling` decide how many replicas there are",
                )
                .note_at(
                    format!("autoscaling chooses from {} to {}", scaling.min_replicas, scaling.max_replicas),
                    self.source.span(service.at("autoscaling")),
                )
                .help("remove `replicas`, or write `autoscaling: null`");
            self.push(found);
        }
        let vertical = service.entry("verticalAutoscaling");
        let vertical = vertical.and_then(|entry| self.vertical(&entry.node, service, autoscaling.as_ref()));
        let start = autoscaling.as_ref().map_or(1, Autoscaling::at_first);
        (replicas.unwrap_or(start), autoscaling, vertical)
    }

    fn autoscaling(&mut self, node: &Node, service: &Fields<'_>, resources: &Resources) -> Option<Autoscaling> {
        let path = service.path("autoscaling");
        let fields = self.fields(node, &AUTOSCALING, &path)?;
        let min = fields.get("minReplicas").and_then(|node| self.count(node, 0..=REPLICAS_MAX));
        let max = fields.get("maxReplicas").and_then(|node| self.count(node, 1..=REPLICAS_MAX));
        let mut metrics = Vec::new();
        for resource in ["cpu", "memory"] {
            if let Some(target) = fields.get(resource).and_then(|node| self.target(node)) {
                metrics.push(Metric::Utilization { resource: resource.into(), target });
            }
        }
        if let Some(list) = fields.get("metrics") {
            let takes_requests = service.entry("port").or(service.entry("ports")).is_some();
            self.metrics(list, &fields.path("metrics"), takes_requests, &mut metrics);
        }
        let manual_for = fields.get("manualFor").and_then(|node| self.some_duration(node));
        let usual = Autoscaling::default();
        let bounds = (min.unwrap_or(usual.min_replicas), max.unwrap_or(usual.max_replicas));
        let scaling = Autoscaling {
            min_replicas: bounds.0,
            max_replicas: bounds.1,
            behavior: fields.get("behavior").map(|node| self.behavior(node, &fields.path("behavior"))),
            requests_per_second: fields.get("requestsPerSecond").and_then(|node| self.rate(node)),
            concurrency: fields.get("concurrency").and_then(|node| self.count(node, 1..=1_000_000)),
            schedules: fields.get("schedules").map(|node| self.schedules(node, bounds, &fields)).unwrap_or_default(),
            prediction: fields.get("prediction").and_then(|node| self.prediction(node, &fields.path("prediction"))),
            manual_for: manual_for.unwrap_or(usual.manual_for),
            metrics,
        };
        if let Some(target) = fields.get("scaleTargetRef") {
            self.target_ref(target, service);
        }
        match (fields.entry("maxReplicas"), fields.entry("minReplicas")) {
            (None, None) => None, // only targets, from `defaults`: nothing is scaled
            (None, Some(min)) => {
                let help = "write `maxReplicas`, or `replicas` for a fixed number";
                self.refuse("missing-key", min.key_at, "`minReplicas` needs a `maxReplicas`", help);
                None
            }
            (Some(_), _) => self.check_scaling(scaling, &fields, resources),
        }
    }

    fn check_scaling(
        &mut self,
        mut scaling: Autoscaling,
        fields: &Fields<'_>,
        resources: &Resources,
    ) -> Option<Autoscaling> {
        let (min, max) = (scaling.min_replicas, scaling.max_replicas);
        if min > max {
            let headline = format!("`minReplicas` ({min}) is above `maxReplicas` ({max})");
            let key = if fields.entry("minReplicas").is_some() { "minReplicas" } else { "maxReplicas" };
            self.refuse("min-over-max", fields.at(key), headline, format!("write at most `minReplicas: {max}`"));
            return None;
        }
        let has_signal = scaling.requests_per_second.is_some() || scaling.concurrency.is_some();
        if scaling.metrics.is_empty() && !has_signal {
            scaling.metrics.push(Metric::Utilization { resource: "cpu".into(), target: Ratio::percent(80) });
        }
        let has_external =
            scaling.metrics.iter().any(|metric| matches!(metric, Metric::Object { .. } | Metric::External { .. }));
        if min == 0 && !has_signal && !has_external {
            let headline = "nothing would wake a service that has no replicas";
            let help = "write `minReplicas: 1`, or scale by `requestsPerSecond` or `concurrency`";
            self.refuse("out-of-range", fields.at("minReplicas"), headline, help);
        }
        for metric in scaling.metrics.iter().filter(|_| min < max) {
            let Metric::Utilization { resource, .. } = metric else { continue };
            let has_request = if resource == "cpu" {
                resources.cpu_request.is_some() || resources.cpu_limit.is_some()
            } else {
                resources.memory_request.is_some() || resources.memory_limit.is_some()
            };
            if !has_request {
                let headline = format!("a share of the request of {resource} decides, and there is no such request");
                let example = if resource == "cpu" { "250m" } else { "256Mi" };
                let help = format!("write `resources: {{ requests: {{ {resource}: {example} }} }}`");
                self.warn("utilization-without-request", fields.at("maxReplicas"), headline, help);
            }
        }
        if !self.machine.autoscales {
            let why = format!("the number of replicas stays at {min} on this machine");
            self.recorded(fields.path.clone(), fields.at, why);
        }
        Some(scaling)
    }

    /// A target of utilisation: above 0 %, at most 1000 %.
    fn target(&mut self, node: &Node) -> Option<Ratio> {
        let target = self.percent(node)?;
        if target.0 == 0 || target > Ratio::percent(1000) || target.0 % 10_000 != 0 {
            let headline = format!("a target of {target} is out of range");
            self.refuse("out-of-range", node.at, headline, "write whole percents from 1% to 1000%");
            return None;
        }
        Some(target)
    }

    pub(crate) fn target_ref(&mut self, node: &Node, service: &Fields<'_>) {
        let Some(fields) = self.fields(node, &TARGET, "scaleTargetRef") else { return };
        for key in ["apiVersion", "kind"] {
            fields.get(key).and_then(|node| self.text(node));
        }
        let own = service.path.strip_prefix("services.").unwrap_or(&service.path);
        if let Some(name) = fields.get("name")
            && let Some(text) = self.text(name)
            && text != own
        {
            let headline = format!("this scales `{}`, and stands under `{}`", shown(&text), shown(own));
            self.refuse("unknown-name", name.at, headline, "leave `scaleTargetRef` out, or move the block");
        }
    }
}
