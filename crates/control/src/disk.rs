//! When a disk that refuses what is decided is tried again, and what is told of it.
//!
//! Invariant: that it refuses is told once, and that it takes what is written again once, in turn.
//! Invariant: while it refuses it is tried again, at most every second and at least every 30 s.

use plimsoll_model::{Instant, Millis};

/// It is tried again after so long; then after twice as long …
const WAIT_FIRST: Millis = Millis::from_secs(1);
/// … and so on, up to this: whoever has made room need not wait for long, and a disk that is full is not kept busy.
const WAIT_MAX: Millis = Millis::from_secs(30);

/// What is carried from one look to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// When it is tried again, and how long that is waited for; `None`: it takes what is written, as far as is known.
    again: Option<(Instant, Millis)>,
}

/// What is known of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Now.
    pub at: Instant,
    /// The last thing that was to be written down could not be.
    pub refuses: bool,
}

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It began to refuse.
    Refuses,
    /// It takes what is written again.
    Takes,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decision {
    /// Write all of it down anew, now.
    pub write: bool,
    /// Tell this.
    pub news: Option<News>,
    /// When to look again, if nothing comes before.
    pub again_at: Option<Instant>,
}

/// Decides about a disk.
pub fn decide(memory: &mut Memory, seen: &Seen) -> Decision {
    let mut decision = Decision::default();
    match (seen.refuses, memory.again) {
        (false, None) => {}
        (false, Some(_)) => {
            memory.again = None;
            decision.news = Some(News::Takes);
        }
        (true, None) => {
            memory.again = Some((seen.at.after(WAIT_FIRST), WAIT_FIRST));
            decision.news = Some(News::Refuses);
        }
        (true, Some((due, waited))) if due <= seen.at => {
            let wait = Millis((waited.0 * 2).min(WAIT_MAX.0));
            memory.again = Some((seen.at.after(wait), wait));
            decision.write = true;
        }
        (true, Some(_)) => {}
    }
    decision.again_at = memory.again.map(|(due, _)| due);
    decision
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds at which it is tried, and what is told, while it refuses from one second on until another.
    fn course(from: u64, until: u64) -> (Vec<u64>, Vec<(u64, News)>) {
        let (mut memory, mut tried, mut told) = (Memory::default(), vec![], vec![]);
        for second in 0..300 {
            let at = Instant(0).after(Millis::from_secs(second));
            let seen = Seen { at, refuses: (from..until).contains(&second) };
            let decision = decide(&mut memory, &seen);
            tried.extend(decision.write.then_some(second));
            told.extend(decision.news.map(|news| (second, news)));
            assert_eq!(decision.again_at.is_some(), seen.refuses, "it is looked at again while it refuses");
            // Asked again at once, nothing is left to do.
            assert_eq!(decide(&mut memory, &seen), Decision { again_at: decision.again_at, ..Decision::default() });
        }
        (tried, told)
    }

    #[test]
    fn it_is_tried_more_and_more_seldom_and_told_once() {
        let (tried, told) = course(10, 120);
        assert_eq!(tried, [11, 13, 17, 25, 41, 71, 101]);
        assert_eq!(told, [(10, News::Refuses), (120, News::Takes)]);
    }

    #[test]
    fn a_disk_that_takes_everything_is_not_spoken_of() {
        assert_eq!(course(0, 0), (vec![], vec![]));
    }
}
