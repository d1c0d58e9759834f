//! The `user` role: who people are and what they may do, signing in; it issues the tokens that all services verify.

mod account;
mod session;

use crate::access::{AUDIENCE, Appointment, Claims};
use crate::migrations;
use axum::Router;
use axum::extract::FromRequestParts;
use axum::routing::{get, post};
use http::request::Parts;
use plimsoll_kit::backend::{BackendSettings, FORGET_EVERY, Role};
use plimsoll_kit::extract::Bearer;
use plimsoll_kit::hashing::Hashers;
use plimsoll_kit::keys::{ACCESS_S, KeySettings, Keys};
use plimsoll_kit::logins::{self, Session};
use plimsoll_kit::service::cores;
use plimsoll_kit::{Problem, idempotency, lockout, settings};
use sqlx::{PgConnection, PgPool, Row};
use std::time::{SystemTime, UNIX_EPOCH};
use utoipa::OpenApi;
use uuid::Uuid;

/// What every handler shares; cheap to clone.
#[derive(Clone)]
struct Users {
    pool: PgPool,
    keys: Keys,
    hashers: Hashers,
}

impl Users {
    /// An access token for this session.
    fn issue(&self, session: Session, may: Appointment) -> Result<String, Problem> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let iat = i64::try_from(now).unwrap_or(0);
        let (iss, aud) = (AUDIENCE.to_owned(), AUDIENCE.to_owned());
        let claims = Claims { iss, aud, sub: session.user, sid: session.id, may, iat, exp: iat + ACCESS_S };
        self.keys.sign(&claims).map_err(|why| Problem::internal(&why))
    }
}

/// Somebody whose token is valid and whose session counts.
struct Here {
    session: Session,
    may: Appointment,
}

impl FromRequestParts<Users> for Here {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, all: &Users) -> Result<Self, Problem> {
        let Bearer(token) = Bearer::from_request_parts(parts, all).await?;
        let over = || Problem::unauthorized("The token is not valid or its session has ended; refresh it or sign in.");
        let claims: Claims = all.keys.verify(&token, AUDIENCE).await.ok_or_else(over)?;
        let session = logins::look_up(&all.pool, claims.sid).await?.ok_or_else(over)?;
        let may = appointment_of(&mut *all.pool.acquire().await?, session.user).await?;
        Ok(Self { session, may })
    }
}

/// What somebody may do.
async fn appointment_of(connection: &mut PgConnection, user: Uuid) -> Result<Appointment, sqlx::Error> {
    let sql = "SELECT role, organization_id, member_id FROM appointments WHERE user_id = $1";
    let Some(row) = sqlx::query(sql).bind(user).fetch_optional(connection).await? else {
        return Ok(Appointment::Nobody);
    };
    let (organization, member): (Option<Uuid>, Option<Uuid>) =
        (row.try_get("organization_id")?, row.try_get("member_id")?);
    Ok(match (row.try_get::<&str, _>("role")?, organization, member) {
        ("officer", ..) => Appointment::Officer,
        ("employer", Some(organization), _) => Appointment::Employer { organization },
        ("member", Some(organization), Some(member)) => Appointment::Member { organization, member },
        _ => Appointment::Nobody,
    })
}

/// Says what somebody may do, once.
pub(crate) async fn appoint(connection: &mut PgConnection, user: Uuid, may: Appointment) -> Result<(), sqlx::Error> {
    let (organization, member) = may.of();
    let sql = "INSERT INTO appointments (user_id, role, organization_id, member_id) VALUES ($1, $2, $3, $4)";
    let appointed = sqlx::query(sql).bind(user).bind(may.word()).bind(organization).bind(member);
    appointed.execute(connection).await.map(drop)
}

#[derive(OpenApi)]
#[openapi(
    info(title = "provident: user", description = "People, what they may do, signing in."),
    paths(account::create, account::own, session::sign_in, session::refresh, session::sign_out, session::jwks)
)]
struct Description;

/// The service.
pub const ROLE: Role = Role { name: "provident-user", group: None, store: "fund", migrations: &migrations::FUND };

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
    backend.every(
        FORGET_EVERY,
        "keys of requests forgotten",
        |pool| async move { idempotency::forget_old(&pool).await },
    );
    let all = Users { pool: backend.pool.clone(), keys, hashers: Hashers::start(hashers)? };
    let routes = Router::new()
        .route("/api/v1/users", post(account::create))
        .route("/api/v1/users/sign-in", post(session::sign_in))
        .route("/api/v1/users/refresh", post(session::refresh))
        .route("/api/v1/users/sign-out", post(session::sign_out))
        .route("/api/v1/users/me", get(account::own))
        .route("/.well-known/jwks.json", get(session::jwks))
        .with_state(all);
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
