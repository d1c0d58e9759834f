//! Registration: exactly one account for a name, and one for an `Idempotency-Key`.
//!
//! Order: what costs little refuses first (rules, remembered answer, name seen taken), then the hash, then one short
//! transaction. Invariant: no connection to the database is held while a password waits to be hashed.

use super::Api;
use crate::accounts;
use crate::audit::{self, Event};
use crate::names::{Checked, Folded, Reason, check};
use crate::validation::Status;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Json;
use plimsoll_kit::idempotency::{Answered, Claim, IdempotencyKey};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use utoipa::ToSchema;

/// NIST SP 800-63B: at least 8; an upper bound so that nobody sends a novel to be hashed.
const PASSWORD_MIN: usize = 8;
const PASSWORD_MAX: usize = 128;
/// The answer waits this long for the filter to take the name; after that the sweep sees to it.
const FILTER_WAIT_MAX: Duration = Duration::from_millis(100);
const SCOPE: &str = "registrations";

/// Who wants to join.
#[derive(Deserialize, ToSchema)]
pub(super) struct Register {
    /// 3 to 32 characters.
    username: String,
    /// 8 to 128 characters.
    password: String,
}

/// Registers an account.
#[utoipa::path(post, path = "/api/registrations", request_body = Register,
    params(("Idempotency-Key" = Option<String>, Header, description = "repeat it to get the same answer")),
    responses((status = 201, body = accounts::Account), (status = 409, description = "taken, or looks taken"),
        (status = 422, description = "name or password not acceptable"), (status = 503, description = "come back later")))]
pub(super) async fn register(
    State(api): State<Api>,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<Register>,
) -> Result<Response, Problem> {
    let (name, folded) = acceptable(&request)?;
    let fingerprint = Sha256::digest(format!("{}\0{}", request.username, request.password));
    let claim = key.as_deref().map(|key| Claim { scope: SCOPE, key, fingerprint: &fingerprint });
    if let Some(claim) = &claim
        && let Some(before) = claim.recall(&api.pool).await?
    {
        return Ok(respond(&before));
    }
    let seen = api.validation.verdict(name.as_str()).await;
    if claim.is_none() && seen.is_ok_and(|verdict| verdict.status == Status::Taken) {
        return Ok(respond(&taken(&name)));
    }
    let hash = api.hashers.hash(request.password).await?;
    let (answered, created) = settle(&api, claim, (&name, &folded), &hash).await?;
    if let Some(id) = created {
        api.validation.registered(name, folded);
        tell_filter(&api, id, &folded).await;
    }
    Ok(respond(&answered))
}

fn acceptable(request: &Register) -> Result<(Folded, Folded), Problem> {
    let (names, mut reasons) = match check(&request.username) {
        Checked::WellFormed { name, folded } => (Some((name, folded)), Vec::new()),
        Checked::Invalid(reasons) => (None, reasons.iter().map(|reason| Reason::word(*reason)).collect()),
    };
    let length = request.password.chars().count();
    if length < PASSWORD_MIN {
        reasons.push("password-too-short");
    }
    if length > PASSWORD_MAX {
        reasons.push("password-too-long");
    }
    if names.is_some_and(|(name, _)| request.password.eq_ignore_ascii_case(name.as_str())) {
        reasons.push("password-is-username");
    }
    match names {
        Some(names) if reasons.is_empty() => Ok(names),
        _ => Err(Problem::unprocessable("not-acceptable", "The name or the password cannot be used.")
            .with("reasons", reasons)),
    }
}

/// One transaction: claim the key, create the account, write the audit, remember the answer.
async fn settle(
    api: &Api,
    claim: Option<Claim<'_>>,
    names: (&Folded, &Folded),
    hash: &str,
) -> Result<(Answered, Option<i64>), Problem> {
    let mut transaction = api.pool.begin().await?;
    if let Some(claim) = &claim
        && let Some(before) = claim.take(&mut transaction).await?
    {
        return Ok((before, None));
    }
    let account = accounts::create(&mut transaction, names, hash, "user").await?;
    let outcome = if account.is_some() { "done" } else { "refused" };
    let name = names.0.as_str();
    audit::record(&mut *transaction, Event { actor: name, act: "register", subject: name, outcome }).await?;
    let answered = match &account {
        Some(account) => Answered { status: 201, body: json!(account) },
        None => taken(names.0),
    };
    if let Some(claim) = &claim {
        claim.remember(&mut transaction, &answered).await?;
    }
    transaction.commit().await?;
    Ok((answered, account.map(|account| account.id)))
}

fn taken(name: &Folded) -> Answered {
    let problem =
        Problem::conflict("taken", "This name, or one that looks like it, is taken.").with("name", name.as_str());
    Answered { status: 409, body: problem.document() }
}

async fn tell_filter(api: &Api, id: i64, folded: &Folded) {
    match tokio::time::timeout(FILTER_WAIT_MAX, api.filter.add(folded)).await {
        Ok(Ok(())) => {
            if let Err(why) = accounts::mark_in_filter(&api.pool, id).await {
                tracing::warn!(error = %why, "the sweep will add a name once more");
            }
        }
        _ => tracing::warn!(id, "the filter did not take a new name; the sweep will"),
    }
}

fn respond(answered: &Answered) -> Response {
    let status = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    let body: &Value = &answered.body;
    (status, [(http::header::CONTENT_TYPE, kind)], body.to_string()).into_response()
}
