//! Which version of a service a request belongs to while a canary is under way, before a replica of it is picked; and
//! whether a copy of it goes to the canary.
//!
//! A match decides alone. Else a client that is known again (by a cookie, by a header) keeps its place: a number that follows
//! from its key and from the canary's version, so that a growing share only ever moves people to the canary, and another
//! release tries itself on others. Else the weights of replicas decide.
//!
//! Invariant: the same key belongs to the same version while shares only grow, until its turn comes; then to the canary.
//! Invariant: what matches is never answered by another version while the canary has a replica that may be picked.
//! Invariant: what does not belong to the canary is answered by it only if no other replica is open.
//! Invariant: a canary takes no more than [`COPIES_MAX`] copies at a time from one gateway.

use super::pick::{Replica, best, pick};
use plimsoll_model::{Ratio, audience::Canary};

/// Copies of requests that a gateway has in flight to one canary, at most: a slow canary gets fewer, and nobody waits.
pub const COPIES_MAX: u32 = 32;

/// Synthetic requests that a gateway has in flight to the versions of one service, at most.
pub const SYNTHETIC_MAX: u32 = 64;

/// What a request says of where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// It has what the canary's `matches` asks for.
    pub matches: bool,
    /// A sum of what its client is known by; `None`: it is not known again.
    pub key: Option<u64>,
}

/// Which version answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// Either: weights decide.
    #[default]
    Either,
    /// The one that comes in.
    Canary,
    /// The one that was there before.
    Stable,
}

/// The version that a request belongs to. `salt` is a sum of the canary's version.
#[must_use]
pub fn version(canary: &Canary, salt: u64, asked: Asked) -> Version {
    let is_canarys = match (&canary.audience.matches, &canary.audience.stickiness, asked.key) {
        (Some(_), _, _) => asked.matches,
        (None, Some(_), Some(key)) => happens(canary.share, mixed(key ^ salt)),
        (None, ..) => return Version::Either,
    };
    if is_canarys { Version::Canary } else { Version::Stable }
}

/// The place in `replicas` of the one that gets a request of that version; `None` if none may be picked. As [`pick`].
///
/// A canary that has none that may be picked is stood in for by the others at once; the canary stands in for the others only
/// when none of them is open, tried or not.
#[must_use]
pub fn pick_of(version: Version, replicas: &[Replica], tried: &[usize], draw: u64) -> Option<usize> {
    let among = |canary: bool| best(replicas, draw, |at, one| one.canary == canary && !tried.contains(&at));
    match version {
        Version::Either => pick(replicas, tried, draw),
        Version::Canary => among(true).or_else(|| among(false)),
        Version::Stable if replicas.iter().any(|one| one.open && !one.canary) => among(false),
        Version::Stable => among(true),
    }
}

/// The place of the replica that gets a copy: one of the canary's, whatever its weight.
#[must_use]
pub fn pick_for_copy(replicas: &[Replica], draw: u64) -> Option<usize> {
    best(replicas, draw, |_, one| one.canary)
}

/// What becomes of the copy of a request that another version answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// There is none.
    No,
    /// It goes to the canary.
    Send,
    /// It would, but too many are under way: the canary is slow.
    Drop,
}

/// Decides about a copy: `in_flight` copies are under way to this canary, `draw` is 64 random bits.
#[must_use]
pub fn copy(canary: &Canary, in_flight: u32, draw: u64) -> Copy {
    match () {
        () if !happens(canary.audience.mirror, draw) => Copy::No,
        () if in_flight >= COPIES_MAX => Copy::Drop,
        () => Copy::Send,
    }
}

/// Two synthetic requests, which ask one replica of each version the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Twins {
    /// The places of the two replicas.
    pub places: [usize; 2],
    /// Which of the paths they are asked for.
    pub path: usize,
}

/// Who of each version's open replicas gets the next two synthetic requests, whose number is `turn`, and for which of so many
/// `paths`, while so many are under way from one gateway; `None`: nobody. As many replicas of each version are asked, so that
/// none has more to do for it than another; and a version that is slow is not buried under them.
///
/// Both replicas and paths are taken in turn. Where their numbers have a divisor in common, one path would only ever meet the
/// same replicas: so after each round of both, paths are one further on.
#[must_use]
pub fn synthetic_twins(open: [&[usize]; 2], paths: usize, turn: usize, in_flight: u32) -> Option<Twins> {
    let count = open[0].len().min(open[1].len());
    if count == 0 || paths == 0 || in_flight.saturating_add(2) > SYNTHETIC_MAX {
        return None;
    }
    let common = common_divisor(count, paths);
    let ahead = turn / (count / common * paths) % common;
    Some(Twins { places: open.map(|places| places[turn % count]), path: (turn % paths + ahead) % paths })
}

/// The greatest divisor that both have in common; neither is 0.
fn common_divisor(one: usize, other: usize) -> usize {
    if other == 0 { one } else { common_divisor(other, one % other) }
}

/// Whether something with that chance happens at this draw; at a draw where it happens, it happens with every greater chance.
fn happens(chance: Ratio, draw: u64) -> bool {
    let millionth = (u128::from(draw) * u128::from(Ratio::ONE.0)) >> 64;
    millionth < u128::from(chance.0)
}

/// Spreads numbers that are like each other over all 64 bits (the end of SplitMix64).
#[must_use]
pub fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::{
        RevisionId,
        audience::{Audience, Match, Stickiness},
    };

    const FULL: Replica = Replica { weight: 1000, share: 1000, in_flight: 0, latency_us: 0, open: true, canary: false };
    const NEW: Replica = Replica { canary: true, ..FULL };

    fn canary(audience: Audience) -> Canary {
        Canary { revision: RevisionId("new".into()), share: Ratio::percent(50), audience }
    }

    #[track_caller]
    fn check(audience: Audience, matches: bool, key: Option<u64>, want: Version) {
        assert_eq!(version(&canary(audience), 0, Asked { matches, key }), want);
    }

    #[test]
    fn a_match_decides_alone() {
        let audience = || Audience { matches: Some(Match::default()), ..Audience::default() };
        check(audience(), true, None, Version::Canary);
        check(audience(), false, Some(7), Version::Stable);
    }

    #[test]
    fn without_a_key_weights_decide() {
        let audience = || Audience { stickiness: Some(Stickiness::Header("x-user".into())), ..Audience::default() };
        check(audience(), false, None, Version::Either);
        check(Audience::default(), true, Some(7), Version::Either);
        let known = version(&canary(audience()), 0, Asked { matches: false, key: Some(7) });
        assert_ne!(known, Version::Either);
    }

    #[test]
    fn a_version_without_replicas_is_stood_in_for() {
        let closed = |one: Replica| Replica { open: false, ..one };
        for draw in [0, 7 << 33, u64::MAX] {
            assert_eq!(pick_of(Version::Canary, &[FULL, NEW], &[], draw), Some(1));
            assert_eq!(pick_of(Version::Stable, &[FULL, NEW], &[], draw), Some(0));
            assert_eq!(pick_of(Version::Canary, &[FULL, closed(NEW)], &[], draw), Some(0));
            assert_eq!(pick_of(Version::Canary, &[FULL, NEW], &[1], draw), Some(0));
            assert_eq!(pick_of(Version::Stable, &[closed(FULL), NEW], &[], draw), Some(1));
            // It was tried, and is open still: waiting for it is better than showing the canary to others.
            assert_eq!(pick_of(Version::Stable, &[FULL, NEW], &[0], draw), None);
        }
    }

    #[test]
    fn a_canary_without_weight_gets_what_is_its_own_and_copies() {
        let dark = Replica { weight: 0, share: 0, ..NEW };
        assert_eq!(pick_of(Version::Canary, &[FULL, dark], &[], 7), Some(1));
        assert_eq!(pick_for_copy(&[FULL, dark], 7), Some(1));
        assert_eq!(pick_for_copy(&[FULL], 7), None);
        assert_eq!(pick_of(Version::Either, &[FULL, dark], &[0], 7), None);
    }

    #[test]
    fn copies_are_few() {
        let all = canary(Audience { mirror: Ratio::ONE, ..Audience::default() });
        assert_eq!(copy(&all, 0, u64::MAX), Copy::Send);
        assert_eq!(copy(&all, COPIES_MAX, 0), Copy::Drop);
        assert_eq!(copy(&canary(Audience::default()), 0, 0), Copy::No);
    }

    #[test]
    fn every_path_is_asked_of_every_replica_as_often_and_twins_are_asked_the_same() {
        let [one, other]: [Vec<usize>; 2] = [(0..6).collect(), (10..16).collect()];
        for (count, paths) in (1..=6).flat_map(|count| (1..=6).map(move |paths| (count, paths))) {
            let open = [&one[..count], &other[..]];
            let whole = (0..count * paths).map(|turn| synthetic_twins(open, paths, turn, 0).unwrap());
            let mut met: Vec<_> = whole.map(|twins| (twins.places[0], twins.places[1] - 10, twins.path)).collect();
            assert!(met.iter().all(|(mine, theirs, _)| mine == theirs));
            assert!(met.windows(2).all(|two| count == 1 || two[0].0 != two[1].0), "no replica twice in a row");
            met.sort_unstable();
            met.dedup();
            assert_eq!(met.len(), count * paths, "{count} replicas, {paths} paths");
        }
    }

    #[test]
    fn nobody_is_asked_where_a_version_is_not_there_or_enough_is_under_way() {
        assert_eq!(synthetic_twins([&[], &[1]], 1, 0, 0), None);
        assert_eq!(synthetic_twins([&[0], &[1]], 0, 0, 0), None);
        assert_eq!(synthetic_twins([&[0], &[1]], 1, 0, SYNTHETIC_MAX - 1), None);
        let last = synthetic_twins([&[0], &[1]], 1, usize::MAX, SYNTHETIC_MAX - 2);
        assert_eq!(last, Some(Twins { places: [0, 1], path: 0 }));
    }
}
