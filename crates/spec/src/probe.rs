//! Probes and hooks, as Kubernetes means them; `/health` is short for a GET at the service's own port.

use crate::{
    diagnostic::shown,
    node::{Node, Value},
    reading::{Fields, Reading},
    section::{
        Foreign::{Called, Later},
        Section, Shape, key,
    },
};
use plimsoll_model::{
    Millis, Service,
    probe::{Handler, Probe, Probes},
};

/// A path, or a probe whole.
pub(crate) const PROBE_SHAPE: Shape = Shape::Either(&[Shape::Text, Shape::Map(&PROBE)]);

static PROBE: Section = Section {
    name: "a probe",
    keys: &[
        key("httpGet", Shape::Map(&HTTP_GET), "A GET that answers 200 to 399."),
        key("tcpSocket", Shape::Map(&TCP_SOCKET), "A connection that stands."),
        key("exec", Shape::Map(&EXEC), "A command that ends with code 0."),
        key("grpc", Shape::Map(&GRPC), "grpc.health.v1.Health/Check answers SERVING."),
        key("initialDelaySeconds", Shape::Integer, "Counted from the process's start. Default 0."),
        key("periodSeconds", Shape::Integer, "Between two attempts. Default 10."),
        key("timeoutSeconds", Shape::Integer, "An attempt that takes longer has failed. Default 1."),
        key("successThreshold", Shape::Integer, "Passes in a row that count as success. Default 1."),
        key("failureThreshold", Shape::Integer, "Failures in a row that count as failure. Default 3."),
        key("terminationGracePeriodSeconds", Shape::Integer, "Grace of a restart by this probe."),
    ],
    foreign: &[
        ("interval", Called("it is called `periodSeconds`, in whole seconds")),
        ("timeout", Called("it is called `timeoutSeconds`, in whole seconds")),
        ("retries", Called("it is called `failureThreshold`")),
        ("path", Called("write `httpGet: { path: /health }`, or just `/health`")),
        ("test", Called("write `exec: { command: [PROGRAM, ARGUMENT] }`")),
    ],
};

static HTTP_GET: Section = Section {
    name: "`httpGet`",
    keys: &[
        key("path", Shape::Text, "Begins with `/`. Default `/`."),
        key("port", Shape::Either(&[Shape::Integer, Shape::Text]), "Default: the service's own port."),
        key("scheme", Shape::Word(&["HTTP", "HTTPS"]), "Default HTTP."),
        key("httpHeaders", Shape::List(&Shape::Map(&HEADER)), "Further headers."),
    ],
    foreign: &[("host", Later("a replica is asked at its own address; leave `host` out, or send a `Host` header"))],
};

static HEADER: Section = Section {
    name: "a header",
    keys: &[key("name", Shape::Text, "Its name."), key("value", Shape::Text, "Its value.")],
    foreign: &[],
};

static TCP_SOCKET: Section = Section {
    name: "`tcpSocket`",
    keys: &[key("port", Shape::Either(&[Shape::Integer, Shape::Text]), "Default: the service's own port.")],
    foreign: &[("host", Later("a replica is asked at its own address; leave `host` out"))],
};

static EXEC: Section = Section {
    name: "`exec`",
    keys: &[key("command", Shape::List(&Shape::Text), "Program and arguments.")],
    foreign: &[],
};

static GRPC: Section = Section {
    name: "`grpc`",
    keys: &[
        key("port", Shape::Integer, "Default: the service's own port."),
        key("service", Shape::Text, "The service asked about. Default: the whole server."),
    ],
    foreign: &[],
};

static SLEEP: Section = Section { name: "`sleep`", keys: &[key("seconds", Shape::Integer, "How long.")], foreign: &[] };

static HOOK: Section = Section {
    name: "a hook",
    keys: &[
        key("exec", Shape::Map(&EXEC), "A command."),
        key("httpGet", Shape::Map(&HTTP_GET), "A GET."),
        key("sleep", Shape::Map(&SLEEP), "Waits."),
    ],
    foreign: &[],
};

pub(crate) static LIFECYCLE: Section = Section {
    name: "`lifecycle`",
    keys: &[key("preStop", Shape::Map(&HOOK), "Run before SIGTERM, within the same grace.")],
    foreign: &[("postStart", Later("do it in the program itself, or in a startup probe"))],
};

/// Longer paths are refused by most servers.
const PATH_BYTES_MAX: usize = 8192;

/// What stands for itself in no path or query that is sent (RFC 3986), and that HTTP libraries refuse or cut off.
const NEVER_IN_PATHS: [char; 5] = ['#', '<', '>', '`', '"'];

impl Reading<'_, '_> {
    /// Reads the three probes of a service.
    pub(crate) fn probes(&mut self, service: &Fields<'_>, port: Option<u16>) -> Probes {
        let mut read = |key: &'static str| {
            let probe = self.probe(service.get(key)?, &service.path(key), port)?;
            if key != "readinessProbe" && probe.success_threshold != 1 {
                let headline = format!("`successThreshold` of a {key} is 1, and can't be {}", probe.success_threshold);
                self.refuse("out-of-range", service.at(key), headline, "leave it out");
            }
            Some(probe)
        };
        let probes = Probes {
            startup: read("startupProbe"),
            liveness: read("livenessProbe"),
            readiness: read("readinessProbe"),
        };
        with_implied_readiness(probes, service, port)
    }

    fn probe(&mut self, node: &Node, path: &str, own: Option<u16>) -> Option<Probe> {
        if let Value::Scalar(_) = node.value {
            let path = self.request_path(node)?;
            self.check_own_port(node, None, own);
            return Some(Probe::of(Handler::HttpGet { path, port: None, tls: false, headers: Vec::new() }));
        }
        let fields = self.fields(node, &PROBE, path)?;
        let handlers = ["httpGet", "tcpSocket", "exec", "grpc"];
        let handler = self.handler(&fields, &handlers, own);
        let defaults = Probe::of(handler.clone().unwrap_or(Handler::Tcp { port: None }));
        let most = 86_400;
        let read = |me: &mut Self, key, least, default: Millis| {
            fields.get(key).and_then(|node| me.seconds(node, least..=most)).unwrap_or(default)
        };
        let initial_delay = read(self, "initialDelaySeconds", 0, defaults.initial_delay);
        let period = read(self, "periodSeconds", 1, defaults.period);
        let timeout = read(self, "timeoutSeconds", 1, defaults.timeout);
        let count =
            |me: &mut Self, key, default| fields.get(key).and_then(|n| me.count(n, 1..=10_000)).unwrap_or(default);
        let probe = Probe {
            initial_delay,
            period,
            timeout,
            success_threshold: count(self, "successThreshold", defaults.success_threshold),
            failure_threshold: count(self, "failureThreshold", defaults.failure_threshold),
            termination_grace: fields.get("terminationGracePeriodSeconds").and_then(|n| self.seconds(n, 1..=most)),
            handler: handler?,
        };
        Some(probe)
    }

    /// The one handler among the keys that may hold one.
    fn handler(&mut self, fields: &Fields<'_>, keys: &[&'static str], own: Option<u16>) -> Option<Handler> {
        let given: Vec<&str> = keys.iter().copied().filter(|key| fields.entry(key).is_some()).collect();
        match given.as_slice() {
            [] => {
                let help = format!("write one of: {}", keys.join(", "));
                self.refuse("probe", fields.at, "nothing is tried here", help);
                None
            }
            [key] => self.one_handler(key, fields.get(key)?, own),
            [_, second, ..] => {
                let headline = format!("{} are tried here, and one is the most", given.join(" and "));
                let help = "keep one; `null` takes away what `defaults` or the file below an overlay gives";
                self.refuse("probe", fields.at(second), headline, help);
                None
            }
        }
    }

    fn one_handler(&mut self, key: &str, node: &Node, own: Option<u16>) -> Option<Handler> {
        match key {
            "httpGet" => self.http_get(node, own),
            "tcpSocket" => {
                let fields = self.fields(node, &TCP_SOCKET, key)?;
                let port = self.probe_port(fields.get("port"), own);
                self.check_own_port(node, port, own);
                Some(Handler::Tcp { port })
            }
            "grpc" => {
                let fields = self.fields(node, &GRPC, key)?;
                let port = self.probe_port(fields.get("port"), own);
                self.check_own_port(node, port, own);
                let service = fields.get("service").and_then(|node| self.text(node)).unwrap_or_default();
                Some(Handler::Grpc { port, service })
            }
            "sleep" => {
                let fields = self.fields(node, &SLEEP, key)?;
                let time = fields.get("seconds").and_then(|node| self.seconds(node, 0..=86_400))?;
                Some(Handler::Sleep { time })
            }
            _ => {
                let fields = self.fields(node, &EXEC, key)?;
                let command =
                    fields.get("command").map(|node| self.texts(node, "[PROGRAM, ARGUMENT]")).unwrap_or_default();
                if command.is_empty() {
                    self.refuse("probe", node.at, "this command is empty", "write `command: [PROGRAM, ARGUMENT]`");
                    return None;
                }
                Some(Handler::Exec { command })
            }
        }
    }

    fn http_get(&mut self, node: &Node, own: Option<u16>) -> Option<Handler> {
        let fields = self.fields(node, &HTTP_GET, "httpGet")?;
        let path = fields.get("path").and_then(|node| self.request_path(node)).unwrap_or_else(|| "/".into());
        let port = self.probe_port(fields.get("port"), own);
        self.check_own_port(node, port, own);
        let tls = fields.get("scheme").and_then(|node| self.word(node, &[("HTTP", false), ("HTTPS", true)]));
        let mut headers = Vec::new();
        if let Some(list) = fields.get("httpHeaders") {
            for item in self.list(list, "[{ name: Accept, value: text/plain }]") {
                let Some(header) = self.fields(item, &HEADER, "httpHeaders") else { continue };
                let (Some(name), Some(value)) = (header.get("name"), header.get("value")) else {
                    self.refuse(
                        "missing-key",
                        item.at,
                        "a header has a name and a value",
                        "write `{ name: Accept, value: text/plain }`",
                    );
                    continue;
                };
                let at = name.at;
                let Some(name) = self.some_text(name) else { continue };
                headers.extend(self.header(&name, at, value).map(|value| (name, value)));
            }
        }
        Some(Handler::HttpGet { path, port, tls: tls.unwrap_or(false), headers })
    }

    /// A path of a request: begins with `/`, has no blanks, and nothing that no request can have there.
    pub(crate) fn request_path(&mut self, node: &Node) -> Option<String> {
        let path = self.text(node)?;
        if path.len() > PATH_BYTES_MAX {
            let headline = format!("a path of {} bytes is too long", path.len());
            self.refuse("out-of-range", node.at, headline, format!("write at most {PATH_BYTES_MAX}"));
            return None;
        }
        if path.starts_with('/')
            && let Some(wrong) = path.chars().find(|c| NEVER_IN_PATHS.contains(c))
        {
            let headline = format!("`{wrong}` can't be sent in a path");
            let help = match wrong {
                '#' => "leave out what begins with it: it is for browsers; or write `%23`".into(),
                _ => format!("write `%{:02X}`", u32::from(wrong)),
            };
            self.refuse("wrong-type", node.at, headline, help);
            return None;
        }
        if path.starts_with('/') && path.chars().all(|c| c.is_ascii_graphic()) {
            return Some(path);
        }
        let headline = format!("`{}` is not a path", shown(&path));
        let better = path.trim_start_matches(|c: char| !c.is_ascii_graphic());
        let help = if better.contains("://") || better.is_empty() {
            "write a path such as /health".into()
        } else {
            format!("write `/{}`", shown(better))
        };
        self.refuse("wrong-type", node.at, headline, help);
        None
    }

    /// A port by number or by name; the service's own is `None`, since each replica has one of its own.
    fn probe_port(&mut self, node: Option<&Node>, own: Option<u16>) -> Option<u16> {
        let node = node?;
        let name = node
            .scalar()
            .map(|scalar| scalar.text.as_str())
            .filter(|t| t.starts_with(|c: char| c.is_ascii_alphabetic()));
        if let Some(name) = name {
            if self.port_name.as_deref() != Some(name) {
                let headline = format!("no port of this service is called `{}`", shown(name));
                self.refuse("unknown-name", node.at, headline, "leave `port` out: the service's own port is asked");
            }
            return None;
        }
        self.port(node).filter(|port| Some(*port) != own)
    }

    fn check_own_port(&mut self, node: &Node, port: Option<u16>, own: Option<u16>) {
        if port.is_none() && own.is_none() {
            let headline = "this probe asks at the service's port, and the service has none";
            self.refuse("probe", node.at, headline, "write `port: 8080` at the service, or probe by `exec`");
        }
    }

    /// Reads the hook that runs before a replica is stopped.
    pub(crate) fn pre_stop(&mut self, node: &Node, own: Option<u16>) -> Option<Handler> {
        let fields = self.fields(node, &LIFECYCLE, "lifecycle")?;
        let hook = self.fields(fields.get("preStop")?, &HOOK, "lifecycle.preStop")?;
        self.handler(&hook, &["exec", "httpGet", "sleep"], own)
    }

    /// A hook that sleeps must leave the process some of the grace.
    pub(crate) fn check_failover_grace(&mut self, fields: &Fields<'_>, service: &Service) {
        if let Some(Handler::Sleep { time }) = &service.pre_stop
            && *time >= service.termination_grace
        {
            let headline = format!(
                "`preStop` sleeps {time} of a grace of {}: nothing is left for SIGTERM",
                service.termination_grace
            );
            let help = "sleep less, or raise `terminationGracePeriodSeconds`";
            self.warn("min-over-max", fields.at("lifecycle"), headline, help);
        }
    }
}

/// A service with a port and neither a startup nor a readiness probe is ready once its port accepts connections: ours
/// (decision note 9); in Kubernetes it would be ready before it listens.
fn with_implied_readiness(probes: Probes, service: &Fields<'_>, port: Option<u16>) -> Probes {
    let written = ["startupProbe", "readinessProbe"].iter().any(|key| service.get(key).is_some());
    if written || port.is_none() {
        return probes;
    }
    Probes { readiness: Some(Probe::of(Handler::Tcp { port: None })), ..probes }
}
