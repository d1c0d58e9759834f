//! Laws of `health`, for any probes and any process: bounds, safety, idempotence, convergence; and Kubernetes' thresholds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use plimsoll_control::health::{Act, Decision, Look, Memory, Outcome, ProbeKind, Seen, decide};
use plimsoll_model::{
    Instant, Millis,
    probe::{Handler, Probe, Probes},
};
use proptest::{prelude::*, test_runner::RngSeed};

const START: Instant = Instant(1_700_000_000_000_000);

fn at_ms(ms: u64) -> Instant {
    START.after(Millis(ms))
}

fn probe(initial_delay: u64, period: u64, passes: u32, failures: u32) -> Probe {
    let handler = Handler::Tcp { port: None };
    Probe {
        initial_delay: Millis(initial_delay),
        period: Millis(period),
        success_threshold: passes,
        failure_threshold: failures,
        ..Probe::of(handler)
    }
}

/// A process, and the engine that probes it.
struct World {
    probes: Probes,
    memory: Memory,
    now: Instant,
    /// How long an attempt takes, in microseconds; at least 1.
    attempt_us: u64,
    under_way: Vec<Outcome>,
    attempts: Vec<(ProbeKind, Instant)>,
    deleting: bool,
    /// From then on it waits; before it works. `None`: nobody can look.
    waits_from: Option<Instant>,
}

impl World {
    fn new(probes: Probes, attempt_us: u64) -> Self {
        let memory = Memory::default();
        Self {
            probes,
            memory,
            now: START,
            attempt_us,
            under_way: vec![],
            attempts: vec![],
            deleting: false,
            waits_from: None,
        }
    }

    /// A look at the process, if one is wanted.
    fn look(&self) -> Option<Look> {
        let from = self.waits_from?;
        let ran_ns = self.now.min(from).since(START).0 * 1_000_000;
        let wanted = self.memory.wants_look(&self.probes, START, self.now);
        wanted.then_some(Look { at: self.now, ran_ns, waits: self.now >= from })
    }

    /// Decides now; `passes` says how an attempt that begins now will end.
    fn decide(&mut self, passes: &dyn Fn(ProbeKind, Instant) -> bool) -> Decision {
        let (ended, going): (Vec<_>, Vec<_>) = self.under_way.drain(..).partition(|outcome| outcome.at <= self.now);
        self.under_way = going;
        let seen = Seen {
            at: self.now,
            started_at: START,
            outcomes: ended,
            under_way: self.under_way.iter().map(|outcome| outcome.probe).collect(),
            deleting: self.deleting,
            look: self.look(),
        };
        let decision = decide(&self.probes, &mut self.memory, &seen);
        self.check(&seen, &decision);
        for kind in &decision.attempt {
            self.attempts.push((*kind, self.now));
            let at = Instant(self.now.0 + self.attempt_us);
            self.under_way.push(Outcome { probe: *kind, passed: passes(*kind, self.now), at });
        }
        decision
    }

    /// What holds for every decision.
    fn check(&self, seen: &Seen, decision: &Decision) {
        assert!(!decision.ready || decision.started, "ready before started");
        assert!(!decision.ready || !matches!(decision.act, Act::Restart { .. }), "ready though it is restarted");
        assert_eq!(decision.ready, decision.ready_since.is_some());
        assert!(decision.again_at.is_none_or(|then| then > seen.at), "asks to be asked at once, for ever");
        assert!(!matches!(decision.act, Act::Restart { probe: ProbeKind::Readiness, .. }), "readiness never restarts");
        assert!(decision.attempt.iter().all(|kind| !seen.under_way.contains(kind)), "two attempts at once");
        let held = |kind: &ProbeKind| (*kind == ProbeKind::Startup) == decision.started;
        assert!(!decision.attempt.iter().any(held), "startup holds the others back, and ends with its pass");
        // Deciding again, with the attempts under way, changes nothing.
        let mut again = seen.clone();
        again.under_way.extend(&decision.attempt);
        let mut memory = self.memory.clone();
        let second = decide(&self.probes, &mut memory, &again);
        assert_eq!((second.attempt, &memory), (vec![], &self.memory));
        assert_eq!(
            (second.ready, second.started, second.act),
            (decision.ready, decision.started, decision.act.clone())
        );
        // Memory outlives us.
        let text = serde_json::to_string(&self.memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), self.memory);
    }

    /// Goes from event to event until `until`, or until a decision makes `done` true; that decision.
    fn run(
        &mut self,
        until: Instant,
        passes: &dyn Fn(ProbeKind, Instant) -> bool,
        done: &dyn Fn(&Decision) -> bool,
    ) -> Option<Decision> {
        loop {
            let decision = self.decide(passes);
            if done(&decision) {
                return Some(decision);
            }
            let next = self.under_way.iter().map(|outcome| outcome.at).chain(decision.again_at).min()?;
            if next > until {
                return None;
            }
            self.now = next;
        }
    }
}

fn is_restart(decision: &Decision) -> bool {
    matches!(decision.act, Act::Restart { .. })
}

fn any_probe() -> impl Strategy<Value = Probe> {
    (0..3000u64, 1..2000u64, 1..4u32, 1..5u32)
        .prop_map(|(delay, period, passes, failures)| probe(delay, period, passes, failures))
}

fn any_probes() -> impl Strategy<Value = Probes> {
    let once = |probe: Option<Probe>| probe.map(|probe| Probe { success_threshold: 1, ..probe });
    let any = || proptest::option::of(any_probe());
    (any(), any(), any()).prop_map(move |(startup, liveness, readiness)| Probes {
        startup: once(startup),
        liveness: once(liveness),
        readiness,
    })
}

/// The same cases at every run, so that a test that passed passes again.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(1876), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn any_process_and_any_probes_keep_the_invariants(
        probes in any_probes(),
        attempt_us in 1..1_500_000u64,
        moods in proptest::collection::vec(any::<(bool, bool, bool)>(), 1..20),
    ) {
        let mut world = World::new(probes, attempt_us);
        let mood = |kind: ProbeKind, at: Instant| {
            let (startup, liveness, readiness) = moods[(at.since(START).0 / 1500) as usize % moods.len()];
            match kind {
                ProbeKind::Startup => startup,
                ProbeKind::Liveness => liveness,
                ProbeKind::Readiness => readiness,
            }
        };
        world.run(at_ms(30_000), &mood, &is_restart);
    }

    #[test]
    fn a_process_that_never_starts_has_its_whole_budget(startup in any_probe(), attempt_us in 1..500u64) {
        let startup = Probe { success_threshold: 1, ..startup };
        let budget = startup.initial_delay.0 + u64::from(startup.failure_threshold) * startup.period.0;
        let mut world = World::new(Probes { startup: Some(startup), ..Probes::default() }, attempt_us);
        let end = world.run(at_ms(budget + 1000), &|_, _| false, &is_restart);
        prop_assert!(end.is_some());
        // The last attempt that counts begins with the last period, or when an early one ends that is under way then.
        let last = at_ms(budget).0 + attempt_us;
        prop_assert!((last..last + attempt_us).contains(&world.now.0));
        let restart = world.decide(&|_, _| false);
        prop_assert!(is_restart(&restart) && restart.attempt.is_empty(), "asked for until it is done");
    }

    #[test]
    fn a_ready_process_is_found_within_a_quarter_of_its_age(
        readiness in any_probe(),
        takes_ms in 0..60_000u64,
        with_startup: bool,
    ) {
        let readiness = Probe { success_threshold: 1, ..readiness };
        let (delay, period) = (readiness.initial_delay.0, readiness.period.0);
        let startup = with_startup.then(|| Probe { failure_threshold: 1_000_000, ..readiness.clone() });
        let mut world = World::new(Probes { startup, readiness: Some(readiness), ..Probes::default() }, 10);
        let end = world.run(at_ms(delay + 200_000), &|_, at| at >= at_ms(takes_ms), &|decision| decision.ready);
        prop_assert!(end.is_some());
        let age = takes_ms.saturating_sub(delay);
        let latest = takes_ms.max(delay) + (age / 4).clamp(1, period) + 2;
        prop_assert!(world.now >= at_ms(takes_ms.max(delay)), "never before its delay");
        prop_assert!(world.now <= at_ms(latest), "{:?} of {latest}", world.now.since(START));
    }

    #[test]
    fn readiness_comes_and_goes_by_its_thresholds(passes in 1..4u32, failures in 1..5u32, ok in proptest::collection::vec(any::<bool>(), 30)) {
        // From here on only whole periods: the world is in step with them.
        let readiness = Some(probe(0, 1000, passes, failures));
        let mut world = World::new(Probes { readiness, ..Probes::default() }, 1);
        world.run(at_ms(9_500), &|_, _| true, &|_| false);
        let (mut ready, mut run, mut last) = (true, 0, true);
        for (step, ok) in ok.iter().enumerate() {
            let before = world.attempts.len();
            world.run(at_ms(10_500 + 1000 * step as u64), &|_, _| *ok, &|_| false);
            prop_assert_eq!(world.attempts.len(), before + 1, "one attempt a period");
            run = if *ok == last { run + 1 } else { 1 };
            last = *ok;
            if !ok && run >= failures { ready = false }
            if *ok && run >= passes { ready = true }
            prop_assert_eq!(world.memory.ready_since.is_some(), ready);
        }
    }
}

#[test]
fn without_probes_it_is_ready_when_it_waits() {
    let mut world = World { waits_from: Some(at_ms(200)), ..World::new(Probes::default(), 1) };
    assert!(!world.decide(&|_, _| true).ready, "it has only just been started");
    let ready = world.run(at_ms(10_000), &|_, _| true, &|decision| decision.ready).unwrap();
    assert!(ready.started && ready.attempt.is_empty() && ready.again_at.is_none());
    assert!((205..=270).contains(&world.now.since(START).0), "{}", world.now.since(START));
}

#[test]
fn without_probes_and_without_a_look_it_is_ready_when_it_has_lived_for_a_second() {
    let mut world = World::new(Probes::default(), 1);
    assert!(world.run(at_ms(999), &|_, _| true, &|decision| decision.ready).is_none());
    assert!(world.run(at_ms(1000), &|_, _| true, &|decision| decision.ready).is_some());
}

#[test]
fn a_startup_or_readiness_probe_is_all_that_counts() {
    let probes = Probes { startup: Some(probe(0, 1000, 1, 30)), ..Probes::default() };
    let mut world = World { waits_from: Some(START), ..World::new(probes, 10) };
    assert!(world.run(at_ms(9_000), &|_, _| false, &|decision| decision.ready).is_none());
}

#[test]
fn an_unready_replica_is_not_probed_more_than_a_few_dozen_times_a_period() {
    let readiness = Some(probe(0, 10_000, 1, 3));
    let mut world = World::new(Probes { readiness, ..Probes::default() }, 100);
    world.run(at_ms(10_000), &|_, _| false, &|_| false);
    let first: Vec<u64> = world.attempts.iter().take(6).map(|(_, at)| at.since(START).0).collect();
    assert_eq!(first, [0, 1, 2, 3, 4, 5]);
    assert!((30..60).contains(&world.attempts.len()), "{}", world.attempts.len());
    let early = world.attempts.len();
    world.run(at_ms(110_000), &|_, _| false, &|_| false);
    assert!(
        world.attempts.len() - early <= 25,
        "at most one between two whole periods: {}",
        world.attempts.len() - early
    );
}

#[test]
fn a_hundred_early_failures_are_no_failure() {
    let startup = Some(probe(0, 10_000, 1, 1));
    let mut world = World::new(Probes { startup, ..Probes::default() }, 10);
    assert!(world.run(at_ms(9_999), &|_, _| false, &is_restart).is_none());
    assert!(world.attempts.len() > 30);
    assert!(world.run(at_ms(10_001), &|_, _| false, &is_restart).is_some());
}

#[test]
fn liveness_waits_for_startup_and_then_restarts() {
    let (startup, liveness) = (Some(probe(0, 1000, 1, 30)), Some(probe(0, 1000, 1, 3)));
    let mut world = World::new(Probes { startup, liveness, ..Probes::default() }, 10);
    let passes = |kind, at| kind == ProbeKind::Startup && at >= at_ms(5_000);
    let restart = world.run(at_ms(60_000), &passes, &is_restart).unwrap();
    assert!(
        matches!(&restart.act, Act::Restart { probe: ProbeKind::Liveness, why } if why.contains("3 times in a row"))
    );
    let first = world.attempts.iter().find(|(kind, _)| *kind == ProbeKind::Liveness).unwrap().1;
    assert!(first >= at_ms(5_000) && world.now.since(first) >= Millis(2_000), "three periods of failing");
}

#[test]
fn while_it_is_deleted_only_readiness_goes_on() {
    let some = || Some(probe(0, 1000, 1, 1));
    let mut world = World::new(Probes { startup: None, liveness: some(), readiness: some() }, 10);
    world.run(at_ms(2_500), &|_, _| true, &|_| false);
    world.deleting = true;
    world.attempts.clear();
    world.run(at_ms(10_500), &|_, _| false, &|_| false);
    assert!(world.attempts.len() >= 8 && world.attempts.iter().all(|(kind, _)| *kind == ProbeKind::Readiness));
    let decision = world.decide(&|_, _| false);
    assert_eq!((decision.ready, decision.act), (false, Act::Keep));
}

#[test]
fn another_process_begins_anew_and_outcomes_of_the_old_one_mean_nothing() {
    let readiness = Some(probe(0, 1000, 1, 1));
    let mut world = World::new(Probes { readiness, ..Probes::default() }, 10);
    assert!(world.run(at_ms(10), &|_, _| true, &|decision| decision.ready).is_some());
    let at = at_ms(5_000);
    let stale = Outcome { probe: ProbeKind::Readiness, passed: true, at: at_ms(4_999) };
    let seen = Seen { at, started_at: at, outcomes: vec![stale], under_way: vec![], ..Seen::default() };
    let decision = decide(&world.probes, &mut world.memory, &seen);
    assert_eq!((decision.ready, decision.attempt), (false, vec![ProbeKind::Readiness]));
}

#[test]
fn a_start_that_a_clock_ahead_of_ours_tells_is_now() {
    let probes = Probes { readiness: Some(probe(0, 1000, 1, 1)), ..Probes::default() };
    let mut memory = Memory::default();
    let mut seen = Seen { at: at_ms(0), started_at: at_ms(3_600_000), ..Seen::default() };
    assert_eq!(decide(&probes, &mut memory, &seen).attempt, [ProbeKind::Readiness]);
    seen.at = at_ms(1);
    seen.outcomes = vec![Outcome { probe: ProbeKind::Readiness, passed: true, at: at_ms(1) }];
    assert!(decide(&probes, &mut memory, &seen).ready);
}

#[test]
fn a_process_found_running_stays_ready_until_its_probe_fails() {
    let probes = Probes { readiness: Some(probe(0, 1000, 1, 2)), ..Probes::default() };
    let mut world = World::new(probes, 10);
    world.memory = Memory::of_running(START, true, Some(START));
    world.now = at_ms(100_500);
    assert!(world.run(at_ms(101_500), &|_, _| false, &|decision| !decision.ready).is_none());
    assert!(world.run(at_ms(102_500), &|_, _| false, &|decision| !decision.ready).is_some());
}
