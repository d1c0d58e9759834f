//! Where somebody wants things sent.

use super::{SignedIn, Users};
use axum::extract::State;
use http::StatusCode;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path};
use plimsoll_kit::people::plain_name;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use utoipa::ToSchema;
use uuid::Uuid;

const ADDRESSES_MAX: i64 = 20;

/// An address as it is sent.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    /// 1 to 100 characters, as all of them.
    recipient: String,
    /// Street and number.
    street: String,
    /// Town.
    city: String,
    /// As it is written there.
    postal_code: String,
    /// ISO 3166-1: two capital letters.
    country: String,
}

/// An address.
#[derive(Serialize, ToSchema)]
pub(super) struct Address {
    id: Uuid,
    #[serde(flatten)]
    draft: Draft,
}

/// One's addresses.
#[derive(Serialize, ToSchema)]
pub(super) struct Addresses {
    addresses: Vec<Address>,
}

impl Draft {
    fn checked(self) -> Option<Self> {
        let is_country = self.country.len() == 2 && self.country.bytes().all(|byte| byte.is_ascii_uppercase());
        is_country.then_some(())?;
        Some(Self {
            recipient: plain_name(&self.recipient)?,
            street: plain_name(&self.street)?,
            city: plain_name(&self.city)?,
            postal_code: plain_name(&self.postal_code)?,
            country: self.country,
        })
    }
}

/// Lists one's addresses.
#[utoipa::path(get, path = "/api/v1/users/me/addresses", responses((status = 200, body = Addresses), (status = 401)))]
pub(super) async fn list(
    State(all): State<Users>,
    SignedIn(session): SignedIn,
) -> Result<axum::Json<Addresses>, Problem> {
    let sql = "SELECT id, recipient, street, city, postal_code, country FROM addresses WHERE user_id = $1 ORDER BY id";
    let rows = sqlx::query(sql).bind(session.user).fetch_all(&all.pool).await?;
    let address = |row: &sqlx::postgres::PgRow| {
        let draft = Draft {
            recipient: row.try_get("recipient")?,
            street: row.try_get("street")?,
            city: row.try_get("city")?,
            postal_code: row.try_get("postal_code")?,
            country: row.try_get("country")?,
        };
        Ok(Address { id: row.try_get("id")?, draft })
    };
    Ok(axum::Json(Addresses { addresses: rows.iter().map(address).collect::<Result<_, sqlx::Error>>()? }))
}

/// Adds an address, of twenty at most.
#[utoipa::path(post, path = "/api/v1/users/me/addresses", request_body = Draft,
    responses((status = 201, body = Address), (status = 401), (status = 422)))]
pub(super) async fn add(
    State(all): State<Users>,
    SignedIn(session): SignedIn,
    Json(draft): Json<Draft>,
) -> Result<(StatusCode, axum::Json<Address>), Problem> {
    let unfit = |what| Problem::unprocessable("not-acceptable", what);
    let draft =
        draft.checked().ok_or_else(|| unfit("Each part has 1 to 100 characters; country is two capital letters."))?;
    let id = Uuid::now_v7();
    let added = sqlx::query(
        "INSERT INTO addresses (id, user_id, recipient, street, city, postal_code, country) \
         SELECT $1, $2, $3, $4, $5, $6, $7 WHERE (SELECT count(*) FROM addresses WHERE user_id = $2) < $8",
    )
    .bind(id)
    .bind(session.user)
    .bind(&draft.recipient)
    .bind(&draft.street)
    .bind(&draft.city)
    .bind(&draft.postal_code)
    .bind(&draft.country)
    .bind(ADDRESSES_MAX)
    .execute(&all.pool)
    .await?;
    if added.rows_affected() == 0 {
        return Err(unfit("There are twenty already."));
    }
    Ok((StatusCode::CREATED, axum::Json(Address { id, draft })))
}

/// Removes an address.
#[utoipa::path(delete, path = "/api/v1/users/me/addresses/{id}", params(("id" = Uuid, Path)),
    responses((status = 204), (status = 401), (status = 404)))]
pub(super) async fn remove(
    State(all): State<Users>,
    SignedIn(session): SignedIn,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let sql = "DELETE FROM addresses WHERE id = $1 AND user_id = $2";
    let removed = sqlx::query(sql).bind(id).bind(session.user).execute(&all.pool).await?;
    if removed.rows_affected() == 1 {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("You have no such address."))
    }
}
