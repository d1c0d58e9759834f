//! What the gateway grants a service: time-outs, limits, retries, ejection, stickiness.

use crate::{
    node::{Node, Value},
    reading::{Fields, Reading},
    section::{Section, Shape, key},
};
use plimsoll_model::{
    Millis,
    route::{Limits, Resilience, Sticky},
};

pub(crate) static TIMEOUTS: Section = Section {
    name: "`timeouts`",
    keys: &[
        key("connect", Shape::Duration, "Until a connection to a replica stands. Default 1s."),
        key("response", Shape::Duration, "Until the head of the answer is there, retries included. Default 60s."),
        key("idle", Shape::Duration, "Without a byte in either direction, while no answer is waited for. Default 5m."),
        key("total", Shape::Duration, "From the head of the request to the end of the answer. Default: no limit."),
    ],
    foreign: &[("header", crate::section::Foreign::Called("write `ingress: { timeouts: { header: 10s } }`"))],
};

pub(crate) static LIMITS: Section = Section {
    name: "`limits`",
    keys: &[
        key("body", Shape::Bytes, "The largest request body. Default 64Mi."),
        key("hold", Shape::Duration, "How long a request waits for a replica to become ready. Default 10s."),
        key("held", Shape::Integer, "How many requests wait so. Default 1000."),
        key("inFlight", Shape::Integer, "Requests in flight for each replica. Default 1024."),
    ],
    foreign: &[
        ("cpu", crate::section::Foreign::Called("write `resources: { limits: { cpu: 500m } }`")),
        ("memory", crate::section::Foreign::Called("write `resources: { limits: { memory: 512Mi } }`")),
    ],
};

pub(crate) static RETRIES: Section = Section {
    name: "`retries`",
    keys: &[
        key("tries", Shape::Integer, "Tries of one request in all, each on another replica. Default 3; 1 is none."),
        key("budget", Shape::Percent, "Retries allowed for all requests. Default 20%."),
        key("floor", Shape::Rate, "Retries that are always allowed. Default 10/s."),
    ],
    foreign: &[],
};

pub(crate) static EJECTION: Section = Section {
    name: "`ejection`",
    keys: &[
        key("after", Shape::Integer, "Failures in a row after which a replica is left out. Default 5."),
        key("for", Shape::Duration, "How long it is left out the first time. Default 5s."),
    ],
    foreign: &[],
};

pub(crate) static STICKY: Section =
    Section { name: "`sticky`", keys: &[key("cookie", Shape::Text, "The cookie's name.")], foreign: &[] };

/// The cookie of `sticky: true`.
const COOKIE: &str = "plimsoll_replica";

impl Reading<'_, '_> {
    /// Reads `timeouts` and `limits`.
    pub(crate) fn limits(&mut self, service: &Fields<'_>) -> Limits {
        let mut limits = Limits::default();
        if let Some(fields) = service.get("timeouts").and_then(|n| self.fields(n, &TIMEOUTS, &service.path("timeouts")))
        {
            let read = |me: &mut Self, key, default: Millis| {
                fields.get(key).and_then(|n| me.some_duration(n)).unwrap_or(default)
            };
            limits.connect = read(self, "connect", limits.connect);
            limits.response = read(self, "response", limits.response);
            limits.idle = read(self, "idle", limits.idle);
            limits.total = fields.get("total").and_then(|n| self.some_duration(n));
            self.check_parts(&fields, &limits);
        }
        if let Some(fields) = service.get("limits").and_then(|n| self.fields(n, &LIMITS, &service.path("limits"))) {
            limits.body_bytes_max =
                fields.get("body").and_then(|n| self.bytes(n)).map_or(limits.body_bytes_max, |b| b.0);
            limits.hold = fields.get("hold").and_then(|n| self.duration(n)).unwrap_or(limits.hold);
            limits.held_max = fields.get("held").and_then(|n| self.count(n, 0..=1_000_000)).unwrap_or(limits.held_max);
            let in_flight = fields.get("inFlight").and_then(|n| self.count(n, 1..=1_000_000));
            limits.in_flight_max = in_flight.unwrap_or(limits.in_flight_max);
        }
        limits
    }

    /// A time-out that another one ends first has no effect.
    fn check_parts(&mut self, fields: &Fields<'_>, limits: &Limits) {
        let total = limits.total.map(|total| ("total", total));
        let response = Some(("response", limits.response));
        for (part, length, wholes) in
            [("connect", limits.connect, [response, total]), ("response", limits.response, [total, None])]
        {
            let shortest = wholes.into_iter().flatten().min_by_key(|(_, whole)| *whole);
            let Some((whole, longest)) = shortest.filter(|(_, longest)| length > *longest) else { continue };
            if fields.entry(part).is_some() {
                let headline = format!("`{part}` ({length}) is longer than `{whole}` ({longest}), which it is part of");
                let help = format!("lower `{part}` or raise `{whole}`");
                self.refuse("min-over-max", fields.at(part), headline, help);
            }
        }
    }

    /// Reads `retries`, `ejection` and `slowStart`.
    pub(crate) fn resilience(&mut self, service: &Fields<'_>) -> Resilience {
        let mut resilience = Resilience::default();
        if let Some(fields) = service.get("retries").and_then(|n| self.fields(n, &RETRIES, &service.path("retries"))) {
            let tries = fields.get("tries").and_then(|n| self.count(n, 1..=10)).and_then(|n| u8::try_from(n).ok());
            resilience.tries_max = tries.unwrap_or(resilience.tries_max);
            if let Some(budget) = fields.get("budget").and_then(|n| self.percent(n)) {
                match u8::try_from(budget.0 / 10_000).ok().filter(|percent| *percent <= 100 && budget.0 % 10_000 == 0) {
                    Some(percent) => resilience.retry_percent = percent,
                    None => {
                        let headline = format!("a budget of {budget} is out of range");
                        self.refuse(
                            "out-of-range",
                            fields.at("budget"),
                            headline,
                            "write whole percents from 0% to 100%",
                        );
                    }
                }
            }
            if let Some(floor) = fields.get("floor").and_then(|n| self.rate(n)) {
                resilience.retry_floor = u16::try_from(floor.0.div_ceil(1000)).unwrap_or(u16::MAX);
            }
        }
        if let Some(fields) = service.get("ejection").and_then(|n| self.fields(n, &EJECTION, &service.path("ejection")))
        {
            let after = fields.get("after").and_then(|n| self.count(n, 1..=60_000)).and_then(|n| u16::try_from(n).ok());
            resilience.eject_after = after.unwrap_or(resilience.eject_after);
            resilience.eject_for =
                fields.get("for").and_then(|n| self.some_duration(n)).unwrap_or(resilience.eject_for);
        }
        resilience.slow_start =
            service.get("slowStart").and_then(|n| self.duration(n)).unwrap_or(resilience.slow_start);
        resilience
    }

    /// Reads `sticky`: a cookie, or `true` for one of ours.
    pub(crate) fn sticky(&mut self, node: &Node) -> Option<Sticky> {
        if let Value::Scalar(_) = node.value {
            return self.boolean(node)?.then(|| Sticky { cookie: COOKIE.into() });
        }
        let fields = self.fields(node, &STICKY, "sticky")?;
        let Some(name) = fields.get("cookie") else { return Some(Sticky { cookie: COOKIE.into() }) };
        self.cookie_name(name, COOKIE).map(|cookie| Sticky { cookie })
    }

    /// The name of a cookie: one that needs no quotes anywhere.
    pub(crate) fn cookie_name(&mut self, name: &Node, example: &str) -> Option<String> {
        let cookie = self.some_text(name)?;
        let is_token = cookie.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        if !is_token || cookie.len() > 64 {
            self.refuse(
                "name",
                name.at,
                "a cookie's name has letters, digits, `_`, `-` and `.`",
                format!("write `{example}`"),
            );
            return None;
        }
        Some(cookie)
    }
}
