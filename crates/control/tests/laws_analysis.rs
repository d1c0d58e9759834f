//! What the analysis of a release is worth: how seldom it aborts a good version, and how soon it finds a bad one.
//!
//! Seeded: the same draws in every run and on every machine that has IEEE floats.

use plimsoll_control::analysis::latency::Latencies;
use plimsoll_control::analysis::{Counts, Memory, Policy, Sample, Verdict, judge};
use plimsoll_model::rollout::Analysis;
use plimsoll_model::{Instant, Millis, Ratio};

struct Draws(u64);

impl Draws {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 ^ (self.0 >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        ((mixed >> 11) as f64) / (1_u64 << 53) as f64
    }

    fn below(&mut self, count: usize) -> usize {
        ((self.next() * count as f64) as usize).min(count - 1)
    }
}

/// A service: how often it fails, and whether it takes twice the usual time.
#[derive(Clone, Copy)]
struct Version {
    errors: f64,
    slow: bool,
}

const GOOD: Version = Version { errors: 0.001, slow: false };

/// Latencies in microseconds with a long tail: median about 20 ms, p95 about 70 ms.
fn usual_latencies() -> Vec<u64> {
    (0..2000)
        .map(|step| {
            let share = (f64::from(step) + 0.5) / 2000.0;
            let odds = share / (1.0 - share);
            (20_000.0 * odds.sqrt().sqrt() * odds.sqrt().sqrt().sqrt()) as u64
        })
        .collect()
}

fn limits() -> Policy {
    Policy::of(Analysis {
        error_rate_max: Some(Ratio(10_000)),
        latency_p95_max: Some(Millis(500)),
        ..Analysis::default()
    })
}

/// Histograms of ten answers each, drawn once: a span takes some of them, which is much faster than drawing each answer.
struct Pool(Vec<[Latencies; 2]>);

impl Pool {
    fn new() -> Self {
        let (usual, mut draws) = (usual_latencies(), Draws(4711));
        let drawn = |_| {
            let ten: Vec<u64> = (0..10).map(|_| usual[draws.below(usual.len())]).collect();
            [1, 2].map(|times| {
                let mut latencies = Latencies::default();
                ten.iter().for_each(|us| latencies.add(us * times, 1));
                latencies
            })
        };
        Self((0..2000).map(drawn).collect())
    }
}

fn counts(draws: &mut Draws, pool: &Pool, version: Version, requests: u64) -> Counts {
    let mut counts = Counts { requests, ..Counts::default() };
    for _ in 0..requests {
        counts.errors += u64::from(draws.next() < version.errors);
    }
    // On average as many as there were requests.
    let tens = requests / 10 + u64::from(draws.below(10) < (requests % 10) as usize);
    for _ in 0..tens {
        counts.latencies.merge(&pool.0[draws.below(pool.0.len())][usize::from(version.slow)]);
    }
    counts
}

/// The end of a span of half a second, which is as long as a window of such latencies has to be.
fn end_of(span: u32) -> Instant {
    Instant(1).after(Millis(u64::from(span) * 500))
}

/// Runs `spans` spans of 50 requests each, of which about `share` go to the new version; looks after every span. Answers
/// with the number of requests to the new version, and the verdict that ended it.
fn run(seed: u64, (new, old): (Version, Version), share: f64, spans: u32, pool: &Pool) -> (u64, Verdict) {
    let (policy, mut memory, mut draws) =
        (limits(), Memory::default(), Draws(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let mut verdict = Verdict::Inconclusive(String::new());
    for span in 0..spans {
        let mine = (0..50).filter(|_| draws.next() < share).count() as u64;
        let (new, old) = (counts(&mut draws, pool, new, mine), counts(&mut draws, pool, old, 50 - mine));
        let sample = Sample { at: end_of(span), new, old, ..Sample::default() };
        memory.take(&policy, &sample);
        verdict = judge(&policy, &memory);
        if matches!(verdict, Verdict::Fail(_)) {
            break;
        }
    }
    (memory.requests(), verdict)
}

#[test]
fn a_good_version_is_aborted_in_at_most_1_of_100_releases() {
    let pool = Pool::new();
    let mut aborted = Vec::new();
    let mut passed = 0;
    for seed in 1..=2000 {
        // A quiet service, one that often fails, and one at its limit, at three shares.
        let version =
            [GOOD, Version { errors: 0.008, slow: false }, Version { errors: 0.0, slow: false }][seed as usize % 3];
        let share = [0.1, 0.2, 0.5][seed as usize / 3 % 3];
        match run(seed, (version, version), share, 25, &pool) {
            (_, Verdict::Fail(why)) => aborted.push((seed, why)),
            (_, verdict) => passed += u32::from(verdict == Verdict::Pass),
        }
    }
    println!("A/A: {} of 2000 aborted (seeds 1 to 2000), {passed} passed", aborted.len());
    assert!(aborted.len() <= 20, "{} aborted: {aborted:?}", aborted.len());
}

#[track_caller]
#[expect(clippy::print_stdout, reason = "how soon is the result")]
fn finds(what: &str, new: Version, share: f64, spans: u32) {
    let pool = Pool::new();
    let mut needed = Vec::new();
    for seed in 1..=50 {
        let (requests, verdict) = run(seed, (new, GOOD), share, spans, &pool);
        assert!(matches!(verdict, Verdict::Fail(_)), "seed {seed}, after {requests} requests: {verdict:?}");
        needed.push(requests);
    }
    needed.sort_unstable();
    println!(
        "{what} at a share of {share}: found in 50 of 50, after {} requests (median), {} (worst)",
        needed[25], needed[49]
    );
}

#[test]
fn one_percent_of_errors_is_found() {
    finds("1 % errors", Version { errors: 0.01, slow: false }, 0.2, 600);
}

#[test]
fn five_percent_of_errors_are_found() {
    finds("5 % errors", Version { errors: 0.05, slow: false }, 0.05, 600);
}

#[test]
fn half_of_all_failing_is_found_at_once() {
    finds("50 % errors", Version { errors: 0.5, slow: false }, 0.05, 60);
}

#[test]
fn twice_the_latency_is_found() {
    finds("+100 % latency", Version { errors: 0.001, slow: true }, 0.1, 200);
}

#[test]
fn a_version_that_turns_bad_late_is_found() {
    let pool = Pool::new();
    let (policy, mut memory, mut draws) = (limits(), Memory::default(), Draws(7));
    for turn in 0..2000 {
        let version = if turn < 1000 { GOOD } else { Version { errors: 0.3, slow: false } };
        let (new, old) = (counts(&mut draws, &pool, version, 5), counts(&mut draws, &pool, GOOD, 45));
        let sample = Sample { at: end_of(turn), new, old, ..Sample::default() };
        memory.take(&policy, &sample);
        if let Verdict::Fail(why) = judge(&policy, &memory) {
            assert!((1000..1060).contains(&turn), "after {turn}: {why}");
            return;
        }
    }
    panic!("never found");
}

#[test]
fn a_version_that_turns_slow_late_is_found() {
    let pool = Pool::new();
    let (policy, mut memory, mut draws) = (limits(), Memory::default(), Draws(8));
    for turn in 0..2000 {
        let version = Version { errors: 0.001, slow: turn >= 1000 };
        let (new, old) = (counts(&mut draws, &pool, version, 15), counts(&mut draws, &pool, GOOD, 35));
        memory.take(&policy, &Sample { at: end_of(turn), new, old, ..Sample::default() });
        if let Verdict::Fail(why) = judge(&policy, &memory) {
            assert!((1000..1040).contains(&turn) && why.contains("slower"), "after {turn}: {why}");
            return;
        }
    }
    panic!("never found");
}

#[test]
fn what_both_do_is_not_held_against_the_new_one() {
    let pool = Pool::new();
    let down = Version { errors: 0.5, slow: true };
    for seed in 1..=100 {
        let (_, verdict) = run(seed, (down, down), 0.2, 60, &pool);
        assert!(matches!(verdict, Verdict::Inconclusive(_)), "seed {seed}: {verdict:?}");
    }
}

#[test]
fn a_version_that_fails_is_found_though_the_old_one_has_gone_and_answered_one_request_at_its_end() {
    let policy = limits();
    let bad = |requests| Counts { requests, errors: requests / 2, ..Counts::default() };
    for last in [0, 1] {
        let mut memory = Memory::default();
        let old = Counts { requests: last, ..Counts::default() };
        // A replaced set is gone within one span; what the old version did in it is all that there is of it.
        memory.take(&policy, &Sample { old, ..Sample::default() });
        for _ in 0..20 {
            memory.take(&policy, &Sample { new: bad(10), ..Sample::default() });
        }
        assert!(matches!(judge(&policy, &memory), Verdict::Fail(_)), "{last}: {:?}", judge(&policy, &memory));
    }
}

#[test]
fn a_version_whose_replicas_end_by_themselves_is_aborted_though_every_request_is_answered() {
    // Ends of the new and of the old version in ten spans of requests without an error.
    #[track_caller]
    fn check(new: u64, old: u64, fails: bool) {
        let (policy, mut memory) = (limits(), Memory::default());
        for span in 0..10 {
            let counts = |ends| Counts { requests: 100, ends: u64::from(span < ends), ..Counts::default() };
            memory.take(&policy, &Sample { new: counts(new), old: counts(old), ..Sample::default() });
            // What speaks against it is kept from step to step.
            memory.turn();
        }
        let verdict = judge(&policy, &memory);
        assert_eq!(matches!(verdict, Verdict::Fail(_)), fails, "{new} and {old}: {verdict:?}");
    }
    check(0, 0, false);
    check(1, 0, false);
    check(2, 0, true);
    check(2, 2, false);
    check(2, 5, false);
    check(5, 2, true);
}

#[test]
fn without_enough_requests_it_never_passes() {
    let pool = Pool::new();
    let (policy, mut memory, mut draws) = (limits(), Memory::default(), Draws(1));
    assert!(matches!(judge(&policy, &memory), Verdict::Inconclusive(_)));
    for _ in 0..29 {
        let sample =
            Sample { new: counts(&mut draws, &pool, Version { errors: 0.0, slow: false }, 10), ..Sample::default() };
        memory.take(&policy, &sample);
        assert!(matches!(judge(&policy, &memory), Verdict::Inconclusive(_)), "{}", memory.requests());
    }
    assert_eq!(policy.enough(), 300);
}
