//! Claims against payments, across two databases.
//!
//! Claims are read before and after the payments; one that changed meanwhile, or is not settled, is on its way and left out,
//! and counted.

use crate::money;
use sqlx::{PgPool, Row};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A claim or a payment: its state, and how much.
pub(super) type Settled = (String, i64);

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// A sentence for each difference.
    pub(super) differences: Vec<String>,
    /// Claims that are settled.
    pub(super) settled: usize,
    /// Claims that are on their way.
    pub(super) on_their_way: usize,
    /// What claims say is paid, in paise.
    pub(super) claimed_paise: i64,
    /// What payments say is paid, in paise.
    pub(super) paid_paise: i64,
}

/// Every claim.
///
/// # Errors
/// The database failed.
pub(super) async fn claims(fund: &PgPool) -> Result<BTreeMap<Uuid, Settled>, sqlx::Error> {
    read(fund, "SELECT id, state, amount_paise FROM claims").await
}

/// Every payment, by claim; its amount as it was transferred.
///
/// # Errors
/// The database failed.
pub(super) async fn payments(payments: &PgPool) -> Result<BTreeMap<Uuid, Settled>, sqlx::Error> {
    let sql = "SELECT claim_id AS id, state, CASE WHEN state = 'paid' THEN coalesce((SELECT sum(paise)::bigint FROM transfers t \
                 WHERE t.claim_id = p.claim_id AND t.account = 'bank'), 0) ELSE amount_paise END AS amount_paise FROM payments p";
    read(payments, sql).await
}

async fn read(pool: &PgPool, sql: &'static str) -> Result<BTreeMap<Uuid, Settled>, sqlx::Error> {
    let rows = sqlx::query(sql).fetch_all(pool).await?;
    rows.iter().map(|row| Ok((row.try_get("id")?, (row.try_get("state")?, row.try_get("amount_paise")?)))).collect()
}

/// Compares the claims as they were before and after the payments were read.
pub(super) fn compare(
    before: &BTreeMap<Uuid, Settled>,
    payments: &BTreeMap<Uuid, Settled>,
    after: &BTreeMap<Uuid, Settled>,
) -> Found {
    let mut found = Found::default();
    for (id, claim) in before {
        let is_settled = !matches!(claim.0.as_str(), "open" | "owed");
        if !is_settled || after.get(id) != Some(claim) {
            found.on_their_way += 1;
            continue;
        }
        found.settled += 1;
        let payment = payments.get(id);
        if claim.0 == "paid" {
            found.claimed_paise += claim.1;
        }
        found.paid_paise += payment.filter(|payment| payment.0 == "paid").map_or(0, |payment| payment.1);
        let wanted = (claim.0 != "refused").then_some(claim);
        if payment != wanted {
            found.differences.push(format!("claim {id} is {}; its payment is {}", shown(Some(claim)), shown(payment)));
        }
    }
    for (id, payment) in payments.iter().filter(|(id, _)| !after.contains_key(id)) {
        found.differences.push(format!("a payment ({}) is of no claim: {id}", shown(Some(payment))));
    }
    found
}

fn shown(one: Option<&Settled>) -> String {
    one.map_or_else(|| "none".to_owned(), |(state, paise)| format!("{state}, {}", money::written(*paise)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(all: &[(u128, &str, i64)]) -> BTreeMap<Uuid, Settled> {
        all.iter().map(|(id, state, paise)| (Uuid::from_u128(*id), ((*state).to_owned(), *paise))).collect()
    }

    #[track_caller]
    fn check(
        before: &[(u128, &str, i64)],
        payments: &[(u128, &str, i64)],
        after: &[(u128, &str, i64)],
        want: (usize, usize),
    ) {
        let found = compare(&books(before), &books(payments), &books(after));
        assert_eq!((found.differences.len(), found.on_their_way), want, "{found:?}");
    }

    #[test]
    fn what_is_settled_agrees_and_what_is_on_its_way_is_left_out() {
        let all = [(1, "paid", 5), (2, "returned", 6), (3, "refused", 7)];
        check(&all, &[(1, "paid", 5), (2, "returned", 6)], &all, (0, 0));
        check(&all, &[(1, "paid", 4), (2, "paid", 6), (3, "paid", 7)], &all, (3, 0));
        check(&all, &[], &all, (2, 0));
        check(&[(1, "owed", 5)], &[(1, "paid", 5)], &[(1, "paid", 5)], (0, 1));
        check(&[], &[(1, "paid", 5)], &[], (1, 0));
        check(&[], &[(1, "paid", 5)], &[(1, "paid", 5)], (0, 0));
    }
}
