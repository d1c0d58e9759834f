//! Claims, over HTTP.

use super::Claims;
use super::store::{self, Answered, Asked, Claim};
use crate::access::{Appointment, SignedIn};
use crate::claims::Kind;
use axum::extract::State;
use axum::response::Response;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path};
use plimsoll_kit::idempotency::IdempotencyKey;
use plimsoll_kit::once::{Once, answer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What a member claims.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    kind: Kind,
    /// Of an advance: how much, in paise.
    amount_paise: Option<i64>,
    /// 9 to 18 digits.
    account: String,
    /// The branch: four letters, a zero, six letters or digits.
    ifsc: String,
}

/// A member's claims.
#[derive(Serialize, ToSchema)]
pub(super) struct Listed {
    claims: Vec<Claim>,
}

/// Is that an account in India?
fn is_account(account: &str, ifsc: &str) -> bool {
    let branch = ifsc.as_bytes();
    (9..=18).contains(&account.len())
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && branch.len() == 11
        && branch[..4].iter().all(u8::is_ascii_uppercase)
        && branch[4] == b'0'
        && branch[5..].iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Claims what is one's own; one claim at a time.
#[utoipa::path(post, path = "/api/v1/pension/{organization}/members/{member}/claims", request_body = Wanted,
    params(("organization" = Uuid, Path), ("member" = Uuid, Path),
        ("Idempotency-Key" = String, Header, description = "so that it is claimed once")),
    responses((status = 201, body = Claim), (status = 400), (status = 401), (status = 403),
        (status = 409, description = "another claim is open"), (status = 422)))]
pub(super) async fn open(
    State(all): State<Claims>,
    somebody: SignedIn,
    Path((organization, member)): Path<(Uuid, Uuid)>,
    key: IdempotencyKey,
    Json(wanted): Json<Wanted>,
) -> Result<Response, Problem> {
    if somebody.may != (Appointment::Member { organization, member }) {
        return Err(Problem::forbidden("Only the member may claim what is theirs."));
    }
    let unfit = |what: String| Problem::unprocessable("not-acceptable", what);
    if !is_account(&wanted.account, &wanted.ifsc) {
        return Err(unfit("An account has 9 to 18 digits, and a branch a code such as SBIN0001234.".to_owned()));
    }
    let once = Once::new(key, "claim", somebody.user, &wanted)?;
    let mut transaction = all.desk.pool.begin().await?;
    if let Some(answered) = once.claim().take(&mut transaction).await? {
        return Ok(answer(answered));
    }
    let Wanted { kind, amount_paise: amount, account, ifsc } = wanted;
    let asked = Asked { organization, member, by: somebody.user, kind, amount, account, ifsc };
    let claim = match store::open(&mut transaction, &asked).await? {
        Answered::Open(claim) => claim,
        Answered::Another => return Err(Problem::conflict("another-open", "Another claim of yours is open.")),
        Answered::Not(why) => return Err(unfit(why)),
    };
    let answered = once.remember(&mut transaction, 201, &claim).await?;
    transaction.commit().await?;
    all.wake.wake();
    Ok(answer(answered))
}

/// Lists a member's claims, the latest first.
#[utoipa::path(get, path = "/api/v1/pension/{organization}/members/{member}/claims",
    params(("organization" = Uuid, Path), ("member" = Uuid, Path)),
    responses((status = 200, body = Listed), (status = 401), (status = 403)))]
pub(super) async fn list(
    State(all): State<Claims>,
    somebody: SignedIn,
    Path((organization, member)): Path<(Uuid, Uuid)>,
) -> Result<axum::Json<Listed>, Problem> {
    somebody.must_see(organization, member)?;
    Ok(axum::Json(Listed { claims: store::of_member(&all.desk.pool, organization, member).await? }))
}

/// Shows a claim.
#[utoipa::path(get, path = "/api/v1/pension/{organization}/claims/{id}",
    params(("organization" = Uuid, Path), ("id" = Uuid, Path)),
    responses((status = 200, body = Claim), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn show(
    State(all): State<Claims>,
    somebody: SignedIn,
    Path((organization, id)): Path<(Uuid, Uuid)>,
) -> Result<axum::Json<Claim>, Problem> {
    let none = || Problem::not_found("There is no such claim.");
    let claim = store::by_id(&all.desk.pool, organization, id).await?.ok_or_else(none)?;
    somebody.must_see(organization, claim.member)?;
    Ok(axum::Json(claim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_those_of_a_branch() {
        assert!(is_account("123456789", "SBIN0001234"));
        for (account, ifsc) in [
            ("12345678", "SBIN0001234"),
            ("12345678x", "SBIN0001234"),
            ("123456789", "SBIN1001234"),
            ("123456789", "sbin0001234"),
        ] {
            assert!(!is_account(account, ifsc), "{account} {ifsc}");
        }
    }
}
