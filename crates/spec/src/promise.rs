//! A promise: `promises.NAME`, with one kind and a target.

use crate::{
    failover::{FAILOVER, is_of_store},
    invariants::INVARIANTS,
    node::{Entry, Node, Value},
    reading::{Fields, Reading, ReferenceKind},
    release_promises::{RELEASES, ROLLBACK},
    request::REQUEST,
    section::{
        Foreign::{Called, Later},
        Section, Shape, key,
    },
};
use plimsoll_model::{
    Millis, Ratio,
    promise::{Kind, Load, Promise},
};
use std::collections::BTreeMap;

/// The kinds, by the key that stands for them.
const KINDS: [&str; 13] = [
    "latency",
    "throughput",
    "concurrency",
    "availability",
    "failover",
    "survival",
    "autoscale",
    "recoveryPoint",
    "recoveryTime",
    "rollback",
    "releases",
    "invariants",
    "cost",
];

pub(crate) static PROMISE: Section = Section {
    name: "a promise",
    keys: &[
        key("latency", Shape::Map(&LATENCY), "Answers come within a time."),
        key("throughput", Shape::Map(&THROUGHPUT), "So many requests a second are answered rightly."),
        key("concurrency", Shape::Map(&CONCURRENCY), "So many users at once are answered rightly within a time."),
        key(
            "availability",
            Shape::Either(&[Shape::Percent, Shape::Map(&AVAILABILITY)]),
            "This share is answered rightly while replicas are killed.",
        ),
        key(
            "failover",
            Shape::Map(&FAILOVER),
            "A killed replica is unrouted and replaced; or another member of a store takes over.",
        ),
        key(
            "survival",
            Shape::Either(&[Shape::Boolean, Shape::Map(&SURVIVAL)]),
            "Engine and gateway are killed, and nothing but requests in flight is lost.",
        ),
        key("autoscale", Shape::Map(&AUTOSCALE), "A sudden step of load is caught by more replicas."),
        key("recoveryPoint", Shape::Map(&RECOVERY), "No more than so much data is lost with a store."),
        key("recoveryTime", Shape::Map(&RECOVERY), "A store serves again within a time."),
        key("rollback", Shape::Map(&ROLLBACK), "A release is taken back within a time."),
        key("releases", Shape::Map(&RELEASES), "Releases under load cost no request."),
        key(
            "invariants",
            Shape::Map(&INVARIANTS),
            "The system's own audit finds nothing wrong after kills under load.",
        ),
        key("cost", Shape::Map(&COST), "It costs no more than so much."),
        key("request", Shape::Map(&REQUEST), "How it is asked for. Default: a GET of the route."),
        key("load", Shape::Map(&LOAD), "How it is measured."),
    ],
    foreign: &[
        ("rpo", Called("it is called `recoveryPoint` here")),
        ("rto", Called("it is called `recoveryTime` here")),
        ("uptime", Called("it is called `availability` here")),
        ("freshness", Later("leave it out until then")),
    ],
};

static LATENCY: Section = Section {
    name: "a latency",
    keys: &[
        key("route", Shape::Text, "The path, as clients see it."),
        key("p50", Shape::Duration, "Half of the answers."),
        key("p90", Shape::Duration, "90 of 100."),
        key("p95", Shape::Duration, "95 of 100."),
        key("p99", Shape::Duration, "99 of 100."),
        key("p999", Shape::Duration, "999 of 1000."),
    ],
    foreign: &[
        ("max", Called("write a percentile, such as `p99: 500ms`")),
        ("p99.9", Called("it is called `p999` here")),
    ],
};

/// Percentiles in tenths, growing.
const PERCENTILES: [(&str, u16); 5] = [("p50", 500), ("p90", 900), ("p95", 950), ("p99", 990), ("p999", 999)];

static THROUGHPUT: Section = Section {
    name: "a throughput",
    keys: &[key("route", Shape::Text, "The path, as clients see it."), key("rate", Shape::Rate, "At least.")],
    foreign: &[("rps", Called("write `rate: 200/s`"))],
};

static CONCURRENCY: Section = Section {
    name: "a concurrency",
    keys: &[
        key("route", Shape::Text, "The path, as clients see it."),
        key("users", Shape::Integer, "At the same instant."),
        key("within", Shape::Duration, "All of them are answered."),
        key("unhurt", Shape::Name, "The latency promise that must hold meanwhile."),
    ],
    foreign: &[],
};

static AVAILABILITY: Section = Section {
    name: "an availability",
    keys: &[
        key("route", Shape::Text, "The path. Default: the first of the ingress."),
        key("ratio", Shape::Percent, "At least."),
    ],
    foreign: &[],
};

static SURVIVAL: Section = Section {
    name: "a survival",
    keys: &[key("route", Shape::Text, "The path. Default: the first of the ingress.")],
    foreign: &[],
};

static AUTOSCALE: Section = Section {
    name: "an autoscale",
    keys: &[
        key("route", Shape::Text, "The path. Default: the first of the ingress."),
        key("times", Shape::Integer, "So many times the load before. Default 10."),
        key("latency", Shape::Duration, "The objective: 99 of 100 requests of each second are right within this."),
        key("max", Shape::Duration, "The objective may be broken for so long, in whole seconds."),
    ],
    foreign: &[("within", Called("write `latency` (of a request) or `max` (of the breach)"))],
};

static RECOVERY: Section = Section {
    name: "a recovery",
    keys: &[key("store", Shape::Name, "The store."), key("max", Shape::Duration, "At most.")],
    foreign: &[],
};

static COST: Section = Section {
    name: "a cost",
    keys: &[
        key("perMonth", Shape::Text, "At most: 1475 USD."),
        key("prices", Shape::Text, "The name of the table of prices."),
    ],
    foreign: &[],
};

static LOAD: Section = Section {
    name: "`load`",
    keys: &[
        key("rate", Shape::Rate, "Requests a second, open loop."),
        key("duration", Shape::Duration, "How long."),
        key("connections", Shape::Integer, "Connections at most."),
        key("kills", Shape::Integer, "Kills, for promises under faults."),
    ],
    foreign: &[],
};

impl Reading<'_, '_> {
    /// Reads one promise.
    pub(crate) fn promise(&mut self, entry: &Entry) -> Option<Promise> {
        let name = entry.key.as_str();
        let fields = self.fields(&entry.node, &PROMISE, &format!("promises.{name}"))?.called(entry);
        let request = fields.get("request").and_then(|node| self.request(node, &fields.path("request")));
        let load = fields.get("load").map(|node| self.load(node, &fields.path("load"))).unwrap_or_default();
        let given: Vec<&str> = KINDS.into_iter().filter(|kind| fields.entry(kind).is_some()).collect();
        let kind = match given.as_slice() {
            [] => {
                let help = format!("write one of: {}", KINDS.join(", "));
                self.refuse("promise-kind", fields.at, "this promise says nothing that can be checked", help);
                return None;
            }
            [kind] => *kind,
            [first, second, ..] => {
                let headline = format!("this promise has two kinds, `{first}` and `{second}`");
                self.refuse("promise-kind", fields.at(second), headline, "write a promise for each");
                return None;
            }
        };
        self.load_has_effect(kind, &fields);
        let node = fields.get(kind)?;
        let line = Some(self.source.line(fields.at(kind)));
        let kind = self.kind(name, kind, node, &fields.path(kind))?;
        Some(Promise { kind, request, load, line })
    }

    fn kind(&mut self, name: &str, kind: &str, node: &Node, path: &str) -> Option<Kind> {
        match kind {
            "latency" => self.latency(name, node, path),
            "throughput" => {
                let fields = self.fields(node, &THROUGHPUT, path)?;
                let route = self.route(name, &fields);
                let rate = self.required(&fields, "rate", "200/s").and_then(|node| self.rate(node));
                Some(Kind::Throughput { route: route?, rate: rate? })
            }
            "concurrency" => self.concurrency(name, node, path),
            "availability" => self.availability(name, node, path),
            "failover" => self.failover(name, node, path),
            "survival" => match &node.value {
                Value::Map(_) => {
                    let fields = self.fields(node, &SURVIVAL, path)?;
                    Some(Kind::Survival { route: self.optional_route(name, &fields)? })
                }
                _ => {
                    if !self.boolean(node)? {
                        self.refuse("promise-kind", node.at, "a promise of nothing", "remove it");
                        return None;
                    }
                    Some(Kind::Survival { route: None })
                }
            },
            "autoscale" => {
                let fields = self.fields(node, &AUTOSCALE, path)?;
                let route = self.optional_route(name, &fields);
                let times = fields.get("times").map_or(Some(10), |node| self.count(node, 2..=1000));
                let latency = self.required(&fields, "latency", "500ms").and_then(|node| self.some_duration(node));
                let max = self.required(&fields, "max", "2s").and_then(|node| self.duration(node));
                Some(Kind::Autoscale { route: route?, times: times?, latency: latency?, max: max? })
            }
            "recoveryPoint" => {
                let (store, max) = self.recovery(name, node, path, ReferenceKind::RecoveryPoint)?;
                Some(Kind::RecoveryPoint { store, max })
            }
            "recoveryTime" => {
                let (store, max) = self.recovery(name, node, path, ReferenceKind::Store)?;
                Some(Kind::RecoveryTime { store, max })
            }
            "rollback" => self.rollback(name, node, path),
            "releases" => self.releases(name, node, path),
            "invariants" => self.invariants(name, node, path),
            _ => {
                let fields = self.fields(node, &COST, path)?;
                let sum = self.required(&fields, "perMonth", "1475 USD").and_then(|node| self.money(node));
                let prices = self.required(&fields, "prices", "aws-2024").and_then(|node| self.some_text(node));
                let (per_month_cents, currency) = sum?;
                Some(Kind::Cost { per_month_cents, currency, prices: prices? })
            }
        }
    }

    /// The value of a key that must be there.
    pub(crate) fn required<'n>(&mut self, fields: &Fields<'n>, key: &str, example: &str) -> Option<&'n Node> {
        let node = fields.get(key);
        if node.is_none() {
            self.refuse(
                "missing-key",
                fields.at,
                format!("`{key}` is missing here"),
                format!("write `{key}: {example}`"),
            );
        }
        node
    }

    fn latency(&mut self, name: &str, node: &Node, path: &str) -> Option<Kind> {
        let fields = self.fields(node, &LATENCY, path)?;
        let route = self.route(name, &fields);
        let mut percentiles: BTreeMap<u16, Millis> = BTreeMap::new();
        for (key, tenths) in PERCENTILES {
            let Some(bound) = fields.get(key).and_then(|node| self.some_duration(node)) else { continue };
            if let Some((_, lower)) = percentiles.last_key_value().filter(|(_, lower)| **lower > bound) {
                let headline = format!("the bound of {key} ({bound}) is below that of a lower percentile ({lower})");
                self.refuse("min-over-max", fields.at(key), headline, "let the bounds grow with the percentiles");
            }
            percentiles.insert(tenths, bound);
        }
        let has_any = PERCENTILES.iter().any(|(key, _)| fields.entry(key).is_some());
        if !has_any {
            self.refuse("missing-key", fields.at, "this latency has no bound", "write for example `p95: 500ms`");
        }
        route.filter(|_| !percentiles.is_empty()).map(|route| Kind::Latency { route, percentiles })
    }

    fn concurrency(&mut self, name: &str, node: &Node, path: &str) -> Option<Kind> {
        let fields = self.fields(node, &CONCURRENCY, path)?;
        let route = self.route(name, &fields);
        let users = self.required(&fields, "users", "500").and_then(|node| self.count(node, 1..=100_000));
        let within = self.required(&fields, "within", "30s").and_then(|node| self.some_duration(node));
        let unhurt = fields.get("unhurt").and_then(|node| {
            let other = self.some_text(node)?;
            self.refer(ReferenceKind::Unhurt, name, &other, node.at);
            Some(other)
        });
        Some(Kind::Concurrency { route: route?, users: users?, within: within?, unhurt })
    }

    fn availability(&mut self, name: &str, node: &Node, path: &str) -> Option<Kind> {
        let (route, ratio) = match &node.value {
            Value::Map(_) => {
                let fields = self.fields(node, &AVAILABILITY, path)?;
                let route = self.optional_route(name, &fields);
                (route?, self.required(&fields, "ratio", "99.9%")?)
            }
            _ => (None, node),
        };
        let at = ratio.at;
        let ratio = self.percent(ratio)?;
        if ratio >= Ratio::ONE || ratio == Ratio(0) {
            let mut found = self.error_at("availability", at, format!("an availability of {ratio} can't be promised"));
            if ratio == Ratio::ONE {
                found = found
                    .note("with 100 % there is no budget for a single failure, so no release and no repair either");
            }
            self.push(found.help("write for example 99.9%, which leaves 43 minutes a month"));
            return None;
        }
        Some(Kind::Availability { route, ratio })
    }

    fn recovery(&mut self, name: &str, node: &Node, path: &str, kind: ReferenceKind) -> Option<(String, Millis)> {
        let fields = self.fields(node, &RECOVERY, path)?;
        let store = self.target_name(&fields, name, "store", &[kind]);
        let max = self.required(&fields, "max", "15m").and_then(|node| self.duration(node));
        Some((store?, max?))
    }

    pub(crate) fn target_name(
        &mut self,
        fields: &Fields<'_>,
        from: &str,
        key: &str,
        kinds: &[ReferenceKind],
    ) -> Option<String> {
        let node = self.required(fields, key, "NAME")?;
        let target = self.some_text(node)?;
        for kind in kinds {
            self.refer(*kind, from, &target, node.at);
        }
        Some(target)
    }

    fn route(&mut self, name: &str, fields: &Fields<'_>) -> Option<String> {
        let node = self.required(fields, "route", "/")?;
        let route = self.request_path(node)?;
        self.refer(ReferenceKind::Route, name, &route, node.at);
        Some(route)
    }

    /// `None`: a route is given, and wrong.
    #[expect(clippy::option_option, reason = "wrong and absent are told apart")]
    pub(crate) fn optional_route(&mut self, name: &str, fields: &Fields<'_>) -> Option<Option<String>> {
        match fields.entry("route") {
            Some(_) => self.route(name, fields).map(Some),
            None => Some(None),
        }
    }

    /// Warns of keys of `load` that this kind's experiment does not look at.
    fn load_has_effect(&mut self, kind: &str, fields: &Fields<'_>) {
        let heeded: &[&str] = match kind {
            "availability" | "survival" | "invariants" => &["rate", "duration", "connections", "kills"],
            "failover" if is_of_store(fields) => &["kills"],
            "failover" => &["rate", "connections", "kills"],
            "throughput" | "latency" | "autoscale" => &["rate", "duration", "connections"],
            "releases" | "rollback" => &["rate", "connections"],
            _ => &[],
        };
        let Some(Value::Map(entries)) = fields.get("load").map(|load| &load.value) else { return };
        for entry in entries {
            let key = entry.key.as_str();
            if !heeded.contains(&key) && LOAD.keys.iter().any(|known| known.name == key) {
                let headline = format!("the experiment of `{kind}` does not look at `{key}`");
                self.warn("without-effect", entry.key_at, headline, format!("take `{key}` away"));
            }
        }
    }

    fn load(&mut self, node: &Node, path: &str) -> Load {
        let Some(fields) = self.fields(node, &LOAD, path) else { return Load::default() };
        Load {
            rate: fields.get("rate").and_then(|node| self.rate(node)),
            duration: fields.get("duration").and_then(|node| self.some_duration(node)),
            connections: fields.get("connections").and_then(|node| self.count(node, 1..=100_000)),
            kills: fields.get("kills").and_then(|node| self.count(node, 1..=10_000)),
        }
    }
}
