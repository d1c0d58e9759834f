//! Orders in PostgreSQL.
//!
//! Invariant: a state, its line in the history, and the message that asks for what it needs are one transaction.

use super::saga::{Heard, State, after};
use crate::events::{ORDERS, OrderEvent, Quantity};
use plimsoll_kit::outbox;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

const COLUMNS: &str = "id, version, user_id, card, state, why, amount_minor, currency, \
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS created_at";
/// So many are asked about again at once.
const ASKED_MAX: i64 = 64;

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Line {
    /// What.
    pub product: Uuid,
    /// How many.
    pub quantity: i32,
    /// Its name when it was ordered.
    pub name: String,
    /// Its price when it was ordered, in the currency's smallest unit.
    pub unit_minor: i64,
}

/// A state that an order came into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Entered {
    /// Which.
    pub state: String,
    /// UTC, RFC 3339.
    pub at: String,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Order {
    /// Never reused.
    pub id: Uuid,
    /// Grows by one with every state.
    pub version: i64,
    /// How far it is.
    pub state: String,
    /// Why it is cancelled, or will be.
    pub why: Option<String>,
    /// The sum of its lines, in the currency's smallest unit.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// UTC, RFC 3339.
    pub created_at: String,
    #[serde(skip)]
    pub(super) user: Uuid,
    #[serde(skip)]
    pub(super) card: Uuid,
}

impl Order {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            state: row.try_get("state")?,
            why: row.try_get("why")?,
            amount_minor: row.try_get("amount_minor")?,
            currency: row.try_get("currency")?,
            created_at: row.try_get("created_at")?,
            user: row.try_get("user_id")?,
            card: row.try_get("card")?,
        })
    }

    fn state(&self) -> Result<State, sqlx::Error> {
        State::parse(&self.state).ok_or_else(|| sqlx::Error::Decode(format!("no state {}", self.state).into()))
    }
}

/// Who orders what, at which prices, and how they pay.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Who.
    pub user: Uuid,
    /// One of their cards.
    pub card: Uuid,
    /// What: at least one line, each of another product.
    pub lines: Vec<Line>,
    /// ISO 4217, of all lines.
    pub currency: String,
    /// The sum of the lines.
    pub amount_minor: i64,
}

/// Places an order, and asks for its stock.
///
/// # Errors
/// The database failed.
pub async fn place(transaction: &mut PgConnection, draft: &Draft) -> Result<Order, sqlx::Error> {
    let sql = format!(
        "INSERT INTO orders (id, user_id, card, state, amount_minor, currency) VALUES ($1, $2, $3, 'placed', $4, $5) \
         RETURNING {COLUMNS}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(Uuid::now_v7())
        .bind(draft.user)
        .bind(draft.card)
        .bind(draft.amount_minor)
        .bind(&draft.currency)
        .fetch_one(&mut *transaction)
        .await?;
    let order = Order::read(&row)?;
    for line in &draft.lines {
        sqlx::query(
            "INSERT INTO order_lines (order_id, product_id, quantity, name, unit_minor) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(order.id)
        .bind(line.product)
        .bind(line.quantity)
        .bind(&line.name)
        .bind(line.unit_minor)
        .execute(&mut *transaction)
        .await?;
    }
    record(transaction, &order).await?;
    ask(transaction, &order).await?;
    Ok(order)
}

async fn record(transaction: &mut PgConnection, order: &Order) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO order_history (order_id, version, state) VALUES ($1, $2, $3)")
        .bind(order.id)
        .bind(order.version)
        .bind(&order.state)
        .execute(transaction)
        .await
        .map(drop)
}

/// Says what the order's state needs, or what became of it.
async fn ask(transaction: &mut PgConnection, order: &Order) -> Result<(), sqlx::Error> {
    let (id, user) = (order.id, order.user);
    let (amount_minor, currency) = (order.amount_minor, order.currency.clone());
    let event = match order.state()? {
        State::Placed => {
            let lines = lines(transaction, id).await?;
            let lines = lines.iter().map(|line| Quantity { product: line.product, quantity: line.quantity.into() });
            OrderEvent::StockWanted { order: id, lines: lines.collect() }
        }
        State::Reserved => OrderEvent::PaymentWanted { order: id, user, card: order.card, amount_minor, currency },
        State::Paid => OrderEvent::CommitWanted { order: id },
        State::Refunding => OrderEvent::RefundWanted { order: id },
        State::Releasing => OrderEvent::ReleaseWanted { order: id },
        State::Confirmed => OrderEvent::Confirmed { order: id, user, amount_minor, currency },
        State::Cancelled => OrderEvent::Cancelled { order: id, user, why: order.why.clone().unwrap_or_default() },
    };
    outbox::write(transaction, ORDERS, &event).await
}

/// Takes note of what is heard of an order. `None`: there is none; the order stays as it is when nothing follows.
///
/// # Errors
/// The database failed.
pub async fn hear(transaction: &mut PgConnection, id: Uuid, heard: &Heard) -> Result<Option<Order>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE id = $1 FOR UPDATE");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(&mut *transaction).await?;
    let Some(row) = row else { return Ok(None) };
    let order = Order::read(&row)?;
    let Some(step) = after(order.state()?, heard) else { return Ok(Some(order)) };
    let sql = format!(
        "UPDATE orders SET state = $2, why = coalesce($3, why), version = version + 1, changed_at = now(), \
           asked_at = now() WHERE id = $1 RETURNING {COLUMNS}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(step.state.word())
        .bind(step.why)
        .fetch_one(&mut *transaction)
        .await?;
    let order = Order::read(&row)?;
    record(transaction, &order).await?;
    ask(transaction, &order).await?;
    Ok(Some(order))
}

/// Asks again for all orders of which nothing was heard for so long; answers how many.
///
/// # Errors
/// The database failed.
pub async fn ask_again(pool: &PgPool, patience: Duration) -> Result<u64, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let sql = format!(
        "UPDATE orders SET asked_at = now() WHERE id IN ( \
           SELECT id FROM orders WHERE state NOT IN ('confirmed', 'cancelled') \
             AND asked_at < now() - make_interval(secs => $1) \
           ORDER BY asked_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING {COLUMNS}"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(patience.as_secs_f64())
        .bind(ASKED_MAX)
        .fetch_all(&mut *transaction)
        .await?;
    for row in &rows {
        ask(&mut transaction, &Order::read(row)?).await?;
    }
    transaction.commit().await?;
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}

/// One of somebody's orders.
///
/// # Errors
/// The database failed.
pub async fn of(connection: &mut PgConnection, id: Uuid, user: Uuid) -> Result<Option<Order>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE id = $1 AND user_id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).bind(user).fetch_optional(connection).await?;
    row.as_ref().map(Order::read).transpose()
}

/// Somebody's orders, the latest first; `before` is the last one of the page before.
///
/// # Errors
/// The database failed.
pub async fn list(pool: &PgPool, user: Uuid, before: Option<Uuid>, limit: i64) -> Result<Vec<Order>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM orders WHERE user_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(user).bind(before).bind(limit).fetch_all(pool).await?;
    rows.iter().map(Order::read).collect()
}

/// What was ordered.
///
/// # Errors
/// The database failed.
pub async fn lines(connection: &mut PgConnection, id: Uuid) -> Result<Vec<Line>, sqlx::Error> {
    let sql = "SELECT product_id, quantity, name, unit_minor FROM order_lines WHERE order_id = $1 ORDER BY product_id";
    let rows = sqlx::query(sql).bind(id).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Line {
                product: row.try_get("product_id")?,
                quantity: row.try_get("quantity")?,
                name: row.try_get("name")?,
                unit_minor: row.try_get("unit_minor")?,
            })
        })
        .collect()
}

/// The states that it went through, the first one first.
///
/// # Errors
/// The database failed.
pub async fn history(connection: &mut PgConnection, id: Uuid) -> Result<Vec<Entered>, sqlx::Error> {
    let sql = "SELECT state, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS at \
               FROM order_history WHERE order_id = $1 ORDER BY version";
    let rows = sqlx::query(sql).bind(id).fetch_all(connection).await?;
    rows.iter().map(|row| Ok(Entered { state: row.try_get("state")?, at: row.try_get("at")? })).collect()
}
