//! Laws of the autoscaler: bounds, safety, idempotence, convergence, for many inputs.

#![expect(clippy::unwrap_used, reason = "a value that cannot be written or read back must fail the test")]

use plimsoll_control::autoscale::manual::Manual;
use plimsoll_control::autoscale::policy::{self, Controller};
use plimsoll_control::autoscale::quantity::Milli;
use plimsoll_control::autoscale::schedule::Schedule;
use plimsoll_control::autoscale::seen::{self, Answer, Container, Phase, Pod, Reading, Ready, Sample, Selector, Usage};
use plimsoll_control::autoscale::traffic::{self, Mood};
use plimsoll_control::autoscale::{Act, Memory, Policy, Reason, Seen, decide, history, hpa};
use plimsoll_model::{Instant, Millis, autoscaling::Schedule as ScheduleSpec};
use proptest::{prelude::*, test_runner::RngSeed};
use std::collections::BTreeMap;

const START: Instant = Instant(1_800_000_000_000_000);

/// The same cases in every run: a law that fails must fail for everybody. Other cases: `PLIMSOLL_LAWS_SEED`.
fn laws(cases: u32) -> ProptestConfig {
    let seed = std::env::var("PLIMSOLL_LAWS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..ProptestConfig::default() }
}

fn cpu(percent: i32) -> policy::Metric {
    let target = policy::Target::Utilization { average_utilization: percent };
    policy::Metric::Resource { resource: policy::Resource { name: "cpu".into(), target } }
}

fn external(average_milli: i64) -> policy::Metric {
    let target = policy::Target::AverageValue { average_value: Milli(average_milli) };
    let metric = policy::Identifier { name: "queue".into() };
    policy::Metric::External { external: policy::Custom { metric, target } }
}

/// Ready since long ago, requesting one core.
fn pod(index: usize) -> Pod {
    Pod {
        name: format!("web-{index}"),
        phase: Phase::Running,
        started_at: Some(Instant(START.0 - 3_600_000_000)),
        ready: Some(Ready { status: Answer::True, since: Instant(START.0 - 3_600_000_000) }),
        containers: vec![Container { name: "main".into(), requests: BTreeMap::from([("cpu".into(), 1000)]) }],
        ..Pod::default()
    }
}

fn samples(usage: &[i64], at: Instant) -> Reading {
    let sample = |(index, value): (usize, &i64)| Sample {
        pod: format!("web-{index}"),
        at,
        window: Millis::from_secs(15),
        usage: Usage::Whole(*value),
    };
    Reading::Pods(usage.iter().enumerate().map(sample).collect())
}

fn look(at: Instant, replicas: i32, readings: Vec<Reading>) -> seen::Seen {
    seen::Seen {
        at,
        spec_replicas: Some(replicas),
        status_replicas: replicas,
        selector: Selector::Clear,
        pods: (0..usize::try_from(replicas).unwrap()).map(pod).collect(),
        readings,
        explain: true,
    }
}

fn hpa_policy(min: i32, max: i32, with_behavior: bool, metrics: Vec<policy::Metric>) -> policy::Policy {
    policy::Policy {
        min_replicas: min,
        max_replicas: max,
        metrics,
        behavior: with_behavior.then(policy::Behavior::default),
        controller: Controller::default(),
    }
}

proptest! {
    #![proptest_config(laws(200))]

    #[test]
    fn hpa_answers_within_its_bounds(
        (min, more, current) in (1..20_i32, 0..80_i32, 1..150_i32),
        usage in prop::collection::vec(0..5000_i64, 1..100),
        (target, with_behavior) in (1..200_i32, any::<bool>()),
    ) {
        let policy = hpa_policy(min, min + more, with_behavior, vec![cpu(target)]);
        let seen = look(START, current, vec![samples(&usage, START)]);
        let decision = hpa::decide(&policy, &mut history::Memory::default(), &seen);
        let replicas = decision.replicas.unwrap();
        prop_assert!((min..=min + more).contains(&replicas), "{replicas}: {:?}", decision.steps);
    }

    #[test]
    fn hpa_never_shrinks_on_partial_data(
        current in 2..50_i32,
        usage in prop::collection::vec(0..900_i64, 1..50),
        with_behavior in any::<bool>(),
    ) {
        let policy = hpa_policy(1, 100, with_behavior, vec![cpu(90), external(1000)]);
        let failed = Reading::Failed("the source is down".into());
        let seen = look(START, current, vec![samples(&usage, START), failed]);
        let decision = hpa::decide(&policy, &mut history::Memory::default(), &seen);
        prop_assert!(decision.replicas.unwrap() >= current, "{:?}", decision.steps);
    }

    #[test]
    fn hpa_shrinks_only_after_a_whole_quiet_window(
        current in 2..50_i32, quiet_s in 1..600_u64, with_behavior in any::<bool>(),
    ) {
        let policy = hpa_policy(1, 100, with_behavior, vec![cpu(90)]);
        let mut memory = history::Memory::default();
        let full = vec![900; usize::try_from(current).unwrap()];
        hpa::decide(&policy, &mut memory, &look(START, current, vec![samples(&full, START)]));
        let at = START.after(Millis::from_secs(quiet_s));
        let idle = vec![10; usize::try_from(current).unwrap()];
        let decision = hpa::decide(&policy, &mut memory, &look(at, current, vec![samples(&idle, at)]));
        let shrinks = decision.replicas.unwrap() < current;
        prop_assert_eq!(shrinks, quiet_s >= 300 + u64::from(!with_behavior), "after {} s: {:?}", quiet_s, decision.steps);
    }

}

proptest! {
    #![proptest_config(laws(60))]

    #[test]
    fn hpa_comes_to_rest_under_constant_load(load in 100..60_000_i64, start in 1..50_i32, with_behavior in any::<bool>()) {
        let policy = hpa_policy(1, 40, with_behavior, vec![cpu(70)]);
        let mut memory = history::Memory::default();
        let (mut replicas, mut at, mut changes_late) = (start, START, 0);
        for turn in 0..80 {
            let each = load / i64::from(replicas);
            let usage = vec![each; usize::try_from(replicas).unwrap()];
            let decision = hpa::decide(&policy, &mut memory, &look(at, replicas, vec![samples(&usage, at)]));
            changes_late += i32::from(turn >= 60 && decision.act != hpa::Scale::Keep);
            replicas = decision.replicas.unwrap();
            at = decision.again_at;
        }
        prop_assert_eq!(changes_late, 0);
        let percent = load as f64 / f64::from(replicas) / 10.0;
        prop_assert!(percent <= 78.0 || replicas == 40, "{} % on {}", percent, replicas);
        prop_assert!(percent >= 62.0 || replicas == 1 || load as f64 / f64::from(replicas - 1) / 10.0 > 69.0);
    }
}

fn traffic_policy() -> traffic::Policy {
    traffic::Policy { requests_per_second: Some(50_000), ..traffic::Policy::default() }
}

fn service(min: u32, max: u32) -> Policy {
    Policy { min_replicas: min, max_replicas: max, traffic: Some(traffic_policy()), ..Policy::default() }
}

/// 50 ms of `rate` requests a second; fractions are carried over by the caller's count.
fn burst(at: Instant, arrived: u64) -> traffic::Sample {
    traffic::Sample { at, span: Millis(50), in_flight: arrived * 20, arrived }
}

fn with_traffic(at: Instant, replicas: u32, samples: Vec<traffic::Sample>) -> Seen {
    let hpa = look(at, i32::try_from(replicas).unwrap(), vec![]);
    Seen { hpa, traffic: traffic::Seen { samples, ready: replicas, waiting: 0 }, predicted: 0 }
}

/// Runs `seconds` of `rate` requests a second (a whole number in each 50 ms) through the loop.
fn run(policy: &Policy, memory: &mut Memory, (at, replicas): (&mut Instant, &mut u32), (seconds, rate): (u64, u64)) {
    for _ in 0..seconds * 20 {
        *at = at.after(Millis(50));
        let decision = decide(policy, memory, &with_traffic(*at, *replicas, vec![burst(*at, rate / 20)]));
        if let Act::ScaleTo(count) = decision.act {
            *replicas = count;
        }
    }
}

#[test]
fn a_step_is_answered_within_300_ms() {
    let (policy, mut memory) = (service(1, 100), Memory::default());
    let (mut at, mut replicas) = (START, 5);
    run(&policy, &mut memory, (&mut at, &mut replicas), (90, 240));
    assert_eq!(replicas, 5);
    let stepped = at;
    while replicas < 48 {
        run_once(&policy, &mut memory, (&mut at, &mut replicas), 120);
        assert!(at.since(stepped) <= Millis(300), "{replicas} after {}", at.since(stepped));
    }
}

/// Under little traffic, too: from 20 requests a second to 200, of which 25 are one replica's part.
#[test]
fn a_leap_under_little_traffic_is_answered_within_200_ms_and_a_page_is_none() {
    let mut policy = service(1, 100);
    policy.traffic = policy.traffic.map(|own| traffic::Policy { requests_per_second: Some(25_000), ..own });
    let (mut memory, mut at, mut replicas) = (Memory::default(), START, 1);
    run(&policy, &mut memory, (&mut at, &mut replicas), (90, 20));
    assert_eq!(replicas, 1);
    // One page with two dozen parts, all at once.
    run_once(&policy, &mut memory, (&mut at, &mut replicas), 24);
    run(&policy, &mut memory, (&mut at, &mut replicas), (90, 20));
    assert_eq!(replicas, 1);
    let stepped = at;
    while replicas < 8 {
        run_once(&policy, &mut memory, (&mut at, &mut replicas), 10);
        let waited = at.since(stepped);
        assert!(replicas >= 5 || waited < Millis(200), "{replicas} after {waited}");
        assert!(waited <= Millis(300), "{replicas} after {waited}");
    }
}

fn run_once(policy: &Policy, memory: &mut Memory, (at, replicas): (&mut Instant, &mut u32), arrived: u64) {
    *at = at.after(Millis(50));
    if let Act::ScaleTo(count) = decide(policy, memory, &with_traffic(*at, *replicas, vec![burst(*at, arrived)])).act {
        *replicas = count;
    }
}

#[test]
fn a_panic_only_grows_and_ends() {
    let (policy, mut memory) = (service(1, 100), Memory::default());
    let (mut at, mut replicas) = (START, 5);
    run(&policy, &mut memory, (&mut at, &mut replicas), (90, 240));
    run(&policy, &mut memory, (&mut at, &mut replicas), (2, 2400));
    let peak = replicas;
    assert!(peak >= 48);
    run(&policy, &mut memory, (&mut at, &mut replicas), (50, 240));
    assert_eq!(replicas, peak, "it must not shrink in a panic");
    run(&policy, &mut memory, (&mut at, &mut replicas), (150, 240));
    assert!((5..=6).contains(&replicas), "{replicas} after the panic");
}

/// A generator of our own: the decider has none, and the test must be the same everywhere.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64) / (1_u64 << 53) as f64
    }

    /// How many of a Poisson process with the mean `mean` come.
    fn poisson(&mut self, mean: f64) -> u64 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.next(), 0);
        while product > limit {
            product *= self.next();
            count += 1;
        }
        count
    }
}

#[test]
fn chance_is_not_taken_for_a_step() {
    for seed in 1..=5 {
        let (policy, mut memory, mut draws) = (service(1, 100), Memory::default(), Draws(seed));
        let (mut at, mut panics) = (START, 0);
        // Exactly at the target of 3 replicas, for 10 minutes.
        for _ in 0..12_000 {
            at = at.after(Millis(50));
            let arrived = draws.poisson(7.5);
            let decision = decide(&policy, &mut memory, &with_traffic(at, 3, vec![burst(at, arrived)]));
            panics += u32::from(matches!(decision.reason, Reason::Traffic(Mood::Panic)));
        }
        assert_eq!(panics, 0, "seed {seed}");
    }
}

#[test]
fn an_idle_service_goes_to_zero_and_is_woken() {
    let (policy, mut memory) = (service(0, 10), Memory::default());
    let (mut at, mut replicas) = (START, 1);
    run(&policy, &mut memory, (&mut at, &mut replicas), (5, 20));
    run(&policy, &mut memory, (&mut at, &mut replicas), (29, 0));
    assert_eq!(replicas, 1, "not before its time");
    run(&policy, &mut memory, (&mut at, &mut replicas), (60, 0));
    assert_eq!(replicas, 0);
    let mut seen = with_traffic(at.after(Millis(1)), 0, vec![]);
    assert_eq!(decide(&policy, &mut memory, &seen).act, Act::Keep);
    seen.traffic.waiting = 3;
    assert_eq!(decide(&policy, &mut memory, &seen).act, Act::ScaleTo(1));
}

#[test]
fn zero_that_a_person_set_stays() {
    let policy = Policy {
        min_replicas: 1,
        max_replicas: 5,
        hpa: Some(hpa_policy(1, 5, false, vec![cpu(50)])),
        ..Policy::default()
    };
    let decision = decide(&policy, &mut Memory::default(), &with_traffic(START, 0, vec![]));
    assert_eq!((decision.act, decision.reason), (Act::Keep, Reason::SwitchedOff));
}

#[test]
fn bounds_set_by_hand_hold_and_expire() {
    let (policy, mut memory) = (service(2, 5), Memory::default());
    memory.manual = Some(Manual::scale(8, 2, (2, 5), START.after(Millis::from_secs(60))));
    let decision = decide(&policy, &mut memory, &with_traffic(START, 2, vec![]));
    assert_eq!((decision.act, decision.reason), (Act::ScaleTo(8), Reason::Manual));
    assert!(decision.again_at.unwrap() <= START.after(Millis::from_secs(60)));
    let later = START.after(Millis::from_secs(60));
    let decision = decide(&policy, &mut memory, &with_traffic(later, 8, vec![]));
    assert_eq!(memory.manual, None);
    assert!(matches!(decision.act, Act::ScaleTo(2..=5)), "{decision:?}");

    memory.manual = Some(Manual::scale(0, 4, (2, 5), later.after(Millis::from_secs(60))));
    assert_eq!(decide(&policy, &mut memory, &with_traffic(later, 4, vec![])).act, Act::ScaleTo(0));
    let end = later.after(Millis::from_secs(60));
    assert_eq!(decide(&policy, &mut memory, &with_traffic(end, 0, vec![])).act, Act::ScaleTo(2));
}

#[test]
fn a_schedule_raises_the_floor() {
    let always = ScheduleSpec {
        start: "* * * * *".into(),
        hold: Millis::from_secs(120),
        timezone: "UTC".into(),
        min_replicas: Some(7),
        max_replicas: None,
    };
    let policy = Policy { schedules: vec![Schedule::read(always).unwrap()], ..service(2, 9) };
    let decision = decide(&policy, &mut Memory::default(), &with_traffic(START, 2, vec![]));
    assert_eq!((decision.act, decision.reason, decision.bounds), (Act::ScaleTo(7), Reason::Schedule, (7, 9)));
}

proptest! {
    #![proptest_config(laws(200))]

    #[test]
    fn the_owner_stays_in_bounds_and_is_idempotent(
        (min, more, current) in (1..10_u32, 0..30_u32, 1..60_u32),
        usage in prop::collection::vec(0..3000_i64, 1..40),
        arrivals in prop::collection::vec(0..400_u64, 0..60),
        with_behavior in any::<bool>(),
    ) {
        let hpa = hpa_policy(1, 9, with_behavior, vec![cpu(60)]);
        let policy = Policy { hpa: Some(hpa), ..service(min, min + more) };
        let mut memory = Memory::default();
        let samples_of = |arrivals: &[u64]| arrivals.iter().enumerate()
            .map(|(turn, arrived)| burst(START.after(Millis(50 * (turn as u64 + 1))), *arrived)).collect::<Vec<_>>();
        let at = START.after(Millis(50 * (arrivals.len() as u64 + 1)));
        let mut seen = with_traffic(at, current, samples_of(&arrivals));
        seen.hpa.readings = vec![samples(&usage, at)];
        let first = decide(&policy, &mut memory, &seen);
        let replicas = if let Act::ScaleTo(count) = first.act { count } else { current };
        prop_assert!((min..=min + more).contains(&replicas));

        // What was remembered survives being written down.
        let text = serde_json::to_string(&memory).unwrap();
        let mut read: Memory = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &memory);

        // Asked again at once, with what was asked for but nothing new seen, there is nothing to do.
        let mut again = with_traffic(at, replicas, vec![]);
        again.traffic.ready = current;
        again.hpa.readings = seen.hpa.readings.clone();
        prop_assert_eq!(decide(&policy, &mut read, &again).act, Act::Keep);
    }

}

proptest! {
    #![proptest_config(laws(12))]

    #[test]
    fn the_owner_comes_to_rest_under_constant_traffic(rate in 1..100_u64, start in 1..40_u32) {
        let (policy, mut memory) = (service(1, 50), Memory::default());
        let (mut at, mut replicas) = (START, start);
        run(&policy, &mut memory, (&mut at, &mut replicas), (200, rate * 20));
        let needed = u32::try_from((rate * 20).div_ceil(50)).unwrap();
        let slack = u32::try_from((rate * 20 * 110).div_ceil(50 * 100)).unwrap();
        prop_assert!((needed..=slack).contains(&replicas), "{} for {} to {}", replicas, needed, slack);
        let rest = replicas;
        run(&policy, &mut memory, (&mut at, &mut replicas), (30, rate * 20));
        prop_assert_eq!(replicas, rest);
    }
}

#[test]
fn a_pasted_kubernetes_block_reads_with_its_defaults() {
    let text = r#"{"minReplicas": 2, "maxReplicas": 10,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
                    {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "1k"}}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60, "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]}}}"#;
    let policy: policy::Policy = serde_json::from_str(text).unwrap();
    let behavior = policy.behavior.as_ref().unwrap();
    assert_eq!(behavior.scale_up, policy::Behavior::default().scale_up, "the other direction is filled in");
    assert_eq!((behavior.scale_down.window_s, behavior.scale_down.policies[0].value), (Some(60), 10));
    let again: policy::Policy = serde_json::from_str(&serde_json::to_string(&policy).unwrap()).unwrap();
    assert_eq!(again, policy);
}

#[test]
fn a_decision_explains_its_arithmetic() {
    let policy = hpa_policy(1, 10, false, vec![cpu(50)]);
    let seen = look(START, 2, vec![samples(&[1340, 1000], START)]);
    let decision = hpa::decide(&policy, &mut history::Memory::default(), &seen);
    assert_eq!(
        decision.steps,
        [
            "cpu: 2340m used of 2000m requested = 117 % against 50 %: ratio 2.34 (2 pods counted, 0 unready, 0 without a figure, 0 ignored)",
            "cpu: ratio 2.34 × 2 pods, rounded up = 5",
            "the metrics ask for 5",
            "limited: 5 becomes 4 (ScaleUpLimit; 1 to 10)",
            "scale from 2 to 4",
        ]
    );
}

/// A service that scales by traffic and expects something of former weeks.
fn expecting(seen: Seen, predicted: u32) -> Seen {
    Seen { predicted, ..seen }
}

proptest! {
    #![proptest_config(laws(200))]

    #[test]
    fn an_expectation_only_raises_and_stays_within_the_bounds(
        (min, more, current) in (0..10_u32, 0..30_u32, 0..60_u32),
        (predicted, arrived, waiting) in (0..100_u32, 0..400_u64, 0..3_u32),
    ) {
        let policy = service(min, (min + more).max(1));
        let look = |predicted| {
            let mut seen = expecting(with_traffic(START, current, vec![burst(START, arrived)]), predicted);
            seen.traffic.waiting = waiting;
            let decision = decide(&policy, &mut Memory::default(), &seen);
            let replicas = if let Act::ScaleTo(count) = decision.act { count } else { current };
            (replicas, decision)
        };
        let ((without, plain), (with, raised)) = (look(0), look(predicted));
        prop_assert!(with >= without, "{} without, {} with", without, with);
        prop_assert!(with == without || with <= predicted);
        prop_assert!(with <= policy.max_replicas || raised.reason == Reason::SwitchedOff);
        prop_assert_eq!(plain.needed, raised.needed, "what load asks for must not depend on what was expected");

        // Asked again at once, there is nothing to do.
        let mut memory = Memory::default();
        let mut seen = expecting(with_traffic(START, current, vec![burst(START, arrived)]), predicted);
        seen.traffic.waiting = waiting;
        decide(&policy, &mut memory, &seen);
        let mut again = expecting(with_traffic(START, with, vec![]), predicted);
        again.traffic.ready = current;
        again.traffic.waiting = if with == 0 { 0 } else { waiting };
        prop_assert_eq!(decide(&policy, &mut memory, &again).act, Act::Keep);
    }
}

#[test]
fn an_expectation_feeds_on_load_and_not_on_itself() {
    // Load of one replica, week after week, and a floor of 8 that once was expected.
    let (policy, mut memory) = (service(1, 20), Memory::default());
    let mut at = START;
    let mut needed = None;
    for _ in 0..120 * 20 {
        at = at.after(Millis(50));
        needed = decide(&policy, &mut memory, &expecting(with_traffic(at, 8, vec![burst(at, 2)]), 8)).needed;
    }
    assert_eq!(needed, Some(1));
}

#[test]
fn what_a_person_switched_off_is_not_woken_by_an_expectation() {
    let policy = Policy { hpa: Some(hpa_policy(1, 5, false, vec![cpu(50)])), ..service(1, 5) };
    let policy = Policy { traffic: None, ..policy };
    let decision = decide(&policy, &mut Memory::default(), &expecting(with_traffic(START, 0, vec![]), 3));
    assert_eq!((decision.act, decision.reason), (Act::Keep, Reason::SwitchedOff));
}

proptest! {
    #![proptest_config(laws(150))]

    /// Pods without figures, sources that fail, counters that began anew (figures of nothing) and figures that leap:
    /// within any stabilisation window the direction changes at most once, and nothing leaves the bounds.
    #[test]
    fn metric_flap(
        looks in prop::collection::vec((0..4_u8, 0..4000_i64, 0..10_usize), 40..80),
        with_behavior in any::<bool>(),
    ) {
        let policy = hpa_policy(2, 12, with_behavior, vec![cpu(70), external(1000)]);
        let (mut memory, mut at, mut replicas) = (history::Memory::default(), START, 4);
        let mut turns: Vec<(Instant, bool)> = Vec::new();
        for (kind, usage, known) in looks {
            let known = known.min(usize::try_from(replicas).unwrap());
            let cpu = match kind {
                0 => Reading::Failed("the source is down".into()),
                1 => samples(&vec![0; known], at),
                _ => samples(&vec![usage; known], at),
            };
            let queue = if kind == 3 { Reading::External(vec![usage]) } else { Reading::Failed("no series".into()) };
            let decision = hpa::decide(&policy, &mut memory, &look(at, replicas, vec![cpu, queue]));
            let now = decision.replicas.unwrap();
            prop_assert!((2..=12).contains(&now));
            if now != replicas {
                turns.push((at, now > replicas));
            }
            replicas = now;
            at = decision.again_at;
        }
        for (start, _) in &turns {
            let within = turns.iter().filter(|(at, _)| start <= at && at.since(*start) < Millis::from_secs(300));
            let directions: Vec<bool> = within.map(|(_, up)| *up).collect();
            let changes = directions.windows(2).filter(|two| two[0] != two[1]).count();
            prop_assert!(changes <= 1, "{:?}", turns);
        }
    }
}
