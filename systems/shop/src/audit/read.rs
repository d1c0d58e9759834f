//! The books as the databases have them, each read at one moment.

use super::books::{Entry, Order, Payment, Reservation, Stock};
use sqlx::{PgPool, PgTransaction, Row};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A transaction that sees one moment.
async fn moment(pool: &PgPool) -> Result<PgTransaction<'static>, sqlx::Error> {
    pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
}

/// Every order.
pub(super) async fn orders(pool: &PgPool) -> Result<BTreeMap<Uuid, Order>, sqlx::Error> {
    let mut moment = moment(pool).await?;
    let sql = "SELECT id, version, state, amount_minor, currency FROM orders";
    let rows = sqlx::query(sql).fetch_all(&mut *moment).await?;
    let mut orders = BTreeMap::new();
    for row in &rows {
        let order = Order {
            version: row.try_get("version")?,
            state: row.try_get("state")?,
            amount_minor: row.try_get("amount_minor")?,
            currency: row.try_get("currency")?,
            lines: BTreeMap::new(),
            lines_minor: 0,
        };
        orders.insert(row.try_get("id")?, order);
    }
    let sql = "SELECT order_id, product_id, quantity, unit_minor FROM order_lines";
    for row in &sqlx::query(sql).fetch_all(&mut *moment).await? {
        if let Some(order) = orders.get_mut(&row.try_get::<Uuid, _>("order_id")?) {
            let quantity = i64::from(row.try_get::<i32, _>("quantity")?);
            order.lines.insert(row.try_get("product_id")?, quantity);
            order.lines_minor += quantity * row.try_get::<i64, _>("unit_minor")?;
        }
    }
    Ok(orders)
}

/// Every payment, by order.
pub(super) async fn payments(pool: &PgPool) -> Result<BTreeMap<Uuid, Payment>, sqlx::Error> {
    let mut moment = moment(pool).await?;
    let sql = "SELECT order_id, state, amount_minor, currency FROM payments";
    let rows = sqlx::query(sql).fetch_all(&mut *moment).await?;
    let mut payments = BTreeMap::new();
    for row in &rows {
        let payment = Payment {
            state: row.try_get("state")?,
            amount_minor: row.try_get("amount_minor")?,
            currency: row.try_get("currency")?,
            entries: Vec::new(),
        };
        payments.insert(row.try_get("order_id")?, payment);
    }
    let sql = "SELECT p.order_id, e.step, e.account, e.amount_minor \
               FROM entries e JOIN payments p ON p.id = e.payment_id ORDER BY e.seq";
    for row in &sqlx::query(sql).fetch_all(&mut *moment).await? {
        if let Some(payment) = payments.get_mut(&row.try_get::<Uuid, _>("order_id")?) {
            payment.entries.push(Entry {
                step: row.try_get("step")?,
                account: row.try_get("account")?,
                amount_minor: row.try_get("amount_minor")?,
            });
        }
    }
    Ok(payments)
}

type Kept = (BTreeMap<Uuid, Reservation>, BTreeMap<Uuid, Stock>);

/// Every reservation, by order, and every product's numbers.
pub(super) async fn stock(pool: &PgPool) -> Result<Kept, sqlx::Error> {
    let mut moment = moment(pool).await?;
    let rows = sqlx::query("SELECT order_id, state FROM reservations").fetch_all(&mut *moment).await?;
    let mut reservations = BTreeMap::new();
    for row in &rows {
        let reservation = Reservation { state: row.try_get("state")?, lines: BTreeMap::new() };
        reservations.insert(row.try_get("order_id")?, reservation);
    }
    let sql = "SELECT order_id, product_id, quantity FROM reserved_lines";
    for row in &sqlx::query(sql).fetch_all(&mut *moment).await? {
        if let Some(reservation) = reservations.get_mut(&row.try_get::<Uuid, _>("order_id")?) {
            reservation.lines.insert(row.try_get("product_id")?, row.try_get("quantity")?);
        }
    }
    let sql = "SELECT s.product_id, s.on_hand, s.reserved, coalesce(sum(m.on_hand_change), 0)::bigint AS moved_on_hand, \
                 coalesce(sum(m.reserved_change), 0)::bigint AS moved_reserved \
               FROM stock s LEFT JOIN movements m ON m.product_id = s.product_id GROUP BY s.product_id";
    let mut stock = BTreeMap::new();
    for row in &sqlx::query(sql).fetch_all(&mut *moment).await? {
        let numbers = Stock {
            on_hand: row.try_get("on_hand")?,
            reserved: row.try_get("reserved")?,
            moved_on_hand: row.try_get("moved_on_hand")?,
            moved_reserved: row.try_get("moved_reserved")?,
        };
        stock.insert(row.try_get("product_id")?, numbers);
    }
    Ok((reservations, stock))
}
