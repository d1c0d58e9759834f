//! What somebody wants, and what it costs now: asked of the cart and of the catalogue.

use super::orders::{Draft, Line};
use crate::prices;
use http::Method;
use plimsoll_kit::Problem;
use plimsoll_kit::peer::{Call, Peer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

const LINES_MAX: usize = 100;
const QUANTITY_MAX: i32 = 1000;

/// So many of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub(super) struct Wanted {
    /// The product.
    pub(super) product: Uuid,
    /// 1 to 1,000.
    pub(super) quantity: i32,
}

#[derive(Deserialize)]
struct Cart {
    items: Vec<Wanted>,
}

fn unfit(detail: &str) -> Problem {
    Problem::unprocessable("not-acceptable", detail)
}

/// All that is in somebody's cart.
pub(super) async fn of_cart(cart: &Peer, token: &str) -> Result<Vec<Wanted>, Problem> {
    let answer = cart.send(Call::new(Method::GET, "/api/v1/cart").bearer(token)).await?;
    if !answer.status.is_success() {
        return Err(Problem::unavailable("cart-away", "The cart cannot be read just now."));
    }
    Ok(answer.json::<Cart>()?.items)
}

/// Empties it. One that stays full is seen by whoever it belongs to, and does no harm: the order is placed.
pub(super) async fn empty_cart(cart: &Peer, token: &str) {
    if let Err(why) = cart.send(Call::new(Method::DELETE, "/api/v1/cart").bearer(token)).await {
        tracing::warn!(error = %why, "a cart is not emptied");
    }
}

/// The order that it makes, at the prices of this moment.
pub(super) async fn priced(product: &Peer, wanted: Vec<Wanted>, user: Uuid, card: Uuid) -> Result<Draft, Problem> {
    let mut quantities = BTreeMap::new();
    for line in &wanted {
        if !(1..=QUANTITY_MAX).contains(&line.quantity) || quantities.insert(line.product, line.quantity).is_some() {
            return Err(unfit("Each product stands in one line, 1 to 1,000 times."));
        }
    }
    if quantities.is_empty() || quantities.len() > LINES_MAX {
        return Err(unfit("An order has 1 to 100 lines."));
    }
    let mut known = prices::of(product, quantities.keys()).await?;
    let (mut lines, mut amount_minor, mut currency) = (Vec::new(), 0_i64, None::<String>);
    for (id, quantity) in quantities {
        let missing =
            || Problem::unprocessable("unknown-product", "There is no such product.").with("product", id.to_string());
        let product = known.remove(&id).ok_or_else(missing)?;
        if currency.get_or_insert_with(|| product.currency.clone()) != &product.currency {
            return Err(unfit("All that is in an order has a price in one currency."));
        }
        let sum = product.price_minor.checked_mul(quantity.into()).and_then(|price| amount_minor.checked_add(price));
        amount_minor = sum.ok_or_else(|| unfit("That is more money than there is."))?;
        lines.push(Line { product: id, quantity, name: product.name, unit_minor: product.price_minor });
    }
    if amount_minor == 0 {
        return Err(unfit("What costs nothing is not ordered."));
    }
    Ok(Draft { user, card, lines, currency: currency.unwrap_or_default(), amount_minor })
}
