//! Requests and limits of one replica, as Kubernetes writes them.

use crate::{
    node::Node,
    reading::Reading,
    section::{Foreign::Called, Section, Shape, key},
    ulimits::ULIMITS,
};
use plimsoll_model::{Bytes, MilliCpu, service::Resources};

pub(crate) static RESOURCES: Section = Section {
    name: "`resources`",
    keys: &[
        key("requests", Shape::Map(&AMOUNTS), "What it needs at rest."),
        key("limits", Shape::Map(&AMOUNTS), "What it may use at most."),
        key("pids", Shape::Integer, "Processes and threads at most."),
        key("openFiles", Shape::Integer, "Open files at most."),
        key("ulimits", Shape::Map(&ULIMITS), "Limits of the kernel on each process."),
    ],
    foreign: &[
        ("cpu", Called("write `requests: { cpu: 250m }` or `limits: { cpu: 500m }`")),
        ("memory", Called("write `requests: { memory: 256Mi }` or `limits: { memory: 512Mi }`")),
        ("reservations", Called("it is called `requests` here")),
    ],
};

static AMOUNTS: Section = Section {
    name: "an amount of resources",
    keys: &[
        key("cpu", Shape::Cpu, "Processor: 250m is a quarter of one."),
        key("memory", Shape::Bytes, "Memory: 256Mi."),
        key("ephemeral-storage", Shape::Bytes, "Disk; not limited on this machine."),
    ],
    foreign: &[
        ("cpus", Called("it is called `cpu` here")),
        ("storage", Called("it is called `ephemeral-storage` here")),
    ],
};

impl Reading<'_, '_> {
    /// Reads requests and limits, and compares them.
    pub(crate) fn resources(&mut self, node: &Node, path: &str) -> Resources {
        let Some(fields) = self.fields(node, &RESOURCES, path) else { return Resources::default() };
        let (cpu_request, memory_request) = self.amounts(fields.get("requests"), &fields.path("requests"));
        let (cpu_limit, memory_limit) = self.amounts(fields.get("limits"), &fields.path("limits"));
        let mut resources = Resources {
            cpu_request,
            memory_request,
            cpu_limit,
            memory_limit,
            pids: fields.get("pids").and_then(|node| self.integer(node, 1..=4_194_304)),
            open_files: fields.get("openFiles").and_then(|node| self.integer(node, 16..=1_048_576)),
            ulimits: fields.get("ulimits").map(|node| self.ulimits(node, &fields.path("ulimits"))).unwrap_or_default(),
        };
        if resources.open_files.is_some() && resources.ulimits.nofile.is_some() {
            let headline = "`openFiles` and `ulimits.nofile` are the same limit";
            self.refuse("two-owners", fields.at("openFiles"), headline, "leave one of them out");
        }
        let mut compare = |what: &str, request: Option<String>, limit: Option<String>| {
            if let (Some(request), Some(limit)) = (request, limit) {
                let headline = format!("the request of {what}, {request}, is above its limit, {limit}");
                self.refuse("min-over-max", fields.at("requests"), headline, "lower the request or raise the limit");
            }
        };
        let text = |value: Option<MilliCpu>| value.map(|value| value.to_string());
        if cpu_request.zip(cpu_limit).is_some_and(|(request, limit)| request > limit) {
            compare("cpu", text(cpu_request), text(cpu_limit));
        }
        let text = |value: Option<Bytes>| value.map(|value| value.to_string());
        if memory_request.zip(memory_limit).is_some_and(|(request, limit)| request > limit) {
            compare("memory", text(memory_request), text(memory_limit));
        }
        // as Kubernetes: what has only a limit requests all of it
        resources.cpu_request = cpu_request.or(cpu_limit);
        resources.memory_request = memory_request.or(memory_limit);
        resources
    }

    fn amounts(&mut self, node: Option<&Node>, path: &str) -> (Option<MilliCpu>, Option<Bytes>) {
        let Some(fields) = node.and_then(|node| self.fields(node, &AMOUNTS, path)) else { return (None, None) };
        if let Some(storage) = fields.get("ephemeral-storage") {
            self.bytes(storage);
            self.recorded(
                fields.path("ephemeral-storage"),
                fields.at("ephemeral-storage"),
                "disk isn't limited on this machine",
            );
        }
        (fields.get("cpu").and_then(|node| self.cpu(node)), fields.get("memory").and_then(|node| self.bytes(node)))
    }
}
