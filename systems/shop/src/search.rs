//! The `search` role: finds products by words, in an index of its own that is kept in step with the catalogue by events.
//!
//! The index is PostgreSQL's full text, in a database of this service.
//!
//! Invariant: of two words of one product the one with the higher version counts, in whatever order they come.

use crate::events::{CATALOGUE, CatalogueEvent};
use crate::migrations;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use plimsoll_kit::backend::{BackendSettings, Role};
use plimsoll_kit::bus::Message;
use plimsoll_kit::extract::Query;
use plimsoll_kit::inbox::{HandleError, Handler};
use plimsoll_kit::{Problem, settings};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Row};
use utoipa::{IntoParams, OpenApi, ToSchema};
use uuid::Uuid;

const QUERY_CHARS_MAX: usize = 200;

/// What to find.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Words, `"a phrase"`, `or`, and `-not`; at most 200 characters.
    query: String,
    /// Of this category.
    category: Option<String>,
    /// Costs no more, in the currency's smallest unit.
    price_max_minor: Option<i64>,
    /// 1 to 100; 20 without it.
    limit: Option<i64>,
    /// So many of the best are left out: for the next page.
    offset: Option<i64>,
}

/// A product that was found.
#[derive(Serialize, ToSchema)]
struct Hit {
    id: Uuid,
    name: String,
    category: Option<String>,
    /// In the currency's smallest unit, as the catalogue said last.
    price_minor: i64,
    currency: String,
}

/// What was found, the best first.
#[derive(Serialize, ToSchema)]
struct Found {
    products: Vec<Hit>,
    /// How many there are in all.
    total: i64,
}

#[derive(OpenApi)]
#[openapi(info(title = "shop: search", description = "Finding products."), paths(find))]
struct Description;

/// Keeps the index in step.
#[derive(Clone)]
struct Listener;

impl Handler for Listener {
    async fn handle(&self, transaction: &mut PgConnection, message: &Message) -> Result<(), HandleError> {
        let sql = "INSERT INTO documents AS d (product_id, version, removed, name, description, category, price_minor, currency) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (product_id) DO UPDATE SET version = $2, \
                     removed = $3, name = $4, description = $5, category = $6, price_minor = $7, currency = $8 \
                   WHERE d.version < $2";
        let query = sqlx::query(sql);
        let query = match serde_json::from_slice(&message.body)? {
            CatalogueEvent::Changed { product, version, name, description, category, price_minor, currency } => {
                let query = query.bind(product).bind(version).bind(false).bind(name).bind(description);
                query.bind(category).bind(price_minor).bind(currency)
            }
            CatalogueEvent::Removed { product, version } => {
                let query = query.bind(product).bind(version).bind(true).bind(String::new()).bind(String::new());
                query.bind(None::<String>).bind(0_i64).bind(String::new())
            }
        };
        query.execute(transaction).await?;
        Ok(())
    }
}

/// Finds products.
#[utoipa::path(get, path = "/api/v1/search", params(Which), responses((status = 200, body = Found), (status = 400)))]
async fn find(State(pool): State<PgPool>, Query(which): Query<Which>) -> Result<axum::Json<Found>, Problem> {
    let text = which.query.trim();
    if text.is_empty() || text.chars().count() > QUERY_CHARS_MAX {
        return Err(Problem::bad_request("query has 1 to 200 characters."));
    }
    let sql = "SELECT product_id, name, category, price_minor, currency, count(*) OVER () AS total \
               FROM documents, websearch_to_tsquery('english', $1) AS asked \
               WHERE words @@ asked AND NOT removed AND ($2::text IS NULL OR category = $2) \
                 AND ($3::bigint IS NULL OR price_minor <= $3) \
               ORDER BY ts_rank(words, asked) DESC, product_id LIMIT $4 OFFSET $5";
    let rows = sqlx::query(sql)
        .bind(text)
        .bind(&which.category)
        .bind(which.price_max_minor)
        .bind(which.limit.unwrap_or(20).clamp(1, 100))
        .bind(which.offset.unwrap_or(0).clamp(0, 10_000))
        .fetch_all(&pool)
        .await?;
    let total = rows.first().map_or(Ok(0), |row| row.try_get("total"))?;
    let hit = |row: &sqlx::postgres::PgRow| {
        Ok(Hit {
            id: row.try_get("product_id")?,
            name: row.try_get("name")?,
            category: row.try_get("category")?,
            price_minor: row.try_get("price_minor")?,
            currency: row.try_get("currency")?,
        })
    };
    let products = rows.iter().map(hit).collect::<Result<_, sqlx::Error>>()?;
    Ok(axum::Json(Found { products, total }))
}

/// The service.
pub const ROLE: Role =
    Role { name: "shop-search", group: Some("search"), store: "index", migrations: &migrations::INDEX };

/// Serves until SIGTERM. Reads what [`BackendSettings`] reads.
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let mut backend = settings::read(|env| BackendSettings::read(ROLE, env))?.open().await?;
    backend.follow(CATALOGUE, Listener);
    let routes = Router::new().route("/api/v1/search", get(find)).with_state(backend.pool.clone());
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
