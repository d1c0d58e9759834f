//! Chooses a replica for one request: two random choices, the less loaded of them.
//!
//! The first choice is drawn by share, over all that may be picked. The second is drawn by share among those of the same
//! weight as the first: so a replica that is busier or slower than its equals gives way to them, while the shares between
//! weights (a canary's 5 %) stay exactly as they were set, however loaded anybody is. One that starts slowly is idle, and
//! would win every comparison: against those that are further on it counts as that much more loaded. So it gets what is drawn
//! for it, and more only from one that is overloaded, or hangs.
//!
//! Invariant: no allocation.

use super::version::Version;

/// A replica, as the choice for one request sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replica {
    /// Its weight as it was set, 0..=1000: replicas of one weight share their load.
    pub weight: u16,
    /// Its share now, 0..=1000: its weight, less while it starts slowly. 0 is never picked.
    pub share: u16,
    /// Requests that it has not answered yet.
    pub in_flight: u32,
    /// Time until the head of its answers, exponentially weighted, in microseconds; 0 is not known yet.
    pub latency_us: u32,
    /// New requests may go there: it serves, its process lives, and it is not ejected.
    pub open: bool,
    /// It runs the version of a canary.
    pub canary: bool,
}

/// A time below which replicas count as equally fast, in microseconds: noise of the scheduler must not look like a difference.
const LATENCY_FLOOR_US: u64 = 200;

impl Replica {
    pub(super) fn can_take(&self) -> bool {
        self.open && self.share > 0
    }

    /// How long a request more would take here, in some unit: its place in the queue times what one takes.
    pub(super) fn cost(&self) -> u64 {
        (u64::from(self.in_flight) + 1) * (u64::from(self.latency_us) + LATENCY_FLOOR_US)
    }

    /// It would take a request more sooner than `drawn`, which was drawn, even if it had to take as many more requests as
    /// its share is smaller.
    fn takes_from(&self, drawn: &Self) -> bool {
        let far = u64::from(self.share) * u64::from(drawn.weight);
        let further = u64::from(drawn.share) * u64::from(self.weight);
        if further <= far {
            return self.cost() < drawn.cost();
        }
        u128::from(self.cost()) * u128::from(further) < u128::from(drawn.cost()) * u128::from(far)
    }
}

/// The place in `replicas` of the one that gets the request; `None` if none may be picked.
///
/// `tried` are the places that this request was sent to already. `draw` is 64 random bits. The caller acts on `None` by
/// holding or refusing the request.
#[must_use]
pub fn pick(replicas: &[Replica], tried: &[usize], draw: u64) -> Option<usize> {
    let share = |replica: &Replica| u64::from(replica.share);
    let first = drawn(replicas, draw as u32, share, |at, replica| replica.can_take() && !tried.contains(&at))?;
    let weight = replicas[first].weight;
    let second = drawn(replicas, (draw >> 32) as u32, share, |at, replica| {
        at != first && replica.weight == weight && replica.can_take() && !tried.contains(&at)
    });
    Some(less_loaded(replicas, first, second))
}

/// The same among those that are open and `may` be picked, which share their load whatever their weights; a replica without
/// weight counts as one that has just come.
pub(super) fn best(replicas: &[Replica], draw: u64, may: impl Fn(usize, &Replica) -> bool) -> Option<usize> {
    let share = |replica: &Replica| u64::from(replica.share).max(1);
    let first = drawn(replicas, draw as u32, share, |at, replica| replica.open && may(at, replica))?;
    let others = |at: usize, replica: &Replica| at != first && replica.open && may(at, replica);
    Some(less_loaded(replicas, first, drawn(replicas, (draw >> 32) as u32, share, others)))
}

fn less_loaded(replicas: &[Replica], first: usize, second: Option<usize>) -> usize {
    second.filter(|second| replicas[*second].takes_from(&replicas[first])).unwrap_or(first)
}

/// The place of a client's own replica, if it may be picked: `wanted`, unless it was tried, can't take requests, or does not
/// run the `version` that the request belongs to.
#[must_use]
pub fn stick(version: Version, replicas: &[Replica], tried: &[usize], wanted: usize) -> Option<usize> {
    let fits = |replica: &&Replica| version == Version::Either || replica.canary == (version == Version::Canary);
    replicas.get(wanted).filter(fits).filter(|one| one.can_take() && !tried.contains(&wanted)).map(|_| wanted)
}

/// One of those that `may` be drawn, each as likely as its `share`.
fn drawn(
    replicas: &[Replica],
    draw: u32,
    share: impl Fn(&Replica) -> u64,
    may: impl Fn(usize, &Replica) -> bool,
) -> Option<usize> {
    let shares = || replicas.iter().enumerate().filter(|(at, replica)| may(*at, replica));
    let total: u64 = shares().map(|(_, replica)| share(replica)).sum();
    // Scales the draw to 0..total without a division; the bias is below total/2^32.
    let mut left = (u64::from(draw) * total) >> 32;
    for (at, replica) in shares() {
        match left.checked_sub(share(replica)) {
            Some(rest) => left = rest,
            None => return Some(at),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Replica = Replica { weight: 1000, share: 1000, in_flight: 0, latency_us: 0, open: true, canary: false };

    #[track_caller]
    fn check(replicas: &[Replica], tried: &[usize], draw: u64, want: Option<usize>) {
        assert_eq!(pick(replicas, tried, draw), want);
    }

    #[test]
    fn nobody_is_no_choice() {
        check(&[], &[], 7, None);
        check(&[Replica { open: false, ..FULL }], &[], 7, None);
        check(&[Replica { share: 0, ..FULL }], &[], 7, None);
    }

    #[test]
    fn a_tried_replica_is_not_chosen_even_if_it_is_the_last() {
        check(&[FULL], &[0], 7, None);
        check(&[FULL, FULL], &[0], 7, Some(1));
    }

    #[test]
    fn the_busier_of_two_equals_gives_way() {
        for draw in [0, u64::MAX, 1 << 31, 1 << 63] {
            check(&[Replica { in_flight: 9, ..FULL }, FULL], &[], draw, Some(1));
            check(&[FULL, Replica { latency_us: 90_000, ..FULL }], &[], draw, Some(0));
        }
    }

    #[test]
    fn one_that_starts_slowly_gets_its_share_and_more_only_from_one_that_hangs() {
        let (starts, busy) = (Replica { share: 100, ..FULL }, Replica { in_flight: 8, ..FULL });
        let all = (0u64..11_000).filter(|n| pick(&[starts, busy], &[], (n << 32) / 11_000) == Some(0)).count();
        assert!((990..=1010).contains(&all), "{all} of 11000");
        check(&[Replica { in_flight: 9, ..starts }, busy], &[], 0, Some(1));
        let hangs = Replica { in_flight: 10, ..FULL };
        for draw in [0, u64::from(u32::MAX)] {
            check(&[starts, hangs], &[], draw, Some(0));
        }
    }

    #[test]
    fn a_canary_keeps_its_share_however_busy_others_are() {
        let canary = Replica { weight: 50, share: 50, ..FULL };
        let busy = Replica { weight: 950, share: 950, in_flight: 1000, ..FULL };
        let all = (0u64..10_000).filter(|n| pick(&[canary, busy], &[], (n << 32) / 10_000) == Some(0)).count();
        assert!((490..=510).contains(&all), "{all} of 10000");
    }

    #[test]
    fn a_client_sticks_to_its_replica_only_while_that_is_open() {
        let stick = |replicas: &[Replica], tried: &[usize], at| stick(Version::Either, replicas, tried, at);
        assert_eq!(stick(&[FULL, FULL], &[], 1), Some(1));
        assert_eq!(stick(&[FULL, FULL], &[1], 1), None);
        assert_eq!(stick(&[FULL, Replica { open: false, ..FULL }], &[], 1), None);
        assert_eq!(stick(&[FULL], &[], 5), None);
    }

    #[test]
    fn a_client_sticks_to_no_replica_of_another_version() {
        let both = [FULL, Replica { canary: true, ..FULL }];
        assert_eq!(stick(Version::Stable, &both, &[], 0), Some(0));
        assert_eq!(stick(Version::Stable, &both, &[], 1), None);
        assert_eq!(stick(Version::Canary, &both, &[], 0), None);
        assert_eq!(stick(Version::Canary, &both, &[], 1), Some(1));
    }
}
