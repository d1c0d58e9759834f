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
    autoscaling::{Autoscaling, Metric},
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

pub(crate) static VERTICAL: Section = Section {
    name: "`verticalAutoscaling`",
    keys: &[
        key("updatePolicy", Shape::Map(&UPDATE_POLICY), "When requests are changed."),
        key("resourcePolicy", Shape::Map(&RESOURCE_POLICY), "What is changed."),
        key("targetRef", Shape::Map(&TARGET), "Names this service."),
    ],
    foreign: &[("spec", Called("paste what stands under `spec`"))],
};

static UPDATE_POLICY: Section = Section {
    name: "`updatePolicy`",
    keys: &[key("updateMode", Shape::Word(&["Off", "Initial", "Recreate", "Auto"]), "Default Auto.")],
    foreign: &[("minReplicas", Called("leave it out"))],
};

static RESOURCE_POLICY: Section = Section {
    name: "`resourcePolicy`",
    keys: &[key("containerPolicies", Shape::List(&Shape::Map(&CONTAINER_POLICY)), "Bounds.")],
    foreign: &[],
};

static CONTAINER_POLICY: Section = Section {
    name: "a container's policy",
    keys: &[
        key("containerName", Shape::Text, "The container."),
        key("minAllowed", Shape::Anything, "The least request."),
        key("maxAllowed", Shape::Anything, "The largest request."),
        key("controlledResources", Shape::List(&Shape::Word(&["cpu", "memory"])), "Default: both."),
        key("controlledValues", Shape::Text, "Requests, or requests and limits."),
        key("mode", Shape::Text, "Auto or Off."),
    ],
    foreign: &[],
};

impl Reading<'_, '_> {
    /// Reads who owns the number of replicas.
    pub(crate) fn scale(&mut self, service: &Fields<'_>, resources: &Resources) -> (u32, Option<Autoscaling>) {
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
        if let Some(vertical) = service.entry("verticalAutoscaling") {
            self.vertical(&vertical.node, service, autoscaling.as_ref());
        }
        let start = autoscaling.as_ref().map_or(1, |scaling| scaling.min_replicas.max(1));
        (replicas.unwrap_or(start), autoscaling)
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
        let has_external = scaling.metrics.iter().any(|metric| matches!(metric, Metric::External { .. }));
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

    fn target_ref(&mut self, node: &Node, service: &Fields<'_>) {
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

    /// A vertical autoscaler recommends; where it acts on what the horizontal one measures, there are two owners.
    fn vertical(&mut self, node: &Node, service: &Fields<'_>, scaling: Option<&Autoscaling>) {
        let path = service.path("verticalAutoscaling");
        let Some(fields) = self.fields(node, &VERTICAL, &path) else { return };
        if let Some(target) = fields.get("targetRef") {
            self.target_ref(target, service);
        }
        let mut mode = "Auto";
        let mut mode_at = service.at("verticalAutoscaling");
        if let Some(policy) = fields.get("updatePolicy").and_then(|n| self.fields(n, &UPDATE_POLICY, &path)) {
            let words = [("Off", "Off"), ("Initial", "Initial"), ("Recreate", "Recreate"), ("Auto", "Auto")];
            mode = policy.get("updateMode").and_then(|node| self.word(node, &words)).unwrap_or("Auto");
            mode_at = policy.get("updateMode").map_or(mode_at, |node| node.at);
        }
        let controlled = self.controlled(fields.get("resourcePolicy"), &path);
        let shared = scaling.into_iter().flat_map(|scaling| &scaling.metrics).find_map(|metric| match metric {
            Metric::Utilization { resource, .. } => controlled.iter().find(|name| *name == resource).cloned(),
            Metric::AverageCpu(_) => controlled.iter().find(|name| *name == "cpu").cloned(),
            Metric::AverageMemory(_) => controlled.iter().find(|name| *name == "memory").cloned(),
            _ => None,
        });
        match shared {
            Some(resource) if matches!(mode, "Auto" | "Recreate") => {
                let headline = format!(
                    "`verticalAutoscaling` changes the request of {resource} that `autoscaling` measures against"
                );
                let help = "write `updateMode: \"Off\"` (it recommends, the other acts), or scale by requestsPerSecond";
                self.refuse("two-owners", mode_at, headline, help);
            }
            _ => self.recorded(path, service.at("verticalAutoscaling"), "nothing changes requests on this machine"),
        }
    }

    fn controlled(&mut self, node: Option<&Node>, path: &str) -> Vec<String> {
        let both = || vec!["cpu".to_owned(), "memory".to_owned()];
        let Some(fields) = node.and_then(|node| self.fields(node, &RESOURCE_POLICY, path)) else { return both() };
        let Some(list) = fields.get("containerPolicies") else { return both() };
        let mut all = Vec::new();
        for item in self.list(list, "[{ containerName: NAME }]") {
            let Some(policy) = self.fields(item, &CONTAINER_POLICY, path) else { continue };
            for key in ["containerName", "controlledValues", "mode"] {
                policy.get(key).and_then(|node| self.text(node));
            }
            let _ = (policy.get("minAllowed"), policy.get("maxAllowed"));
            match policy.get("controlledResources") {
                Some(list) => all.extend(self.texts(list, "[cpu, memory]")),
                None => all.extend(both()),
            }
        }
        all
    }
}
