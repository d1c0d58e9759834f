//! People, and what they may do.

use super::{Here, Users, appoint};
use crate::access::Appointment;
use axum::extract::State;
use http::StatusCode;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Json;
use plimsoll_kit::people::{self, Person};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Somebody new.
#[derive(Deserialize, ToSchema)]
pub(super) struct New {
    /// Where mail goes; one person has it.
    email: String,
    /// 1 to 100 characters.
    name: String,
    /// 8 to 128 characters.
    password: String,
    /// What they may do.
    #[serde(flatten)]
    may: Appointment,
}

/// Somebody, and what they may do.
#[derive(Serialize, ToSchema)]
pub(super) struct Shown {
    #[serde(flatten)]
    person: Person,
    #[serde(flatten)]
    may: Appointment,
}

fn unfit(detail: &str) -> Problem {
    Problem::unprocessable("not-acceptable", detail)
}

/// Lets somebody in: officers anybody, employers members of their organization.
#[utoipa::path(post, path = "/api/v1/users", request_body = New,
    responses((status = 201, body = Shown), (status = 401), (status = 403),
        (status = 409, description = "the address is taken"), (status = 422)))]
pub(super) async fn create(
    State(all): State<Users>,
    here: Here,
    Json(new): Json<New>,
) -> Result<(StatusCode, axum::Json<Shown>), Problem> {
    let allowed = match new.may {
        Appointment::Member { organization, .. } => here.may.runs(organization),
        Appointment::Employer { .. } | Appointment::Officer => here.may == Appointment::Officer,
        Appointment::Nobody => return Err(unfit("Say what they may do: member, employer or officer.")),
    };
    if !allowed {
        return Err(Problem::forbidden("Only an officer, or for members their employer, may let somebody in."));
    }
    let email = people::plain_email(&new.email).ok_or_else(|| unfit("That is no e-mail address."))?;
    let name = people::plain_name(&new.name).ok_or_else(|| unfit("A name has 1 to 100 characters."))?;
    if !people::is_password(&new.password) {
        return Err(unfit("A password has 8 to 128 characters."));
    }
    let hash = all.hashers.hash(new.password).await?;
    let mut transaction = all.pool.begin().await?;
    let taken = || Problem::conflict("taken", "Somebody has this address already.").with("field", "email");
    let person = people::create(&mut transaction, (&email, &name), &hash).await?.ok_or_else(taken)?;
    appoint(&mut transaction, person.id, new.may).await.map_err(|why| match why.as_database_error() {
        Some(refused) if refused.is_foreign_key_violation() => unfit("There is no such organization or member."),
        _ => why.into(),
    })?;
    transaction.commit().await?;
    Ok((StatusCode::CREATED, axum::Json(Shown { person, may: new.may })))
}

/// Shows who is signed in.
#[utoipa::path(get, path = "/api/v1/users/me", responses((status = 200, body = Shown), (status = 401)))]
pub(super) async fn own(State(all): State<Users>, here: Here) -> Result<axum::Json<Shown>, Problem> {
    let none = || Problem::unauthorized("Sign in again.");
    let person = people::by_id(&all.pool, here.session.user).await?.ok_or_else(none)?;
    Ok(axum::Json(Shown { person, may: here.may }))
}
