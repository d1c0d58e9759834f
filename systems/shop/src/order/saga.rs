//! What becomes of an order when something is heard of it.
//!
//! Each state asks for one thing (`orders::ask` says which); the answer leads on. Whoever is in a state for long asks
//! again, so a lost message or a dead service delays an order and does no more.
//!
//! Invariant: [`after`] is a function of its arguments. What was paid is confirmed, or refunded and then released; nothing
//! leaves `confirmed` but a return, and nothing leaves `cancelled`.

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Inventory is to reserve.
    Placed,
    /// Payment is to take the money.
    Reserved,
    /// Inventory is to turn the reservation into a sale.
    Paid,
    /// It is theirs.
    Confirmed,
    /// Payment is to give the money back.
    Refunding,
    /// Inventory is to let go of what it keeps.
    Releasing,
    /// Nothing came of it.
    Cancelled,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Placed, Self::Reserved, Self::Paid, Self::Confirmed, Self::Refunding, Self::Releasing, Self::Cancelled];

    /// As it is stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Reserved => "reserved",
            Self::Paid => "paid",
            Self::Confirmed => "confirmed",
            Self::Refunding => "refunding",
            Self::Releasing => "releasing",
            Self::Cancelled => "cancelled",
        }
    }

    /// `None`: there is no such state.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Nothing more happens by itself.
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Confirmed | Self::Cancelled)
    }
}

/// What is heard of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Inventory keeps all of it.
    Reserved,
    /// Inventory has not enough.
    Refused,
    /// Payment has the money.
    Taken,
    /// Payment got no money, for this reason.
    Declined(String),
    /// Inventory has sold it.
    Committed,
    /// Inventory kept it too long, and has not enough any more.
    Gone,
    /// Payment has given the money back.
    Refunded,
    /// Inventory keeps nothing.
    Released,
    /// Whoever bought it gives it back.
    Returned,
}

/// Where an order goes, and why it will be cancelled if that is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The next state.
    pub state: State,
    /// A word or sentence for whoever ordered.
    pub why: Option<String>,
}

/// What follows; `None`: nothing, it was heard before or comes too late.
pub fn after(state: State, heard: &Heard) -> Option<Step> {
    let to = |state| Some(Step { state, why: None });
    let because = |state, why: &str| Some(Step { state, why: Some(why.to_owned()) });
    match (state, heard) {
        (State::Placed, Heard::Reserved) => to(State::Reserved),
        (State::Placed, Heard::Refused) => because(State::Releasing, "sold out"),
        (State::Reserved, Heard::Taken) => to(State::Paid),
        (State::Reserved, Heard::Declined(why)) => because(State::Releasing, why),
        (State::Paid, Heard::Committed) => to(State::Confirmed),
        (State::Paid, Heard::Gone) => because(State::Refunding, "sold out while it was paid"),
        (State::Confirmed, Heard::Returned) => because(State::Refunding, "returned"),
        (State::Refunding, Heard::Refunded) => to(State::Releasing),
        (State::Releasing, Heard::Released) => to(State::Cancelled),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_heard() -> Vec<Heard> {
        let declined = Heard::Declined("declined".into());
        [Heard::Reserved, Heard::Refused, Heard::Taken, declined, Heard::Committed]
            .into_iter()
            .chain([Heard::Gone, Heard::Refunded, Heard::Released, Heard::Returned])
            .collect()
    }

    #[track_caller]
    fn check(heard: &[Heard], want: State, why: Option<&str>) {
        let (mut state, mut said) = (State::Placed, None);
        for heard in heard {
            if let Some(step) = after(state, heard) {
                state = step.state;
                said = step.why.or(said);
            }
        }
        assert_eq!((state, said.as_deref()), (want, why), "{heard:?}");
    }

    #[test]
    fn an_order_is_confirmed_or_undone() {
        check(&[Heard::Reserved, Heard::Taken, Heard::Committed], State::Confirmed, None);
        check(&[Heard::Refused, Heard::Released], State::Cancelled, Some("sold out"));
        let declined = Heard::Declined("card declined".into());
        check(&[Heard::Reserved, declined, Heard::Released], State::Cancelled, Some("card declined"));
        let gone = [Heard::Reserved, Heard::Taken, Heard::Gone, Heard::Refunded, Heard::Released];
        check(&gone, State::Cancelled, Some("sold out while it was paid"));
        let returned =
            [Heard::Reserved, Heard::Taken, Heard::Committed, Heard::Returned, Heard::Refunded, Heard::Released];
        check(&returned, State::Cancelled, Some("returned"));
    }

    #[test]
    fn what_is_heard_twice_or_late_changes_nothing() {
        let twice = [Heard::Reserved, Heard::Reserved, Heard::Taken, Heard::Taken, Heard::Reserved, Heard::Committed];
        check(&twice, State::Confirmed, None);
        for heard in all_heard() {
            assert_eq!(after(State::Cancelled, &heard), None, "{heard:?}");
            let leaves_confirmed = after(State::Confirmed, &heard).is_some();
            assert_eq!(leaves_confirmed, heard == Heard::Returned, "{heard:?}");
        }
    }

    #[test]
    fn whoever_has_paid_gets_it_or_their_money() {
        for heard in all_heard() {
            let next = after(State::Paid, &heard).map(|step| step.state);
            assert!(matches!(next, None | Some(State::Confirmed | State::Refunding)), "{heard:?}: {next:?}");
            let next = after(State::Refunding, &heard).map(|step| step.state);
            assert!(matches!(next, None | Some(State::Releasing)), "{heard:?}: {next:?}");
        }
    }

    #[test]
    fn every_state_that_is_not_settled_can_be_left() {
        for state in State::ALL {
            assert_eq!(State::parse(state.word()), Some(state));
            let leaves = all_heard().iter().any(|heard| after(state, heard).is_some());
            assert!(leaves || state == State::Cancelled, "{state:?}");
        }
    }
}
