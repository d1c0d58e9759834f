//! How a system is reached from outside.

use crate::{
    diagnostic::shown,
    node::{At, Node, Value},
    reading::{Reading, ReferenceKind},
    section::{
        Foreign::{Called, Later},
        Section, Shape, key,
    },
};
use plimsoll_model::{
    Millis,
    route::{LimitBy, RateLimit, Tls},
    system::{Ingress, IngressHost, Listen},
};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(crate) static INGRESS: Section = Section {
    name: "`ingress`",
    keys: &[
        key("listen", Shape::List(&LISTEN_SHAPE), "Ports: 8080, \"0.0.0.0:8080\", or { port, address, tls }."),
        key("hosts", Shape::Named(&Shape::Map(&HOST)), "What is served, by host name; `*` is every host."),
        key("timeouts", Shape::Map(&TIMEOUTS), "How long clients may take."),
    ],
    foreign: &[
        ("rules", Called("write `hosts: { HOST: { paths: { /: SERVICE } } }`")),
        ("paths", Called("write `hosts: { \"*\": { paths: { /: SERVICE } } }`")),
        ("port", Called("write `listen: [8080]`")),
        ("tls", Called("write `listen: [{ port: 8443, tls: { certificate: FILE, key: FILE } }]`")),
        ("rateLimit", Called("write it at a host")),
    ],
};

static TIMEOUTS: Section = Section {
    name: "`timeouts` of the ingress",
    keys: &[key("header", Shape::Duration, "Until the head of a request is there as a whole. Default 10s.")],
    foreign: &[
        ("connect", Called("write it at a service")),
        ("response", Called("write it at a service")),
        ("idle", Called("write it at a service")),
        ("total", Called("write it at a service")),
    ],
};

const LISTEN_SHAPE: Shape = Shape::Either(&[Shape::Integer, Shape::Text, Shape::Map(&LISTEN)]);

static LISTEN: Section = Section {
    name: "a listener",
    keys: &[
        key("port", Shape::Integer, "The port; 0 lets the kernel choose once."),
        key("address", Shape::Text, "The address to bind. Default 127.0.0.1."),
        key("tls", Shape::Map(&TLS), "Ends TLS here."),
    ],
    foreign: &[],
};

static TLS: Section = Section {
    name: "`tls`",
    keys: &[
        key("certificate", Shape::Text, "PEM file of the chain."),
        key("key", Shape::Text, "PEM file of the private key."),
    ],
    foreign: &[
        ("secretName", Later("name the PEM files: `certificate` and `key`")),
        ("acme", Later("name the PEM files: `certificate` and `key`")),
    ],
};

static HOST: Section = Section {
    name: "a host",
    keys: &[
        key("paths", Shape::Named(&Shape::Name), "Services by path prefix."),
        key("rateLimit", Shape::Map(&RATE_LIMIT), "How many requests a client may make."),
    ],
    foreign: &[
        ("redirect", Later("redirect in a service until then")),
        ("cors", Later("answer it in a service until then")),
    ],
};

static RATE_LIMIT: Section = Section {
    name: "`rateLimit`",
    keys: &[
        key("requests", Shape::Integer, "So many requests …"),
        key("per", Shape::Duration, "… in so long."),
        key(
            "by",
            Shape::Either(&[Shape::Word(&["client", "everyone"]), Shape::Map(&BY)]),
            "What is counted apart. Default client.",
        ),
    ],
    foreign: &[("rps", Called("write `requests: 100, per: 1s`"))],
};

static BY: Section = Section {
    name: "`by`",
    keys: &[key("header", Shape::Text, "Each value of this header for itself.")],
    foreign: &[],
};

impl Reading<'_, '_> {
    /// Reads `ingress`.
    pub(crate) fn ingress(&mut self, node: &Node) -> Ingress {
        let Some(fields) = self.fields(node, &INGRESS, "ingress") else { return Ingress::default() };
        let mut ingress = Ingress::default();
        if let Some(listen) = fields.get("listen") {
            let items = match &listen.value {
                Value::List(items) => items.as_slice(),
                _ => std::slice::from_ref(listen),
            };
            let mut taken = BTreeSet::new();
            for item in items {
                let Some(one) = self.listener(item) else { continue };
                if one.port != 0 && !taken.insert((one.address, one.port)) {
                    self.refuse(
                        "two-owners",
                        item.at,
                        format!("port {} is listened on twice", one.port),
                        "keep one of them",
                    );
                    continue;
                }
                ingress.listen.push(one);
            }
        }
        if let Some(hosts) = fields.get("hosts") {
            for entry in self.entries(hosts, "`hosts: { \"*\": { paths: { /: SERVICE } } }`") {
                self.check_host(&entry.key, entry.key_at);
                let host = self.host(&entry.key, &entry.node);
                ingress.hosts.insert(entry.key.clone(), host);
            }
        }
        if let Some(timeouts) = fields.get("timeouts").and_then(|node| self.fields(node, &TIMEOUTS, "ingress.timeouts"))
        {
            ingress.header = timeouts.get("header").and_then(|node| self.some_duration(node));
        }
        if fields.entry("listen").is_none() {
            self.refuse("missing-key", fields.at, "the ingress listens nowhere", "write `listen: [8080]`");
        }
        if fields.entry("hosts").is_none() {
            let help = "write `hosts: { \"*\": { paths: { /: SERVICE } } }`";
            self.refuse("missing-key", fields.at, "the ingress serves nothing", help);
        }
        ingress
    }

    fn listener(&mut self, node: &Node) -> Option<Listen> {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        match &node.value {
            Value::Scalar(scalar) if scalar.text.contains([':', '.']) => match scalar.text.parse::<SocketAddr>() {
                Ok(address) => Some(Listen { address: address.ip(), port: address.port(), tls: None }),
                Err(_) => {
                    let headline = format!("`{}` is no address to listen on", shown(&scalar.text));
                    self.refuse("wrong-type", node.at, headline, "write 8080, \"0.0.0.0:8080\" or \"[::]:8080\"");
                    None
                }
            },
            Value::Scalar(_) => self.any_port(node).map(|port| Listen { address: local, port, tls: None }),
            _ => {
                let fields = self.fields(node, &LISTEN, "ingress.listen")?;
                let address = fields.get("address").and_then(|node| self.address(node)).unwrap_or(local);
                let tls = fields.get("tls").and_then(|node| self.tls(node));
                let Some(port) = fields.get("port") else {
                    self.refuse("missing-key", node.at, "this listener has no `port`", "write `port: 8080`");
                    return None;
                };
                self.any_port(port).map(|port| Listen { address, port, tls })
            }
        }
    }

    /// 0 lets the kernel choose.
    fn any_port(&mut self, node: &Node) -> Option<u16> {
        self.integer(node, 0..=65535).and_then(|port| u16::try_from(port).ok())
    }

    fn address(&mut self, node: &Node) -> Option<IpAddr> {
        let text = self.text(node)?;
        let address = text.parse().ok();
        if address.is_none() {
            let headline = format!("`{}` is no IP address", shown(&text));
            self.refuse("wrong-type", node.at, headline, "write 127.0.0.1, 0.0.0.0, \"::1\" or \"::\"");
        }
        address
    }

    fn tls(&mut self, node: &Node) -> Option<Tls> {
        let fields = self.fields(node, &TLS, "ingress.listen.tls")?;
        let certificate = fields.get("certificate").and_then(|node| self.some_text(node));
        let key = fields.get("key").and_then(|node| self.some_text(node));
        for missing in ["certificate", "key"].into_iter().filter(|key| fields.entry(key).is_none()) {
            let headline = format!("TLS needs a {missing}");
            self.refuse("missing-key", node.at, headline, format!("write `{missing}: FILE.pem`"));
        }
        Some(Tls { certificate: certificate?, key: key? })
    }

    fn check_host(&mut self, host: &str, at: At) {
        let bare = host.strip_prefix("*.").unwrap_or(host);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if host == "*" || (bare.len() <= 253 && bare.split('.').all(is_label)) {
            return;
        }
        let lower = host.to_lowercase();
        let help = match lower.split_once(':') {
            Some((name, _)) => format!("write `{}`; ports stand under `listen`", shown(name)),
            None if lower != host && host.is_ascii() => format!("write `{}`", shown(&lower)),
            None => "write a name such as shop.localhost, `*.example.com`, or `*` for every host".to_owned(),
        };
        self.refuse("name", at, format!("`{}` can't be the name of a host", shown(host)), help);
    }

    fn host(&mut self, name: &str, node: &Node) -> IngressHost {
        let mut host = IngressHost::default();
        let path = format!("ingress.hosts.{name}");
        let Some(fields) = self.fields(node, &HOST, &path) else { return host };
        if let Some(paths) = fields.get("paths") {
            for entry in self.entries(paths, "`paths: { /: SERVICE }`") {
                let is_path = entry.key.starts_with('/')
                    && entry.key.chars().all(|c| c.is_ascii_graphic())
                    && !entry.key.contains(['?', '#', '*']);
                if !is_path {
                    let headline = format!("`{}` is no path", shown(&entry.key));
                    self.refuse(
                        "wrong-type",
                        entry.key_at,
                        headline,
                        "begin it with `/`; everything below it is served too",
                    );
                    continue;
                }
                let same = |other: &&String| other.trim_end_matches('/') == entry.key.trim_end_matches('/');
                if let Some(other) = host.paths.keys().find(same) {
                    let headline = format!("`{}` and `{other}` are the same path", entry.key);
                    self.refuse("two-owners", entry.key_at, headline, "keep one of them");
                    continue;
                }
                let Some(service) = self.text(&entry.node) else { continue };
                self.refer(ReferenceKind::Path, &entry.key, &service, entry.node.at);
                host.paths.insert(entry.key.clone(), service);
            }
        }
        if host.paths.is_empty() && fields.entry("paths").is_none() {
            self.refuse("missing-key", fields.at, "this host serves nothing", "write `paths: { /: SERVICE }`");
        }
        host.rate_limit = fields.get("rateLimit").and_then(|node| self.rate_limit(node, &fields.path("rateLimit")));
        host
    }

    fn rate_limit(&mut self, node: &Node, path: &str) -> Option<RateLimit> {
        let fields = self.fields(node, &RATE_LIMIT, path)?;
        let by = match fields.get("by") {
            None => Some(LimitBy::Client),
            Some(node) if node.scalar().is_some() => self
                .word(node, &[("client", true), ("everyone", false)])
                .map(|client| if client { LimitBy::Client } else { LimitBy::Everyone }),
            Some(node) => {
                let by = self.fields(node, &BY, path);
                by.and_then(|by| {
                    by.get("header").and_then(|node| {
                        let name = self.some_text(node)?;
                        self.header_name(&name, node.at).then_some(name)
                    })
                })
                .map(LimitBy::Header)
            }
        };
        let requests = match fields.get("requests") {
            Some(node) => self.count(node, 1..=100_000_000),
            None => {
                self.refuse("missing-key", node.at, "this limit says no number", "write `{ requests: 100, per: 1s }`");
                None
            }
        };
        let per = match fields.get("per") {
            Some(node) => self.some_duration(node),
            None => Some(Millis::from_secs(1)),
        };
        Some(RateLimit { requests: requests?, per: per?, by: by? })
    }
}
