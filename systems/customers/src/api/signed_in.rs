//! Who asks: the access token, its session, and what the role allows.

use super::{Api, keyring};
use crate::cache::Key;
use crate::sessions::{self, Session};
use crate::users::Role;
use axum::extract::FromRequestParts;
use http::request::Parts;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Bearer;

/// Somebody whose token is valid and whose session counts.
pub(super) struct SignedIn(pub(super) Session);

impl FromRequestParts<Api> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Bearer(token) = Bearer::from_request_parts(parts, api).await?;
        let over = || Problem::unauthorized("The token is not valid or its session has ended; refresh it or sign in.");
        let claims = keyring::verify(&api.keys, &token).await.ok_or_else(over)?;
        let key = Key::Session(claims.sid);
        if let Some(session) = api.cache.get(key).await {
            return Ok(Self(session));
        }
        let session = sessions::look_up(&api.pool, claims.sid).await?.ok_or_else(over)?;
        api.cache.put(key, session.version, &session).await;
        Ok(Self(session))
    }
}

fn at_least(role: Role, session: Session) -> Result<Session, Problem> {
    if session.role >= role {
        return Ok(session);
    }
    Err(Problem::forbidden(format!("This needs the role {}.", role.word())).with("role", session.role.word()))
}

/// Somebody who may create and change customers.
pub(super) struct Editor(pub(super) Session);

impl FromRequestParts<Api> for Editor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let SignedIn(session) = SignedIn::from_request_parts(parts, api).await?;
        at_least(Role::Editor, session).map(Self)
    }
}

/// Somebody who may do everything.
pub(super) struct Admin(pub(super) Session);

impl FromRequestParts<Api> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let SignedIn(session) = SignedIn::from_request_parts(parts, api).await?;
        at_least(Role::Admin, session).map(Self)
    }
}
