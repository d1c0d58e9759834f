//! Payments and their ledger in PostgreSQL.
//!
//! Invariant: an order has one payment, whatever is asked how often; each of its steps is booked once (a unique key says
//! so, not this code), and the entries of a step sum to zero.

use crate::events::{PAYMENTS, PaymentEvent};
use plimsoll_kit::outbox;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// What is to be paid.
#[derive(Debug, Clone)]
pub struct Due {
    /// For this order.
    pub order: Uuid,
    /// By whom.
    pub user: Uuid,
    /// With this card.
    pub card: Uuid,
    /// In the currency's smallest unit.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
}

/// Takes what is due, unless that was decided before; says in both cases what became of it.
///
/// # Errors
/// The database failed.
pub async fn take(transaction: &mut PgConnection, due: &Due) -> Result<(), sqlx::Error> {
    let refusal = refusal(transaction, due).await?;
    let id = Uuid::now_v7();
    let created = sqlx::query(
        "INSERT INTO payments (id, order_id, user_id, card, amount_minor, currency, state, why) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (order_id) DO NOTHING",
    )
    .bind(id)
    .bind(due.order)
    .bind(due.user)
    .bind(due.card)
    .bind(due.amount_minor)
    .bind(&due.currency)
    .bind(if refusal.is_some() { "declined" } else { "captured" })
    .bind(refusal)
    .execute(&mut *transaction)
    .await?;
    if created.rows_affected() == 1 && refusal.is_none() {
        book(transaction, id, "authorise", ("card", "held")).await?;
        book(transaction, id, "capture", ("held", "shop")).await?;
    }
    say(transaction, due.order).await
}

/// Gives back what was taken for an order, once; says so.
///
/// # Errors
/// The database failed.
pub async fn refund(transaction: &mut PgConnection, order: Uuid) -> Result<(), sqlx::Error> {
    let sql = "UPDATE payments SET state = 'refunded', changed_at = now() \
               WHERE order_id = $1 AND state = 'captured' RETURNING id";
    let id: Option<Uuid> = sqlx::query_scalar(sql).bind(order).fetch_optional(&mut *transaction).await?;
    if let Some(id) = id {
        book(transaction, id, "refund", ("shop", "card")).await?;
    }
    say(transaction, order).await
}

/// Why the card does not pay; `None`: it does.
async fn refusal(transaction: &mut PgConnection, due: &Due) -> Result<Option<&'static str>, sqlx::Error> {
    let sql = "SELECT behaviour FROM cards WHERE id = $1 AND user_id = $2";
    let behaviour: Option<String> =
        sqlx::query_scalar(sql).bind(due.card).bind(due.user).fetch_optional(transaction).await?;
    Ok(match behaviour.as_deref() {
        Some("approves") => None,
        Some("lacks-funds") => Some("the card lacks funds"),
        Some(_) => Some("the card was declined"),
        None => Some("there is no such card"),
    })
}

/// Moves the payment's amount from one account to another.
async fn book(
    transaction: &mut PgConnection,
    payment: Uuid,
    step: &str,
    (from, to): (&str, &str),
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO entries (payment_id, step, account, amount_minor, currency) \
               SELECT id, $2, account, sign * amount_minor, currency \
               FROM payments, (VALUES ($3, -1), ($4, 1)) AS sides (account, sign) WHERE id = $1";
    sqlx::query(sql).bind(payment).bind(step).bind(from).bind(to).execute(transaction).await.map(drop)
}

async fn say(transaction: &mut PgConnection, order: Uuid) -> Result<(), sqlx::Error> {
    let sql = "SELECT state, why FROM payments WHERE order_id = $1";
    let row = sqlx::query(sql).bind(order).fetch_optional(&mut *transaction).await?;
    let Some(row) = row else {
        tracing::error!(%order, "a refund of what was never paid is asked for");
        return Ok(());
    };
    let why: Option<String> = row.try_get("why")?;
    let event = match row.try_get::<&str, _>("state")? {
        "captured" => PaymentEvent::Taken { order },
        "refunded" => PaymentEvent::Refunded { order },
        _ => PaymentEvent::Declined { order, why: why.unwrap_or_default() },
    };
    outbox::write(transaction, PAYMENTS, &event).await
}
