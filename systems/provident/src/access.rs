//! Who asks: the access token, verified with the keys that the user service publishes, and what it allows.
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
pub const AUDIENCE: &str = "provident";

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum Appointment {
    /// Act for themselves.
    Member {
        /// Of this organization.
        organization: Uuid,
        /// As this member.
        member: Uuid,
    },
    /// Act for an organization.
    Employer {
        /// This one.
        organization: Uuid,
    },
    /// Act for the fund.
    Officer,
    /// Nothing, yet.
    Nobody,
}

impl Appointment {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Member { .. } => "member",
            Self::Employer { .. } => "employer",
            Self::Officer => "officer",
            Self::Nobody => "nobody",
        }
    }

    /// Whose organization, and which member.
    pub fn of(self) -> (Option<Uuid>, Option<Uuid>) {
        match self {
            Self::Member { organization, member } => (Some(organization), Some(member)),
            Self::Employer { organization } => (Some(organization), None),
            Self::Officer | Self::Nobody => (None, None),
        }
    }

    /// May they see and change what is of this organization?
    pub fn runs(self, organization: Uuid) -> bool {
        match self {
            Self::Employer { organization: own } => own == organization,
            Self::Officer => true,
            Self::Member { .. } | Self::Nobody => false,
        }
    }

    /// May they see what is of this member?
    pub fn sees(self, organization: Uuid, member: Uuid) -> bool {
        self.runs(organization) || self == Self::Member { organization, member }
    }
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
    pub may: Appointment,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970.
    pub exp: i64,
}

/// Somebody with a valid token.
#[derive(Debug, Clone, Copy)]
pub struct SignedIn {
    /// Who.
    pub user: Uuid,
    /// What they may do.
    pub may: Appointment,
}

impl SignedIn {
    /// Refuses whoever does not run this organization.
    ///
    /// # Errors
    /// 403.
    pub fn must_run(self, organization: Uuid) -> Result<Self, Problem> {
        let refused = || Problem::forbidden("Only the organization's own employer or an officer may do that.");
        if self.may.runs(organization) { Ok(self) } else { Err(refused()) }
    }

    /// Refuses whoever may not see what is of this member.
    ///
    /// # Errors
    /// 403.
    pub fn must_see(self, organization: Uuid, member: Uuid) -> Result<Self, Problem> {
        let refused = || Problem::forbidden("Only the member, their employer or an officer may see that.");
        if self.may.sees(organization, member) { Ok(self) } else { Err(refused()) }
    }

    /// Refuses whoever is no officer.
    ///
    /// # Errors
    /// 403.
    pub fn must_be_officer(self) -> Result<Self, Problem> {
        let refused = || Problem::forbidden("Only an officer of the fund may do that.");
        if self.may == Appointment::Officer { Ok(self) } else { Err(refused()) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn
where
    Verifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Bearer(token) = Bearer::from_request_parts(parts, state).await?;
        let claims: Claims = Verifier::from_ref(state).verify(&token, AUDIENCE).await?;
        Ok(Self { user: claims.sub, may: claims.may })
    }
}

/// What the handlers of a role without more share; cheap to clone.
#[derive(Clone)]
pub struct Desk {
    /// The database.
    pub pool: sqlx::PgPool,
    /// Who asks.
    pub verifier: Verifier,
}

impl FromRef<Desk> for Verifier {
    fn from_ref(desk: &Desk) -> Self {
        desk.verifier.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_sees_their_own_and_officers_everything() {
        let [own, other, me, you] = [1, 2, 3, 4].map(Uuid::from_u128);
        let member = Appointment::Member { organization: own, member: me };
        let employer = Appointment::Employer { organization: own };
        for (who, organization, member, sees, runs) in [
            (member, own, me, true, false),
            (member, own, you, false, false),
            (member, other, me, false, false),
            (employer, own, you, true, true),
            (employer, other, me, false, false),
            (Appointment::Officer, other, you, true, true),
            (Appointment::Nobody, own, me, false, false),
        ] {
            assert_eq!((who.sees(organization, member), who.runs(organization)), (sees, runs), "{who:?}");
        }
    }
}
