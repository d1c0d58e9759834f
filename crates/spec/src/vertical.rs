//! `verticalAutoscaling`: the spec of a VerticalPodAutoscaler, which recommends what a replica should request.

use crate::{
    autoscaling::TARGET,
    diagnostic::shown,
    node::{At, Node},
    reading::{Fields, Reading},
    section::{Foreign::Called, Section, Shape, key},
};
use plimsoll_model::autoscaling::{Autoscaling, Metric, Vertical, VerticalMode};

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
        key("minAllowed", Shape::Map(&ALLOWED), "The least request."),
        key("maxAllowed", Shape::Map(&ALLOWED), "The largest request."),
        key("controlledResources", Shape::List(&Shape::Word(&["cpu", "memory"])), "Default: both."),
        key("controlledValues", Shape::Word(&["RequestsAndLimits", "RequestsOnly"]), "What would be changed."),
        key("mode", Shape::Word(&["Auto", "Off"]), "Off: nothing is recommended. Default Auto."),
    ],
    foreign: &[],
};

static ALLOWED: Section = Section {
    name: "what is allowed",
    keys: &[key("cpu", Shape::Cpu, "Processor."), key("memory", Shape::Bytes, "Memory.")],
    foreign: &[],
};

const MODES: [(&str, VerticalMode); 4] = [
    ("Off", VerticalMode::Off),
    ("Initial", VerticalMode::Initial),
    ("Recreate", VerticalMode::Recreate),
    ("Auto", VerticalMode::Auto),
];

impl Reading<'_, '_> {
    /// A vertical autoscaler recommends; where it acts on what the horizontal one measures, there are two owners.
    pub(crate) fn vertical(
        &mut self,
        node: &Node,
        service: &Fields<'_>,
        scaling: Option<&Autoscaling>,
    ) -> Option<Vertical> {
        let path = service.path("verticalAutoscaling");
        let fields = self.fields(node, &VERTICAL, &path)?;
        if let Some(target) = fields.get("targetRef") {
            self.target_ref(target, service);
        }
        let mut vertical = Vertical::default();
        let mut mode_at = service.at("verticalAutoscaling");
        if let Some(policy) = fields.get("updatePolicy").and_then(|node| self.fields(node, &UPDATE_POLICY, &path))
            && let Some(node) = policy.get("updateMode")
        {
            vertical.mode = self.word(node, &MODES).unwrap_or_default();
            mode_at = node.at;
        }
        if let Some(policy) = fields.get("resourcePolicy").and_then(|node| self.fields(node, &RESOURCE_POLICY, &path)) {
            self.container_policies(&policy, (service, &path), &mut vertical);
        }
        self.check_owner(&vertical, (mode_at, service.at("verticalAutoscaling")), &path, scaling);
        Some(vertical)
    }

    fn check_owner(&mut self, vertical: &Vertical, (mode_at, at): (At, At), path: &str, scaling: Option<&Autoscaling>) {
        let metrics = scaling.map(|scaling| scaling.metrics.as_slice()).unwrap_or_default();
        let shared = metrics.iter().find_map(|metric| {
            let resource = match metric {
                Metric::Utilization { resource, .. } => resource.as_str(),
                Metric::AverageCpu(_) => "cpu",
                Metric::AverageMemory(_) => "memory",
                Metric::Pods { .. } | Metric::Object { .. } | Metric::External { .. } => return None,
            };
            vertical.controls(resource).then_some(resource)
        });
        match (shared, vertical.mode) {
            (Some(resource), VerticalMode::Auto | VerticalMode::Recreate) => {
                let headline = format!(
                    "`verticalAutoscaling` changes the request of {resource} that `autoscaling` measures against"
                );
                let help = "write `updateMode: \"Off\"` (it recommends, the other acts), or scale by requestsPerSecond";
                self.refuse("two-owners", mode_at, headline, help);
            }
            (_, VerticalMode::Off) => {}
            _ => {
                let why =
                    "nothing changes requests on this machine; `plimsoll status --sizes` shows what is recommended";
                self.recorded(path, at, why);
            }
        }
    }

    /// The policies of containers: a replica is one, and has the one of its name, or else that of `*`.
    fn container_policies(
        &mut self,
        policy: &Fields<'_>,
        (service, path): (&Fields<'_>, &str),
        vertical: &mut Vertical,
    ) {
        let Some(list) = policy.get("containerPolicies") else { return };
        let own = service.path.strip_prefix("services.").unwrap_or(&service.path);
        let path = format!("{path}.resourcePolicy.containerPolicies");
        let mut all = Vec::new();
        for item in self.list(list, "[{ containerName: NAME }]") {
            let Some(one) = self.fields(item, &CONTAINER_POLICY, &path) else { continue };
            let name = one.get("containerName").and_then(|node| self.text(node)).unwrap_or_else(|| "*".into());
            let read = self.container_policy(&one, &path);
            all.push((name, item.at, read));
        }
        let named = |wanted: &str| all.iter().position(|(name, ..)| name == wanted);
        // A single one is meant for the single container, whatever that is called in a cluster.
        let place = named(own).or_else(|| named("*")).or_else(|| (all.len() == 1).then_some(0));
        for (other, (name, at, _)) in all.iter().enumerate() {
            if Some(other) != place && !(name == "*" && named(own).is_some()) {
                self.recorded(
                    path.as_str(),
                    *at,
                    format!("a replica is one container, and `{}` is another", shown(name)),
                );
            }
        }
        if let Some(place) = place {
            *vertical = Vertical { mode: vertical.mode, ..all.swap_remove(place).2 };
        }
    }

    fn container_policy(&mut self, one: &Fields<'_>, path: &str) -> Vertical {
        let mut vertical = Vertical::default();
        if let Some(node) = one.get("mode") {
            vertical.off = self.word(node, &[("Auto", false), ("Off", true)]).unwrap_or_default();
        }
        if let Some(node) = one.get("controlledValues") {
            self.word(node, &[("RequestsAndLimits", ()), ("RequestsOnly", ())]);
            self.recorded(path, node.at, "nothing changes requests or limits on this machine");
        }
        if let Some(list) = one.get("controlledResources") {
            for item in self.list(list, "[cpu, memory]") {
                let word = self.word(item, &[("cpu", "cpu"), ("memory", "memory")]);
                vertical.controlled.extend(word.map(str::to_owned));
            }
        } else {
            vertical.controlled = ["cpu", "memory"].map(str::to_owned).to_vec();
        }
        if let Some(least) = one.get("minAllowed").and_then(|node| self.fields(node, &ALLOWED, path)) {
            vertical.cpu_min = least.get("cpu").and_then(|node| self.cpu(node));
            vertical.memory_min = least.get("memory").and_then(|node| self.bytes(node));
        }
        if let Some(most) = one.get("maxAllowed").and_then(|node| self.fields(node, &ALLOWED, path)) {
            vertical.cpu_max = most.get("cpu").and_then(|node| self.cpu(node));
            vertical.memory_max = most.get("memory").and_then(|node| self.bytes(node));
        }
        let over = vertical.cpu_min.zip(vertical.cpu_max).is_some_and(|(least, most)| least > most)
            || vertical.memory_min.zip(vertical.memory_max).is_some_and(|(least, most)| least > most);
        if over {
            let help = "let `minAllowed` be at most `maxAllowed`";
            self.refuse("min-over-max", one.at("minAllowed"), "`minAllowed` is above `maxAllowed`", help);
        }
        vertical
    }
}
