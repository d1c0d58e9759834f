//! Placing orders, looking at them, giving them back.

use super::Orders;
use super::basket::{self, Wanted};
use super::orders::{self, Entered, Line, Order};
use super::saga::Heard;
use crate::access::SignedIn;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path, Query};
use plimsoll_kit::idempotency::IdempotencyKey;
use plimsoll_kit::once::{Once, answer};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// What is ordered, and how it is paid.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Placed {
    /// One of one's cards.
    card: Uuid,
    /// What; without it, all that is in one's cart, which is emptied.
    lines: Option<Vec<Wanted>>,
}

/// An order with all that belongs to it.
#[derive(Serialize, ToSchema)]
pub(super) struct Whole {
    #[serde(flatten)]
    order: Order,
    lines: Vec<Line>,
    history: Vec<Entered>,
}

/// Which orders.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The last order of the page before.
    before: Option<Uuid>,
    /// 1 to 100; 20 without it.
    limit: Option<i64>,
}

/// One's orders.
#[derive(Serialize, ToSchema)]
pub(super) struct Listed {
    orders: Vec<Order>,
}

fn none() -> Problem {
    Problem::not_found("You have no such order.")
}

/// Places an order. What becomes of it is seen in its state: `confirmed`, or `cancelled` with the reason.
#[utoipa::path(post, path = "/api/v1/orders", request_body = Placed,
    params(("Idempotency-Key" = String, Header, description = "chosen by the client, the same when it tries again")),
    responses((status = 202, body = Order), (status = 400), (status = 401), (status = 422)))]
pub(super) async fn place(
    State(all): State<Orders>,
    somebody: SignedIn,
    key: IdempotencyKey,
    Json(placed): Json<Placed>,
) -> Result<Response, Problem> {
    let once = Once::new(key, "order", somebody.user, &placed)?;
    if let Some(before) = once.claim().recall(&all.pool).await? {
        return Ok(answer(before));
    }
    let is_cart = placed.lines.is_none();
    let wanted = match placed.lines {
        Some(lines) => lines,
        None => basket::of_cart(&all.cart, &somebody.token).await?,
    };
    let draft = basket::priced(&all.product, wanted, somebody.user, placed.card).await?;
    let mut transaction = all.pool.begin().await?;
    if let Some(before) = once.claim().take(&mut transaction).await? {
        return Ok(answer(before));
    }
    let order = orders::place(&mut transaction, &draft).await?;
    let answered = once.remember(&mut transaction, 202, &order).await?;
    transaction.commit().await?;
    all.wake.wake();
    if is_cart {
        basket::empty_cart(&all.cart, &somebody.token).await;
    }
    Ok(answer(answered))
}

/// Lists one's orders, the latest first.
#[utoipa::path(get, path = "/api/v1/orders", params(Which), responses((status = 200, body = Listed), (status = 401)))]
pub(super) async fn list(
    State(all): State<Orders>,
    somebody: SignedIn,
    Query(which): Query<Which>,
) -> Result<axum::Json<Listed>, Problem> {
    let limit = which.limit.unwrap_or(20).clamp(1, 100);
    Ok(axum::Json(Listed { orders: orders::list(&all.pool, somebody.user, which.before, limit).await? }))
}

/// Shows one of one's orders: how far it is, what is in it, and the states that it went through.
#[utoipa::path(get, path = "/api/v1/orders/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = Whole), (status = 401), (status = 404)))]
pub(super) async fn show(
    State(all): State<Orders>,
    somebody: SignedIn,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<Whole>, Problem> {
    let mut connection = all.pool.acquire().await?;
    let order = orders::of(&mut connection, id, somebody.user).await?.ok_or_else(none)?;
    let lines = orders::lines(&mut connection, id).await?;
    let history = orders::history(&mut connection, id).await?;
    Ok(axum::Json(Whole { order, lines, history }))
}

/// Gives a confirmed order back: the money is refunded, the goods are on hand again.
#[utoipa::path(post, path = "/api/v1/orders/{id}/return", params(("id" = Uuid, Path)),
    responses((status = 202, body = Order), (status = 401), (status = 404),
        (status = 409, description = "it is not confirmed")))]
pub(super) async fn give_back(
    State(all): State<Orders>,
    somebody: SignedIn,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, axum::Json<Order>), Problem> {
    let mut transaction = all.pool.begin().await?;
    let before = orders::of(&mut transaction, id, somebody.user).await?.ok_or_else(none)?;
    let order = orders::hear(&mut transaction, id, &Heard::Returned).await?.ok_or_else(none)?;
    transaction.commit().await?;
    if order.why.as_deref() != Some("returned") {
        let detail = "Only a confirmed order is given back.";
        return Err(Problem::conflict("not-confirmed", detail).with("state", before.state));
    }
    all.wake.wake();
    Ok((StatusCode::ACCEPTED, axum::Json(order)))
}
