//! Many worlds: `swizzle-clog` (fault 78) with as many seeds, good versions of which hardly any may be sent back, and bad ones
//! that must all be (fault 64). What `scripts/soak simulate` runs.
//!
//! usage: soak [WORLDS [GOOD [BAD]]]     (default 10000 2000 100: GOOD and BAD of each kind)

#![expect(clippy::print_stdout, reason = "this is a program for a terminal")]

#[path = "../tests/world/canary.rs"]
mod canary;
#[expect(dead_code, clippy::unwrap_used, reason = "these scenes are those of the tests, which use all of them")]
#[path = "../tests/world/scene.rs"]
mod scene;
#[path = "../tests/world/storm.rs"]
mod storm;

use plimsoll_control::rollout::Event;
use plimsoll_model::{Ratio, Service, simulation::Simulation};
use plimsoll_simulate::{Plan, SwarmReport, World, swarm};
use std::{num::NonZero, process::ExitCode, sync::atomic::AtomicU64, sync::atomic::Ordering, thread, time::Instant};

/// Seeds that one thread plays at a stretch: what comes out does not depend on how many threads there are.
const STRETCH: u64 = 50;
/// When a new version is released, and for how long it is looked at, in seconds.
const RELEASED_S: u64 = 30;
const PATIENCE_S: u64 = 600;

/// Services of several kinds, as (requests a second, at once in each replica): without queues, with short ones, and with
/// replicas that are busy for 43, 64 and 86 % of the time.
const KINDS: [(u64, u32); 5] = [(300, 4), (200, 1), (300, 1), (450, 1), (600, 1)];

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let number = |place: usize, usual: u64| numbers.get(place).copied().unwrap_or(usual);
    let mut good = storms(number(0, 10_000));
    for kind in KINDS {
        good &= good_versions(number(1, 2000), kind);
    }
    let kinds = [
        ("1 % of errors", Ratio(11_000), 1000),
        ("5 % of errors", Ratio::percent(5), 1000),
        ("50 % of errors", Ratio::percent(50), 1000),
        ("+100 % latency", Ratio(1000), 2000),
    ];
    for (what, errors, times_milli) in kinds {
        good &= bad_versions(what, number(2, 100), (errors, times_milli));
        good &= hardly_anybody(what, number(2, 100) / 10, (errors, times_milli));
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What `play` gives for each stretch of seeds, in their order.
fn stretches<T: Send>(count: u64, play: impl Fn(std::ops::Range<u64>) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let worker = || {
        let mut own = Vec::new();
        loop {
            let from = next.fetch_add(STRETCH, Ordering::Relaxed);
            if from >= count {
                return own;
            }
            own.push((from, play(from..(from + STRETCH).min(count))));
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut all: Vec<(u64, T)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
    });
    all.sort_by_key(|(from, _)| *from);
    all.into_iter().map(|(_, found)| found).collect()
}

fn storms(count: u64) -> bool {
    let began = Instant::now();
    let (system, scenario) = storm::storm();
    let play = |seeds| swarm((&system, &scenario, &Default::default()), seeds, |_| {});
    let mut whole = SwarmReport::default();
    for found in stretches(count, play) {
        let Ok(found) = found else { return false };
        whole.worlds += found.worlds;
        whole.events += found.events;
        whole.faults += found.faults;
        whole.requests = (whole.requests.0 + found.requests.0, whole.requests.1 + found.requests.1);
        whole.digest = whole.digest.rotate_left(1) ^ found.digest;
        whole.broken.extend(found.broken);
    }
    let SwarmReport { worlds, events, faults, requests, broken, digest } = &whole;
    println!(
        "swizzle-clog: {worlds} worlds (seeds 0 to {}), {faults} faults, {} of {} requests failed, {events} events: \
         {} worlds broken; digest {digest:016x}; {:.0} s",
        count.saturating_sub(1),
        requests.1,
        requests.0,
        broken.len(),
        began.elapsed().as_secs_f64()
    );
    broken.iter().for_each(|(seed, what)| println!("  seed {seed}: {what}"));
    broken.is_empty() && *worlds == count
}

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// Sent back after so many milliseconds; so many requests had been answered by the new version, of so many since it came.
    Back {
        ms: u64,
        exposed: u64,
        asked: u64,
    },
    Promoted,
    Undecided,
}

fn release(web: Service, scenario: &Simulation, seed: u64) -> Option<End> {
    let plan = Plan::of(&scene::system(web), scenario, &Default::default(), seed).ok()?;
    let mut before = 0;
    let mut world = World::new(plan);
    let mut end = End::Undecided;
    for second in RELEASED_S..=scenario.duration.0 / 1000 {
        world.run_until(second * 1_000_000_000);
        let asked = world.figures().sources[0].asked;
        if second == RELEASED_S {
            before = asked;
        }
        for (ns, event) in &world.figures().services[0].releases {
            let ms = (ns / 1_000_000).saturating_sub(RELEASED_S * 1000);
            match event {
                Event::RolledBack { .. } => {
                    return Some(End::Back { ms, exposed: world.answers(0)[1], asked: asked - before });
                }
                // The first version is promoted when there is nothing before it. The next one may still be sent back.
                Event::Promoted { .. } if *ns > RELEASED_S * 1_000_000_000 => end = End::Promoted,
                _ => {}
            }
        }
    }
    world.check_end();
    world.violations().is_empty().then_some(end)
}

fn releases(scenario: &Simulation, count: u64) -> Vec<(u64, Option<End>)> {
    let play = |seeds: std::ops::Range<u64>| {
        seeds.map(|seed| (seed, release(canary::canary(), scenario, seed))).collect::<Vec<_>>()
    };
    stretches(count, play).into_iter().flatten().collect()
}

fn good_versions(count: u64, (per_second, workers): (u64, u32)) -> bool {
    let began = Instant::now();
    let scenario = canary::scenario(per_second, RELEASED_S + 270, (Ratio(1000), 1000));
    let scenario = canary::of_kind(scenario, workers);
    let all = releases(&scenario, count);
    let is_back = |end: &Option<End>| matches!(end, Some(End::Back { .. }));
    let back: Vec<u64> = all.iter().filter(|(_, end)| is_back(end)).map(|(seed, _)| *seed).collect();
    let promoted = all.iter().filter(|(_, end)| *end == Some(End::Promoted)).count();
    println!(
        "good versions (A/A), {per_second} requests a second, {workers} at once in each replica: {} of {count} sent back \
         (seeds 0 to {}; the first: {:?}), {promoted} promoted within 270 s; {:.0} s",
        back.len(),
        count.saturating_sub(1),
        back.iter().take(10).collect::<Vec<_>>(),
        began.elapsed().as_secs_f64()
    );
    // Where nothing is ever decided nothing is sent back either.
    let decided = (promoted + back.len()) as u64 * 100 >= count * 95;
    decided && back.len() as u64 * 100 <= count && all.len() as u64 == count && all.iter().all(|(_, end)| end.is_some())
}

fn bad_versions(what: &str, count: u64, kind: (Ratio, u64)) -> bool {
    let began = Instant::now();
    let all = releases(&canary::scenario(300, RELEASED_S + PATIENCE_S, kind), count);
    let missed: Vec<u64> =
        all.iter().filter(|(_, end)| !matches!(end, Some(End::Back { .. }))).map(|(seed, _)| *seed).collect();
    let found = |(_, end): &(u64, Option<End>)| match end {
        Some(End::Back { ms, exposed, .. }) => Some((*ms, *exposed)),
        _ => None,
    };
    let (mut ms, mut exposed): (Vec<u64>, Vec<u64>) = all.iter().filter_map(found).unzip();
    ms.sort_unstable();
    exposed.sort_unstable();
    let middle = |all: &[u64]| all.get(all.len() / 2).copied().unwrap_or(0);
    let most = |all: &[u64]| all.last().copied().unwrap_or(0);
    println!(
        "{what}: {} of {count} sent back (seeds 0 to {}; missed: {missed:?}); found after {:.1} s (median), {:.1} s at most; \
         {} requests met it (median), {} at most, of 300 a second; {:.0} s",
        ms.len(),
        count.saturating_sub(1),
        middle(&ms) as f64 / 1e3,
        most(&ms) as f64 / 1e3,
        middle(&exposed),
        most(&exposed),
        began.elapsed().as_secs_f64()
    );
    missed.is_empty() && all.len() as u64 == count
}

/// How many meet a bad version whose first step is 0.08 % of 2,000 requests a second, each by another person: at most one in a
/// thousand of those who ask until it is sent back.
fn hardly_anybody(what: &str, count: u64, kind: (Ratio, u64)) -> bool {
    let began = Instant::now();
    let scenario = canary::busy(RELEASED_S + PATIENCE_S, kind);
    let play =
        |seeds: std::ops::Range<u64>| seeds.map(|seed| release(canary::careful(), &scenario, seed)).collect::<Vec<_>>();
    let all: Vec<Option<End>> = stretches(count, play).into_iter().flatten().collect();
    let found = |end: &Option<End>| match end {
        Some(End::Back { exposed, asked, .. }) => Some((*exposed, *asked)),
        _ => None,
    };
    let found: Vec<(u64, u64)> = all.iter().filter_map(found).collect();
    let (exposed, asked) = found.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let share = |(exposed, asked): &(u64, u64)| *exposed as f64 * 100.0 / (*asked).max(1) as f64;
    let worst = found.iter().map(share).fold(0.0, f64::max);
    println!(
        "{what}, first step 0.08 % of 2000 requests a second: {} of {count} sent back; {exposed} of {asked} who asked meanwhile \
         met it, {:.3} % (worst seed {worst:.3} %); {:.0} s",
        found.len(),
        share(&(exposed, asked)),
        began.elapsed().as_secs_f64()
    );
    found.len() as u64 == count && exposed * 1000 <= asked
}
