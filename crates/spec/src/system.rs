//! The file as a whole.

use crate::{
    alert::ALERT,
    ingress::INGRESS,
    node::{Entry, Node, Value},
    overlay::laid_over,
    promise::PROMISE,
    reading::{Fields, Reading},
    section::{
        Foreign::{Called, Later},
        Section, Shape, key,
    },
    service::SERVICE,
    simulation::SIMULATION,
    store::STORE,
};
use plimsoll_model::{
    System,
    system::{IngressHost, Listen, Target},
};
use std::net::{IpAddr, Ipv4Addr};

pub(crate) static SYSTEM: Section = Section {
    name: "the file",
    keys: &[
        key("system", Shape::Name, "The system's name. Default: the name of the file's folder."),
        key("target", Shape::Word(&["machine", "kubernetes"]), "Where it runs. Default machine."),
        key("namespace", Shape::Name, "The namespace on Kubernetes. Default: the system's name."),
        key("defaults", Shape::Map(&SERVICE), "For every service, unless it says otherwise."),
        key("services", Shape::Named(&Shape::Map(&SERVICE)), "What runs, by name."),
        key("stores", Shape::Named(&Shape::Map(&STORE)), "Databases, caches and brokers, by name."),
        key("ingress", Shape::Map(&INGRESS), "How it is reached from outside."),
        key("promises", Shape::Named(&Shape::Map(&PROMISE)), "What can be checked, by name."),
        key("alerts", Shape::Named(&Shape::Map(&ALERT)), "When somebody is to be told, by name."),
        key("simulation", Shape::Map(&SIMULATION), "What `plimsoll simulate` imagines around the system."),
        key("environments", Shape::Named(&Shape::Map(&SYSTEM)), "Overlays, by name."),
    ],
    foreign: &[
        ("name", Called("it is called `system` here")),
        ("version", Called("leave it out; the language has one version")),
        ("databases", Called("it is called `stores` here")),
        ("service", Called("it is called `services` here")),
        ("slos", Called("it is called `promises` here")),
        ("networks", Called("leave it out; `uses` and `calls` say who reaches whom")),
        ("groups", Later("leave it out until then; all services share one group")),
        ("regions", Later("leave it out until then; there is one region")),
        ("nodes", Later("leave it out until then; there is one node")),
        ("jobs", Later("use `rollout: { before: COMMAND }` for a migration")),
        ("schedules", Later("use the machine's own cron until then")),
        ("volumes", Later("use a store, or a folder of the machine")),
        ("configs", Later("write the values into `env`")),
        ("secrets", Later("write `$(secret:NAME)` where a secret is wanted")),
    ],
};

/// How many values `defaults` may add to all services together.
const DEFAULTS_MAX: usize = 5_000_000;

impl Reading<'_, '_> {
    /// Reads the file, an overlay being laid over it already. `folder` names a system that has no name.
    pub(crate) fn system(&mut self, root: &Node, folder: &str) -> Option<System> {
        let fields = self.fields(root, &SYSTEM, "")?;
        let _ = fields.entry("environments");
        let mut system = System { name: self.system_name(&fields, folder), ..System::default() };
        self.system_target(&fields, &mut system);
        if let Some(stores) = fields.get("stores") {
            let entries = self.entries(stores, "`stores: { NAME: { engine: postgres } }`");
            self.stores = entries.iter().map(|entry| entry.key.clone()).collect();
            for entry in entries {
                self.is_name(&entry.key, entry.key_at);
                let store = self.store(entry);
                system.stores.extend(store.map(|store| (entry.key.clone(), store)));
            }
        }
        self.services(&fields, &mut system);
        if let Some(ingress) = fields.get("ingress") {
            system.ingress = self.ingress(ingress);
        }
        self.promises_and_alerts(&fields, &mut system);
        system.simulation = fields.get("simulation").and_then(|node| self.simulation(node));
        Some(system)
    }

    fn system_name(&mut self, fields: &Fields<'_>, folder: &str) -> String {
        let Some(node) = fields.get("system") else { return label_of(folder) };
        match self.text(node) {
            Some(name) if self.is_name(&name, node.at) => name,
            _ => label_of(folder),
        }
    }

    fn system_target(&mut self, fields: &Fields<'_>, system: &mut System) {
        let namespace = fields.get("namespace").and_then(|node| {
            let name = self.text(node)?;
            self.is_name(&name, node.at).then_some(name)
        });
        let is_kubernetes =
            fields.get("target").and_then(|n| self.word(n, &[("machine", false), ("kubernetes", true)]));
        if is_kubernetes == Some(true) {
            system.target = Target::Kubernetes { namespace };
            self.refused(
                "target",
                fields.at("target"),
                "Kubernetes comes in a later version; this one runs on this machine",
            );
        } else if let Some(namespace) = fields.entry("namespace") {
            self.recorded("namespace", namespace.key_at, "there are no namespaces on this machine");
        }
    }

    fn services(&mut self, fields: &Fields<'_>, system: &mut System) {
        let defaults = fields.get("defaults");
        if let Some(defaults) = defaults {
            self.fields(defaults, &SERVICE, "defaults");
        }
        let is_empty = |key| fields.get(key).is_none_or(|node| node.map().is_some_and(<[_]>::is_empty));
        if is_empty("services") && is_empty("stores") {
            let help = "write `services: { web: { command: [./serve], port: 8000 } }`";
            self.refuse("missing-key", fields.at("services"), "a system has `services` or `stores`", help);
        }
        let Some(services) = fields.get("services") else { return };
        let entries = services.map().map_or(0, <[_]>::len);
        if let Some(defaults) = defaults.filter(|defaults| defaults.size().saturating_mul(entries) > DEFAULTS_MAX) {
            let headline =
                format!("these defaults, written out for {entries} services, are more than {DEFAULTS_MAX} values");
            self.refuse("too-large", defaults.at, headline, "write less into `defaults`");
            return;
        }
        for entry in self.entries(services, "`services: { NAME: { command: [PROGRAM] } }`") {
            self.is_name(&entry.key, entry.key_at);
            if self.stores.contains(&entry.key) {
                let headline = format!("both a service and a store are called `{}`", entry.key);
                self.refuse("duplicate-key", entry.key_at, headline, "rename one of them");
            }
            let merged = defaults.map(|defaults| laid_over(defaults.clone(), &entry.node));
            let node = match &merged {
                Some(merged) if matches!(entry.node.value, Value::Map(_)) => merged,
                _ => &entry.node,
            };
            let service = self.service(entry, node);
            match service {
                Some(service) => {
                    system.services.insert(entry.key.clone(), service);
                }
                None => {
                    self.unreadable.insert(entry.key.clone());
                }
            }
        }
    }

    fn promises_and_alerts(&mut self, fields: &Fields<'_>, system: &mut System) {
        if let Some(promises) = fields.get("promises") {
            for entry in self.entries(promises, "`promises: { NAME: { availability: 99.9% } }`") {
                self.is_name(&entry.key, entry.key_at);
                let promise = self.promise(entry);
                system.promises.extend(promise.map(|promise| (entry.key.clone(), promise)));
            }
        }
        if let Some(alerts) = fields.get("alerts") {
            for Entry { key, key_at, node } in self.entries(alerts, "`alerts: { NAME: { when: errorRate > 5% } }`") {
                let is_word = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
                if !is_word || key.is_empty() || key.len() > 63 {
                    let headline = "an alert's name has letters, digits, `-` and `_`, at most 63";
                    self.refuse("name", *key_at, headline, "write for example `HighErrorRate`");
                }
                let alert = self.alert(key, node);
                system.alerts.extend(alert.map(|alert| (key.clone(), alert)));
            }
        }
    }
}

/// A folder's name as an RFC 1123 label; `system` if nothing of it can be used.
pub(crate) fn label_of(folder: &str) -> String {
    let mut label: String =
        folder.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    label.truncate(63);
    let label = label.trim_matches('-');
    if label.is_empty() { "system".into() } else { label.into() }
}

/// Without any ingress, the only service that has a port is served at that port of this machine. Says so.
pub(crate) fn serve_the_only_one(system: &mut System) -> Option<String> {
    let mut with_port = system.services.iter().filter_map(|(name, service)| service.port.map(|port| (name, port)));
    let (Some((name, port)), None) = (with_port.next(), with_port.next()) else { return None };
    let name = name.clone();
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    system.ingress.listen.push(Listen { address, port, tls: None });
    let mut host = IngressHost::default();
    host.paths.insert("/".into(), name.clone());
    system.ingress.hosts.insert("*".into(), host);
    Some(format!("no ingress is written: http://127.0.0.1:{port}/ serves `{name}`, the only service with a port"))
}
