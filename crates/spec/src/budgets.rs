//! Promises that can't be kept by what the file says: the arithmetic is shown.

use crate::reading::{Reading, Reference, ReferenceKind};
use crate::store::engine_name;
use plimsoll_model::{
    Bytes, MilliCpu, Millis, Store, System,
    promise::Kind,
    store::{Engine, Schedule},
};

/// How long a log segment waits before it is archived at the latest (`archive_timeout`).
const ARCHIVE: Millis = Millis::from_secs(60);
/// How long NATS may keep writes before they are on disk (its `syncInterval`; they survive its own death all the same).
const FLUSH: Millis = Millis::from_secs(120);
/// How long Redis may keep writes before they are on disk (`appendfsync everysec`).
const APPEND: Millis = Millis::from_secs(1);

impl Reading<'_, '_> {
    /// Compares promises with backups, logs and probes.
    pub(crate) fn check_budgets(&mut self, system: &System, references: &[Reference]) {
        for reference in references {
            let Some(kind) = system.promises.get(&reference.from).map(|promise| &promise.kind) else { continue };
            match (reference.kind, kind) {
                (ReferenceKind::RecoveryPoint, Kind::RecoveryPoint { store, max }) => {
                    if let Some(store) = system.stores.get(store) {
                        self.check_recovery_point(store, *max, reference);
                    }
                }
                (ReferenceKind::Failover, Kind::Failover { service, max }) => {
                    self.check_failover(system, service, *max, reference);
                }
                _ => {}
            }
        }
        self.check_fit(system);
    }

    fn check_recovery_point(&mut self, store: &Store, max: Millis, reference: &Reference) {
        let name = &reference.to;
        if store.external.is_some() {
            let headline = format!("`{name}` is external, so its recovery point isn't in our hands");
            self.warn("recovery-point", reference.at, headline, "`prove` will report it as unproven");
            return;
        }
        let (lost, arithmetic) = worst_loss(store);
        if lost.is_some_and(|lost| lost <= max) {
            return;
        }
        let headline = match lost {
            Some(lost) => format!("`{name}` may lose {lost} of data, and {max} is promised"),
            None => format!("`{name}` may lose everything, and {max} is promised"),
        };
        let help = match (store.engine, max) {
            (Engine::Postgres, max) if max >= ARCHIVE => {
                "archive the log: `backup: { full: { at: \"02:00\" }, pointInTime: 7d, to: file:backups }`".to_owned()
            }
            (Engine::Postgres, _) => {
                format!(
                    "promise at least {ARCHIVE}, or let commits wait for a standby: `instances: 2, synchronous: true`"
                )
            }
            (Engine::Redis, _) => "write `persistent: true`, and promise at least 1s".to_owned(),
            (Engine::Nats, _) => format!("write `persistent: true`, and promise at least {FLUSH}"),
            _ => "make backups as often as that: `backup: { full: { every: 15m } }`".to_owned(),
        };
        let found = self.error_at("recovery-point", reference.at, headline).note(arithmetic).help(help);
        self.push(found);
    }

    /// A replacement serves only after its probes have passed.
    fn check_failover(&mut self, system: &System, service: &str, max: Millis, reference: &Reference) {
        let Some(service) = system.services.get(service) else { return };
        let delay =
            |probe: &Option<plimsoll_model::probe::Probe>| probe.as_ref().map_or(Millis(0), |p| p.initial_delay);
        let (startup, readiness) = (delay(&service.probes.startup), delay(&service.probes.readiness));
        let least = startup.max(readiness);
        if least > max {
            let which = if startup > readiness { "startupProbe" } else { "readinessProbe" };
            let headline = format!("`{}` can't fail over within {max}", reference.to);
            let found = self
                .error_at("failover-budget", reference.at, headline)
                .note(format!(
                    "its {which} waits {least} after each start (`initialDelaySeconds`), and {least} > {max}"
                ))
                .help("lower `initialDelaySeconds`, or promise more time");
            self.push(found);
            return;
        }
        if let Some(probe) = &service.probes.readiness {
            let seen = Millis(probe.period.0.saturating_mul(u64::from(probe.failure_threshold)));
            if seen > max {
                let text = format!(
                    "a replica of `{}` that hangs without dying serves on for up to {seen}, longer than {max}",
                    reference.to
                );
                let help = format!(
                    "the probe fails after {} × {}; lower `periodSeconds` or `failureThreshold`",
                    probe.failure_threshold, probe.period
                );
                self.warn("failover-budget", reference.at, text, help);
            }
        }
    }

    /// What all services request at rest, against the machine.
    fn check_fit(&mut self, system: &System) {
        let (mut cpu, mut memory) = (Vec::new(), Vec::new());
        let mut add = |name: &str, count: u32, resources: &plimsoll_model::service::Resources| {
            let of = |request: Option<u64>| Request { name: name.to_owned(), count, each: request.unwrap_or_default() };
            cpu.push(of(resources.cpu_request.map(|cpu| cpu.0)));
            memory.push(of(resources.memory_request.map(|bytes| bytes.0)));
        };
        for (name, service) in &system.services {
            let least = service.autoscaling.as_ref().map_or(service.replicas, |scaling| scaling.min_replicas);
            add(name, least, &service.resources);
        }
        for (name, store) in system.stores.iter().filter(|(_, store)| store.external.is_none()) {
            let members =
                store.cluster.map_or(store.instances, |c| c.masters.saturating_mul(1 + c.replicas_per_master));
            add(name, members, &store.resources);
        }
        let has = self.machine.cpu.map(|cpu| cpu.0);
        let found = unfit("processor", cpu, has, |cpu| MilliCpu(cpu).to_string());
        let has = self.machine.memory.map(|bytes| bytes.0);
        let found = found.into_iter().chain(unfit("memory", memory, has, |bytes| Bytes(bytes).to_string()));
        for finding in found {
            self.push(finding);
        }
    }
}

/// So many of the largest requests are shown.
const SHOWN: usize = 5;

/// What one component asks of the machine at rest.
struct Request {
    name: String,
    count: u32,
    each: u64,
}

impl Request {
    fn all(&self) -> u64 {
        self.each.saturating_mul(u64::from(self.count))
    }
}

/// Tells, with the arithmetic, that requests are more than there is.
fn unfit(
    what: &str,
    mut requests: Vec<Request>,
    has: Option<u64>,
    shown: fn(u64) -> String,
) -> Option<crate::Diagnostic> {
    let asked = requests.iter().fold(0, |sum: u64, request| sum.saturating_add(request.all()));
    let has = has.filter(|has| asked > *has)?;
    requests.retain(|request| request.each > 0);
    requests.sort_by_key(|request| std::cmp::Reverse(request.all()));
    let line = |one: &Request| format!("{} {} × {}", one.name, one.count, shown(one.each));
    let largest: Vec<String> = requests.iter().take(SHOWN).map(line).collect();
    let more = requests.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    let (asked, has) = (shown(asked), shown(has));
    let headline = format!("all together request {asked} of {what} at rest, and this machine has {has}");
    let help = "lower requests or replicas; requests are what a component needs at rest";
    let found = crate::Diagnostic::warning("does-not-fit", headline);
    Some(found.note(format!("asked: {}{rest}", largest.join(", "))).help(help))
}

/// How much data a store may lose (`None`: all of it), and why.
fn worst_loss(store: &Store) -> (Option<Millis>, String) {
    let backup = store.backup.clone().unwrap_or_default();
    if store.engine == Engine::Postgres && store.synchronous && store.instances >= 2 {
        return (Some(Millis(0)), "a commit waits for a standby".into());
    }
    if store.engine == Engine::Redis && store.persistent {
        return (Some(APPEND), format!("Redis writes its log to disk every {APPEND}"));
    }
    if store.engine == Engine::Nats && store.persistent {
        return (Some(FLUSH), format!("NATS has the disk keep what it was given every {FLUSH}"));
    }
    if store.engine == Engine::Postgres && backup.point_in_time.is_some() && backup.full.is_some() {
        return (Some(ARCHIVE), format!("the log is archived every {ARCHIVE} at the latest"));
    }
    let every = |schedule: Option<Schedule>| match schedule? {
        Schedule::At(_) => Some(Millis::from_secs(86_400)),
        Schedule::Every(time) => Some(time),
    };
    let (full, incremental) = (every(backup.full), every(backup.incremental));
    match full.into_iter().chain(incremental).min() {
        Some(lost) => (
            Some(lost),
            format!("a backup every {lost} and no archived log: what was written since the last one is lost"),
        ),
        None => (None, format!("{} keeps no backup and no archived log", engine_name(store.engine))),
    }
}
