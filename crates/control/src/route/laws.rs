//! Laws of routing, tried on many imagined services.

use super::{
    Among, budget, limit,
    pick::Replica,
    pick::pick,
    version::{self, Asked, Version, mixed, pick_of, version},
    weigh,
};
use plimsoll_model::{
    Instant, Millis, Ratio, ReplicaId, RevisionId,
    audience::{Audience, Canary, Match, Stickiness},
    route::{LimitBy, RateLimit, Resilience},
};
use proptest::prelude::*;

fn replica() -> impl Strategy<Value = Replica> {
    (0u16..=1000, 0u16..=1000, 0u32..50, 0u32..100_000, any::<bool>()).prop_map(
        |(weight, share, in_flight, latency_us, open)| Replica {
            weight,
            share,
            in_flight,
            latency_us,
            open,
            canary: weight % 2 == 0,
        },
    )
}

fn alike() -> impl Strategy<Value = Replica> {
    (0u32..50, 0u32..100_000, any::<bool>()).prop_map(|(in_flight, latency_us, open)| Replica {
        weight: 700,
        share: 300,
        in_flight,
        latency_us,
        open,
        canary: false,
    })
}

fn seen_replica(serial: u64) -> impl Strategy<Value = weigh::SeenReplica> {
    (any::<bool>(), any::<bool>(), 0u16..=1000, 0u32..12, 0u64..100, 0u32..100_000).prop_map(
        move |(serving, gone, weight, failures, answers, latency_us)| weigh::SeenReplica {
            id: ReplicaId::new("web", serial),
            start: 1,
            serving,
            gone,
            weight,
            failures,
            answers,
            latency_us,
        },
    )
}

fn seen() -> impl Strategy<Value = Vec<weigh::SeenReplica>> {
    (seen_replica(1), seen_replica(2), seen_replica(3), seen_replica(4), 0usize..=4).prop_map(|(a, b, c, d, count)| {
        let mut all = vec![a, b, c, d];
        all.truncate(count);
        all
    })
}

fn sticky(share: u64) -> Canary {
    let stickiness = Some(Stickiness::Header("x-user".into()));
    let audience = Audience { stickiness, ..Audience::default() };
    Canary { revision: RevisionId("new".into()), share: Ratio(share), audience }
}

/// A number after another one, as good as drawn.
fn next(number: u64) -> u64 {
    mixed(number.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

proptest! {
    #[test]
    fn safety_a_client_keeps_its_version_while_shares_grow(
        mut shares in proptest::collection::vec(0u64..=1_000_000, 1..8), salt: u64, key: u64,
    ) {
        shares.sort_unstable();
        let asked = Asked { matches: false, key: Some(key) };
        let versions: Vec<Version> = shares.iter().map(|share| version(&sticky(*share), salt, asked)).collect();
        let turn = versions.iter().position(|one| *one == Version::Canary).unwrap_or(versions.len());
        prop_assert!(versions[..turn].iter().all(|one| *one == Version::Stable), "{versions:?}");
        prop_assert!(versions[turn..].iter().all(|one| *one == Version::Canary), "{versions:?}");
    }

    #[test]
    fn bounds_so_many_clients_see_a_canary_as_its_share_says(share in 0u64..=1_000_000, salt: u64, first: u64) {
        // Keys that follow each other, as those of people who are numbered.
        let keys = (0..20_000).map(|n| first.wrapping_add(n));
        let is_canarys = |key: &u64| {
            version(&sticky(share), salt, Asked { matches: false, key: Some(*key) }) == Version::Canary
        };
        let got = keys.filter(is_canarys).count() as u64 * 50;
        // Five deviations of as many draws.
        prop_assert!(got.abs_diff(share) < 18_000, "{got} instead of {share}");
    }

    #[test]
    fn safety_another_release_tries_itself_on_others(salt: u64, other: u64, first: u64) {
        prop_assume!(salt != other);
        let seen_by = |salt| (0..2000).map(|n| Asked { matches: false, key: Some(first.wrapping_add(n)) })
            .map(|asked| version(&sticky(500_000), salt, asked) == Version::Canary).collect::<Vec<_>>();
        let both = seen_by(salt).into_iter().zip(seen_by(other)).filter(|(one, other)| *one && *other).count();
        prop_assert!((350..650).contains(&both), "{both} of 2000 are tried again");
    }

    #[test]
    fn safety_what_matches_gets_the_canary_while_it_has_a_replica(
        replicas in proptest::collection::vec(replica(), 0..8),
        tried in proptest::collection::vec(0usize..8, 0..4),
        matches: bool, draw: u64,
    ) {
        let audience = Audience { matches: Some(Match::default()), ..Audience::default() };
        let canary = Canary { audience, ..sticky(500_000) };
        let version = version(&canary, 0, Asked { matches, key: Some(draw) });
        let may = |at: usize| replicas[at].open && !tried.contains(&at);
        let among = &replicas;
        let of = |canary: bool| (0..among.len()).filter(move |at| among[*at].canary == canary);
        let picked = pick_of(version, &replicas, &tried, draw);
        prop_assert!(picked.is_none_or(may));
        if matches {
            prop_assert_eq!(picked.is_none(), !(0..replicas.len()).any(may), "it falls back, and fails only if all do");
            prop_assert!(picked.is_none_or(|at| replicas[at].canary || !of(true).any(may)));
        } else {
            prop_assert!(picked.is_none_or(|at| !replicas[at].canary || !of(false).any(|at| replicas[at].open)));
        }
    }

    #[test]
    fn bounds_copies_are_as_many_as_asked_for_and_never_beyond_their_bound(
        mirror in 0u64..=1_000_000, in_flight in 0u32..64, seed: u64,
    ) {
        let audience = Audience { mirror: Ratio(mirror), ..Audience::default() };
        let canary = Canary { audience, ..sticky(0) };
        let (mut draw, mut copies) = (seed, 0u64);
        for _ in 0..20_000 {
            draw = next(draw);
            let said = version::copy(&canary, in_flight, draw);
            prop_assert!(said != version::Copy::Send || in_flight < version::COPIES_MAX);
            copies += u64::from(said != version::Copy::No);
        }
        prop_assert!((copies * 50).abs_diff(mirror) < 18_000, "{copies} of 20000");
    }

    #[test]
    fn bounds_only_an_untried_open_replica_is_picked(
        replicas in proptest::collection::vec(replica(), 0..8),
        tried in proptest::collection::vec(0usize..8, 0..4),
        draw: u64,
    ) {
        let may = |at: usize| replicas[at].open && replicas[at].share > 0 && !tried.contains(&at);
        match pick(&replicas, &tried, draw) {
            Some(at) => prop_assert!(may(at)),
            None => prop_assert!((0..replicas.len()).all(|at| !may(at)), "one could be picked"),
        }
    }

    #[test]
    fn idempotence_a_look_before_the_choice_changes_nothing(
        replicas in proptest::collection::vec(prop_oneof![replica(), alike()], 0..8),
        few in proptest::collection::vec(alike(), 0..8),
        tried in proptest::collection::vec(0usize..8, 0..3),
        draw: u64,
    ) {
        for replicas in [replicas, few] {
            let mut among = Among::default();
            among.look(&replicas);
            prop_assert_eq!(among.open() as usize, replicas.iter().filter(|one| one.open).count());
            for tried in [&tried[..], &[]] {
                prop_assert_eq!(among.pick(&replicas, tried, draw), pick(&replicas, tried, draw));
            }
        }
    }

    #[test]
    fn convergence_equal_replicas_get_equal_counts(count in 1usize..6, seed: u64) {
        let replicas = vec![Replica { weight: 1000, share: 1000, open: true, ..Replica::default() }; count];
        let mut got = vec![0u32; count];
        let mut draw = seed;
        for _ in 0..4000 {
            draw = next(draw);
            if let Some(at) = pick(&replicas, &[], draw) {
                got[at] += 1;
            }
        }
        let fair = 4000 / u32::try_from(count).unwrap();
        prop_assert!(got.iter().all(|n| n.abs_diff(fair) < 250), "{got:?}");
    }

    #[test]
    fn convergence_shares_between_weights_hold(weight in 50u16..950, busy in 0u32..100, seed: u64) {
        let small = Replica { weight, share: weight, open: true, ..Replica::default() };
        let large = Replica { weight: 1000, share: 1000, in_flight: busy, open: true, ..Replica::default() };
        let mut draw = seed;
        let mut got = 0u32;
        for _ in 0..4000 {
            draw = next(draw);
            got += u32::from(pick(&[small, large], &[], draw) == Some(0));
        }
        let fair = 4000 * u32::from(weight) / (1000 + u32::from(weight));
        prop_assert!(got.abs_diff(fair) < 200, "{got} instead of {fair}");
    }

    #[test]
    fn safety_at_least_half_of_the_living_are_never_ejected(
        editions in proptest::collection::vec((seen(), 0u64..20_000), 1..12),
    ) {
        let mut memory = weigh::Memory::default();
        let mut at = 1_000_000;
        for (replicas, wait_ms) in editions {
            at += wait_ms * 1000;
            let seen = weigh::Seen { at: Instant(at), replicas };
            let weighed = weigh::weigh(&Resilience::default(), &mut memory, &seen);
            let alive = seen.replicas.iter().filter(|one| one.serving && !one.gone).count();
            let ejected = weighed.iter().filter(|one| matches!(one.standing, weigh::Standing::Ejected { .. })).count();
            prop_assert!(ejected <= alive / 2, "{ejected} of {alive}");
            for (one, got) in seen.replicas.iter().zip(&weighed) {
                let closed = !one.serving || one.gone || one.weight == 0;
                let out = closed || matches!(got.standing, weigh::Standing::Ejected { .. });
                prop_assert_eq!(got.share == 0, out);
                prop_assert!(got.share <= one.weight);
            }
        }
    }

    #[test]
    fn idempotence_asking_again_changes_nothing(
        first in seen(), then in seen(), wait_ms in 0u64..20_000,
    ) {
        let mut memory = weigh::Memory::default();
        let policy = Resilience::default();
        let _ = weigh::weigh(&policy, &mut memory, &weigh::Seen { at: Instant(1_000_000), replicas: first });
        let mut seen = weigh::Seen { at: Instant(1_000_000 + wait_ms * 1000), replicas: then };
        let once = weigh::weigh(&policy, &mut memory, &seen);
        for (one, said) in seen.replicas.iter_mut().zip(&once) {
            one.latency_us = said.latency_us;
        }
        let kept = memory.clone();
        let again = weigh::weigh(&policy, &mut memory, &seen);
        prop_assert_eq!(&once, &again);
        prop_assert_eq!(kept, memory);
    }

    #[test]
    fn bounds_a_limit_holds_in_any_span(requests in 1u32..50, per_ms in 1u64..2000, gaps in proptest::collection::vec(0u64..50_000, 1..300)) {
        let policy = RateLimit { requests, per: Millis(per_ms), by: LimitBy::Everyone };
        let mut memory = limit::Memory::default();
        let (start, mut at, mut allowed) = (1_000_000u64, 1_000_000u64, 0u64);
        for gap in gaps {
            at += gap;
            let verdict = limit::limit(&policy, &mut memory, Instant(at));
            allowed += u64::from(verdict.allowed);
            let spacing = (per_ms * 1000 / u64::from(requests)).max(1);
            prop_assert!(allowed <= u64::from(requests) + (at - start) / spacing + 1);
            prop_assert!(verdict.allowed || verdict.retry_after_us > 0);
        }
    }

    #[test]
    fn bounds_the_retry_allowance_is_at_most_what_a_second_earns(
        left in 0u64..10_000_000, requests in 0u64..100_000, elapsed in 1u64..10_000,
    ) {
        let policy = Resilience::default();
        let got = budget::refill(&policy, budget::Seen { left, requests, elapsed: Millis(elapsed) });
        let most = 10 * budget::MILLI + requests * 1000 / elapsed * 200;
        prop_assert!(got <= most);
    }
}
