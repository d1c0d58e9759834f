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
}

/// A version that is to go must be gone within the time.
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
    if back <= max { measured.held() } else { measured.broken("it took longer") }
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
        let seen = RollbackSeen { sent, back: back_ms.map(Duration::from_millis), waited: Duration::from_secs(60) };
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
