//! The `user` role: signing up and in, who one is, where one lives; it issues the tokens that all services verify.

mod account;
mod addresses;
mod session;

use crate::access::{AUDIENCE, Claims, Role as Rights};
use crate::events::{USERS, UserEvent};
use crate::migrations;
use axum::Router;
use axum::extract::FromRequestParts;
use axum::routing::{delete, get, post};
use http::request::Parts;
use plimsoll_kit::backend::{BackendSettings, FORGET_EVERY, Role};
use plimsoll_kit::extract::Bearer;
use plimsoll_kit::hashing::Hashers;
use plimsoll_kit::keys::{ACCESS_S, KeySettings, Keys};
use plimsoll_kit::logins::{self, Session};
use plimsoll_kit::outbox::{self, Wake};
use plimsoll_kit::people::Person;
use plimsoll_kit::service::cores;
use plimsoll_kit::{Problem, lockout, settings};
use sqlx::{PgConnection, PgPool};
use std::time::{SystemTime, UNIX_EPOCH};
use utoipa::OpenApi;
use uuid::Uuid;

/// What every handler shares; cheap to clone.
#[derive(Clone)]
struct Users {
    pool: PgPool,
    wake: Wake,
    keys: Keys,
    hashers: Hashers,
}

impl Users {
    /// An access token for this session.
    fn issue(&self, session: Session, role: Rights) -> Result<String, Problem> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let iat = i64::try_from(now).unwrap_or(0);
        let (iss, aud) = (AUDIENCE.to_owned(), AUDIENCE.to_owned());
        let claims = Claims { iss, aud, sub: session.user, sid: session.id, role, iat, exp: iat + ACCESS_S };
        self.keys.sign(&claims).map_err(|why| Problem::internal(&why))
    }
}

/// Somebody whose token is valid and whose session counts.
struct SignedIn(Session);

impl FromRequestParts<Users> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, all: &Users) -> Result<Self, Problem> {
        let Bearer(token) = Bearer::from_request_parts(parts, all).await?;
        let over = || Problem::unauthorized("The token is not valid or its session has ended; refresh it or sign in.");
        let claims: Claims = all.keys.verify(&token, AUDIENCE).await.ok_or_else(over)?;
        Ok(Self(logins::look_up(&all.pool, claims.sid).await?.ok_or_else(over)?))
    }
}

/// What somebody may do.
async fn role_of(connection: &mut PgConnection, user: Uuid) -> Result<Rights, sqlx::Error> {
    let sql = "SELECT role = 'clerk' FROM users WHERE id = $1";
    let is_clerk: Option<bool> = sqlx::query_scalar(sql).bind(user).fetch_optional(connection).await?;
    Ok(if is_clerk == Some(true) { Rights::Clerk } else { Rights::Customer })
}

/// Tells the others who somebody is now.
pub(crate) async fn tell(transaction: &mut PgConnection, person: &Person) -> Result<(), sqlx::Error> {
    let (email, name) = (person.email.clone(), person.name.clone());
    outbox::write(transaction, USERS, &UserEvent::Changed { user: person.id, version: person.version, email, name })
        .await
}

#[derive(OpenApi)]
#[openapi(
    info(title = "shop: user", description = "Signing up and in, sessions, addresses."),
    paths(
        account::sign_up,
        account::own,
        account::amend,
        session::sign_in,
        session::refresh,
        session::sign_out,
        session::jwks,
        addresses::list,
        addresses::add,
        addresses::remove
    )
)]
struct Description;

/// The service.
pub const ROLE: Role = Role { name: "shop-user", group: Some("user"), store: "users", migrations: &migrations::USERS };

/// Serves until SIGTERM. Reads what [`BackendSettings`] and [`KeySettings`] read, and `HASHERS` (default: one per core).
///
/// # Errors
/// Settings, the database at start, the keys, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (backend, keys, hashers) = settings::read(|env| {
        (BackendSettings::read(ROLE, env), KeySettings::read(env), env.parsed("HASHERS", cores()))
    })?;
    let mut backend = backend.open().await?;
    let keys = Keys::open(backend.pool.clone(), keys).await?;
    tokio::spawn(keys.clone().follow());
    backend.every(FORGET_EVERY, "sessions forgotten", |pool| async move { logins::forget_old(&pool).await });
    backend.every(FORGET_EVERY, "wrong passwords forgotten", |pool| async move { lockout::forget_old(&pool).await });
    let hashers = Hashers::start(hashers)?;
    let all = Users { pool: backend.pool.clone(), wake: backend.wake.clone(), keys, hashers };
    let routes = Router::new()
        .route("/api/v1/users/sign-up", post(account::sign_up))
        .route("/api/v1/users/sign-in", post(session::sign_in))
        .route("/api/v1/users/refresh", post(session::refresh))
        .route("/api/v1/users/sign-out", post(session::sign_out))
        .route("/api/v1/users/me", get(account::own).patch(account::amend))
        .route("/api/v1/users/me/addresses", get(addresses::list).post(addresses::add))
        .route("/api/v1/users/me/addresses/{id}", delete(addresses::remove))
        .route("/.well-known/jwks.json", get(session::jwks))
        .with_state(all);
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
