//! Many releases in a row under load, each by a way in that is drawn: no request fails, and no bound is passed.
//!
//! `scripts/soak releases` makes a thousand of them; `PLIMSOLL_SEED` draws others.

use crate::{
    releases::version,
    times,
    world::{LONG, World},
};
use plimsoll_api::Status;
use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

/// How many replicas are wanted.
const WANTED: u64 = 3;

/// A way in, and what it may do to the number of replicas.
#[derive(Debug)]
struct Way {
    name: &'static str,
    rollout: String,
    /// Replicas that run at most, those being stopped apart.
    most: u64,
    /// Replicas that are ready at least.
    least: u64,
}

/// Numbers that follow from the seed (splitmix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn way(&mut self) -> Way {
        match self.below(6) {
            0..=2 => {
                let (surge, missing) = (1 + self.below(3), self.below(3));
                let rollout = format!("{{ rolling: {{ maxSurge: {surge}, maxUnavailable: {missing} }} }}");
                Way { name: "rolling", rollout, most: WANTED + surge, least: WANTED - missing }
            }
            3 => {
                let (share, interval) = (1 + self.below(99), 1 + self.below(300));
                let rollout = format!("{{ canary: {{ steps: [{share}%], interval: {interval}ms }} }}");
                Way { name: "canary", rollout, most: 2 * WANTED, least: WANTED }
            }
            4 => {
                let rollout = format!("{{ blueGreen: {{ keep: {}ms }} }}", self.below(300));
                Way { name: "blueGreen", rollout, most: 2 * WANTED, least: WANTED }
            }
            // All go before the new ones come: requests are held meanwhile.
            _ => Way { name: "recreate", rollout: "{ recreate: true }".into(), most: WANTED, least: 0 },
        }
    }
}

#[track_caller]
fn assert_bounds(status: &Status, way: &Way) {
    let replicas = &status.services["web"].replicas;
    let there = replicas.iter().filter(|one| one.phase != "Stopping").count() as u64;
    let ready = replicas.iter().filter(|one| one.phase == "Ready").count() as u64;
    assert!(there <= way.most && ready >= way.least, "{way:?}: {there} run and {ready} are ready: {replicas:?}");
}

#[test]
fn releases_1000_times() {
    let seed = std::env::var("PLIMSOLL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut draw = Draw(seed);
    let world = World::up(&version("{ recreate: true }", ""));
    let traffic = world.traffic("/", 60.0);
    // `PLIMSOLL_SOAK=200` makes it a thousand.
    let (releases, mut looks, mut looked) = (times(5), 0, Duration::ZERO);
    let mut ways: BTreeMap<&str, u64> = BTreeMap::new();
    for number in 0..releases {
        let way = draw.way();
        *ways.entry(way.name).or_default() += 1;
        world.release_detached(&version(&way.rollout, &format!(", --slow, \"{}\"", number % 2 + 1)));
        // As often as the API answers, and a thousand times a second at most.
        let begun = Instant::now();
        loop {
            if let Some(status) = world.try_status() {
                assert_bounds(&status, &way);
                looks += 1;
                if status.settled {
                    break;
                }
            }
            assert!(begun.elapsed() < LONG, "it is in: not within {} s", LONG.as_secs());
            thread::sleep(Duration::from_millis(1));
        }
        looked += begun.elapsed();
    }
    traffic.more(&world, 20);
    let what =
        format!("{releases} releases {ways:?}, PLIMSOLL_SEED={seed}, bounds looked at {looks} times in {looked:.1?}");
    traffic.end_without_failure(&world, &what);
    let promoted = world.ledger().iter().filter(|line| line.what == "Promoted").count();
    assert!(promoted == releases + 1 || promoted >= 300, "each is in the ledger: {promoted}");
    world.down();
}
