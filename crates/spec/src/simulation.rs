//! What `simulate` imagines around the system: `simulation`.

mod keys;

pub(crate) use keys::SIMULATION;

use crate::{
    node::{Entry, Node, Value},
    reading::{Fields, Reading, ReferenceKind},
};
use keys::{DAILY, FAULT, METRICS, NETWORK, NODES, PRICES, RELEASE, SPIKE, TIME, TRAFFIC, WORK};
use plimsoll_model::{
    Millis, Ratio,
    simulation::{
        Arrivals, Daily, Fault, FaultKind, Metrics, Network, Nodes, Prices, Release, Simulation, Spike, Times, Traffic,
        Work,
    },
};
use std::collections::BTreeMap;

/// The percentiles that can be told of a time, in thousandths of a percent.
const POINTS: [(&str, u32); 6] =
    [("p50", 50_000), ("p90", 90_000), ("p95", 95_000), ("p99", 99_000), ("p999", 99_900), ("max", 100_000)];
/// More people are simulated by their rate.
const USERS_MAX: u32 = 10_000_000;

impl Reading<'_, '_> {
    /// Reads `simulation`.
    pub(crate) fn simulation(&mut self, node: &Node) -> Option<Simulation> {
        let fields = self.fields(node, &SIMULATION, "simulation")?;
        let mut simulation = Simulation::default();
        let duration = fields.get("duration").and_then(|node| self.some_duration(node));
        simulation.duration = duration.unwrap_or(simulation.duration);
        simulation.warm_up = fields.get("warmUp").and_then(|node| self.duration(node)).unwrap_or(Millis(0));
        if simulation.warm_up >= simulation.duration {
            let headline = "nothing is left to be counted after this warm-up";
            self.refuse("out-of-range", fields.at("warmUp"), headline, "make it shorter than `duration`");
        }
        for key in ["services", "stores"] {
            for entry in fields.get(key).map(|node| self.entries(node, "`{ NAME: { time: 2ms } }`")).unwrap_or_default()
            {
                let kind = if key == "stores" { ReferenceKind::Store } else { ReferenceKind::Service };
                self.refer(kind, "simulation", &entry.key, entry.key_at);
                let work = self.work(&entry.key, &entry.node, &format!("simulation.{key}.{}", entry.key));
                simulation.work.extend(work.map(|work| (entry.key.clone(), work)));
            }
        }
        for entry in fields.get("traffic").map(|n| self.entries(n, "`{ NAME: { rate: 100/s } }`")).unwrap_or_default() {
            let traffic = self.traffic(entry);
            simulation.traffic.extend(traffic.map(|traffic| (entry.key.clone(), traffic)));
        }
        for entry in
            fields.get("nodes").map(|n| self.entries(n, "`{ NAME: { count: 3, cpu: 4 } }`")).unwrap_or_default()
        {
            let nodes = self.nodes(entry);
            simulation.nodes.extend(nodes.map(|nodes| (entry.key.clone(), nodes)));
        }
        simulation.network = fields.get("network").map(|node| self.network(node)).unwrap_or_default();
        simulation.metrics = fields.get("metrics").map(|node| self.metrics_seen(node)).unwrap_or_default();
        simulation.prices = fields.get("prices").and_then(|node| self.prices(node));
        for node in fields.get("releases").map(|n| self.list(n, "`[{ at: 5m, service: web }]`")).unwrap_or_default() {
            let release = self.imagined_release(node);
            simulation.releases.extend(release);
        }
        for node in fields.get("faults").map(|n| self.list(n, "`[{ at: 5m, crash: web }]`")).unwrap_or_default() {
            let fault = self.fault(node, &simulation);
            simulation.faults.extend(fault);
        }
        Some(simulation)
    }

    fn traffic(&mut self, entry: &Entry) -> Option<Traffic> {
        let fields = self.fields(&entry.node, &TRAFFIC, &format!("simulation.traffic.{}", entry.key))?;
        let route = self.required(&fields, "route", "/").and_then(|node| {
            let route = self.some_text(node)?;
            let kind = if route.starts_with('/') { ReferenceKind::Route } else { ReferenceKind::Service };
            self.refer(kind, "simulation", &route, node.at);
            Some(route)
        });
        let arrivals = self.arrivals(&fields);
        if fields.get("users").is_some() {
            self.without_effect(
                &fields,
                "clients",
                "people are told one by one: `clients` belongs to `rate` and `trace`",
            );
        } else {
            for key in ["think", "session"] {
                self.without_effect(&fields, key, &format!("`{key}` tells of people, and there are no `users`"));
            }
        }
        let spikes =
            fields.get("spikes").map(|n| self.list(n, "`[{ at: 5m, for: 1m, times: 5 }]`")).unwrap_or_default();
        Some(Traffic {
            route: route?,
            arrivals: arrivals?,
            clients: fields.get("clients").and_then(|node| self.count(node, 1..=1_000_000)).unwrap_or(1000),
            retries: fields.get("retries").and_then(|node| self.count(node, 0..=10)).map_or(0, |count| count as u8),
            daily: fields.get("daily").and_then(|node| self.daily(node)),
            spikes: spikes.iter().filter_map(|node| self.spike(node)).collect(),
            region: fields.get("region").and_then(|node| self.some_text(node)),
            time: fields.get("time").and_then(|node| self.times(node)),
            calls: fields.get("calls").map(|node| self.imagined_calls(&entry.key, node)),
        })
    }

    /// Refuses a key that would change nothing here.
    fn without_effect(&mut self, fields: &Fields<'_>, key: &str, headline: &str) {
        if fields.get(key).is_some() {
            self.refuse("without-effect", fields.at(key), headline, format!("take `{key}` away"));
        }
    }

    /// One of `rate`, `users` and `trace`.
    fn arrivals(&mut self, fields: &Fields<'_>) -> Option<Arrivals> {
        let (rate, users, trace) = (fields.get("rate"), fields.get("users"), fields.get("trace"));
        let think = fields.get("think").and_then(|node| self.some_duration(node));
        let session = fields.get("session").and_then(|node| self.some_duration(node));
        match (rate, users, trace) {
            (Some(rate), None, None) => self.rate(rate).map(Arrivals::Rate),
            (None, Some(users), None) => {
                let count = self.count(users, 1..=USERS_MAX)?;
                Some(Arrivals::Users { count, think: think.unwrap_or(Millis::from_secs(10)), session })
            }
            (None, None, Some(trace)) => self.some_text(trace).map(Arrivals::Trace),
            _ => {
                let headline = "traffic has one of `rate`, `users` and `trace`";
                self.refuse("missing-key", fields.at, headline, "write for example `rate: 100/s`");
                None
            }
        }
    }

    fn daily(&mut self, node: &Node) -> Option<Daily> {
        let fields = self.fields(node, &DAILY, "daily")?;
        let low = fields.get("low").and_then(|node| self.percent(node)).unwrap_or(Ratio::percent(20));
        let peak = fields.get("peak").and_then(|node| self.time_of_day(node)).unwrap_or(20 * 60);
        Some(Daily { low, peak_min: peak })
    }

    fn spike(&mut self, node: &Node) -> Option<Spike> {
        let fields = self.fields(node, &SPIKE, "spikes")?;
        let at = self.required(&fields, "at", "5m").and_then(|node| self.duration(node));
        let lasts = self.required(&fields, "for", "1m").and_then(|node| self.some_duration(node));
        let times = self.required(&fields, "times", "5").and_then(|node| self.times_as_much(node));
        Some(Spike { at: at?, lasts: lasts?, times_milli: times? })
    }

    fn work(&mut self, name: &str, node: &Node, path: &str) -> Option<Work> {
        let fields = self.fields(node, &WORK, path)?;
        let usual = Work::default();
        Some(Work {
            time: fields.get("time").and_then(|node| self.times(node)).unwrap_or(usual.time),
            cpu: fields.get("cpu").and_then(|node| self.percent(node)).unwrap_or(usual.cpu),
            workers: fields.get("workers").and_then(|node| self.count(node, 1..=100_000)),
            blocking: fields.get("blocking").and_then(|node| self.boolean(node)).unwrap_or(usual.blocking),
            queue: fields.get("queue").and_then(|node| self.count(node, 0..=10_000_000)).unwrap_or(usual.queue),
            start: fields.get("start").and_then(|node| self.duration(node)).unwrap_or(usual.start),
            errors: fields.get("errors").and_then(|node| self.share_of_all(node)).unwrap_or(usual.errors),
            calls: fields.get("calls").map(|node| self.imagined_calls(name, node)).unwrap_or_default(),
        })
    }

    fn imagined_calls(&mut self, name: &str, node: &Node) -> BTreeMap<String, u32> {
        let mut calls = BTreeMap::new();
        for entry in self.entries(node, "`{ NAME: 1 }`") {
            self.refer(ReferenceKind::Imagined, name, &entry.key, entry.key_at);
            calls.extend(self.count(&entry.node, 1..=1000).map(|count| (entry.key.clone(), count)));
        }
        calls
    }

    /// A share that is at most the whole.
    fn share_of_all(&mut self, node: &Node) -> Option<Ratio> {
        let share = self.percent(node)?;
        if share > Ratio::ONE {
            self.refuse("out-of-range", node.at, format!("{share} is more than all"), "write at most 100%");
            return None;
        }
        Some(share)
    }

    /// `2ms`, `{ mean: 2ms }` or percentiles.
    fn times(&mut self, node: &Node) -> Option<Times> {
        if !matches!(node.value, Value::Map(_)) {
            return self.micros(node).map(|us| Times::Always { us });
        }
        let fields = self.fields(node, &TIME, "time")?;
        let mean = fields.get("mean").and_then(|node| self.micros(node));
        let mut points: Vec<(u32, u64)> = Vec::new();
        for (key, percentile) in POINTS {
            let Some(us) = fields.get(key).and_then(|node| self.micros(node)) else { continue };
            if points.last().is_some_and(|before| before.1 > us) {
                let headline = format!("`{key}` is shorter than the percentile before it");
                self.refuse("min-over-max", fields.at(key), headline, "write percentiles that grow");
            }
            points.push((percentile, us));
        }
        match (mean, points.is_empty()) {
            (Some(mean_us), true) => Some(Times::Exponential { mean_us }),
            (None, false) => Some(Times::Points(points)),
            _ => {
                let headline = "a time is told by `mean` alone, or by percentiles";
                self.refuse("missing-key", fields.at, headline, "write `{ mean: 2ms }` or `{ p50: 1ms, p99: 8ms }`");
                None
            }
        }
    }

    fn nodes(&mut self, entry: &Entry) -> Option<Nodes> {
        let fields = self.fields(&entry.node, &NODES, &format!("simulation.nodes.{}", entry.key))?;
        let count = fields.get("count").and_then(|node| self.count(node, 1..=100_000)).unwrap_or(1);
        let cpu = self.required(&fields, "cpu", "4").and_then(|node| self.cpu(node));
        let memory = self.required(&fields, "memory", "16Gi").and_then(|node| self.bytes(node));
        let region = fields.get("region").and_then(|node| self.some_text(node)).unwrap_or_else(|| "home".into());
        let zone = fields.get("zone").and_then(|node| self.some_text(node)).unwrap_or_else(|| region.clone());
        Some(Nodes { count, cpu: cpu?, memory: memory?, zone, region })
    }

    fn network(&mut self, node: &Node) -> Network {
        let Some(fields) = self.fields(node, &NETWORK, "simulation.network") else { return Network::default() };
        let mut read = |key| fields.get(key).and_then(|node| self.micros(node)).unwrap_or(0);
        Network { local_us: read("local"), zones_us: read("zones"), regions_us: read("regions") }
    }

    fn metrics_seen(&mut self, node: &Node) -> Metrics {
        let usual = Metrics::default();
        let Some(fields) = self.fields(node, &METRICS, "simulation.metrics") else { return usual };
        Metrics {
            every: fields.get("every").and_then(|node| self.some_duration(node)).unwrap_or(usual.every),
            window: fields.get("window").and_then(|node| self.some_duration(node)).unwrap_or(usual.window),
            delay: fields.get("delay").and_then(|node| self.duration(node)).unwrap_or(usual.delay),
        }
    }

    fn prices(&mut self, node: &Node) -> Option<Prices> {
        let fields = self.fields(node, &PRICES, "simulation.prices")?;
        let cpu = self.required(&fields, "cpu", "30 USD").and_then(|node| self.money(node));
        let memory = fields.get("memory").and_then(|node| self.money(node));
        let (cpu_cents, currency) = cpu?;
        let memory_cents = memory.map_or(0, |memory| memory.0);
        Some(Prices { cpu_cents, memory_cents, currency })
    }

    fn imagined_release(&mut self, node: &Node) -> Option<Release> {
        let fields = self.fields(node, &RELEASE, "simulation.releases")?;
        let at = self.required(&fields, "at", "5m").and_then(|node| self.duration(node));
        let service = self.required(&fields, "service", "web").and_then(|node| {
            let service = self.some_text(node)?;
            self.refer(ReferenceKind::Service, "simulation", &service, node.at);
            Some(service)
        });
        let errors = fields.get("errors").and_then(|node| self.share_of_all(node)).unwrap_or(Ratio(0));
        let times = fields.get("times").and_then(|node| self.times_as_much(node)).unwrap_or(1000);
        Some(Release { at: at?, service: service?, errors, times_milli: times })
    }

    fn fault(&mut self, node: &Node, simulation: &Simulation) -> Option<Fault> {
        let fields = self.fields(node, &FAULT, "simulation.faults")?;
        let at = self.required(&fields, "at", "5m").and_then(|node| self.duration(node));
        let kinds = [
            ("crash", FaultKind::Crash),
            ("hang", FaultKind::Hang),
            ("slow", FaultKind::Slow),
            ("clog", FaultKind::Clog),
            ("zone", FaultKind::Zone),
            ("partition", FaultKind::Partition),
        ];
        let mut named = kinds.iter().filter_map(|(key, kind)| fields.get(key).map(|node| (*kind, node)));
        let (Some((kind, target)), None) = (named.next(), named.next()) else {
            let headline = "a fault has one of `crash`, `hang`, `slow`, `clog`, `zone` and `partition`";
            self.refuse("missing-key", fields.at, headline, "write for example `crash: web`");
            return None;
        };
        if kind != FaultKind::Slow {
            self.without_effect(&fields, "times", "only what is `slow` takes so many times as long");
        }
        if matches!(kind, FaultKind::Zone | FaultKind::Partition) {
            self.without_effect(&fields, "count", "a zone is hit as a whole");
        }
        let of = self.some_text(target)?;
        if matches!(kind, FaultKind::Zone | FaultKind::Partition) {
            if !simulation.nodes.values().any(|pool| pool.zone == of) {
                let headline = "no nodes of the simulation are in this zone";
                self.refuse("unknown-name", target.at, headline, "name it as `zone` of a pool of `simulation.nodes`");
            }
        } else {
            self.refer(ReferenceKind::Imagined, "simulation", &of, target.at);
        }
        let lasts = fields.get("for").and_then(|node| self.duration(node)).unwrap_or(Millis::from_secs(60));
        let count = fields.get("count").and_then(|node| self.count(node, 1..=100_000)).unwrap_or(1);
        let times = fields.get("times").and_then(|node| self.times_as_much(node)).unwrap_or(10_000);
        Some(Fault { at: at?, lasts, kind, of, count, times_milli: times })
    }
}
