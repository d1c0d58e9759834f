//! Who leaves when no more connections may be open: those that only wait make room for whoever comes.
//!
//! Ten thousand clients that send a byte of a head each second would otherwise shut everybody else out until the head's
//! time is over. nginx does the like with idle connections when it runs out of them (`worker_connections`).
//!
//! Invariant: nobody leaves in the midst of a request, or before it has waited for [`Policy::least`].

use plimsoll_model::Millis;

/// Who may be asked to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// So long everybody may wait in any case.
    pub least: Millis,
    /// So many leave at once, at most.
    pub at_once: usize,
}

impl Default for Policy {
    /// 250 ms, a round trip over a bad line, which is what a head needs after its connection; and 64.
    fn default() -> Self {
        Self { least: Millis(250), at_once: 64 }
    }
}

/// What a connection without a request in flight waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Awaits {
    /// The rest of the head of a request that has begun, or the first byte of the first one.
    Head,
    /// Another request.
    Request,
}

/// One connection without a request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting<T> {
    /// Whose it is.
    pub who: T,
    /// What it waits for.
    pub awaits: Awaits,
    /// For how long.
    pub waited: Millis,
}

/// Those that leave: first those whose head does not come, then those that are idle, and of each those that have waited
/// longest.
#[must_use]
pub fn who_leaves<T>(policy: &Policy, mut waiting: Vec<Waiting<T>>) -> Vec<Waiting<T>> {
    waiting.retain(|one| one.waited >= policy.least);
    waiting.sort_by_key(|one| (one.awaits, std::cmp::Reverse(one.waited)));
    waiting.truncate(policy.at_once);
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;
    use Awaits::{Head, Request};

    #[track_caller]
    fn check(waiting: &[(&'static str, Awaits, u64)], at_once: usize, want: &[&str]) {
        let policy = Policy { at_once, ..Policy::default() };
        let waiting = waiting.iter().map(|(who, awaits, ms)| Waiting { who, awaits: *awaits, waited: Millis(*ms) });
        let leave: Vec<&str> = who_leaves(&policy, waiting.collect()).into_iter().map(|one| *one.who).collect();
        assert_eq!(leave, want);
    }

    #[test]
    fn heads_that_do_not_come_go_before_the_idle_and_the_longest_before_the_others() {
        let all =
            [("idle", Request, 70_000), ("slow", Head, 1_500), ("slower", Head, 9_000), ("idler", Request, 71_000)];
        check(&all, 3, &["slower", "slow", "idler"]);
        check(&all, 64, &["slower", "slow", "idler", "idle"]);
    }

    #[test]
    fn whoever_has_just_come_stays() {
        check(&[("new", Head, 249), ("just answered", Request, 0)], 64, &[]);
        check(&[("slow", Head, 250)], 64, &["slow"]);
        check(&[("slow", Head, 250)], 0, &[]);
    }
}
