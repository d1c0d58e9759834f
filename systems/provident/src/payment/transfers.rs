//! Payments in PostgreSQL.
//!
//! Invariant: a claim has one payment, whatever is asked how often, and is transferred once: keys of the database say so.

use crate::events::{PAYMENTS, Transferred};
use plimsoll_kit::outbox;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// What is to be paid.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) claim: Uuid,
    pub(super) organization: Uuid,
    pub(super) member: Uuid,
    pub(super) amount_paise: i64,
    pub(super) account: String,
    pub(super) ifsc: String,
}

/// Why the bank sends it back; `None`: it does not.
fn returned(account: &str) -> Option<&'static str> {
    account.starts_with("000").then_some("the bank knows no such account")
}

/// Pays what is due, unless that was done before; says in both cases what became of it.
pub(super) async fn pay(transaction: &mut PgConnection, due: &Due) -> Result<(), sqlx::Error> {
    let why = returned(&due.account);
    let created = sqlx::query(
        "INSERT INTO payments (claim_id, organization_id, member_id, amount_paise, account, ifsc, state, why) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (claim_id) DO NOTHING",
    )
    .bind(due.claim)
    .bind(due.organization)
    .bind(due.member)
    .bind(due.amount_paise)
    .bind(&due.account)
    .bind(&due.ifsc)
    .bind(if why.is_some() { "returned" } else { "paid" })
    .bind(why)
    .execute(&mut *transaction)
    .await?;
    if created.rows_affected() == 1 && why.is_none() {
        let sql = "INSERT INTO transfers (claim_id, account, paise) VALUES ($1, 'fund', -$2), ($1, 'bank', $2)";
        sqlx::query(sql).bind(due.claim).bind(due.amount_paise).execute(&mut *transaction).await?;
    }
    let row = sqlx::query("SELECT state, why FROM payments WHERE claim_id = $1").bind(due.claim);
    let row = row.fetch_one(&mut *transaction).await?;
    let (paid, why) = (row.try_get::<&str, _>("state")? == "paid", row.try_get("why")?);
    let transferred = Transferred { claim: due.claim, organization: due.organization, paid, why };
    outbox::write(transaction, PAYMENTS, &transferred).await
}
