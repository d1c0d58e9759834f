//! The verdict about a system's own audit.

use super::Measured;
use crate::proof::Judgement;

/// Figures of such an experiment.
#[derive(Debug, Clone, Default)]
pub(crate) struct InvariantsSeen {
    /// The audit ended with 0, and in time.
    pub(crate) well: bool,
    /// How it ended, in words.
    pub(crate) ended: String,
    /// Requests while there were kills.
    pub(crate) asked: u64,
    /// Of these, not answered rightly: allowed, since it's what is left behind that is promised.
    pub(crate) failed: u64,
    pub(crate) kills: u32,
    /// How many kills there were to be.
    pub(crate) wanted: u32,
    /// The system was whole again when it was audited.
    pub(crate) settled: bool,
}

/// The audit must find nothing wrong, after all kills, some of what was asked having been done.
pub(crate) fn invariants(seen: &InvariantsSeen) -> Judgement {
    let measured = Measured::new(format!("audit {}, {} kills, {} requests", seen.ended, seen.kills, seen.asked), None);
    if !seen.settled {
        let todo = "see `plimsoll status`";
        return measured.unproven("the system was not whole again, so the audit proves nothing", todo);
    }
    if !seen.well {
        return measured.broken(format!("the audit {}", seen.ended));
    }
    match () {
        () if seen.asked == 0 => measured.nothing_asked(),
        () if seen.failed == seen.asked => {
            let why = "no request was answered rightly, so there was nothing that could go wrong";
            measured.unproven(why, "correct the promise's `request`")
        }
        () if seen.kills < seen.wanted => measured.fewer_kills(seen.kills, seen.wanted),
        () => measured.held(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::Verdict;

    #[track_caller]
    fn check(change: impl FnOnce(&mut InvariantsSeen), want: Verdict) {
        let (ended, settled) = ("exited with 0".to_owned(), true);
        let mut seen = InvariantsSeen { well: true, ended, asked: 100, failed: 3, kills: 3, wanted: 3, settled };
        change(&mut seen);
        let got = invariants(&seen);
        assert_eq!(got.verdict, want, "{got:?}");
        assert_eq!(got.why.is_empty(), want == Verdict::Held, "{got:?}");
    }

    #[test]
    fn an_audit_that_finds_nothing_holds_though_requests_failed() {
        check(|_| {}, Verdict::Held);
    }

    #[test]
    fn an_audit_that_finds_something_breaks_the_promise() {
        check(|seen| seen.well = false, Verdict::Broken);
        check(|seen| (seen.well, seen.kills) = (false, 1), Verdict::Broken);
    }

    #[test]
    fn what_was_hardly_tried_is_unproven() {
        check(|seen| seen.asked = 0, Verdict::Unproven);
        check(|seen| seen.failed = 100, Verdict::Unproven);
        check(|seen| seen.kills = 2, Verdict::Unproven);
        check(|seen| (seen.settled, seen.well) = (false, false), Verdict::Unproven);
    }
}
