//! The catalogue over HTTP: everybody reads it, clerks keep it.

use super::Catalogue;
use super::catalogue::{self, Draft, Product};
use crate::access::Clerk;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path, Query};
use plimsoll_kit::precondition::{IfMatch, header_of};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const IDS_MAX: usize = 100;

/// Which products.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of this category.
    category: Option<String>,
    /// The last product of the page before.
    after: Option<Uuid>,
    /// 1 to 100; 20 without it.
    limit: Option<i64>,
    /// Exactly these, at most 100, with commas between them.
    ids: Option<String>,
}

/// A page of products.
#[derive(Serialize, ToSchema)]
pub(super) struct Listed {
    products: Vec<Product>,
}

/// A category.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    /// 1 to 100 characters.
    name: String,
}

/// A category and its id.
#[derive(Serialize, ToSchema)]
pub(super) struct Category {
    id: String,
    name: String,
}

/// All categories.
#[derive(Serialize, ToSchema)]
pub(super) struct Categories {
    categories: Vec<Category>,
}

fn none() -> Problem {
    Problem::not_found("There is no such product.")
}

fn unfit(detail: &str) -> Problem {
    Problem::unprocessable("not-acceptable", detail)
}

/// What the database refuses, said so that a client can mend it.
fn refused(why: sqlx::Error) -> Problem {
    match why.as_database_error() {
        Some(refused) if refused.is_foreign_key_violation() => unfit("There is no such category."),
        Some(refused) if refused.is_unique_violation() => Problem::conflict("taken", "Another product has this SKU."),
        _ => why.into(),
    }
}

/// Lists products.
#[utoipa::path(get, path = "/api/v1/products", params(Which), responses((status = 200, body = Listed), (status = 400)))]
pub(super) async fn list(
    State(all): State<Catalogue>,
    Query(which): Query<Which>,
) -> Result<axum::Json<Listed>, Problem> {
    let products = if let Some(ids) = which.ids {
        let ids: Vec<Uuid> = ids.split(',').take(IDS_MAX).filter_map(|id| id.trim().parse().ok()).collect();
        catalogue::some_of(&all.pool, &ids).await?
    } else {
        let limit = which.limit.unwrap_or(20).clamp(1, 100);
        catalogue::list(&all.pool, which.category.as_deref(), which.after, limit).await?
    };
    Ok(axum::Json(Listed { products }))
}

/// Shows a product.
#[utoipa::path(get, path = "/api/v1/products/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = Product), (status = 404)))]
pub(super) async fn show(State(all): State<Catalogue>, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    let product = catalogue::of(&all.pool, id).await?.ok_or_else(none)?;
    Ok((header_of(product.version), axum::Json(product)).into_response())
}

/// Adds a product.
#[utoipa::path(post, path = "/api/v1/products", request_body = Draft,
    responses((status = 201, body = Product), (status = 401), (status = 403), (status = 409), (status = 422)))]
pub(super) async fn create(
    State(all): State<Catalogue>,
    _: Clerk,
    Json(draft): Json<Draft>,
) -> Result<Response, Problem> {
    let draft = draft.checked().map_err(unfit)?;
    let mut transaction = all.pool.begin().await?;
    let taken = || Problem::conflict("taken", "Another product has this SKU.");
    let product = catalogue::create(&mut transaction, &draft).await.map_err(refused)?.ok_or_else(taken)?;
    transaction.commit().await?;
    all.wake.wake();
    Ok((StatusCode::CREATED, header_of(product.version), axum::Json(product)).into_response())
}

/// Replaces what is said of a product.
#[utoipa::path(put, path = "/api/v1/products/{id}", request_body = Draft,
    params(("id" = Uuid, Path), ("If-Match" = String, Header, description = "the ETag that you have seen")),
    responses((status = 200, body = Product), (status = 401), (status = 403), (status = 404), (status = 409),
        (status = 412), (status = 422), (status = 428)))]
pub(super) async fn replace(
    State(all): State<Catalogue>,
    _: Clerk,
    seen: IfMatch,
    Path(id): Path<Uuid>,
    Json(draft): Json<Draft>,
) -> Result<Response, Problem> {
    let draft = draft.checked().map_err(unfit)?;
    let mut transaction = all.pool.begin().await?;
    let before = catalogue::hold(&mut transaction, id).await?.ok_or_else(none)?;
    seen.check(before.version)?;
    let product = catalogue::replace(&mut transaction, id, &draft).await.map_err(refused)?;
    transaction.commit().await?;
    all.wake.wake();
    Ok((header_of(product.version), axum::Json(product)).into_response())
}

/// Takes a product out of the catalogue; orders of it stay as they are.
#[utoipa::path(delete, path = "/api/v1/products/{id}",
    params(("id" = Uuid, Path), ("If-Match" = String, Header, description = "the ETag that you have seen")),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 412), (status = 428)))]
pub(super) async fn remove(
    State(all): State<Catalogue>,
    _: Clerk,
    seen: IfMatch,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    let mut transaction = all.pool.begin().await?;
    let before = catalogue::hold(&mut transaction, id).await?.ok_or_else(none)?;
    seen.check(before.version)?;
    catalogue::remove(&mut transaction, id).await?;
    transaction.commit().await?;
    all.wake.wake();
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the categories.
#[utoipa::path(get, path = "/api/v1/products/categories", responses((status = 200, body = Categories)))]
pub(super) async fn categories(State(all): State<Catalogue>) -> Result<axum::Json<Categories>, Problem> {
    let rows = sqlx::query("SELECT id, name FROM categories ORDER BY name, id LIMIT 1000").fetch_all(&all.pool).await?;
    let category = |row: &sqlx::postgres::PgRow| Ok(Category { id: row.try_get("id")?, name: row.try_get("name")? });
    let categories = rows.iter().map(category).collect::<Result<_, sqlx::Error>>()?;
    Ok(axum::Json(Categories { categories }))
}

/// Adds a category, or gives one another name.
#[utoipa::path(put, path = "/api/v1/products/categories/{id}", request_body = Named,
    params(("id" = String, Path, description = "1 to 64 small letters, digits or -")),
    responses((status = 200, body = Category), (status = 401), (status = 403), (status = 422)))]
pub(super) async fn name_category(
    State(all): State<Catalogue>,
    _: Clerk,
    Path(id): Path<String>,
    Json(named): Json<Named>,
) -> Result<axum::Json<Category>, Problem> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(1..=64).contains(&id.len()) || !id.chars().all(is_plain) {
        return Err(unfit("A category's id has 1 to 64 small letters, digits or -."));
    }
    let name = plimsoll_kit::people::plain_name(&named.name).ok_or_else(|| unfit("A name has 1 to 100 characters."))?;
    let sql = "INSERT INTO categories (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = $2";
    sqlx::query(sql).bind(&id).bind(&name).execute(&all.pool).await?;
    Ok(axum::Json(Category { id, name }))
}
