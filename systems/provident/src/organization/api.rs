//! Organizations and members, over HTTP.

use crate::access::{Desk, SignedIn};
use crate::members::{self, ADDED_MAX, Joining, Member, is_number};
use crate::organizations::{self, Organization};
use crate::shards::{self, Shard};
use axum::extract::State;
use axum::response::Response;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path, Query};
use plimsoll_kit::idempotency::IdempotencyKey;
use plimsoll_kit::once::{Once, answer};
use plimsoll_kit::people::plain_name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const LIMIT_MAX: i64 = 200;

/// An organization to be.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    /// 1 to 100 characters.
    name: String,
}

/// Which part of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// What comes after it: the `next` of the part before.
    after: Option<String>,
    /// 1 to 200; 50 without.
    limit: Option<i64>,
}

impl Part {
    fn limit(&self) -> i64 {
        self.limit.unwrap_or(50).clamp(1, LIMIT_MAX)
    }
}

/// Some organizations.
#[derive(Serialize, ToSchema)]
pub(super) struct Organizations {
    organizations: Vec<Organization>,
    /// What to ask for next; none: that was the last.
    next: Option<Uuid>,
}

/// Some members.
#[derive(Serialize, ToSchema)]
pub(super) struct Members {
    members: Vec<Member>,
    /// What to ask for next; none: that was the last.
    next: Option<String>,
}

/// Those who join.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Joined {
    members: Vec<Joining>,
}

/// How many joined.
#[derive(Serialize, ToSchema)]
pub(super) struct Count {
    /// New members.
    added: u64,
    /// Those whose number was there already; they stay as they are.
    known: u64,
}

/// Words to look for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Words {
    /// The beginning of a name, or a number.
    query: String,
}

/// The shards.
#[derive(Serialize, ToSchema)]
pub(super) struct Shards {
    shards: Vec<Shard>,
}

fn none() -> Problem {
    Problem::not_found("There is no such organization.")
}

/// Registers an organization.
#[utoipa::path(post, path = "/api/v1/organizations", request_body = Named,
    params(("Idempotency-Key" = String, Header, description = "so that it is registered once")),
    responses((status = 201, body = Organization), (status = 400), (status = 401), (status = 403), (status = 422)))]
pub(super) async fn create(
    State(desk): State<Desk>,
    somebody: SignedIn,
    key: IdempotencyKey,
    Json(named): Json<Named>,
) -> Result<Response, Problem> {
    somebody.must_be_officer()?;
    let unfit = || Problem::unprocessable("not-acceptable", "A name has 1 to 100 characters.");
    let name = plain_name(&named.name).ok_or_else(unfit)?;
    let once = Once::new(key, "organization", somebody.user, &named)?;
    let mut transaction = desk.pool.begin().await?;
    if let Some(answered) = once.claim().take(&mut transaction).await? {
        return Ok(answer(answered));
    }
    let organization = Organization { id: Uuid::now_v7(), name };
    organizations::create(&mut transaction, &organization).await?;
    let answered = once.remember(&mut transaction, 201, &organization).await?;
    transaction.commit().await?;
    Ok(answer(answered))
}

/// Lists organizations of all shards.
#[utoipa::path(get, path = "/api/v1/organizations", params(Part),
    responses((status = 200, body = Organizations), (status = 401), (status = 403)))]
pub(super) async fn list(
    State(desk): State<Desk>,
    somebody: SignedIn,
    Query(part): Query<Part>,
) -> Result<axum::Json<Organizations>, Problem> {
    somebody.must_be_officer()?;
    let limit = part.limit();
    let after = part.after.as_deref().map_or(Ok(Uuid::nil()), str::parse);
    let after = after.map_err(|_| Problem::bad_request("after is the `next` of the part before."))?;
    let organizations = organizations::list(&desk.pool, after, limit).await?;
    let is_full = i64::try_from(organizations.len()).is_ok_and(|count| count == limit);
    let next = organizations.last().map(|last| last.id).filter(|_| is_full);
    Ok(axum::Json(Organizations { organizations, next }))
}

/// Shows an organization, to everybody in it.
#[utoipa::path(get, path = "/api/v1/organizations/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = Organization), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn show(
    State(desk): State<Desk>,
    somebody: SignedIn,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<Organization>, Problem> {
    if somebody.may.of().0 != Some(id) {
        somebody.must_run(id)?;
    }
    Ok(axum::Json(organizations::by_id(&desk.pool, id).await?.ok_or_else(none)?))
}

/// Lists an organization's members in order of number.
#[utoipa::path(get, path = "/api/v1/organizations/{id}/members", params(("id" = Uuid, Path), Part),
    responses((status = 200, body = Members), (status = 401), (status = 403)))]
pub(super) async fn members(
    State(desk): State<Desk>,
    somebody: SignedIn,
    Path(id): Path<Uuid>,
    Query(part): Query<Part>,
) -> Result<axum::Json<Members>, Problem> {
    somebody.must_run(id)?;
    let limit = part.limit();
    let members = members::list(&desk.pool, id, part.after.as_deref().unwrap_or_default(), limit).await?;
    let is_full = i64::try_from(members.len()).is_ok_and(|count| count == limit);
    let next = members.last().map(|last| last.number.clone()).filter(|_| is_full);
    Ok(axum::Json(Members { members, next }))
}

/// Adds members, twenty thousand at most; numbers that are there already stay as they are.
#[utoipa::path(post, path = "/api/v1/organizations/{id}/members", params(("id" = Uuid, Path)), request_body = Joined,
    responses((status = 200, body = Count), (status = 401), (status = 403), (status = 404), (status = 422)))]
pub(super) async fn join(
    State(desk): State<Desk>,
    somebody: SignedIn,
    Path(id): Path<Uuid>,
    Json(joined): Json<Joined>,
) -> Result<axum::Json<Count>, Problem> {
    somebody.must_run(id)?;
    let unfit = |what: String| Problem::unprocessable("not-acceptable", what);
    if joined.members.len() > ADDED_MAX {
        return Err(unfit(format!("At most {ADDED_MAX} members can be added at once.")));
    }
    let mut seen = BTreeSet::new();
    for one in &joined.members {
        if !is_number(&one.number) || plain_name(&one.name).as_ref() != Some(&one.name) {
            let what = "A number has 1 to 20 capital letters, digits and hyphens, a name 1 to 100 characters.";
            return Err(unfit(format!("{what} Not so {:?}, {:?}.", one.number, one.name)));
        }
        if !seen.insert(&one.number) {
            return Err(unfit(format!("{} is in the list twice.", one.number)));
        }
    }
    organizations::by_id(&desk.pool, id).await?.ok_or_else(none)?;
    let added = members::add(&mut *desk.pool.acquire().await?, id, &joined.members).await?;
    let known = u64::try_from(joined.members.len()).unwrap_or(u64::MAX) - added;
    Ok(axum::Json(Count { added, known }))
}

/// Shows a member.
#[utoipa::path(get, path = "/api/v1/organizations/{id}/members/{member}",
    params(("id" = Uuid, Path), ("member" = Uuid, Path)),
    responses((status = 200, body = Member), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn member(
    State(desk): State<Desk>,
    somebody: SignedIn,
    Path((id, member)): Path<(Uuid, Uuid)>,
) -> Result<axum::Json<Member>, Problem> {
    somebody.must_see(id, member)?;
    let none = || Problem::not_found("There is no such member.");
    Ok(axum::Json(members::by_id(&desk.pool, id, member).await?.ok_or_else(none)?))
}

/// Finds members in all shards, fifty at most.
#[utoipa::path(get, path = "/api/v1/members", params(Words),
    responses((status = 200, body = Members), (status = 401), (status = 403), (status = 422)))]
pub(super) async fn find(
    State(desk): State<Desk>,
    somebody: SignedIn,
    Query(words): Query<Words>,
) -> Result<axum::Json<Members>, Problem> {
    somebody.must_be_officer()?;
    if words.query.trim().is_empty() {
        return Err(Problem::unprocessable("not-acceptable", "Say what to look for."));
    }
    Ok(axum::Json(Members { members: members::find(&desk.pool, words.query.trim(), 50).await?, next: None }))
}

/// Shows what is in each shard.
#[utoipa::path(get, path = "/api/v1/shards", responses((status = 200, body = Shards), (status = 401), (status = 403)))]
pub(super) async fn shards(State(desk): State<Desk>, somebody: SignedIn) -> Result<axum::Json<Shards>, Problem> {
    somebody.must_be_officer()?;
    Ok(axum::Json(Shards { shards: shards::all(&desk.pool).await? }))
}
