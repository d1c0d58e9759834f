//! What becomes of a listener whose port could not be bound.
//!
//! A port that the file names is asked for again and again: somebody may free it, and after a keeper's death the gateway
//! hands its listeners back a moment later. A port that was chosen by us, and told to processes that run, is only given up
//! when it stays taken.
//!
//! Invariant: the wait is at least 25 ms and at most 1 s.

use plimsoll_model::Millis;

/// The first wait: whoever has just let go of a port is past it, and a person is told of the second refusal at once.
const WAIT_FIRST: Millis = Millis(25);
/// The longest wait.
const WAIT_MAX: Millis = Millis(1000);
/// A chosen port is given up after so many refusals in a row: three and a half seconds.
const REFUSALS_MAX: u32 = 9;

/// What to do about a refused listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Ask for the same port after so long.
    Again(Millis),
    /// Choose another port.
    Elsewhere,
}

/// Decides what follows the `refusals`th refusal in a row (from 1) of a port that the file names, or that we chose.
#[must_use]
pub fn decide(refusals: u32, chosen: bool) -> Act {
    if chosen && refusals >= REFUSALS_MAX {
        return Act::Elsewhere;
    }
    let doublings = refusals.saturating_sub(1).min(10);
    Act::Again(Millis((WAIT_FIRST.0 << doublings).min(WAIT_MAX.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_second() {
        let waits: Vec<Act> = [1, 2, 6, 7, 1000].map(|refusals| decide(refusals, false)).to_vec();
        assert_eq!(waits, [25, 50, 800, 1000, 1000].map(|wait| Act::Again(Millis(wait))));
    }

    #[test]
    fn only_a_chosen_port_is_given_up() {
        assert_eq!(decide(8, true), Act::Again(Millis(1000)));
        assert_eq!(decide(9, true), Act::Elsewhere);
        assert_eq!(decide(9, false), Act::Again(Millis(1000)));
    }
}
