//! An officer's search through all shards, and what lies in each.

use super::pages::{Found, Frame, show};
use super::visitor::{Away, Visitor};
use super::{Portal, encode};
use crate::members::Member;
use crate::shards::Shard;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

#[derive(Deserialize)]
struct Members {
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Shards {
    shards: Vec<Shard>,
}

/// Whom to look for.
#[derive(Deserialize)]
pub(super) struct Words {
    #[serde(default)]
    query: String,
}

/// Finds members, and reports what is in the shards.
pub(super) async fn find(
    State(portal): State<Portal>,
    visitor: Visitor,
    Query(Words { query }): Query<Words>,
) -> Result<Response, Away> {
    let person = visitor.officer(&portal).await?;
    let members = if query.trim().is_empty() {
        Vec::new()
    } else {
        let path = format!("/api/v1/members?query={}", encode(query.trim()));
        visitor.get::<Members>(&portal.organization, path).await?.members
    };
    let Shards { shards } = visitor.get(&portal.organization, "/api/v1/shards").await?;
    let sum = |part: fn(&Shard) -> i64| shards.iter().map(part).sum();
    let sum = Shard {
        shard: 0,
        organizations: sum(|one| one.organizations),
        members: sum(|one| one.members),
        entries: sum(|one| one.entries),
        held_paise: sum(|one| one.held_paise),
    };
    let page = Found { frame: Frame::of(&visitor, Some(person), "/members"), query, members, shards, sum };
    Ok(show(&portal, &visitor, StatusCode::OK, &page))
}
