//! The verdict about a store whose primary was killed, and hung.

use std::time::Duration;

use super::{Measured, below};
use crate::proof::{Judgement, time};

/// Figures of such an experiment.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreFailoverSeen {
    /// From each signal until the first acknowledged write that the former primary can't have answered; `None`: not in the
    /// time waited.
    pub(crate) first_write: Vec<Option<Duration>>,
    /// How many times it was to be hurt.
    pub(crate) wanted: u32,
    /// How long was waited at most.
    pub(crate) waited: Duration,
    /// Acknowledged writes, all together.
    pub(crate) acknowledged: u64,
    /// Of these, not there afterwards. `None`: it could not be read.
    pub(crate) lost: Option<u64>,
    /// Another member can take over; else it's a restart that is measured.
    pub(crate) takes_over: bool,
}

/// Each time writes must go on within the time, and no more of them may be lost than promised.
pub(crate) fn store_failover((max, may_lose): (Duration, u32), seen: &StoreFailoverSeen) -> Judgement {
    let by = if seen.takes_over { "" } else { "restart: " };
    if seen.first_write.is_empty() {
        let todo = "see `plimsoll status`: the store must be whole before it can be hurt";
        return Measured::new(String::new(), None).unproven("its primary could not be hurt", todo);
    }
    let lost = seen.lost.map_or_else(|| "unknown".to_owned(), |lost| lost.to_string());
    let lost = format!("{lost} of {} acknowledged writes lost", seen.acknowledged);
    let longest = seen.first_write.iter().copied().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
    let Some(longest) = longest else {
        let measured = Measured::new(format!("{by}not within {}, {lost}", time(seen.waited)), None);
        return measured.broken("no write was acknowledged any more");
    };
    let measured = Measured::new(format!("{by}{} at most, {lost}", time(longest)), Some(below(longest, max)));
    let times = u32::try_from(seen.first_write.len()).unwrap_or(u32::MAX);
    match seen.lost {
        Some(lost) if lost > u64::from(may_lose) => measured.broken(format!("{lost} acknowledged writes were lost")),
        _ if longest > max => measured.broken("the first new write took longer"),
        None => measured.unproven("what was written could not be read back", "see `plimsoll status`"),
        Some(_) if times < seen.wanted => measured.fewer_kills(times, seen.wanted),
        Some(_) => measured.held(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::Verdict;

    #[track_caller]
    fn check(first_write_ms: &[Option<u64>], lost: Option<u64>, want: Verdict) -> Judgement {
        let first_write = first_write_ms.iter().map(|ms| ms.map(Duration::from_millis)).collect();
        let waited = Duration::from_secs(60);
        let seen = StoreFailoverSeen {
            first_write,
            wanted: 2,
            waited,
            acknowledged: 100,
            lost,
            ..StoreFailoverSeen::default()
        };
        let got = store_failover((Duration::from_secs(1), 3), &seen);
        assert_eq!(got.verdict, want, "{got:?}");
        got
    }

    #[test]
    fn held_within_the_time_and_with_no_more_lost_than_promised() {
        let got = check(&[Some(250), Some(500)], Some(3), Verdict::Held);
        assert_eq!(
            (got.measured.as_str(), got.margin),
            ("restart: 500 ms at most, 3 of 100 acknowledged writes lost", Some(0.5))
        );
    }

    #[test]
    fn broken_by_one_that_is_late_never_comes_or_costs_too_much() {
        check(&[Some(250), Some(1_001)], Some(0), Verdict::Broken);
        check(&[Some(250), None], Some(0), Verdict::Broken);
        check(&[Some(250), Some(250)], Some(4), Verdict::Broken);
    }

    #[test]
    fn unproven_where_too_little_is_known() {
        check(&[], Some(0), Verdict::Unproven);
        check(&[Some(250), Some(250)], None, Verdict::Unproven);
        check(&[Some(250)], Some(0), Verdict::Unproven);
    }
}
