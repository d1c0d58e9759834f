//! Laws of `failover`: at most one primary, nothing acknowledged lost that may not be, and it always comes to rest, whoever
//! dies and whenever, the engine included.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "laws_failover/world.rs"]
mod world;

use plimsoll_control::failover::{
    ALONE_AFTER, Act, Decision, FORM_MAX, HAND_OVER_MAX, HANG_AFTER, HOLD_MAX, LOOK_EVERY, PROMOTE_MAX, REPLAY_MAX,
    Stage, What, lsn,
};
use plimsoll_model::Millis;
use proptest::{prelude::*, test_runner::RngSeed};
use world::World;

/// What happens to a store.
#[derive(Debug, Clone)]
enum Fault {
    Kill(usize),
    Hang(usize),
    Thaw(usize),
    /// It can't be started any more, or again.
    Break(usize, bool),
    /// Another one is asked for.
    Ask(usize),
    Write(Vec<bool>),
    /// So many turns, so long apart.
    Turns(u8, u64),
    /// A turn at which the engine dies before that act.
    Die(usize),
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![
        2 => (0..3usize).prop_map(Fault::Kill),
        1 => (0..3usize).prop_map(Fault::Hang),
        1 => (0..3usize).prop_map(Fault::Thaw),
        1 => (0..3usize, any::<bool>()).prop_map(|(place, broken)| Fault::Break(place, broken)),
        1 => (0..3usize).prop_map(Fault::Ask),
        4 => prop::collection::vec(any::<bool>(), 3).prop_map(Fault::Write),
        5 => (1..6u8, prop_oneof![Just(10u64), Just(500), Just(15_000), Just(40_000)]).prop_map(|(n, ms)| Fault::Turns(n, ms)),
        2 => (0..3usize).prop_map(Fault::Die),
    ];
    prop::collection::vec(fault, 0..60)
}

fn play(world: &mut World, faults: &[Fault]) {
    let members = world.servers.len();
    for fault in faults {
        match fault {
            Fault::Kill(place) => world.kill(place % members),
            Fault::Hang(place) => world.servers[place % members].hangs = world.servers[place % members].runs,
            Fault::Thaw(place) => world.servers[place % members].hangs = false,
            Fault::Break(place, broken) => world.servers[place % members].broken = *broken,
            Fault::Ask(place) => world.asked = Some(place % members),
            Fault::Write(reach) => world.write(reach),
            Fault::Turns(count, apart) => {
                for _ in 0..*count {
                    world.turn(None);
                    world.now = world.now.after(Millis(*apart));
                }
            }
            Fault::Die(at) => drop(world.turn(Some(*at))),
        }
        world.check();
    }
    for server in &mut world.servers {
        (server.hangs, server.broken) = (false, false);
    }
}

fn told(decision: &Decision) -> Vec<What> {
    decision.events.iter().map(|event| event.what).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn there_is_one_primary_nothing_is_lost_and_it_comes_to_rest(
        members in 2..4usize, synchronous: bool, strict: bool, promised: bool, faults in faults()
    ) {
        let promised = (promised && !synchronous).then_some(Millis::from_secs(60));
        let mut world = World::new(members, synchronous, promised);
        world.policy.strict = strict;
        world.settle();
        play(&mut world, &faults);
        world.settle();
    }
}

fn settled(members: usize, synchronous: bool, promised: Option<Millis>) -> World {
    let mut world = World::new(members, synchronous, promised);
    world.settle();
    world
}

#[test]
fn the_one_with_the_most_takes_over_and_the_former_primary_is_rewound() {
    let mut world = settled(3, true, None);
    world.write(&[true, false, true]);
    world.kill(0);
    let decision = world.turn(None);
    assert_eq!(decision.acts, [Act::Promote { member: 2 }]);
    assert!(decision.reason.contains("nothing acknowledged is lost"), "{}", decision.reason);
    assert_eq!(
        (decision.leads_to, world.memory.stage, world.memory.epoch),
        (None, Stage::Promoting { to: 2, since: world.now }, 2)
    );
    let promoted = world.turn(None);
    assert_eq!((promoted.leads_to, world.memory.primary, world.memory.stage), (Some(2), 2, Stage::Steady));
    world.settle();
}

#[test]
fn a_primary_that_hangs_is_killed_before_anybody_is_promoted() {
    let mut world = settled(2, true, None);
    world.servers[0].hangs = true;
    assert_eq!(world.turn(None).acts, []);
    world.now = world.now.after(HANG_AFTER);
    assert_eq!(world.turn(None).acts, [Act::Fence { member: 0 }]);
    assert_eq!(world.turn(None).acts, [Act::Alone { member: 1 }, Act::Promote { member: 1 }]);
}

#[test]
fn what_would_lose_more_than_is_promised_is_refused_with_its_bytes() {
    let mut world = settled(2, false, Some(Millis::from_secs(5)));
    world.now = world.now.after(Millis::from_secs(60));
    world.write(&[true, false]);
    world.write(&[true, false]);
    world.kill(0);
    world.now = world.now.after(Millis::from_secs(1));
    let decision = world.turn(None);
    assert!(decision.reason.contains("lacks 2 bytes"), "{}", decision.reason);
    assert!(decision.reason.contains("more than the promised recovery point of 5s"), "{}", decision.reason);
    assert_eq!(told(&decision), [What::Refused]);
    world.settle();
    assert_eq!((world.memory.primary, world.memory.epoch), (0, 1), "it was started again where it was");
}

#[test]
fn an_unasked_standby_may_have_what_was_acknowledged() {
    let mut world = settled(3, true, None);
    world.kill(2);
    world.kill(0);
    let decision = world.turn(None);
    assert!(decision.reason.contains("member 3 can't be asked"), "{}", decision.reason);
    world.settle();
    assert_eq!(world.memory.primary, 0);
}

#[test]
fn without_a_standby_the_primary_is_started_again() {
    let mut world = settled(2, false, None);
    world.kill(1);
    world.kill(0);
    world.settle();
    assert_eq!((world.memory.primary, world.memory.epoch), (0, 1));
}

#[test]
fn a_person_has_another_one_take_over_and_nothing_is_lost() {
    let mut world = settled(2, false, None);
    world.write(&[true, false]);
    world.asked = Some(1);
    let decision = world.turn(None);
    assert_eq!(decision.acts, [Act::Stop { member: 0 }]);
    world.settle();
    assert_eq!(world.memory.primary, 1);
}

#[test]
fn a_primary_that_hangs_while_it_hands_over_is_killed() {
    let mut world = settled(2, true, None);
    world.asked = Some(1);
    world.servers[0].stays = true;
    assert_eq!(told(&world.turn(None)), [What::Switchover]);
    world.now = world.now.after(HAND_OVER_MAX);
    assert_eq!(world.turn(None).acts, [Act::Fence { member: 0 }]);
    world.settle();
    assert_eq!(world.memory.primary, 1);
}

#[test]
fn a_wish_that_can_not_be_decided_about_is_refused_in_words() {
    let mut world = settled(2, true, None);
    world.asked = Some(0);
    let decision = world.turn(None);
    assert_eq!(told(&decision), [What::Refused]);
    assert!(decision.reason.contains("member 1 is the primary"), "{}", decision.reason);
    world.kill(0);
    world.asked = Some(1);
    assert_eq!(told(&world.turn(None)), [What::Failover, What::Asynchronous, What::Refused]);
    world.settle();
}

#[test]
fn one_that_can_not_become_the_primary_is_given_up_where_the_former_one_has_its_data() {
    let mut world = settled(2, true, None);
    world.write(&[true, true]);
    world.kill(0);
    assert_eq!(world.turn(None).acts, [Act::Alone { member: 1 }, Act::Promote { member: 1 }]);
    // It was made one, but ended before it said so, and can't be started again.
    world.kill(1);
    world.servers[1].broken = true;
    assert_eq!(world.turn(None).acts, []);
    world.now = world.now.after(PROMOTE_MAX);
    assert_eq!(told(&world.turn(None)), [What::GivenUp]);
    world.settle();
    assert_eq!(world.memory.primary, 0);
    world.servers[1].broken = false;
    world.settle();
}

#[test]
fn one_that_runs_and_never_becomes_the_primary_is_killed_and_given_up() {
    let mut world = settled(2, true, None);
    world.servers[1].paused = Some(0);
    world.kill(0);
    world.turn(None);
    world.now = world.now.after(PROMOTE_MAX);
    assert_eq!(world.turn(None).acts, [Act::Promote { member: 1 }], "it may have much to replay");
    world.now = world.now.after(REPLAY_MAX);
    assert_eq!(world.turn(None).acts, [Act::Fence { member: 1 }]);
    assert_eq!(told(&world.turn(None)), [What::GivenUp]);
    world.settle();
    assert_eq!(world.memory.primary, 0);
}

#[test]
fn of_equals_the_one_whose_replay_goes_on_takes_over() {
    let mut world = settled(3, true, None);
    world.write(&[]);
    world.servers[1].paused = Some(0);
    world.kill(0);
    assert_eq!(world.turn(None).acts, [Act::Promote { member: 2 }]);
    world.settle();
}

#[test]
fn whoever_comes_waits_before_the_primary_is_ended() {
    let mut world = settled(2, true, None);
    (world.asked, world.held) = (Some(1), false);
    let decision = world.turn(None);
    assert_eq!((decision.acts.as_slice(), decision.leads_to), ([].as_slice(), None));
    world.held = true;
    assert_eq!(world.turn(None).acts, [Act::Stop { member: 0 }]);
    world.settle();
    (world.asked, world.held) = (Some(0), false);
    world.turn(None);
    world.now = world.now.after(HOLD_MAX);
    assert_eq!(world.turn(None).acts, [Act::Stop { member: 1 }], "a gateway that says nothing is not waited for");
    world.settle();
}

#[test]
fn whoever_served_reads_goes_on_under_the_next_engine() {
    let mut world = settled(3, false, None);
    world.write(&[true, false, true]);
    assert_eq!(world.turn(None).reads, [1, 2]);
    world.turn(Some(0));
    world.now = world.now.after(LOOK_EVERY);
    world.write(&[true, false, true]);
    assert_eq!(world.turn(None).reads, [1, 2], "nothing is known yet of how far they are behind");
}

#[test]
fn a_standby_that_lags_by_less_than_a_look_gets_its_reads_back() {
    let mut world = settled(2, false, None);
    world.write(&[true, false]);
    world.now = world.now.after(Millis::from_secs(3));
    assert_eq!(world.turn(None).reads, [] as [usize; 0], "it is far behind");
    // From now on it lacks at each look what was written since the one before.
    world.write(&[]);
    world.turn(None);
    world.write(&[true, false]);
    world.now = world.now.after(LOOK_EVERY).after(Millis(100));
    assert_eq!(world.turn(None).reads, [1]);
}

#[test]
fn what_waits_for_a_person_does_not_ask_without_pause() {
    let mut world = settled(3, true, None);
    world.kill(2);
    world.kill(0);
    world.servers[2].broken = true;
    world.servers[0].log = None;
    let decision = world.turn(None);
    assert_eq!(told(&decision), [What::Refused]);
    assert_eq!(decision.again_at, world.now.after(LOOK_EVERY));
}

#[test]
fn all_that_happens_in_a_turn_is_told() {
    let mut world = settled(3, true, None);
    world.kill(1);
    world.kill(2);
    (world.servers[1].log, world.servers[2].log) = (None, None);
    let decision = world.turn(None);
    assert_eq!(told(&decision), [What::Copying, What::Copying]);
    assert!(decision.stalls, "commits wait, and nobody follows");
}

#[test]
fn positions_are_written_as_postgresql_does() {
    assert_eq!(lsn(0x0300_0148), "0/3000148");
    assert_eq!(lsn(0x16_B374_D848), "16/B374D848");
}

/// The number of a write that the primary takes now, and whether it is acknowledged.
fn writes(world: &mut World, reach: &[bool]) -> bool {
    let before = world.acknowledged.len();
    world.write(reach);
    world.acknowledged.len() > before
}

#[test]
fn a_new_primary_without_a_standby_takes_writes_at_once_and_waits_again_when_one_has_everything() {
    let mut world = settled(2, true, None);
    world.kill(0);
    world.servers[0].broken = true;
    let decision = world.turn(None);
    assert_eq!(decision.acts, [Act::Alone { member: 1 }, Act::Promote { member: 1 }]);
    assert_eq!(told(&decision), [What::Failover, What::Asynchronous]);
    let serves = world.turn(None);
    assert!(serves.alone && !serves.stalls, "{serves:?}");
    assert!(writes(&mut world, &[]), "on one copy, but acknowledged");

    world.servers[0].broken = false;
    world.settle();
    assert_eq!((world.memory.primary, world.memory.alone), (1, None));
    assert!(world.servers[1].waits);
    assert!(!writes(&mut world, &[false, false]), "what no standby has is not acknowledged again");
}

#[test]
fn who_wants_no_write_rather_than_one_copy_gets_none() {
    let mut world = settled(2, true, None);
    world.policy.strict = true;
    world.kill(0);
    world.servers[0].broken = true;
    assert_eq!(world.turn(None).acts, [Act::Promote { member: 1 }]);
    for _ in 0..10 {
        let decision = world.turn(None);
        assert!(decision.stalls && !decision.alone, "{decision:?}");
        world.now = world.now.after(FORM_MAX);
    }
    assert!(!writes(&mut world, &[]));
}

#[test]
fn a_standby_that_lacks_what_one_copy_has_does_not_take_over() {
    let mut world = settled(2, true, None);
    world.kill(1);
    world.servers[1].broken = true;
    world.turn(None);
    world.now = world.now.after(ALONE_AFTER);
    let decision = world.turn(None);
    assert_eq!(
        (decision.acts.as_slice(), told(&decision)),
        ([Act::Alone { member: 0 }].as_slice(), vec![What::Asynchronous])
    );
    assert!(writes(&mut world, &[]));
    // It is back, but has not got that yet, when the only one that has it dies.
    world.servers[1].broken = false;
    world.turn(None);
    world.kill(0);
    let decision = world.turn(None);
    assert_eq!(told(&decision), [What::Refused]);
    assert!(
        decision.reason.contains("lacks 1 bytes") && decision.reason.contains("may have been acknowledged"),
        "{}",
        decision.reason
    );
    world.settle();
    assert_eq!((world.memory.primary, world.memory.alone), (0, None));
}

#[test]
fn a_standby_that_is_back_in_time_changes_nothing() {
    let mut world = settled(2, true, None);
    world.kill(1);
    world.turn(None);
    world.now = world.now.after(Millis(500));
    let decision = world.turn(None);
    assert!(decision.events.iter().all(|event| event.what != What::Asynchronous), "{decision:?}");
    assert_eq!(world.memory.alone, None);
}

#[test]
fn a_store_that_begins_has_time_to_make_its_copies() {
    let mut world = World::new(2, true, None);
    world.servers[1].broken = true;
    world.turn(None);
    world.turn(None);
    world.now = world.now.after(ALONE_AFTER);
    assert!(world.turn(None).stalls);
    world.now = world.now.after(FORM_MAX);
    assert_eq!(told(&world.turn(None)), [What::Asynchronous]);
}
