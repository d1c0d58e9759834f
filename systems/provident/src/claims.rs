//! What can be claimed of what a member has. Functions of what they are given.
//!
//! An *advance* is at most half of the employee's share; a *settlement* is both shares, a *pension* the pension, each all
//! there is when it is claimed. Invariant: what is taken is what was claimed, and no account gives more than it has.

use crate::ledger::Balance;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A part of the employee's share.
    Advance,
    /// Both shares, whole.
    Settlement,
    /// The pension, whole.
    Pension,
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Advance => "advance",
            Self::Settlement => "settlement",
            Self::Pension => "pension",
        }
    }

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Advance, Self::Settlement, Self::Pension].into_iter().find(|kind| kind.word() == word)
    }
}

/// How much is claimed, in paise; `asked` is told for an advance only.
///
/// # Errors
/// A sentence: what can't be claimed.
pub fn amount(kind: Kind, asked: Option<i64>, has: Balance) -> Result<i64, String> {
    let whole = match (kind, asked) {
        (Kind::Advance, None) => return Err("Say how much of an advance you want.".to_owned()),
        (Kind::Advance, Some(asked)) => {
            let most = has.employee_paise / 2;
            if !(1..=most).contains(&asked) {
                return Err(format!("An advance is 0.01 to {}.", crate::money::written(most.max(0))));
            }
            asked
        }
        (_, Some(_)) => return Err("Only an advance has an amount of one's choice.".to_owned()),
        (Kind::Settlement, None) => has.employee_paise + has.employer_paise,
        (Kind::Pension, None) => has.pension_paise,
    };
    if whole > 0 { Ok(whole) } else { Err("There is nothing to claim.".to_owned()) }
}

/// What each account gives for a claim of `amount` paise; `None`: they do not have it any more.
pub fn parts(kind: Kind, amount: i64, has: Balance) -> Option<Balance> {
    let none = Balance::default();
    let parts = match kind {
        Kind::Advance => Balance { employee_paise: amount, ..none },
        Kind::Settlement => {
            let employee_paise = amount.min(has.employee_paise);
            Balance { employee_paise, employer_paise: amount - employee_paise, ..none }
        }
        Kind::Pension => Balance { pension_paise: amount, ..none },
    };
    let covers = parts.employee_paise <= has.employee_paise
        && parts.employer_paise <= has.employer_paise
        && parts.pension_paise <= has.pension_paise;
    covers.then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HAS: Balance = Balance { employee_paise: 1001, employer_paise: 500, pension_paise: 0 };

    #[test]
    fn an_advance_is_half_of_ones_own_and_the_rest_is_all_there_is() {
        assert_eq!(amount(Kind::Advance, Some(500), HAS), Ok(500));
        assert_eq!(amount(Kind::Settlement, None, HAS), Ok(1501));
        for (kind, asked) in [
            (Kind::Advance, Some(501)),
            (Kind::Advance, Some(0)),
            (Kind::Advance, None),
            (Kind::Settlement, Some(1)),
            (Kind::Pension, None),
        ] {
            assert!(amount(kind, asked, HAS).is_err(), "{kind:?} {asked:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_claimed_is_taken_and_no_more_than_there_is(
            (employee_paise, employer_paise, pension_paise) in (0..1_000_i64, 0..1_000_i64, 0..1_000_i64),
            asked in prop::option::of(0..1_000_i64),
            kind in prop::sample::select(vec![Kind::Advance, Kind::Settlement, Kind::Pension]),
        ) {
            let has = Balance { employee_paise, employer_paise, pension_paise };
            if let Ok(amount) = amount(kind, asked, has) {
                let parts = parts(kind, amount, has).unwrap();
                prop_assert_eq!(parts.employee_paise + parts.employer_paise + parts.pension_paise, amount);
                prop_assert!([parts.employee_paise, parts.employer_paise, parts.pension_paise].iter().all(|part| *part >= 0));
            }
        }
    }
}
