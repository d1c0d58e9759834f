//! What there is of a product, and what comes in.

use super::Stock;
use super::stock::{self, Level};
use crate::access::Clerk;
use crate::events::Quantity;
use axum::extract::State;
use axum::response::Response;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path};
use plimsoll_kit::idempotency::IdempotencyKey;
use plimsoll_kit::once::{Once, answer};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use utoipa::ToSchema;
use uuid::Uuid;

const QUANTITY_MAX: i64 = 1_000_000;

/// What came in.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Receipt {
    /// 1 to 1,000,000.
    quantity: i64,
}

/// What there is of a product.
#[derive(Serialize, ToSchema)]
pub(super) struct Shown {
    product: Uuid,
    /// What can be ordered.
    available: i64,
    /// In the store.
    on_hand: i64,
    /// Of that, kept for orders.
    reserved: i64,
}

/// A change of what there is.
#[derive(Serialize, ToSchema)]
pub(super) struct Movement {
    /// `received`, `reserved`, `committed`, `expired`, `released` or `returned`.
    kind: String,
    /// For which order; none for what came in.
    order: Option<Uuid>,
    on_hand_change: i64,
    reserved_change: i64,
    /// UTC, RFC 3339.
    at: String,
}

/// The last changes.
#[derive(Serialize, ToSchema)]
pub(super) struct Movements {
    movements: Vec<Movement>,
}

fn shown(product: Uuid, level: Level) -> Shown {
    let Level { on_hand, reserved, .. } = level;
    Shown { product, available: on_hand - reserved, on_hand, reserved }
}

/// Shows what there is of a product.
#[utoipa::path(get, path = "/api/v1/inventory/{product}", params(("product" = Uuid, Path)),
    responses((status = 200, body = Shown)))]
pub(super) async fn show(State(all): State<Stock>, Path(product): Path<Uuid>) -> Result<axum::Json<Shown>, Problem> {
    Ok(axum::Json(shown(product, stock::level(&all.pool, product).await?)))
}

/// Books what came in.
#[utoipa::path(post, path = "/api/v1/inventory/{product}/receipts", request_body = Receipt,
    params(("product" = Uuid, Path), ("Idempotency-Key" = String, Header, description = "chosen by the client")),
    responses((status = 201, body = Shown), (status = 400), (status = 401), (status = 403), (status = 422)))]
pub(super) async fn receive(
    State(all): State<Stock>,
    Clerk(clerk): Clerk,
    Path(product): Path<Uuid>,
    key: IdempotencyKey,
    Json(receipt): Json<Receipt>,
) -> Result<Response, Problem> {
    if !(1..=QUANTITY_MAX).contains(&receipt.quantity) {
        return Err(Problem::unprocessable("not-acceptable", "quantity is 1 to 1,000,000."));
    }
    let once = Once::new(key, "receipt", clerk, &(product, &receipt))?;
    let mut transaction = all.pool.begin().await?;
    if let Some(before) = once.claim().take(&mut transaction).await? {
        return Ok(answer(before));
    }
    let level = stock::receive(&mut transaction, Quantity { product, quantity: receipt.quantity }).await?;
    let answered = once.remember(&mut transaction, 201, &shown(product, level)).await?;
    transaction.commit().await?;
    all.wake.wake();
    Ok(answer(answered))
}

/// Lists the last hundred changes of what there is of a product.
#[utoipa::path(get, path = "/api/v1/inventory/{product}/movements", params(("product" = Uuid, Path)),
    responses((status = 200, body = Movements), (status = 401), (status = 403)))]
pub(super) async fn movements(
    State(all): State<Stock>,
    _: Clerk,
    Path(product): Path<Uuid>,
) -> Result<axum::Json<Movements>, Problem> {
    let sql = "SELECT kind, order_id, on_hand_change, reserved_change, \
                 to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS at \
               FROM movements WHERE product_id = $1 ORDER BY seq DESC LIMIT 100";
    let rows = sqlx::query(sql).bind(product).fetch_all(&all.pool).await?;
    let movement = |row: &sqlx::postgres::PgRow| {
        Ok(Movement {
            kind: row.try_get("kind")?,
            order: row.try_get("order_id")?,
            on_hand_change: row.try_get("on_hand_change")?,
            reserved_change: row.try_get("reserved_change")?,
            at: row.try_get("at")?,
        })
    };
    let movements = rows.iter().map(movement).collect::<Result<_, sqlx::Error>>()?;
    Ok(axum::Json(Movements { movements }))
}
