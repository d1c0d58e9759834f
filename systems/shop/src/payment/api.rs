//! One's cards, and what was paid for one's orders.

use super::Payments;
use super::cards::{behaviour, is_expiry, last_four};
use crate::access::SignedIn;
use axum::extract::State;
use http::StatusCode;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use utoipa::ToSchema;
use uuid::Uuid;

/// A card, as it is told once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    /// A number that is declared for tests; of it the last four digits are kept.
    number: String,
    /// `MM/YY`.
    expires: String,
}

/// A card, as it is kept.
#[derive(Serialize, ToSchema)]
pub(super) struct Card {
    /// What an order names.
    id: Uuid,
    last_four: String,
    expires: String,
}

/// One's cards.
#[derive(Serialize, ToSchema)]
pub(super) struct Cards {
    cards: Vec<Card>,
}

/// What was paid for an order.
#[derive(Serialize, ToSchema)]
pub(super) struct Payment {
    id: Uuid,
    order: Uuid,
    /// `captured`, `declined` or `refunded`.
    state: String,
    why: Option<String>,
    /// In the currency's smallest unit.
    amount_minor: i64,
    currency: String,
    /// The steps that were booked, in order: `authorise`, `capture`, `refund`.
    steps: Vec<String>,
}

/// Keeps a card.
#[utoipa::path(post, path = "/api/v1/payments/cards", request_body = Told,
    responses((status = 201, body = Card), (status = 401), (status = 422, description = "not a declared test number")))]
pub(super) async fn keep(
    State(all): State<Payments>,
    somebody: SignedIn,
    Json(told): Json<Told>,
) -> Result<(StatusCode, axum::Json<Card>), Problem> {
    let unfit = |what| Problem::unprocessable("not-acceptable", what);
    let behaviour = behaviour(&told.number).ok_or_else(|| unfit("Only declared test numbers are taken."))?;
    if !is_expiry(&told.expires) {
        return Err(unfit("expires is a month and a year: MM/YY."));
    }
    let card = Card { id: Uuid::now_v7(), last_four: last_four(&told.number), expires: told.expires };
    sqlx::query("INSERT INTO cards (id, user_id, last_four, expires, behaviour) VALUES ($1, $2, $3, $4, $5)")
        .bind(card.id)
        .bind(somebody.user)
        .bind(&card.last_four)
        .bind(&card.expires)
        .bind(behaviour)
        .execute(&all.pool)
        .await?;
    Ok((StatusCode::CREATED, axum::Json(card)))
}

/// Lists one's cards.
#[utoipa::path(get, path = "/api/v1/payments/cards", responses((status = 200, body = Cards), (status = 401)))]
pub(super) async fn cards(State(all): State<Payments>, somebody: SignedIn) -> Result<axum::Json<Cards>, Problem> {
    let sql = "SELECT id, last_four, expires FROM cards WHERE user_id = $1 ORDER BY id LIMIT 100";
    let rows = sqlx::query(sql).bind(somebody.user).fetch_all(&all.pool).await?;
    let card = |row: &sqlx::postgres::PgRow| {
        let (id, last_four, expires) = (row.try_get("id")?, row.try_get("last_four")?, row.try_get("expires")?);
        Ok(Card { id, last_four, expires })
    };
    let cards = rows.iter().map(card).collect::<Result<_, sqlx::Error>>()?;
    Ok(axum::Json(Cards { cards }))
}

/// Shows what was paid for one of one's orders.
#[utoipa::path(get, path = "/api/v1/payments/of/{order}", params(("order" = Uuid, Path)),
    responses((status = 200, body = Payment), (status = 401), (status = 404)))]
pub(super) async fn show(
    State(all): State<Payments>,
    somebody: SignedIn,
    Path(order): Path<Uuid>,
) -> Result<axum::Json<Payment>, Problem> {
    let sql = "SELECT id, state, why, amount_minor, currency, \
                 ARRAY(SELECT step FROM entries WHERE payment_id = payments.id GROUP BY step ORDER BY min(seq)) AS steps \
               FROM payments WHERE order_id = $1 AND user_id = $2";
    let row = sqlx::query(sql).bind(order).bind(somebody.user).fetch_optional(&all.pool).await?;
    let row = row.ok_or_else(|| Problem::not_found("Nothing was paid for such an order of yours."))?;
    Ok(axum::Json(Payment {
        id: row.try_get("id")?,
        order,
        state: row.try_get("state")?,
        why: row.try_get("why")?,
        amount_minor: row.try_get("amount_minor")?,
        currency: row.try_get("currency")?,
        steps: row.try_get("steps")?,
    }))
}
