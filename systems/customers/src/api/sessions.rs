//! Signing in, refreshing, signing out.
//!
//! Invariant: for an unknown name and for a wrong password the answers are the same, take as long, and lock out alike.

use super::signed_in::SignedIn;
use super::{Api, Way, keyring};
use crate::audit::{self, Event};
use crate::cache::Key;
use crate::sessions::{self, Ended, Refreshed, Session};
use crate::users;
use crate::users::Role;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Json;
use plimsoll_kit::keys::ACCESS_S;
use plimsoll_kit::lockout;
use plimsoll_kit::refresh::Refresh;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

/// Who wants in.
#[derive(Deserialize, ToSchema)]
pub(super) struct SignIn {
    /// Case does not matter.
    name: String,
    /// As it was set.
    password: String,
}

/// The token that was given last.
#[derive(Deserialize, ToSchema)]
pub(super) struct Given {
    refresh_token: String,
}

/// Tokens, as RFC 6749 §5.1 names them.
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    /// Send it as `Authorization: Bearer …`.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds that the access token is valid.
    expires_in: i64,
    /// Good for one refresh.
    refresh_token: String,
    /// What the bearer may do.
    role: Role,
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(super) struct Who {
    id: Uuid,
    name: String,
    role: Role,
}

/// Signs in. Five wrong passwords lock the name out for fifteen minutes (429).
#[utoipa::path(post, path = "/api/sessions", request_body = SignIn,
    responses((status = 201, body = Tokens), (status = 401, description = "wrong name or password"),
        (status = 403, description = "disabled"), (status = 429, description = "locked out")))]
pub(super) async fn sign_in(State(api): State<Api>, Json(request): Json<SignIn>) -> Result<Response, Problem> {
    let name: String = request.name.trim().to_lowercase().chars().filter(|c| *c != '\0').take(64).collect();
    let subject = format!("user {name}");
    let event = Event { actor: &name, act: "sign-in", subject, outcome: "done", detail: json!({}) };
    let turn = api.hashers.turn().await?;
    if let Some(remaining) = lockout::remaining(&api.pool, &name).await? {
        audit::append_alone(&api.pool, &Event { outcome: "locked-out", ..event.clone() }).await?;
        return Err(locked_out(remaining.as_secs()));
    }
    let (user, hash) = users::for_sign_in(&api.pool, &name).await?.unzip();
    let right = turn.verify(request.password, hash).await?;
    let wrong = || Problem::new(StatusCode::UNAUTHORIZED, "wrong-credentials", "Wrong name or password.");
    let Some(user) = user.filter(|_| right) else {
        lockout::failed(&api.pool, &name).await?;
        audit::append_alone(&api.pool, &Event { outcome: "refused", ..event.clone() }).await?;
        return Err(wrong());
    };
    if user.disabled {
        audit::append_alone(&api.pool, &Event { outcome: "disabled", ..event.clone() }).await?;
        return Err(Problem::new(StatusCode::FORBIDDEN, "disabled", "This user is disabled."));
    }
    lockout::succeeded(&api.pool, &name).await?;
    let mut transaction = api.pool.begin().await?;
    let refresh = sessions::begin(&mut transaction, &user).await?.ok_or_else(wrong)?;
    audit::append(&mut transaction, &event).await?;
    transaction.commit().await?;
    let session = Session { id: refresh.session, version: 1, user: user.id, name: user.name, role: user.role };
    give(&api, &session, &refresh, "sign-in")
}

/// Takes a refresh token and gives new tokens. A token that was used before ends its session.
#[utoipa::path(post, path = "/api/sessions/refresh", request_body = Given,
    responses((status = 201, body = Tokens), (status = 401, description = "over, or used before")))]
pub(super) async fn refresh(State(api): State<Api>, Json(given): Json<Given>) -> Result<Response, Problem> {
    let over = || Problem::new(StatusCode::UNAUTHORIZED, "session-over", "The session has ended; sign in again.");
    let given = Refresh::parse(&given.refresh_token).ok_or_else(over)?;
    let mut transaction = api.pool.begin().await?;
    let event = |name| Event {
        actor: name,
        act: "refresh",
        subject: format!("session {}", given.session),
        outcome: "done",
        detail: json!({}),
    };
    match sessions::refresh(&mut transaction, &given).await? {
        Refreshed::Over => Err(over()),
        Refreshed::Again(session, next) => {
            audit::append(&mut transaction, &event(&session.name)).await?;
            transaction.commit().await?;
            give(&api, &session, &next, "refresh")
        }
        Refreshed::Reused(session, ended) => {
            audit::append(&mut transaction, &Event { outcome: "reused", ..event(&session.name) }).await?;
            transaction.commit().await?;
            forget(&api, &[ended]).await;
            Err(over())
        }
    }
}

fn give(api: &Api, session: &Session, refresh: &Refresh, by: &'static str) -> Result<Response, Problem> {
    let access_token = keyring::issue(&api.keys, session)?;
    api.tokens.get_or_create(&Way { by }).inc();
    let (expires_in, refresh_token) = (ACCESS_S, refresh.text());
    let tokens = Tokens { access_token, token_type: "Bearer", expires_in, refresh_token, role: session.role };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], axum::Json(tokens)).into_response())
}

/// Tells the cache that these sessions have ended.
pub(super) async fn forget(api: &Api, ended: &[Ended]) {
    for session in ended {
        api.cache.mark(Key::Session(session.id), session.version).await;
    }
}

fn locked_out(seconds: u64) -> Problem {
    let detail = "Too many wrong passwords for this name; wait before trying again.";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "locked-out", detail).with("retry_after", seconds);
    problem.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/sessions/current", responses((status = 200, body = Who), (status = 401)))]
pub(super) async fn current(SignedIn(session): SignedIn) -> axum::Json<Who> {
    axum::Json(Who { id: session.user, name: session.name, role: session.role })
}

/// Signs out: the session's tokens are not taken any more.
#[utoipa::path(delete, path = "/api/sessions/current", responses((status = 204), (status = 401)))]
pub(super) async fn sign_out(State(api): State<Api>, SignedIn(session): SignedIn) -> Result<StatusCode, Problem> {
    let mut transaction = api.pool.begin().await?;
    let ended = sessions::end(&mut transaction, session.id, "signed-out").await?;
    let (actor, subject) = (session.name.as_str(), format!("session {}", session.id));
    let event = Event { actor, act: "sign-out", subject, outcome: "done", detail: json!({}) };
    audit::append(&mut transaction, &event).await?;
    transaction.commit().await?;
    forget(&api, ended.as_slice()).await;
    Ok(StatusCode::NO_CONTENT)
}
