//! Stock, reservations and movements in PostgreSQL.
//!
//! Invariant: what is reserved never exceeds what is on hand (the database refuses it, too); every change of a number is a
//! movement in the same transaction; an order has one reservation, and what is asked of it twice is answered twice and
//! done once. Products are locked in order of their ids, so that no two orders wait for each other.

use crate::events::{Quantity, STOCK, StockEvent};
use plimsoll_kit::outbox;
use sqlx::{PgConnection, PgPool, Row};
use std::time::Duration;
use uuid::Uuid;

/// So many reservations expire at once.
const EXPIRED_MAX: i64 = 64;

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Grows by one with every change.
    pub version: i64,
    /// In the store.
    pub on_hand: i64,
    /// Of that, kept for orders.
    pub reserved: i64,
}

/// One kind of change.
#[derive(Debug, Clone, Copy)]
struct Change {
    kind: &'static str,
    on_hand: i64,
    reserved: i64,
}

const RECEIVED: Change = Change { kind: "received", on_hand: 1, reserved: 0 };
const RESERVED: Change = Change { kind: "reserved", on_hand: 0, reserved: 1 };
const COMMITTED: Change = Change { kind: "committed", on_hand: -1, reserved: -1 };
const EXPIRED: Change = Change { kind: "expired", on_hand: 0, reserved: -1 };
const RELEASED: Change = Change { kind: "released", on_hand: 0, reserved: -1 };
const RETURNED: Change = Change { kind: "returned", on_hand: 1, reserved: 0 };

/// The level of a product; nothing was ever there of one that is unknown.
///
/// # Errors
/// The database failed.
pub async fn level(pool: &PgPool, product: Uuid) -> Result<Level, sqlx::Error> {
    let sql = "SELECT version, on_hand, reserved FROM stock WHERE product_id = $1";
    let row = sqlx::query(sql).bind(product).fetch_optional(pool).await?;
    let none = Level { version: 0, on_hand: 0, reserved: 0 };
    row.map_or(Ok(none), |row| {
        Ok(Level {
            version: row.try_get("version")?,
            on_hand: row.try_get("on_hand")?,
            reserved: row.try_get("reserved")?,
        })
    })
}

/// So many of a product came in.
///
/// # Errors
/// The database failed.
pub async fn receive(transaction: &mut PgConnection, line: Quantity) -> Result<Level, sqlx::Error> {
    let sql = "INSERT INTO stock (product_id) VALUES ($1) ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(line.product).execute(&mut *transaction).await?;
    change(transaction, None, line, RECEIVED).await
}

/// Reserves all of it for an order for so long, or nothing; says which.
///
/// # Errors
/// The database failed.
pub async fn reserve(
    transaction: &mut PgConnection,
    order: Uuid,
    lines: &[Quantity],
    keep: Duration,
) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO reservations (order_id, state, expires_at) \
               VALUES ($1, 'refused', now() + make_interval(secs => $2)) ON CONFLICT DO NOTHING";
    let created = sqlx::query(sql).bind(order).bind(keep.as_secs_f64()).execute(&mut *transaction).await?;
    if created.rows_affected() == 1 && are_there(transaction, lines).await? {
        for line in sorted(lines) {
            let sql = "INSERT INTO reserved_lines (order_id, product_id, quantity) VALUES ($1, $2, $3)";
            sqlx::query(sql).bind(order).bind(line.product).bind(line.quantity).execute(&mut *transaction).await?;
            change(transaction, Some(order), line, RESERVED).await?;
        }
        settle(transaction, order, "held").await?;
    }
    // An expired reservation is still one: when it is paid it is looked whether there is enough.
    let event = match state(transaction, order).await?.as_deref() {
        Some("held" | "committed" | "expired") => StockEvent::Reserved { order },
        Some("released") => StockEvent::Released { order },
        _ => StockEvent::Refused { order },
    };
    outbox::write(transaction, STOCK, &event).await
}

/// Turns an order's reservation into a sale; one that has expired, if there is still enough. Says which.
///
/// # Errors
/// The database failed.
pub async fn commit(transaction: &mut PgConnection, order: Uuid) -> Result<(), sqlx::Error> {
    let before = state(transaction, order).await?;
    let lines = lines(transaction, order).await?;
    let event = match before.as_deref() {
        Some("committed") => StockEvent::Committed { order },
        Some("held") => {
            sell(transaction, order, &lines).await?;
            StockEvent::Committed { order }
        }
        Some("expired") if are_there(transaction, &lines).await? => {
            for line in &lines {
                change(transaction, Some(order), *line, RESERVED).await?;
            }
            sell(transaction, order, &lines).await?;
            StockEvent::Committed { order }
        }
        _ => StockEvent::Gone { order },
    };
    outbox::write(transaction, STOCK, &event).await
}

async fn sell(transaction: &mut PgConnection, order: Uuid, lines: &[Quantity]) -> Result<(), sqlx::Error> {
    for line in lines {
        change(transaction, Some(order), *line, COMMITTED).await?;
    }
    settle(transaction, order, "committed").await
}

/// Lets go of what is kept for an order, or takes back what was sold; nothing will be reserved for it any more. Says so.
///
/// # Errors
/// The database failed.
pub async fn release(transaction: &mut PgConnection, order: Uuid) -> Result<(), sqlx::Error> {
    // An order that is released before it was ever reserved: whatever asks for it later comes too late.
    let sql = "INSERT INTO reservations (order_id, state) VALUES ($1, 'released') ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(order).execute(&mut *transaction).await?;
    let undo = match state(transaction, order).await?.as_deref() {
        Some("held") => Some(RELEASED),
        Some("committed") => Some(RETURNED),
        _ => None,
    };
    if let Some(undo) = undo {
        for line in lines(transaction, order).await? {
            change(transaction, Some(order), line, undo).await?;
        }
    }
    settle(transaction, order, "released").await?;
    outbox::write(transaction, STOCK, &StockEvent::Released { order }).await
}

/// Lets go of what was kept too long; answers for how many orders.
///
/// # Errors
/// The database failed.
pub async fn expire(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let sql = "SELECT order_id FROM reservations WHERE state = 'held' AND expires_at < now() \
               ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED";
    let orders: Vec<Uuid> = sqlx::query_scalar(sql).bind(EXPIRED_MAX).fetch_all(&mut *transaction).await?;
    // All products of all orders, in one order of locks.
    let sql = "SELECT 1 FROM stock WHERE product_id IN (SELECT product_id FROM reserved_lines WHERE order_id = ANY($1)) \
               ORDER BY product_id FOR UPDATE";
    sqlx::query(sql).bind(&orders).execute(&mut *transaction).await?;
    for order in &orders {
        for line in lines(&mut transaction, *order).await? {
            change(&mut transaction, Some(*order), line, EXPIRED).await?;
        }
        settle(&mut transaction, *order, "expired").await?;
    }
    transaction.commit().await?;
    Ok(u64::try_from(orders.len()).unwrap_or(u64::MAX))
}

fn sorted(lines: &[Quantity]) -> Vec<Quantity> {
    let mut sorted = lines.to_vec();
    sorted.sort_by_key(|line| line.product);
    sorted
}

/// Is there enough of each that nobody has reserved? Holds the products until the transaction ends.
async fn are_there(transaction: &mut PgConnection, lines: &[Quantity]) -> Result<bool, sqlx::Error> {
    for line in sorted(lines) {
        let sql = "SELECT on_hand - reserved FROM stock WHERE product_id = $1 FOR UPDATE";
        let available: Option<i64> =
            sqlx::query_scalar(sql).bind(line.product).fetch_optional(&mut *transaction).await?;
        if available.unwrap_or(0) < line.quantity {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The state of an order's reservation, which nobody else can change until the transaction ends.
async fn state(transaction: &mut PgConnection, order: Uuid) -> Result<Option<String>, sqlx::Error> {
    let sql = "SELECT state FROM reservations WHERE order_id = $1 FOR UPDATE";
    sqlx::query_scalar(sql).bind(order).fetch_optional(transaction).await
}

async fn settle(transaction: &mut PgConnection, order: Uuid, state: &str) -> Result<(), sqlx::Error> {
    let sql = "UPDATE reservations SET state = $2, changed_at = now() WHERE order_id = $1";
    sqlx::query(sql).bind(order).bind(state).execute(transaction).await.map(drop)
}

async fn lines(transaction: &mut PgConnection, order: Uuid) -> Result<Vec<Quantity>, sqlx::Error> {
    let sql = "SELECT product_id, quantity FROM reserved_lines WHERE order_id = $1 ORDER BY product_id";
    let rows = sqlx::query(sql).bind(order).fetch_all(transaction).await?;
    rows.iter()
        .map(|row| Ok(Quantity { product: row.try_get("product_id")?, quantity: row.try_get("quantity")? }))
        .collect()
}

/// Changes the numbers of a product, writes the movement down, and says what is left.
async fn change(
    transaction: &mut PgConnection,
    order: Option<Uuid>,
    line: Quantity,
    change: Change,
) -> Result<Level, sqlx::Error> {
    let (on_hand, reserved) = (change.on_hand * line.quantity, change.reserved * line.quantity);
    let sql = "UPDATE stock SET on_hand = on_hand + $2, reserved = reserved + $3, version = version + 1 \
               WHERE product_id = $1 RETURNING version, on_hand, reserved";
    let row = sqlx::query(sql).bind(line.product).bind(on_hand).bind(reserved).fetch_one(&mut *transaction).await?;
    sqlx::query(
        "INSERT INTO movements (product_id, order_id, kind, on_hand_change, reserved_change) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(line.product)
    .bind(order)
    .bind(change.kind)
    .bind(on_hand)
    .bind(reserved)
    .execute(&mut *transaction)
    .await?;
    let level = Level {
        version: row.try_get("version")?,
        on_hand: row.try_get("on_hand")?,
        reserved: row.try_get("reserved")?,
    };
    let (product, version) = (line.product, level.version);
    let event = StockEvent::Level { product, version, available: level.on_hand - level.reserved };
    outbox::write(transaction, STOCK, &event).await?;
    Ok(level)
}
