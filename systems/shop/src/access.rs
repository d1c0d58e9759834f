//! Who asks: the access token, verified with the keys that the user service publishes.
//!
//! Invariant: a token counts until it expires, fifteen minutes at most, also when its session has ended meanwhile; only the
//! user service itself asks for the session.

use axum::extract::{FromRef, FromRequestParts};
use http::request::Parts;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Bearer;
use plimsoll_kit::verifier::Verifier;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Who may use our tokens: ourselves.
pub const AUDIENCE: &str = "shop";

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Buy.
    Customer,
    /// Keep the catalogue and the stock, too.
    Clerk,
}

/// What an access token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// The person.
    pub sub: Uuid,
    /// The session.
    pub sid: Uuid,
    /// What they may do.
    pub role: Role,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970.
    pub exp: i64,
}

/// Somebody with a valid token.
pub struct SignedIn {
    /// Who.
    pub user: Uuid,
    /// What they may do.
    pub role: Role,
    /// The token, to ask another service in their name.
    pub token: String,
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Bearer(token) = Bearer::from_request_parts(parts, state).await?;
        let claims: Claims = Verifier::from_ref(state).verify(&token, AUDIENCE).await?;
        Ok(Self { user: claims.sub, role: claims.role, token })
    }
}

/// A clerk with a valid token: who.
pub struct Clerk(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Clerk
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let somebody = SignedIn::from_request_parts(parts, state).await?;
        if somebody.role == Role::Clerk {
            Ok(Self(somebody.user))
        } else {
            Err(Problem::forbidden("Only a clerk may do that."))
        }
    }
}
