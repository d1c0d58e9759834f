//! Cases, over HTTP.

use super::Cases;
use super::cases::{self, Done, Shown};
use super::steps::{Act, Refusal, State as CaseState};
use crate::access::{Appointment, SignedIn};
use axum::extract::State;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const LIMIT: i64 = 50;

/// Which cases.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// `opened`, `verified` and so on; without, all.
    state: Option<String>,
    /// The `next` of the part before.
    after: Option<Uuid>,
}

/// Some cases.
#[derive(Serialize, ToSchema)]
pub(super) struct Listed {
    cases: Vec<Shown>,
    /// What to ask for next; none: that was the last.
    next: Option<Uuid>,
}

/// A case and what was done with it.
#[derive(Serialize, ToSchema)]
pub(super) struct Told {
    #[serde(flatten)]
    case: Shown,
    history: Vec<Done>,
}

/// What is said with an act.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    /// At most 1,000 characters.
    #[serde(default)]
    note: String,
}

/// Where it is now.
#[derive(Serialize, ToSchema)]
pub(super) struct Now {
    state: &'static str,
}

fn none() -> Problem {
    Problem::not_found("There is no such case.")
}

/// Lists cases, the oldest first: members theirs, employers those of their organization, officers all.
#[utoipa::path(get, path = "/api/v1/workflow/cases", params(Which),
    responses((status = 200, body = Listed), (status = 401), (status = 403)))]
pub(super) async fn list(
    State(all): State<Cases>,
    somebody: SignedIn,
    Query(which): Query<Which>,
) -> Result<axum::Json<Listed>, Problem> {
    if somebody.may == Appointment::Nobody {
        return Err(Problem::forbidden("There is nothing for you here, yet."));
    }
    let part = (which.after.unwrap_or_default(), LIMIT);
    let cases = cases::list(&all.desk.pool, which.state.as_deref(), somebody.may.of(), part).await?;
    let is_full = i64::try_from(cases.len()).is_ok_and(|count| count == LIMIT);
    let next = cases.last().map(|last| last.id).filter(|_| is_full);
    Ok(axum::Json(Listed { cases, next }))
}

/// Shows a case and what was done with it.
#[utoipa::path(get, path = "/api/v1/workflow/cases/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = Told), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn show(
    State(all): State<Cases>,
    somebody: SignedIn,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<Told>, Problem> {
    let case = cases::by_id(&all.desk.pool, id).await?.ok_or_else(none)?;
    somebody.must_see(case.organization, case.member)?;
    let history = cases::history(&all.desk.pool, id).await?;
    Ok(axum::Json(Told { case, history }))
}

/// Verifies, approves, sanctions, rejects or withdraws.
#[utoipa::path(post, path = "/api/v1/workflow/cases/{id}/{act}", request_body = Note,
    params(("id" = Uuid, Path), ("act" = String, Path, description = "verify, approve, sanction, reject or withdraw")),
    responses((status = 200, body = Now), (status = 401), (status = 403, description = "another person is to do it"),
        (status = 404), (status = 409, description = "not in this state"), (status = 422)))]
pub(super) async fn act(
    State(all): State<Cases>,
    somebody: SignedIn,
    Path((id, act)): Path<(Uuid, String)>,
    Json(Note { note }): Json<Note>,
) -> Result<axum::Json<Now>, Problem> {
    let act = Act::parse(&act).ok_or_else(|| Problem::not_found("There is no such thing to do."))?;
    if note.chars().count() > 1000 || note.contains('\0') {
        return Err(Problem::unprocessable("not-acceptable", "A note has at most 1,000 characters."));
    }
    let mut transaction = all.desk.pool.begin().await?;
    let done = cases::act(&mut transaction, id, act, (&somebody, note.trim())).await?.ok_or_else(none)?;
    let state: CaseState = done.map_err(|refusal| match refusal {
        Refusal::NotYours => Problem::forbidden("That is not yours to do."),
        Refusal::SamePerson => Problem::new(
            http::StatusCode::FORBIDDEN,
            "same-person",
            "You had a hand in it already: another person is to do that.",
        ),
        Refusal::NotNow => Problem::conflict("not-now", "The case is not where that is to be done."),
    })?;
    transaction.commit().await?;
    all.wake.wake();
    Ok(axum::Json(Now { state: state.word() }))
}
