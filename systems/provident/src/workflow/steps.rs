//! Who may do what with a case, and what follows. A function of what it is given: no clock, no database.
//!
//! ```text
//! opened ──verify──▶ verified ──approve──▶ approved ──sanction──▶ granted
//!    │                  │                     │
//!    └──────────────────┴─── reject, withdraw ┴──▶ rejected, withdrawn
//! ```
//!
//! The organization's employer verifies; two officers approve and sanction. Invariant: a case is granted by three people
//! who are not the one who opened it.

use crate::access::{Appointment, SignedIn};
use uuid::Uuid;

/// Where a case is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The employer is to verify it.
    Opened,
    /// An officer is to approve it.
    Verified,
    /// Another officer is to sanction it.
    Approved,
    /// It is granted.
    Granted,
    /// It is not granted.
    Rejected,
    /// Whoever opened it does not want it any more.
    Withdrawn,
}

/// Every state with its word.
const STATES: [(State, &str); 6] = [
    (State::Opened, "opened"),
    (State::Verified, "verified"),
    (State::Approved, "approved"),
    (State::Granted, "granted"),
    (State::Rejected, "rejected"),
    (State::Withdrawn, "withdrawn"),
];

impl State {
    /// The word for it.
    pub fn word(self) -> &'static str {
        STATES.iter().find(|(state, _)| *state == self).map_or("", |(_, word)| word)
    }

    /// The state of that word.
    pub fn parse(word: &str) -> Option<Self> {
        STATES.iter().find(|(_, known)| *known == word).map(|(state, _)| *state)
    }

    /// Is nothing to be done any more?
    pub fn is_last(self) -> bool {
        matches!(self, Self::Granted | Self::Rejected | Self::Withdrawn)
    }
}

/// What can be done with a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It is as the member says.
    Verify,
    /// It is due.
    Approve,
    /// It is to be paid.
    Sanction,
    /// It is not due.
    Reject,
    /// It is not wanted any more.
    Withdraw,
}

/// Every act with its word.
const ACTS: [(Act, &str); 5] = [
    (Act::Verify, "verify"),
    (Act::Approve, "approve"),
    (Act::Sanction, "sanction"),
    (Act::Reject, "reject"),
    (Act::Withdraw, "withdraw"),
];

impl Act {
    /// The word for it.
    pub fn word(self) -> &'static str {
        ACTS.iter().find(|(act, _)| *act == self).map_or("", |(_, word)| word)
    }

    /// The act of that word.
    pub fn parse(word: &str) -> Option<Self> {
        ACTS.iter().find(|(_, known)| *known == word).map(|(act, _)| *act)
    }
}

/// What is known of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Where it is.
    pub state: State,
    /// Whose.
    pub organization: Uuid,
    /// Who opened it.
    pub opened_by: Uuid,
    /// Who verified and approved it so far.
    pub acted: Vec<Uuid>,
}

/// Why an act is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not theirs to do.
    NotYours,
    /// Not in this state.
    NotNow,
    /// They had a hand in it already: another person is to do it.
    SamePerson,
}

/// The state that follows.
///
/// # Errors
/// Why it is not to be done.
pub fn step(case: &Case, act: Act, who: &SignedIn) -> Result<State, Refusal> {
    let is_employer = who.may == Appointment::Employer { organization: case.organization };
    let is_officer = who.may == Appointment::Officer;
    let theirs = match act {
        Act::Verify => is_employer,
        Act::Approve | Act::Sanction => is_officer,
        Act::Reject => is_officer || (is_employer && case.state == State::Opened),
        Act::Withdraw => who.user == case.opened_by,
    };
    if !theirs {
        return Err(Refusal::NotYours);
    }
    let next = match (act, case.state) {
        (Act::Verify, State::Opened) => State::Verified,
        (Act::Approve, State::Verified) => State::Approved,
        (Act::Sanction, State::Approved) => State::Granted,
        (Act::Reject, state) if !state.is_last() => return Ok(State::Rejected),
        (Act::Withdraw, state) if !state.is_last() => return Ok(State::Withdrawn),
        _ => return Err(Refusal::NotNow),
    };
    let had_a_hand = who.user == case.opened_by || case.acted.contains(&who.user);
    if had_a_hand { Err(Refusal::SamePerson) } else { Ok(next) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORGANIZATION: Uuid = Uuid::from_u128(1);

    fn who(user: u128) -> SignedIn {
        let organization = ORGANIZATION;
        let may = match user {
            0 => Appointment::Member { organization, member: Uuid::from_u128(9) },
            1 | 2 => Appointment::Employer { organization },
            3 => Appointment::Employer { organization: Uuid::from_u128(2) },
            4..=6 => Appointment::Officer,
            _ => Appointment::Nobody,
        };
        SignedIn { user: Uuid::from_u128(user), may }
    }

    fn fresh(opened_by: u128) -> Case {
        let opened_by = Uuid::from_u128(opened_by);
        Case { state: State::Opened, organization: ORGANIZATION, opened_by, acted: Vec::new() }
    }

    #[test]
    fn two_officers_and_an_employer_grant_a_claim() {
        let mut case = fresh(0);
        assert_eq!(step(&case, Act::Approve, &who(4)), Err(Refusal::NotNow));
        assert_eq!(step(&case, Act::Verify, &who(3)), Err(Refusal::NotYours), "of another organization");
        assert_eq!(step(&case, Act::Verify, &who(4)), Err(Refusal::NotYours));
        case = Case { state: step(&case, Act::Verify, &who(1)).unwrap(), acted: vec![who(1).user], ..case };
        case.state = step(&case, Act::Approve, &who(4)).unwrap();
        case.acted.push(who(4).user);
        assert_eq!(step(&case, Act::Sanction, &who(4)), Err(Refusal::SamePerson));
        assert_eq!(step(&case, Act::Sanction, &who(5)), Ok(State::Granted));
        assert_eq!(step(&case, Act::Withdraw, &who(0)), Ok(State::Withdrawn));
        assert_eq!(step(&case, Act::Withdraw, &who(1)), Err(Refusal::NotYours));
        assert_eq!(step(&case, Act::Reject, &who(1)), Err(Refusal::NotYours), "the employer's time is over");
    }

    proptest! {
        #[test]
        fn what_is_granted_three_people_granted(
            opened_by in 0..8_u128,
            tried in prop::collection::vec((0..5_usize, 0..8_u128), 0..60),
        ) {
            let mut case = fresh(opened_by);
            let mut done = Vec::new();
            for (act, user) in tried {
                let (act, before) = (ACTS[act].0, case.state);
                if let Ok(next) = step(&case, act, &who(user)) {
                    prop_assert!(!before.is_last(), "nothing follows the end");
                    case.state = next;
                    case.acted.push(who(user).user);
                    done.push((act, user));
                }
            }
            if case.state == State::Granted {
                let acts: Vec<_> = done.iter().map(|(act, _)| *act).collect();
                prop_assert_eq!(acts, [Act::Verify, Act::Approve, Act::Sanction]);
                let mut people: Vec<_> = done.iter().map(|(_, user)| *user).chain([opened_by]).collect();
                people.sort_unstable();
                people.dedup();
                prop_assert_eq!(people.len(), 4);
            }
        }
    }
}
