//! One's cart over HTTP.

use super::Carts;
use super::items::Kept;
use crate::{access::SignedIn, prices};
use axum::extract::State;
use http::StatusCode;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::{Json, Path};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

const ITEMS_MAX: usize = 100;
const QUANTITY_MAX: i32 = 1000;

/// How many.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Quantity {
    /// 1 to 1,000.
    quantity: i32,
}

/// A thing in a cart, as the catalogue has it now.
#[derive(Serialize, ToSchema)]
pub(super) struct Item {
    product: Uuid,
    quantity: i32,
    name: String,
    /// Now, in the currency's smallest unit.
    unit_minor: i64,
    currency: String,
    /// The price when it was put in, if it was another.
    was_minor: Option<i64>,
    /// How many can be ordered.
    available: i64,
}

/// A cart.
#[derive(Serialize, ToSchema)]
pub(super) struct Cart {
    items: Vec<Item>,
    /// The sum for each currency, in its smallest unit.
    totals: BTreeMap<String, i64>,
    /// Products that were in the cart and are not sold any more; they are taken out.
    gone: Vec<Uuid>,
}

/// Shows one's cart at the prices of this moment.
#[utoipa::path(get, path = "/api/v1/cart", responses((status = 200, body = Cart), (status = 401), (status = 503)))]
pub(super) async fn show(State(all): State<Carts>, somebody: SignedIn) -> Result<axum::Json<Cart>, Problem> {
    let kept = all.items.of(somebody.user).await?;
    let mut known = prices::of(&all.product, kept.keys()).await?;
    let mut cart = Cart { items: Vec::new(), totals: BTreeMap::new(), gone: Vec::new() };
    for (id, Kept { quantity, seen_minor }) in kept {
        let Some(product) = known.remove(&id) else {
            all.items.remove(somebody.user, id).await?;
            cart.gone.push(id);
            continue;
        };
        let total = cart.totals.entry(product.currency.clone()).or_default();
        *total = total.saturating_add(product.price_minor.saturating_mul(quantity.into()));
        cart.items.push(Item {
            product: id,
            quantity,
            name: product.name,
            unit_minor: product.price_minor,
            currency: product.currency,
            was_minor: (seen_minor != product.price_minor).then_some(seen_minor),
            available: product.available,
        });
    }
    Ok(axum::Json(cart))
}

/// Puts so many of a product into one's cart, instead of those that were.
#[utoipa::path(put, path = "/api/v1/cart/items/{product}", request_body = Quantity, params(("product" = Uuid, Path)),
    responses((status = 204), (status = 401), (status = 404), (status = 422), (status = 503)))]
pub(super) async fn put(
    State(all): State<Carts>,
    somebody: SignedIn,
    Path(product): Path<Uuid>,
    Json(wanted): Json<Quantity>,
) -> Result<StatusCode, Problem> {
    let unfit = |what| Problem::unprocessable("not-acceptable", what);
    if !(1..=QUANTITY_MAX).contains(&wanted.quantity) {
        return Err(unfit("quantity is 1 to 1,000."));
    }
    let kept = all.items.of(somebody.user).await?;
    if kept.len() >= ITEMS_MAX && !kept.contains_key(&product) {
        return Err(unfit("A cart holds 100 products."));
    }
    let mut known = prices::of(&all.product, std::iter::once(&product)).await?;
    let known = known.remove(&product).ok_or_else(|| Problem::not_found("There is no such product."))?;
    let kept = Kept { quantity: wanted.quantity, seen_minor: known.price_minor };
    all.items.put(somebody.user, product, kept).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a product out of one's cart.
#[utoipa::path(delete, path = "/api/v1/cart/items/{product}", params(("product" = Uuid, Path)),
    responses((status = 204), (status = 401), (status = 503)))]
pub(super) async fn remove(
    State(all): State<Carts>,
    somebody: SignedIn,
    Path(product): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    all.items.remove(somebody.user, product).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Empties one's cart.
#[utoipa::path(delete, path = "/api/v1/cart", responses((status = 204), (status = 401), (status = 503)))]
pub(super) async fn empty(State(all): State<Carts>, somebody: SignedIn) -> Result<StatusCode, Problem> {
    all.items.empty(somebody.user).await?;
    Ok(StatusCode::NO_CONTENT)
}
