//! Shopping as people do it: through the gateway, from the search to the cart to the order.

use crate::world::{GOOD_CARD, World};
use http::Method;
use plimsoll_kit::testing::client::{Client, More};
use plimsoll_kit::testing::process::PATIENCE;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Searches until that many are found.
async fn find(client: &Client, query: &str, total: i64) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = client.get(&format!("/api/v1/search?query={query}")).await.expect(200).json();
        if found["total"] == total {
            return found;
        }
        assert!(Instant::now() < deadline, "{query} never found {total}: {found}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_searched_is_put_into_the_cart_and_ordered_at_the_price_of_the_moment() {
    let mut world = World::start().await;
    world.complete();
    let gateway = world.client("gateway");
    let (clerk, buyer) = (world.clerk().await, world.sign_up("anna", GOOD_CARD).await);

    let found = find(&gateway, "anchor", 1).await;
    let anchor = found["products"][0]["id"].as_str().unwrap().to_owned();
    world.receive(&clerk, &anchor, 5).await;
    let path = format!("/api/v1/products/{anchor}");
    let product = gateway.get(&path).await.expect(200);
    let mut draft = product.json();
    let (old, new) = (draft["price_minor"].as_i64().unwrap(), 12_345);

    let items = format!("/api/v1/cart/items/{anchor}");
    gateway.send(Method::PUT, &items, More::json(&json!({ "quantity": 2 }))).await.expect(401);
    gateway.send_as(&buyer.bearer, (Method::PUT, &items), &json!({ "quantity": 0 }), None).await.expect(422);
    gateway.send_as(&buyer.bearer, (Method::PUT, &items), &json!({ "quantity": 2 }), None).await.expect(204);
    for member in ["id", "version", "available"] {
        draft.as_object_mut().unwrap().remove(member);
    }
    draft["price_minor"] = json!(new);
    draft["name"] = json!("Grapnel");
    gateway.send_as(&clerk.bearer, (Method::PUT, &path), &draft, Some("*")).await.expect(200);
    let cart = gateway.get_as(&buyer.bearer, "/api/v1/cart").await.expect(200).json();
    let item = &cart["items"][0];
    assert_eq!((&item["unit_minor"], &item["was_minor"], &item["name"]), (&json!(new), &json!(old), &json!("Grapnel")));
    assert_eq!(cart["totals"], json!({ "USD": 2 * new }));
    find(&gateway, "grapnel", 1).await;

    let body = json!({ "card": buyer.card });
    let more = || More::json(&body).with("authorization", &buyer.bearer).with("idempotency-key", "cart-1");
    let placed = gateway.send(Method::POST, "/api/v1/orders", more()).await.expect(202).json();
    assert_eq!(placed["amount_minor"], 2 * new);
    let again = gateway.send(Method::POST, "/api/v1/orders", more()).await.expect(202).json();
    assert_eq!(again["id"], placed["id"], "the cart is empty, and the answer the same");
    let order = world.settled(&buyer, placed["id"].as_str().unwrap()).await;
    assert_eq!(order["state"], "confirmed");
    let cart = gateway.get_as(&buyer.bearer, "/api/v1/cart").await.expect(200).json();
    assert_eq!(cart["items"], json!([]));

    gateway.send_as(&clerk.bearer, (Method::DELETE, &path), &json!({}), Some("*")).await.expect(204);
    find(&gateway, "grapnel", 0).await;
    for name in ["user", "product", "inventory", "cart", "order", "payment", "search"] {
        let described = gateway.get(&format!("/openapi/{name}.json")).await.expect(200).json();
        assert_eq!(described["info"]["title"], format!("shop: {name}"));
    }
    world.audit();
    world.stop();
}
