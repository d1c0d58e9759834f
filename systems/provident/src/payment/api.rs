//! What was paid out, over HTTP.

use crate::access::{Desk, SignedIn};
use axum::extract::State;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Path;
use serde::Serialize;
use sqlx::Row;
use utoipa::ToSchema;
use uuid::Uuid;

/// What was paid for a claim.
#[derive(Serialize, ToSchema)]
pub(super) struct Payment {
    claim: Uuid,
    organization: Uuid,
    member: Uuid,
    amount_paise: i64,
    /// The last four digits.
    account: String,
    /// `paid` or `returned`.
    state: String,
    why: Option<String>,
}

/// Shows what was paid for a claim.
#[utoipa::path(get, path = "/api/v1/payments/{claim}", params(("claim" = Uuid, Path)),
    responses((status = 200, body = Payment), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn show(
    State(desk): State<Desk>,
    somebody: SignedIn,
    Path(claim): Path<Uuid>,
) -> Result<axum::Json<Payment>, Problem> {
    let sql = "SELECT organization_id, member_id, amount_paise, right(account, 4) AS account, state, why \
               FROM payments WHERE claim_id = $1";
    let row = sqlx::query(sql).bind(claim).fetch_optional(&desk.pool).await?;
    let row = row.ok_or_else(|| Problem::not_found("Nothing was paid for such a claim."))?;
    let payment = Payment {
        claim,
        organization: row.try_get("organization_id")?,
        member: row.try_get("member_id")?,
        amount_paise: row.try_get("amount_paise")?,
        account: row.try_get("account")?,
        state: row.try_get("state")?,
        why: row.try_get("why")?,
    };
    somebody.must_see(payment.organization, payment.member)?;
    Ok(axum::Json(payment))
}
