//! Laws of a request's passage: what is shed, what waits, and what is tried again, over many imagined courses.

use super::{
    Admission, Again, Failed, Hold, Replica, admission, admit,
    again::{self, TRIED_MAX, again},
    budget, hold,
    pick::pick,
};
use plimsoll_model::{
    Millis,
    route::{Limits, Resilience},
};
use proptest::{collection::vec, prelude::*};

fn failed() -> impl Strategy<Value = Failed> {
    prop_oneof![
        Just(Failed::Unsent),
        Just(Failed::Broken),
        Just(Failed::Failing),
        Just(Failed::Late),
        Just(Failed::Elsewhere)
    ]
}

/// One request sent on until it may not be tried again: the replicas it was tried on, how often it was sent, and how many
/// retries it took from the allowance. `ends`: how each try ends, in turn.
fn course(
    policy: &Resilience,
    (replicas, ends): (&[Replica], &[Failed]),
    (repeatable, whole): (bool, bool),
    left: &mut u64,
) -> (Vec<usize>, u32, u64) {
    let (mut tried, mut sent, mut taken) = (Vec::new(), 0, 0);
    for (turn, failed) in ends.iter().enumerate() {
        let Some(place) = pick(replicas, &tried, super::version::mixed(turn as u64)) else { break };
        tried.push(place);
        sent += u32::from(*failed != Failed::Unsent);
        let other = pick(replicas, &tried, 0).is_some();
        let seen = again::Seen { failed: *failed, tried: tried.len(), sent, repeatable, whole, other };
        match again(policy, &seen) {
            Again::No => break,
            Again::Free => {}
            Again::Allowed => match budget::take(*left) {
                None => break,
                Some(rest) => (*left, taken) = (rest, taken + 1),
            },
        }
    }
    (tried, sent, taken)
}

proptest! {
    #[test]
    fn bounds_amplification_is_never_beyond_the_budget(
        seconds in vec(0u64..400, 1..6), percent in 0u8..=100, floor in 0u16..30, tries_max in 1u8..6,
    ) {
        // All replicas fail, always: whatever is sent is sent again, as often as it may.
        let policy = Resilience { retry_percent: percent, retry_floor: floor, tries_max, ..Resilience::default() };
        let replicas = [Replica { weight: 1000, share: 1000, open: true, ..Replica::default() }; 5];
        let mut left = budget::start(&policy);
        let (mut before, mut all) = (0, (0, 0));
        for requests in seconds {
            let (mut sent_in_all, mut retries) = (0, 0);
            for tenth in 0..10 {
                let now = requests * (tenth + 1) / 10 - requests * tenth / 10;
                for _ in 0..now {
                    let (_, sent, taken) = course(&policy, (&replicas, &[Failed::Broken; 8]), (true, true), &mut left);
                    sent_in_all += u64::from(sent);
                    retries += taken;
                }
                left = budget::refill(&policy, budget::Seen { left, requests: now, elapsed: Millis(100) });
            }
            prop_assert_eq!(sent_in_all, requests + retries, "what is sent again is taken from the allowance");
            // What a second earns is a share of its requests; what is left over is from the second before it.
            let most = (requests + before) * u64::from(percent) / 100 + 2 * u64::from(floor) + 1;
            prop_assert!(retries <= most, "{retries} of {requests} after {before}");
            before = requests;
            all = (all.0 + requests, all.1 + retries);
        }
        // What is asked for in the last tenth of a second earns nothing any more.
        prop_assert!(all.1 <= all.0 * u64::from(percent) / 100 + 6 * u64::from(floor) + 6, "{all:?}");
    }

    #[test]
    fn safety_no_replica_is_tried_twice_and_nothing_is_done_twice_that_must_not(
        open in vec(any::<bool>(), 0..12), ends in vec(failed(), 0..20), tries_max in 1u8..10,
        repeatable: bool, whole: bool,
    ) {
        let policy = Resilience { tries_max, ..Resilience::default() };
        let replica = |open: &bool| Replica { weight: 1000, share: 1000, open: *open, ..Replica::default() };
        let replicas: Vec<Replica> = open.iter().map(replica).collect();
        let mut left = 100 * budget::MILLI;
        let (tried, sent, _) = course(&policy, (&replicas, &ends), (repeatable, whole), &mut left);
        let mut once = tried.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), tried.len(), "{:?}", tried);
        prop_assert!(tried.iter().all(|place| replicas[*place].open));
        prop_assert!(tried.len() <= TRIED_MAX);
        prop_assert!(sent <= u32::from(tries_max));
        prop_assert!(repeatable || sent <= 1, "sent {sent} times");
        prop_assert!(whole || repeatable || tried.len() <= 1, "its body was gone");
    }

    #[test]
    fn safety_nothing_is_shed_while_there_is_room(in_flight_max in 0u32..5000, open in 0u32..100, in_flight: u32) {
        let limits = Limits { in_flight_max, ..Limits::default() };
        let has_room = u64::from(in_flight) < admission::room(&limits, open);
        let said = admit(&limits, open, in_flight);
        prop_assert_eq!(said == Admission::Choose, has_room);
        prop_assert_eq!(said == Admission::Nobody, open == 0);
        // One replica more, or one request less, is never worse.
        if said == Admission::Choose {
            prop_assert_eq!(admit(&limits, open + 1, in_flight), said);
            prop_assert_eq!(admit(&limits, open, in_flight.saturating_sub(1)), said);
        }
    }

    #[test]
    fn bounds_what_is_held_is_answered_or_refused_within_the_hold(
        hold_ms in 0u64..20_000, held_max in 0u32..50, due in proptest::option::of(0u64..30_000),
        wakes in vec((0u64..5_000, 0u32..60), 0..40),
    ) {
        let limits = Limits { hold: Millis(hold_ms), held_max, ..Limits::default() };
        let mut waited = 0;
        let mut over = false;
        for (wake_after, held) in wakes {
            let left = due.map(|due: u64| Millis(due.saturating_sub(waited)));
            match hold::hold(&limits, &hold::Seen { held, waited: Millis(waited), left }) {
                Hold::For(most) => {
                    prop_assert!(!over && held < held_max && most.0 > 0);
                    // Woken for nothing, or by the end of its time.
                    waited += wake_after.min(most.0);
                }
                Hold::Full => prop_assert!(held >= held_max),
                Hold::Over => over = true,
            }
            prop_assert!(waited <= hold_ms && due.is_none_or(|due| waited <= due), "waited {waited}");
        }
    }
}
