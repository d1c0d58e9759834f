//! Verdicts about releases: what is taken back, and what they cost.

use std::time::Duration;

use super::{Measured, below};
use crate::proof::{Judgement, time};

/// How a version went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SentBack {
    /// It was gone back from by command.
    ByCommand,
    /// Its analysis found it out.
    ByVerdict,
    /// It stayed, though it was bad.
    Not,
}

/// Figures of a rollback experiment.
#[derive(Debug, Clone)]
pub(crate) struct RollbackSeen {
    pub(crate) sent: SentBack,
    /// From the command or the verdict until everything that takes requests was of the old version; `None`: not in the
    /// time waited.
    pub(crate) back: Option<Duration>,
    /// How long was waited at most.
    pub(crate) waited: Duration,
    /// What it cost; `None`: nobody asked.
    pub(crate) cost: Option<Cost>,
}

/// What a rollback cost those who asked meanwhile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Requests from the release until everything that takes requests was of the old version again.
    pub(crate) asked: u64,
    /// Of these, failed.
    pub(crate) failed: u64,
    /// Requests after that.
    pub(crate) asked_after: u64,
    /// Of these, failed.
    pub(crate) failed_after: u64,
    /// The load generator was short of processor: failures may be its own.
    pub(crate) limited: bool,
}

impl Cost {
    /// What is too much of it. A good version costs nothing. A bad one has to fail some requests, or nobody would find it
    /// out; when most failed, it was not found out by a part of the traffic.
    fn too_much(&self, sent: SentBack) -> Option<String> {
        let Cost { asked, failed, asked_after, failed_after, .. } = *self;
        if failed_after > 0 {
            let when = "after the old version had all traffic again";
            return Some(format!("{failed_after} of {asked_after} requests failed {when}"));
        }
        match sent {
            SentBack::ByCommand if failed > 0 => {
                Some(format!("{failed} of {asked} requests failed, though both versions are good"))
            }
            SentBack::ByVerdict if failed * 2 > asked => Some(format!(
                "{failed} of {asked} requests failed before the old version had all traffic again: let fewer see a new \
                 version (`canary`)"
            )),
            _ => None,
        }
    }
}

/// A version that is to go must be gone within the time, and must not have cost too much by then.
pub(crate) fn rollback(max: Duration, seen: &RollbackSeen) -> Judgement {
    let after = match seen.sent {
        SentBack::ByCommand => "after the command",
        SentBack::ByVerdict => "after the verdict",
        SentBack::Not => {
            let measured = Measured::new("promoted".to_owned(), None);
            return measured.broken("the bad version was promoted: nothing found it out");
        }
    };
    let Some(back) = seen.back else {
        let measured = Measured::new(format!("not within {}", time(seen.waited)), None);
        return measured.broken("the old version did not have all traffic again");
    };
    let measured = Measured::new(format!("{} {after}", time(back)), Some(below(back, max)));
    if back > max {
        return measured.broken("it took longer");
    }
    match seen.cost.and_then(|cost| Some((cost.too_much(seen.sent)?, cost.limited))) {
        None => measured.held(),
        Some((_, true)) => measured.limited(),
        Some((why, false)) => measured.broken(why),
    }
}

/// Figures of an experiment with releases.
#[derive(Debug, Clone)]
pub(crate) struct ReleasesSeen {
    /// Releases that came in.
    pub(crate) releases: u32,
    /// Why they did not all come in.
    pub(crate) trouble: Option<Trouble>,
    pub(crate) asked: u64,
    pub(crate) failed: u64,
    pub(crate) limited: bool,
}

/// What ended an experiment with releases before its time.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// A release did not come in.
    Found(String),
    /// The engine could not be asked, or refused: that tells nothing of a release.
    Unknown(String),
}

/// Every release must come in, and none may cost a request.
pub(crate) fn releases(seen: &ReleasesSeen) -> Judgement {
    let measured = format!("{} releases, {} of {} requests failed", seen.releases, seen.failed, seen.asked);
    let measured = Measured::new(measured, None);
    match &seen.trouble {
        Some(Trouble::Found(why)) => return measured.broken(why.clone()),
        // What was lost by then was lost all the same.
        Some(Trouble::Unknown(why)) if seen.failed == 0 || seen.limited => {
            return measured.unproven(why.clone(), "see `plimsoll status` and `plimsoll events`, and repeat it");
        }
        Some(Trouble::Unknown(_)) | None => {}
    }
    if seen.asked == 0 {
        return measured.nothing_asked();
    }
    match (seen.failed, seen.limited) {
        (0, _) => measured.held(),
        (_, true) => measured.limited(),
        (failed, false) => measured.broken(format!("{failed} of {} requests failed", seen.asked)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::Verdict;

    #[track_caller]
    fn check_rollback(sent: SentBack, back_ms: Option<u64>, want: Verdict, measured: &str) {
        let back = back_ms.map(Duration::from_millis);
        let seen = RollbackSeen { sent, back, waited: Duration::from_secs(60), cost: None };
        let got = rollback(Duration::from_secs(1), &seen);
        assert_eq!((got.verdict, got.measured.as_str()), (want, measured), "{got:?}");
        assert_eq!(got.why.is_empty(), want == Verdict::Held, "{got:?}");
    }

    #[test]
    fn held_when_the_old_version_has_all_traffic_in_time() {
        check_rollback(SentBack::ByCommand, Some(250), Verdict::Held, "250 ms after the command");
        check_rollback(SentBack::ByVerdict, Some(1000), Verdict::Held, "1.00 s after the verdict");
    }

    #[test]
    fn broken_when_it_takes_longer_or_never_comes() {
        check_rollback(SentBack::ByCommand, Some(1001), Verdict::Broken, "1.00 s after the command");
        check_rollback(SentBack::ByVerdict, None, Verdict::Broken, "not within 60.0 s");
    }

    #[test]
    fn broken_when_nothing_found_a_bad_version_out() {
        check_rollback(SentBack::Not, Some(1), Verdict::Broken, "promoted");
    }

    /// `until` and `after`: how many were asked, and how many of these failed.
    #[track_caller]
    fn check_cost(sent: SentBack, until: (u64, u64), after: (u64, u64), want: [Verdict; 2]) {
        for (limited, want) in [false, true].into_iter().zip(want) {
            let ((asked, failed), (asked_after, failed_after)) = (until, after);
            let cost = Some(Cost { asked, failed, asked_after, failed_after, limited });
            let back = Some(Duration::from_millis(10));
            let got = rollback(Duration::from_secs(1), &RollbackSeen { sent, back, waited: Duration::ZERO, cost });
            assert_eq!(got.verdict, want, "{got:?}");
            assert_eq!(got.why.is_empty(), want == Verdict::Held, "{got:?}");
        }
    }

    #[test]
    fn what_a_rollback_cost_counts_beside_its_time() {
        use Verdict::{Broken, Held, Unproven};
        check_cost(SentBack::ByCommand, (1000, 0), (100, 0), [Held, Held]);
        check_cost(SentBack::ByCommand, (1000, 1), (100, 0), [Broken, Unproven]);
        check_cost(SentBack::ByCommand, (1000, 0), (100, 1), [Broken, Unproven]);
        check_cost(SentBack::ByVerdict, (1000, 500), (100, 0), [Held, Held]);
        check_cost(SentBack::ByVerdict, (1000, 501), (100, 0), [Broken, Unproven]);
        check_cost(SentBack::ByVerdict, (1000, 5), (100, 1), [Broken, Unproven]);
        check_cost(SentBack::ByVerdict, (0, 0), (0, 0), [Held, Held]);
    }

    #[track_caller]
    fn check_releases(trouble: Option<Trouble>, (asked, failed): (u64, u64), limited: bool, want: Verdict) {
        let seen = ReleasesSeen { releases: 3, trouble, asked, failed, limited };
        let got = releases(&seen);
        assert_eq!(got.verdict, want, "{got:?}");
        assert_eq!(got.why.is_empty(), want == Verdict::Held, "{got:?}");
    }

    #[test]
    fn releases_are_held_when_all_came_in_and_no_request_failed() {
        check_releases(None, (1000, 0), false, Verdict::Held);
        check_releases(None, (1000, 0), true, Verdict::Held);
        check_releases(None, (1000, 1), false, Verdict::Broken);
        check_releases(None, (1000, 1), true, Verdict::Unproven);
        check_releases(None, (0, 0), false, Verdict::Unproven);
        check_releases(Some(Trouble::Found("it was sent back".into())), (1000, 0), false, Verdict::Broken);
    }

    #[test]
    fn an_engine_that_can_not_be_asked_proves_nothing() {
        let unknown = || Some(Trouble::Unknown("the engine took no other version".into()));
        check_releases(unknown(), (1000, 0), false, Verdict::Unproven);
        check_releases(unknown(), (1000, 2), true, Verdict::Unproven);
        check_releases(unknown(), (1000, 2), false, Verdict::Broken);
    }
}
