//! Customers: create, read, find, change, delete, export.
//!
//! Invariant: a change is answered only when it, its row in the audit and its note for the cache are committed.

use super::Api;
use super::signed_in::{Admin, Editor, SignedIn};
use crate::audit::{self, Event};
use crate::cache::{self, Key};
use crate::customers::{self, Customer, Draft, Mistake, WriteError};
use crate::export::{self, Format};
use crate::search::{self, Filter, Page, Place, SearchError};
use crate::sessions::Session;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path, Query};
use plimsoll_kit::idempotency::{Answered, Claim, IdempotencyKey};
use plimsoll_kit::precondition::{IfMatch, header_of, is_known};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use utoipa::IntoParams;
use uuid::Uuid;

const SCOPE: &str = "customers";

/// Finds customers, page by page.
#[utoipa::path(get, path = "/api/customers", params(Filter, Place),
    responses((status = 200, body = Page), (status = 400), (status = 401)))]
pub(super) async fn list(
    State(api): State<Api>,
    _: SignedIn,
    Query(filter): Query<Filter>,
    Query(place): Query<Place>,
) -> Result<axum::Json<Page>, Problem> {
    Ok(axum::Json(search::page(&api.pool, &filter, &place).await?))
}

/// Shows a customer, from the cache where it is there; `Cache-Control: no-cache` asks the database.
#[utoipa::path(get, path = "/api/customers/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = Customer), (status = 304, description = "you have it"), (status = 404)))]
pub(super) async fn show(
    State(api): State<Api>,
    _: SignedIn,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked_anew = headers.get(header::CACHE_CONTROL).is_some_and(|value| {
        value.to_str().is_ok_and(|text| text.split(',').any(|directive| directive.trim() == "no-cache"))
    });
    let known: Option<Customer> = if asked_anew { None } else { api.cache.get(Key::Customer(id)).await };
    let customer = match known {
        Some(customer) => customer,
        None => {
            let customer = customers::by_id(&api.pool, id).await?.ok_or_else(none)?;
            api.cache.put(Key::Customer(id), customer.version, &customer).await;
            customer
        }
    };
    if is_known(&headers, customer.version) {
        return Ok((StatusCode::NOT_MODIFIED, header_of(customer.version)).into_response());
    }
    Ok(answer(StatusCode::OK, &customer))
}

/// Creates a customer.
#[utoipa::path(post, path = "/api/customers", request_body = Draft,
    params(("Idempotency-Key" = Option<String>, Header, description = "repeat it to get the same answer")),
    responses((status = 201, body = Customer), (status = 403), (status = 409, description = "the address is taken"),
        (status = 422, description = "some fields cannot be taken")))]
pub(super) async fn create(
    State(api): State<Api>,
    Editor(session): Editor,
    IdempotencyKey(key): IdempotencyKey,
    Json(draft): Json<Draft>,
) -> Result<Response, Problem> {
    let draft = draft.checked().map_err(unfit)?;
    let fingerprint = Sha256::digest(json!([session.user, draft]).to_string());
    let claim = key.as_deref().map(|key| Claim { scope: SCOPE, key, fingerprint: &fingerprint });
    let mut transaction = api.pool.begin().await?;
    if let Some(claim) = &claim
        && let Some(before) = claim.take(&mut transaction).await?
    {
        let customer: Customer = serde_json::from_value(before.body).map_err(|why| Problem::internal(&why))?;
        return Ok(created(&customer));
    }
    let customer = customers::create(&mut transaction, &draft).await?;
    if let Some(claim) = &claim {
        claim.remember(&mut transaction, &Answered { status: 201, body: json!(customer) }).await?;
    }
    let event = event(&session, "create", customer.id, json!({ "version": customer.version }));
    audit::append(&mut transaction, &event).await?;
    transaction.commit().await?;
    api.cache.put(Key::Customer(customer.id), customer.version, &customer).await;
    Ok(created(&customer))
}

/// Replaces what is known of a customer.
#[utoipa::path(put, path = "/api/customers/{id}", request_body = Draft, params(("id" = Uuid, Path),
    ("If-Match" = String, Header, description = "the ETag that you have seen")),
    responses((status = 200, body = Customer), (status = 404), (status = 409), (status = 412), (status = 422),
        (status = 428)))]
pub(super) async fn replace(
    State(api): State<Api>,
    Editor(session): Editor,
    Path(id): Path<Uuid>,
    seen: IfMatch,
    Json(draft): Json<Draft>,
) -> Result<Response, Problem> {
    change(&api, &session, (id, &seen), |_| Ok(draft)).await
}

/// Changes some fields of a customer (RFC 7396).
#[utoipa::path(patch, path = "/api/customers/{id}", request_body = Object, params(("id" = Uuid, Path),
    ("If-Match" = String, Header, description = "the ETag that you have seen")),
    responses((status = 200, body = Customer), (status = 404), (status = 409), (status = 412), (status = 422),
        (status = 428)))]
pub(super) async fn amend(
    State(api): State<Api>,
    Editor(session): Editor,
    Path(id): Path<Uuid>,
    seen: IfMatch,
    Json(patch): Json<Map<String, Value>>,
) -> Result<Response, Problem> {
    let malformed = |why| Problem::unprocessable("malformed-body", why);
    change(&api, &session, (id, &seen), |before| before.patched(patch).map_err(malformed)).await
}

async fn change(
    api: &Api,
    session: &Session,
    (id, seen): (Uuid, &IfMatch),
    new: impl FnOnce(&Draft) -> Result<Draft, Problem>,
) -> Result<Response, Problem> {
    let mut transaction = api.pool.begin().await?;
    let before = customers::hold(&mut transaction, id).await?.ok_or_else(none)?;
    seen.check(before.version)?;
    let draft = new(&before.draft)?.checked().map_err(unfit)?;
    let changed = before.draft.differing(&draft);
    if changed.is_empty() {
        return Ok(answer(StatusCode::OK, &before));
    }
    let customer = customers::replace(&mut transaction, id, &draft).await?;
    cache::changed(&mut transaction, Key::Customer(id), customer.version).await?;
    let event = event(session, "update", id, json!({ "version": customer.version, "changed": changed }));
    audit::append(&mut transaction, &event).await?;
    transaction.commit().await?;
    api.cache.put(Key::Customer(id), customer.version, &customer).await;
    Ok(answer(StatusCode::OK, &customer))
}

/// Deletes a customer for good.
#[utoipa::path(delete, path = "/api/customers/{id}", params(("id" = Uuid, Path),
    ("If-Match" = String, Header, description = "the ETag that you have seen")),
    responses((status = 204), (status = 403), (status = 404), (status = 412), (status = 428)))]
pub(super) async fn delete(
    State(api): State<Api>,
    Admin(session): Admin,
    Path(id): Path<Uuid>,
    seen: IfMatch,
) -> Result<StatusCode, Problem> {
    let mut transaction = api.pool.begin().await?;
    let before = customers::hold(&mut transaction, id).await?.ok_or_else(none)?;
    seen.check(before.version)?;
    customers::delete(&mut transaction, id).await?;
    let gone = before.version + 1;
    cache::changed(&mut transaction, Key::Customer(id), gone).await?;
    audit::append(&mut transaction, &event(&session, "delete", id, json!({ "version": before.version }))).await?;
    transaction.commit().await?;
    api.cache.mark(Key::Customer(id), gone).await;
    Ok(StatusCode::NO_CONTENT)
}

/// How an export looks.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct As {
    /// `csv` (default) or `jsonl`.
    #[serde(default)]
    format: String,
}

/// All customers that are found, in order of their ids, sent as they are read: one moment's state.
#[utoipa::path(get, path = "/api/customers/export", params(Filter, As),
    responses((status = 200, description = "CSV or JSON lines"), (status = 400), (status = 403),
        (status = 503, description = "too many exports at once")))]
pub(super) async fn export(
    State(api): State<Api>,
    Admin(session): Admin,
    Query(filter): Query<Filter>,
    Query(wanted): Query<As>,
) -> Result<Response, Problem> {
    let word = if wanted.format.is_empty() { "csv" } else { &wanted.format };
    let format = Format::parse(word).ok_or_else(|| Problem::bad_request("format is csv or jsonl."))?;
    if let Some(mistake) = filter.mistake() {
        return Err(Problem::bad_request(mistake));
    }
    let busy = |_| Problem::unavailable("busy", "Other exports are under way; try again.");
    let turn = api.exports.clone().try_acquire_owned().map_err(busy)?;
    // Searched words may be somebody's name: the audit says that there were some, not which.
    let detail = json!({ "format": word, "searched": !filter.query.is_empty(), "status": filter.status,
        "country": filter.country });
    let (actor, subject) = (session.name.as_str(), "customers".to_owned());
    audit::append_alone(&api.pool, &Event { actor, act: "export", subject, outcome: "done", detail }).await?;
    let parts = export::start(api.pool.clone(), filter, format, turn);
    let parts = futures_util::stream::unfold(parts, async |mut parts| Some((parts.recv().await?, parts)));
    let name = format!("attachment; filename=\"customers.{word}\"");
    let headers = [(header::CONTENT_TYPE, format.media_type()), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, [(header::CONTENT_DISPOSITION, name)], Body::from_stream(parts)).into_response())
}

fn event<'a>(session: &'a Session, act: &'a str, id: Uuid, detail: Value) -> Event<'a> {
    Event { actor: &session.name, act, subject: format!("customer {id}"), outcome: "done", detail }
}

fn answer(status: StatusCode, customer: &Customer) -> Response {
    (status, header_of(customer.version), [(header::CACHE_CONTROL, "private, no-cache")], axum::Json(customer))
        .into_response()
}

fn created(customer: &Customer) -> Response {
    ([(header::LOCATION, format!("/api/customers/{}", customer.id))], answer(StatusCode::CREATED, customer))
        .into_response()
}

fn none() -> Problem {
    Problem::not_found("There is no such customer.")
}

fn unfit(mistakes: Vec<Mistake>) -> Problem {
    Problem::unprocessable("not-acceptable", "Some fields cannot be taken.").with("mistakes", json!(mistakes))
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::EmailTaken => {
                Self::conflict("email-taken", "Another customer has this e-mail address.").with("field", "email")
            }
            WriteError::Database(why) => why.into(),
        }
    }
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Mistake(what) => Self::bad_request(what),
            SearchError::Database(why) => why.into(),
        }
    }
}
