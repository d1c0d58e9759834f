//! `synthetic`: what both versions of a service are asked while a release is judged, where its users ask too little.

use crate::{
    diagnostic::shown,
    node::{Entry, Node},
    reading::{Fields, Reading},
    section::{Foreign::Called, Section, Shape, key},
};
use plimsoll_model::{
    System,
    rollout::{Rollout, Strategy},
    synthetic::Synthetic,
};

pub(crate) static SYNTHETIC: Section = Section {
    name: "`synthetic`",
    keys: &[
        key("requestsPerSecond", Shape::Integer, "So many of each version, 1 to 1000. Default 20."),
        key("paths", Shape::List(&Shape::Text), "What is asked (GET), in turn. Default [/]."),
        key("headers", Shape::Named(&Shape::Text), "Headers of each of them. Host is the service's name by default."),
    ],
    foreign: &[
        ("method", Called("all of them are GET: they must change nothing")),
        ("path", Called("write `paths: [/]`")),
        ("qps", Called("write `requestsPerSecond: 20`")),
        ("rate", Called("write `requestsPerSecond: 20`")),
    ],
};

/// More paths say no more.
const PATHS_MAX: usize = 100;

/// Headers that frame a request, speak of its connection, or say what it is.
const GATEWAYS_OWN: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-plimsoll-mirror",
    "x-plimsoll-synthetic",
];

impl Reading<'_, '_> {
    pub(crate) fn synthetic(&mut self, node: &Node, path: &str) -> Option<Synthetic> {
        let fields = self.fields(node, &SYNTHETIC, path)?;
        let mut synthetic = Synthetic::default();
        if let Some(rate) = fields.get("requestsPerSecond").and_then(|node| self.count(node, 1..=1000)) {
            synthetic.requests_per_second = rate;
        }
        if let Some(list) = fields.get("paths") {
            synthetic.paths = self.asked_paths(list);
        }
        if let Some(headers) = fields.get("headers") {
            for entry in self.entries(headers, "`headers: { NAME: value }`") {
                let Some(value) = self.asked_header(entry) else { continue };
                if synthetic.headers.insert(entry.key.to_ascii_lowercase(), value).is_some() {
                    let headline = format!("the header `{}` is given twice", entry.key);
                    self.refuse("duplicate-key", entry.key_at, headline, "keep one of them: case makes no difference");
                }
            }
        }
        Some(synthetic)
    }

    /// A header that may be chosen: none by which a request is framed, or by which replicas tell who asks.
    fn asked_header(&mut self, entry: &Entry) -> Option<String> {
        let value = self.header(&entry.key, entry.key_at, &entry.node)?;
        let name = entry.key.to_ascii_lowercase();
        if GATEWAYS_OWN.contains(&name.as_str()) {
            let headline = format!("`{name}` is written by the gateway itself");
            self.refuse("name", entry.key_at, headline, "leave it out: these are GET without a body");
            return None;
        }
        let is_host = !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c));
        if name == "host" && !is_host {
            let headline = format!("`{}` is no host", shown(&value));
            self.refuse("wrong-type", entry.node.at, headline, "write a name such as shop.localhost, or leave it out");
            return None;
        }
        Some(value)
    }

    fn asked_paths(&mut self, list: &Node) -> Vec<String> {
        let example = "`paths: [/, /search?q=a]`";
        let items = self.list(list, example);
        if items.is_empty() || items.len() > PATHS_MAX {
            let headline = format!("{} paths can't be asked in turn", items.len());
            self.refuse("out-of-range", list.at, headline, format!("write one, or up to {PATHS_MAX}: {example}"));
        }
        items.iter().filter_map(|item| self.request_path(item)).collect()
    }

    /// There is somebody to be asked, and both versions run side by side.
    pub(crate) fn check_synthetic(&mut self, fields: &Fields<'_>, service: &Fields<'_>, rollout: &Rollout) {
        let entry = fields.get("analysis").and_then(|node| node.get("synthetic"));
        let Some(entry) = entry.filter(|_| rollout.analysis.as_ref().is_some_and(|one| one.synthetic.is_some())) else {
            return;
        };
        if matches!(rollout.strategy, Strategy::Rolling { .. } | Strategy::Recreate) {
            let headline = "`synthetic` asks two versions side by side, and here one takes the other's place";
            self.refuse("missing-key", entry.key_at, headline, "write `canary` or `blueGreen`");
        }
        if service.get("port").is_none() {
            let headline = "`synthetic` asks at the service's port, and it has none";
            self.refuse("missing-key", entry.key_at, headline, "write its `port`");
        }
    }
}

/// What is said of releases that are judged by more than what users ask.
pub(crate) fn notes(system: &System) -> impl Iterator<Item = String> + '_ {
    system.services.iter().filter_map(|(name, service)| {
        let asked = service.rollout.analysis.as_ref()?.synthetic.as_ref()?;
        let (rate, paths) = (asked.requests_per_second, asked.paths.join(", "));
        Some(format!("where too little is asked of `{name}`, both versions are asked {rate} a second more: {paths}"))
    })
}
