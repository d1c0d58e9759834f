//! Laws of `reconcile`, its rolling and recreate, and `order`, in a simulated world whose replicas crash at random.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "reconcile/world.rs"]
mod world;

use plimsoll_control::{
    order,
    reconcile::{
        Act, Ordered, Phase, ReplicaSeen, Seen, ServiceWanted, Wanted, decide, recreate,
        rolling::{self, RollingPolicy, Sets},
    },
};
use plimsoll_model::{Amount, Instant, Millis, Ratio, ReplicaId};
use proptest::{prelude::*, test_runner::RngSeed};
use std::collections::{BTreeMap, BTreeSet};
use world::{Chance, World, revision, set};

fn policy(replicas: u32, surge: Amount, unavailable: Amount, min_ready_ms: u64) -> RollingPolicy {
    RollingPolicy { replicas, max_surge: surge, max_unavailable: unavailable, min_ready: Millis(min_ready_ms) }
}

fn quarter(replicas: u32) -> RollingPolicy {
    let share = Amount::Share(Ratio::percent(25));
    policy(replicas, share, share, 0)
}

fn any_policy() -> impl Strategy<Value = RollingPolicy> {
    let amount = || {
        prop_oneof![
            (0..4u32).prop_map(Amount::Count),
            (0..=150u64).prop_map(|percent| Amount::Share(Ratio::percent(percent))),
        ]
    };
    let min_ready = prop_oneof![Just(0), 1..3000u64];
    (0..9u32, amount(), amount(), min_ready)
        .prop_map(|(replicas, surge, unavailable, min_ready)| policy(replicas, surge, unavailable, min_ready))
}

#[test]
fn surge_rounds_up_and_unavailable_down() {
    let bounds = |replicas| (quarter(replicas).surge(), quarter(replicas).unavailable());
    assert_eq!([1, 2, 3, 4, 5, 10].map(bounds), [(1, 0), (1, 0), (1, 0), (1, 1), (2, 1), (3, 2)]);
    assert_eq!(bounds(0), (0, 0));
    let none = policy(3, Amount::Count(0), Amount::Share(Ratio::percent(25)), 0);
    assert_eq!((none.surge(), none.unavailable()), (0, 1), "both come to 0: one may be missing");
    assert_eq!(policy(2, Amount::Count(1), Amount::Count(5), 0).unavailable(), 2, "never more than there are");
}

/// What one look at ready replicas of these sets (revision number and size) makes of them.
#[track_caller]
fn check_sets(policy: RollingPolicy, new: u32, ready: &[(u32, u32)], want: &[(u32, u32)]) {
    let mut world = World::new(policy);
    let former = Sets {
        sets: ready.iter().map(|(number, size)| set(*number, *size)).collect(),
        laid_for: policy.replicas,
        ..Sets::default()
    };
    for (number, size) in ready {
        world.add_ready(*number, *size);
    }
    let sets = rolling::sets(&policy, &revision(new), &former, &world.replicas, world.now);
    assert_eq!(sets.sets, want.iter().map(|(number, size)| set(*number, *size)).collect::<Vec<_>>());
}

#[test]
fn one_look_does_what_the_syncs_of_the_deployment_controller_do() {
    check_sets(quarter(4), 1, &[], &[(1, 4)]);
    check_sets(quarter(4), 1, &[(1, 4)], &[(1, 4)]);
    check_sets(quarter(4), 2, &[(1, 4)], &[(1, 3), (2, 2)]);
    check_sets(quarter(10), 2, &[(1, 10)], &[(1, 8), (2, 5)]);
    check_sets(quarter(10), 2, &[(1, 8), (2, 3)], &[(1, 5), (2, 8)]);
    check_sets(quarter(3), 2, &[(1, 3)], &[(1, 3), (2, 1)]);
    check_sets(quarter(3), 2, &[(1, 3), (2, 1)], &[(1, 2), (2, 2)]);
    // Rollover: the half-built set is old like the others, and the oldest goes first.
    check_sets(quarter(4), 3, &[(1, 3), (2, 2)], &[(1, 1), (2, 2), (3, 2)]);
    // Back to a set that still stands: it is used again.
    check_sets(quarter(4), 1, &[(1, 3), (2, 2)], &[(1, 4)]);
}

#[test]
fn a_change_of_number_in_the_midst_of_a_rollout_is_spread() {
    let policy = quarter(20);
    let mut world = World::new(policy);
    world.add_ready(1, 8);
    let former = Sets { sets: vec![set(1, 8), set(2, 5)], laid_for: 10, ..Sets::default() };
    let sets = rolling::sets(&policy, &revision(2), &former, &world.replicas, world.now);
    assert_eq!(sets.sets, [set(1, 15), set(2, 10)], "13 of 13 become 25 of 25, 8 to 5");
    let former = Sets { sets: vec![set(1, 10)], laid_for: 10, ..Sets::default() };
    let sets = rolling::sets(&policy, &revision(1), &former, &[], world.now);
    assert_eq!(sets.sets, [set(1, 20)], "a lone set takes all, available or not");
}

/// The same cases at every run, so that a test that passed passes again.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(1876), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(200))]

    /// Bounds and safety are held by `World::turn` at each step, whatever crashes.
    #[test]
    fn a_rolling_update_stays_in_its_bounds_and_arrives(
        policy in any_policy(),
        later in any_policy(),
        seed: u64,
    ) {
        let mut world = World::new(policy);
        let mut chance = Chance(seed);
        for new in 1..=4 {
            world.new = revision(new);
            for _ in 0..chance.below(40) {
                world.turn();
                world.live(&mut chance, true);
            }
            if new == 2 {
                world.policy = RollingPolicy { replicas: later.replicas, ..policy };
            }
        }
        world.settle(&mut chance);
        let sizes: Vec<_> = world.sizes().into_iter().collect();
        prop_assert_eq!(sizes, if later.replicas == 0 { vec![] } else { vec![(revision(4), later.replicas)] });
    }

    #[test]
    fn a_version_that_never_gets_ready_leaves_the_old_one_serving(
        policy in any_policy(),
        seed: u64,
    ) {
        let mut world = World::new(policy);
        let mut chance = Chance(seed);
        world.new = revision(1);
        world.settle(&mut chance);
        world.broken = Some(revision(2));
        world.new = revision(2);
        for _ in 0..100 {
            world.turn();
            world.live(&mut chance, false);
            let serving = world.replicas.iter().filter(|one| one.phase == Phase::Ready).count();
            prop_assert!(serving >= policy.available_min() as usize);
            prop_assert!(!world.sets.complete || policy.replicas == 0);
        }
        // Going back is a rollout to the old revision.
        world.new = revision(1);
        world.settle(&mut chance);
        prop_assert!(world.sizes().keys().all(|one| *one == revision(1)));
    }

    #[test]
    fn recreate_never_mixes_versions_and_arrives(
        policy in any_policy(),
        seed: u64,
    ) {
        let mut world = World::new(policy);
        world.recreates = true;
        let mut chance = Chance(seed);
        for new in 1..=3 {
            world.new = revision(new);
            for _ in 0..chance.below(60) {
                world.turn();
                let versions: BTreeSet<_> = world.replicas.iter().map(|one| &one.revision).collect();
                prop_assert!(versions.len() <= 1, "{:?}", versions);
                world.live(&mut chance, true);
            }
        }
        world.settle(&mut chance);
        prop_assert!(world.sizes().keys().all(|one| *one == revision(3)));
    }

    #[test]
    fn what_is_decided_for_any_system_is_bounded_safe_and_settles(
        (wanted, seen) in any_system(),
    ) {
        let decision = decide(&wanted, &seen);
        let ordered = |order: &Ordered| match order {
            Ordered::Stop { replica } => Some(replica.clone()),
            Ordered::Start { .. } => None,
        };
        let mut stopped: BTreeSet<ReplicaId> = seen.ordered.iter().filter_map(ordered).collect();
        for act in &decision.acts {
            if let Act::Stop { replica, .. } = act {
                prop_assert!(stopped.insert(replica.clone()), "stopped twice");
                let known = seen.replicas.iter().find(|one| one.id == *replica).unwrap();
                prop_assert!(known.phase != Phase::Stopping);
            }
        }
        let waiting: BTreeSet<_> = decision.waiting.iter().map(|one| one.service.as_str()).collect();
        prop_assert!(decision.waiting.iter().all(|one| !one.on.is_empty()));
        for (name, service) in &wanted.services {
            for set in &service.sets {
                let staying = |one: &&ReplicaSeen| {
                    one.id.service == *name && one.revision == set.revision && one.phase != Phase::Stopping && !stopped.contains(&one.id)
                };
                let stay = u32::try_from(seen.replicas.iter().filter(staying).count()).unwrap();
                let starts = decision.acts.iter().map(|act| match act {
                    Act::Start { service, revision, count } if service == name && *revision == set.revision => *count,
                    _ => 0,
                });
                let starts: u32 = starts.sum();
                let expected = if waiting.contains(name.as_str()) { stay } else { set.replicas };
                prop_assert_eq!(stay + starts, expected, "{} {}", name, set.revision.0);
            }
        }
        // With the acts ordered, nothing is left to do.
        let mut seen = seen;
        world::order(&mut seen, &decision.acts);
        prop_assert_eq!(decide(&wanted, &seen).acts, vec![]);
        // With the acts observed, and still told as ordered, neither.
        world::observe(&mut seen);
        prop_assert_eq!(decide(&wanted, &seen).acts, vec![]);
    }

    #[test]
    fn layers_hold_every_name_once_and_what_is_used_first(edges in proptest::collection::vec((0..12u8, 0..12u8), 0..40)) {
        let mut uses: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (one, other) in edges {
            // Acyclic: only smaller ones are used.
            if one > other {
                uses.entry(format!("n{one}")).or_default().push(format!("n{other}"));
            }
        }
        let layers = order::start(&uses);
        let names: BTreeSet<&String> = uses.keys().chain(uses.values().flatten()).collect();
        prop_assert_eq!(layers.iter().flatten().collect::<BTreeSet<_>>(), names.clone());
        prop_assert_eq!(layers.iter().flatten().count(), names.len());
        let layer = |name: &String| layers.iter().position(|layer| layer.contains(name)).unwrap();
        prop_assert!(uses.iter().all(|(user, used)| used.iter().all(|one| layer(one) < layer(user))));
        let mut back = order::stop(&uses);
        back.reverse();
        prop_assert_eq!(back, layers);
    }
}

/// Services `s0` … each using some of those before it and stores, with replicas in any phase and some acts ordered.
fn any_system() -> impl Strategy<Value = (Wanted, Seen)> {
    let phase = proptest::sample::select(vec![
        Phase::Starting,
        Phase::Ready,
        Phase::Unready,
        Phase::BackOff,
        Phase::Stopping,
        Phase::Done,
    ]);
    let replica = (0..5usize, 0..3u32, phase, 0..100u64, 0..4u32);
    let service = (proptest::collection::btree_map(0..3u32, 0..4u32, 0..3), any::<u8>());
    (proptest::collection::vec(service, 5), proptest::collection::vec(replica, 0..20), any::<(bool, bool, u8)>())
        .prop_map(|(services, replicas, (store, begun, stops))| {
            let mut wanted = Wanted::default();
            for (index, (sets, uses)) in services.into_iter().enumerate() {
                let used = (0..index).filter(|other| uses >> other & 1 == 1).map(|other| format!("s{other}"));
                let service = ServiceWanted {
                    sets: sets.into_iter().map(|(number, size)| set(number, size)).collect(),
                    uses: used.chain((uses > 128).then(|| "db".into())).collect(),
                    min_ready: Millis(u64::from(uses)),
                };
                wanted.services.insert(format!("s{index}"), service);
            }
            let at = Instant(1_000_000_000);
            let mut seen = Seen { at, stores: [("db".into(), store)].into(), ..Seen::default() };
            if begun {
                seen.begun.insert("s4".into());
            }
            for (serial, (service, number, phase, age, restarts)) in (1..).zip(replicas) {
                let started_at = Instant(at.0 - age * 10_000);
                let id = ReplicaId::new(format!("s{service}"), serial);
                let ready_since = (phase == Phase::Ready).then_some(started_at);
                seen.replicas.push(ReplicaSeen {
                    id,
                    revision: revision(number),
                    phase,
                    ready_since,
                    started_at,
                    restarts,
                });
            }
            let ordered = seen.replicas.iter().take(usize::from(stops % 4)).map(|one| one.id.clone());
            seen.ordered = ordered.map(|replica| Ordered::Stop { replica }).collect();
            (wanted, seen)
        })
}

fn service(size: u32, uses: &[&str]) -> ServiceWanted {
    ServiceWanted {
        sets: vec![set(1, size)],
        uses: uses.iter().map(|name| (*name).to_owned()).collect(),
        min_ready: Millis(0),
    }
}

fn replica(service: &str, serial: u64, phase: Phase) -> ReplicaSeen {
    let (started_at, ready_since) = (Instant(0), (phase == Phase::Ready).then_some(Instant(0)));
    ReplicaSeen {
        id: ReplicaId::new(service, serial),
        revision: revision(1),
        phase,
        ready_since,
        started_at,
        restarts: 0,
    }
}

fn starts(wanted: &Wanted, seen: &Seen) -> Vec<String> {
    let decision = decide(wanted, seen);
    let name = |act: &Act| match act {
        Act::Start { service, .. } => Some(service.clone()),
        Act::Stop { .. } => None,
    };
    decision.acts.iter().filter_map(name).collect()
}

#[test]
fn a_first_start_waits_for_what_it_uses_and_later_ones_do_not() {
    let services =
        [("a", service(1, &["db"])), ("b", service(1, &["a"])), ("c", service(0, &[])), ("d", service(1, &["c"]))];
    let wanted = Wanted { services: services.map(|(name, service)| (name.to_owned(), service)).into() };
    let mut seen = Seen { at: Instant(5_000_000), ..Seen::default() };
    assert_eq!(starts(&wanted, &seen), ["d"], "nobody waits for a service of which nothing is wanted");
    let waiting = decide(&wanted, &seen).waiting;
    assert_eq!(
        waiting.iter().map(|one| (one.service.as_str(), one.on.clone())).collect::<Vec<_>>(),
        [("a", vec!["db".to_owned()]), ("b", vec!["a".to_owned()])]
    );
    seen.stores.insert("db".into(), true);
    assert_eq!(starts(&wanted, &seen), ["a", "d"]);
    seen.replicas = vec![replica("a", 1, Phase::Starting), replica("d", 1, Phase::Starting)];
    assert_eq!(starts(&wanted, &seen), [""; 0]);
    seen.replicas[0] = replica("a", 1, Phase::Ready);
    assert_eq!(starts(&wanted, &seen), ["b"]);
    // Once begun, nothing that it uses holds it back.
    seen.replicas = vec![];
    seen.stores.insert("db".into(), false);
    seen.begun = ["a", "b", "d"].map(str::to_owned).into();
    assert_eq!(starts(&wanted, &seen), ["a", "b", "d"]);
}

#[test]
fn a_start_waits_until_the_used_one_is_available_and_says_when_to_ask() {
    let mut wanted = Wanted { services: [("a".into(), service(1, &[])), ("b".into(), service(1, &["a"]))].into() };
    wanted.services.get_mut("a").unwrap().min_ready = Millis(8_000);
    let mut seen = Seen { at: Instant(5_000_000), replicas: vec![replica("a", 1, Phase::Ready)], ..Seen::default() };
    let decision = decide(&wanted, &seen);
    assert_eq!((decision.acts, decision.again_at), (vec![], Some(Instant(8_000_000))));
    seen.at = Instant(8_000_000);
    assert_eq!(starts(&wanted, &seen), ["b"]);
}

#[test]
fn users_stop_before_what_they_use() {
    let gone = |uses: &[&str]| ServiceWanted { sets: vec![], ..service(0, uses) };
    let services = [("a", gone(&[])), ("b", gone(&["a"])), ("c", gone(&["b"])), ("x", gone(&[]))];
    let wanted = Wanted { services: services.map(|(name, service)| (name.to_owned(), service)).into() };
    let mut seen = Seen { at: Instant(1), ..Seen::default() };
    seen.replicas = ["a", "b", "c", "x"].map(|name| replica(name, 1, Phase::Ready)).into();
    let mut order = vec![];
    while !seen.replicas.is_empty() {
        let stops = decide(&wanted, &seen).acts;
        let ids: BTreeSet<String> = stops
            .iter()
            .map(|act| match act {
                Act::Stop { replica, .. } => replica.to_string(),
                Act::Start { .. } => unreachable!("nothing is wanted"),
            })
            .collect();
        // While one is being stopped, what it uses stays.
        for one in &mut seen.replicas {
            one.phase = if ids.contains(&one.id.to_string()) { Phase::Stopping } else { one.phase };
        }
        assert_eq!(decide(&wanted, &seen).acts, vec![]);
        seen.replicas.retain(|one| one.phase != Phase::Stopping);
        order.push(ids.into_iter().collect::<Vec<_>>());
    }
    assert_eq!(order, [vec!["c-1", "x-1"], vec!["b-1"], vec!["a-1"]]);
}

#[test]
fn replicas_go_in_the_order_of_a_replica_set() {
    let at = Instant(1_000_000_000_000);
    let aged = |serial, phase, ready_s: u64, restarts, age_s: u64| ReplicaSeen {
        ready_since: (phase == Phase::Ready).then_some(Instant(at.0 - ready_s * 1_000_000)),
        started_at: Instant(at.0 - age_s * 1_000_000),
        restarts,
        ..replica("a", serial, phase)
    };
    let mut replicas = vec![
        aged(1, Phase::Done, 0, 0, 1000),
        aged(2, Phase::BackOff, 0, 9, 1000),
        aged(3, Phase::Starting, 0, 0, 10),
        aged(4, Phase::Unready, 0, 0, 1000),
        aged(5, Phase::Ready, 100, 0, 5000),
        aged(6, Phase::Ready, 4000, 7, 5000),
        aged(8, Phase::Ready, 4100, 2, 5000),
        aged(7, Phase::Ready, 4050, 2, 5000),
    ];
    let expected: Vec<u64> = vec![1, 2, 3, 4, 5, 6, 8, 7];
    let mut gone = vec![];
    while !replicas.is_empty() {
        replicas.reverse();
        let left = u32::try_from(replicas.len()).unwrap() - 1;
        let wanted = Wanted { services: [("a".into(), service(left, &[]))].into() };
        let seen = Seen { at, replicas: replicas.clone(), ..Seen::default() };
        let acts = decide(&wanted, &seen).acts;
        let [Act::Stop { replica, .. }] = acts.as_slice() else { panic!("one stop, not {acts:?}") };
        gone.push(replica.serial);
        replicas.retain(|one| one.id != *replica);
    }
    assert_eq!(gone, expected);
}

#[test]
fn a_service_scaled_to_nothing_is_still_wanted() {
    check_sets(quarter(0), 1, &[(1, 4)], &[(1, 0)]);
    let none = Sets { sets: vec![set(1, 0)], laid_for: 0, ..Sets::default() };
    assert_eq!(rolling::sets(&quarter(6), &revision(1), &none, &[], Instant(9)).sets, [set(1, 6)]);
    let wanted = Wanted { services: [("a".to_owned(), service(0, &[]))].into() };
    let seen = Seen { replicas: vec![replica("a", 1, Phase::Ready)], ..Seen::default() };
    let acts = decide(&wanted, &seen).acts;
    assert!(matches!(&acts[..], [Act::Stop { reason, .. }] if reason == "0 of revision r1 wanted, 1 are there"));
}

#[test]
fn recreate_waits_for_the_last_old_process() {
    let policy = quarter(2);
    let former = Sets { sets: vec![set(1, 2)], laid_for: 2, ..Sets::default() };
    let mut replicas = vec![replica("a", 1, Phase::Ready), replica("a", 2, Phase::Ready)];
    let look =
        |former: &Sets, replicas: &[ReplicaSeen]| recreate::sets(&policy, &revision(2), former, replicas, Instant(9));
    let first = look(&former, &replicas);
    assert_eq!((first.sets.as_slice(), first.complete), ([set(2, 0)].as_slice(), false));
    replicas.pop();
    replicas[0].phase = Phase::Stopping;
    assert_eq!(look(&first, &replicas).sets, [set(2, 0)]);
    assert_eq!(look(&first, &[]).sets, [set(2, 2)]);
}
