//! Documents, over HTTP.
//!
//! Invariant: a file is durable before a row speaks of it.

use super::Documents;
use super::store::{self, Document, New};
use crate::access::SignedIn;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Path, Query, Whole};
use plimsoll_kit::files::download_headers;
use plimsoll_kit::links::Signed;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// What a file is called.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Named {
    /// 1 to 200 characters.
    name: String,
}

/// A document, and where its bytes are for a while.
#[derive(Serialize, ToSchema)]
pub(super) struct Linked {
    #[serde(flatten)]
    document: Document,
    /// Needs no token; good for some minutes.
    url: String,
}

/// What hangs on a claim.
#[derive(Serialize, ToSchema)]
pub(super) struct Listed {
    documents: Vec<Linked>,
}

fn path_of(organization: Uuid, id: Uuid) -> String {
    format!("/api/v1/documents/{organization}/files/{id}")
}

fn linked(all: &Documents, organization: Uuid, document: Document) -> Linked {
    Linked { url: all.links.to(&path_of(organization, document.id)), document }
}

/// Refuses whoever may not see what is of the claim.
async fn must_see(all: &Documents, somebody: SignedIn, (organization, claim): (Uuid, Uuid)) -> Result<(), Problem> {
    let none = || Problem::not_found("There is no such claim.");
    let member = store::member_of(&all.desk.pool, organization, claim).await?.ok_or_else(none)?;
    somebody.must_see(organization, member).map(drop)
}

/// Hangs a file on a claim: the body is the file, at most 5 MiB.
#[utoipa::path(post, path = "/api/v1/documents/{organization}/claims/{claim}",
    params(("organization" = Uuid, Path), ("claim" = Uuid, Path), Named),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 201, body = Linked), (status = 401), (status = 403), (status = 404), (status = 413), (status = 422)))]
#[expect(clippy::too_many_arguments, reason = "each takes one part out of the request")]
pub(super) async fn create(
    State(all): State<Documents>,
    somebody: SignedIn,
    Path(on): Path<(Uuid, Uuid)>,
    Query(named): Query<Named>,
    headers: HeaderMap,
    Whole(bytes): Whole,
) -> Result<Response, Problem> {
    must_see(&all, somebody, on).await?;
    let unfit = |what| Problem::unprocessable("not-acceptable", what);
    let told = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type: String = told.unwrap_or("application/octet-stream").chars().take(200).collect();
    let name = named.name.trim();
    let fits = (1..=200).contains(&name.chars().count()) && !name.chars().any(|c| c.is_control() || c == '/');
    if !fits || bytes.is_empty() {
        return Err(unfit("A file has a name of 1 to 200 characters, and a content."));
    }
    let (id, hash) = (Uuid::now_v7(), Sha256::digest(&bytes));
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    all.files.put(id, bytes).await.map_err(|why| Problem::internal(&why))?;
    let new = New { on, id, by: somebody.user, named: (name, &media_type), content: (length, &hash) };
    let full = || unfit("Twenty documents hang on this claim already.");
    let document = store::create(&all.desk.pool, &new).await?.ok_or_else(full)?;
    Ok((StatusCode::CREATED, axum::Json(linked(&all, on.0, document))).into_response())
}

/// Lists what hangs on a claim, each with a link.
#[utoipa::path(get, path = "/api/v1/documents/{organization}/claims/{claim}",
    params(("organization" = Uuid, Path), ("claim" = Uuid, Path)),
    responses((status = 200, body = Listed), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn list(
    State(all): State<Documents>,
    somebody: SignedIn,
    Path(on): Path<(Uuid, Uuid)>,
) -> Result<Response, Problem> {
    must_see(&all, somebody, on).await?;
    let documents = store::of_claim(&all.desk.pool, on.0, on.1).await?;
    let documents = documents.into_iter().map(|document| linked(&all, on.0, document)).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(Listed { documents })).into_response())
}

/// Sends a file to whoever has a link to it. A browser keeps it as a file and does not show it.
#[utoipa::path(get, path = "/api/v1/documents/{organization}/files/{id}",
    params(("organization" = Uuid, Path), ("id" = Uuid, Path), Signed),
    responses((status = 200, description = "the file"), (status = 400), (status = 403, description = "not a good link"),
        (status = 404)))]
pub(super) async fn download(
    State(all): State<Documents>,
    Path((organization, id)): Path<(Uuid, Uuid)>,
    Query(link): Query<Signed>,
) -> Result<Response, Problem> {
    all.links.check(&path_of(organization, id), &link)?;
    let gone = || Problem::not_found("The file is gone.");
    let document = store::by_id(&all.desk.pool, organization, id).await?.ok_or_else(gone)?;
    let bytes = all.files.get(id).await.map_err(|why| Problem::internal(&why))?.ok_or_else(gone)?;
    let headers = download_headers(&document.name, &document.media_type, &document.sha256);
    Ok((headers, Body::from(bytes)).into_response())
}
