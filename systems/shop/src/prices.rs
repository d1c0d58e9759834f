//! What the catalogue says of products at this moment, as other services ask it.

use http::Method;
use plimsoll_kit::Problem;
use plimsoll_kit::peer::{Call, Peer};
use serde::Deserialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A product that is sold.
#[derive(Debug, Deserialize)]
pub(crate) struct Product {
    id: Uuid,
    /// What it is called.
    pub(crate) name: String,
    /// Its price, in the currency's smallest unit.
    pub(crate) price_minor: i64,
    /// Of that price.
    pub(crate) currency: String,
    /// How many can be ordered.
    pub(crate) available: i64,
}

#[derive(Deserialize)]
struct Catalogue {
    products: Vec<Product>,
}

/// Those products that are sold, of at most a hundred.
///
/// # Errors
/// The catalogue does not answer, or not rightly (503).
pub(crate) async fn of(product: &Peer, ids: impl Iterator<Item = &Uuid>) -> Result<BTreeMap<Uuid, Product>, Problem> {
    let ids: Vec<String> = ids.map(Uuid::to_string).collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let answer = product.send(Call::new(Method::GET, format!("/api/v1/products?ids={}", ids.join(",")))).await?;
    if !answer.status.is_success() {
        return Err(Problem::unavailable("catalogue-away", "The catalogue cannot be read just now."));
    }
    let products = answer.json::<Catalogue>()?.products;
    Ok(products.into_iter().map(|product| (product.id, product)).collect())
}
