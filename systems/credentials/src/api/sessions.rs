//! Signing in and out.
//!
//! Invariant: for an unknown name and for a wrong password the answers are the same, take as long, and lock out alike.

use super::Api;
use crate::accounts::{self, Account};
use crate::audit::{self, Event};
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Bearer, Json};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Who wants in.
#[derive(Deserialize, ToSchema)]
pub(super) struct SignIn {
    /// Case does not matter.
    username: String,
    /// As registered.
    password: String,
}

/// A session that has begun.
#[derive(Serialize, ToSchema)]
pub(super) struct Begun {
    /// Send it as `Authorization: Bearer …`.
    token: String,
    /// Who is signed in.
    account: Account,
    /// Seconds without use after which it ends.
    expires_in: u64,
}

/// What a session holds; role and state are asked of the database each time.
#[derive(Serialize, Deserialize)]
struct Held {
    account: i64,
}

/// Begins a session. Five wrong passwords lock the name out for fifteen minutes (429).
#[utoipa::path(post, path = "/api/sessions", request_body = SignIn,
    responses((status = 201, body = Begun), (status = 401, description = "wrong name or password"),
        (status = 403, description = "disabled"), (status = 429, description = "locked out")))]
pub(super) async fn sign_in(State(api): State<Api>, Json(request): Json<SignIn>) -> Result<Response, Problem> {
    let name: String = request.username.trim().to_lowercase().chars().take(64).collect();
    let event = Event { actor: &name, act: "sign-in", subject: &name, outcome: "done" };
    refuse_locked_out(&api, &event).await?;
    let turn = api.hashers.turn().await?;
    refuse_locked_out(&api, &event).await?;
    let found = accounts::for_sign_in(&api.pool, &name).await?;
    let (account, hash) = found.unzip();
    if !turn.verify(request.password, hash).await? {
        api.lockout.failed(&name).await?;
        audit::record(&api.pool, Event { outcome: "refused", ..event }).await?;
        return Err(wrong());
    }
    let account = account.ok_or_else(wrong)?;
    if account.disabled {
        audit::record(&api.pool, Event { outcome: "disabled", ..event }).await?;
        return Err(Problem::new(StatusCode::FORBIDDEN, "disabled", "This account is disabled."));
    }
    api.lockout.succeeded(&name).await?;
    let token = api.sessions.begin(Held { account: account.id }).await?;
    audit::record(&api.pool, event).await?;
    let begun = Begun { token, account, expires_in: super::SESSION_IDLE_MAX.as_secs() };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], axum::Json(begun)).into_response())
}

async fn refuse_locked_out(api: &Api, event: &Event<'_>) -> Result<(), Problem> {
    let Some(remaining) = api.lockout.remaining(event.actor).await? else { return Ok(()) };
    audit::record(&api.pool, Event { outcome: "locked-out", ..*event }).await?;
    Err(locked_out(remaining))
}

fn locked_out(remaining: Duration) -> Problem {
    let seconds = remaining.as_secs();
    let detail = "Too many wrong passwords for this name; wait before trying again.";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "locked-out", detail).with("retry_after", seconds);
    match HeaderValue::from_str(&seconds.to_string()) {
        Ok(value) => problem.with_header(header::RETRY_AFTER, value),
        Err(_) => problem,
    }
}

fn wrong() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "wrong-credentials", "Wrong name or password.")
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/sessions/current", responses((status = 200, body = Account), (status = 401)))]
pub(super) async fn current(SignedIn { account, .. }: SignedIn) -> axum::Json<Account> {
    axum::Json(account)
}

/// Ends the session.
#[utoipa::path(delete, path = "/api/sessions/current", responses((status = 204), (status = 401)))]
pub(super) async fn sign_out(
    State(api): State<Api>,
    SignedIn { account, token }: SignedIn,
) -> Result<StatusCode, Problem> {
    api.sessions.end(&token).await?;
    let event = Event { actor: &account.name, act: "sign-out", subject: &account.name, outcome: "done" };
    audit::record(&api.pool, event).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Somebody whose session is valid and whose account is not disabled.
pub(super) struct SignedIn {
    /// Fresh from the database.
    pub(super) account: Account,
    token: String,
}

impl FromRequestParts<Api> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Bearer(token) = Bearer::from_request_parts(parts, api).await?;
        let over = || Problem::unauthorized("The session has ended; sign in again.");
        let held: Held = api.sessions.look_up(&token).await?.ok_or_else(over)?;
        let account = accounts::by_id(&api.pool, held.account).await?.filter(|account| !account.disabled);
        Ok(Self { account: account.ok_or_else(over)?, token })
    }
}

/// Somebody signed in who is an administrator.
pub(super) struct Admin(pub(super) Account);

impl FromRequestParts<Api> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let SignedIn { account, .. } = SignedIn::from_request_parts(parts, api).await?;
        if account.role == "admin" { Ok(Self(account)) } else { Err(Problem::forbidden("Only administrators may.")) }
    }
}
