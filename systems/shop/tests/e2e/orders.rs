//! One order at a time: what becomes of it, and what the books say then.

use crate::world::{GOOD_CARD, World};
use http::Method;
use plimsoll_kit::testing::client::More;
use plimsoll_kit::testing::process::PATIENCE;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn inventory(world: &World, product: &str) -> Value {
    world.client("inventory").get(&format!("/api/v1/inventory/{product}")).await.expect(200).json()
}

fn states(order: &Value) -> Vec<&str> {
    order["history"].as_array().unwrap().iter().map(|entered| entered["state"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_confirmed_declined_sold_out_or_returned_and_the_books_balance() {
    let world = World::start().await;
    let clerk = world.clerk().await;
    let product = world.products().await[0]["id"].as_str().unwrap().to_owned();
    world.receive(&clerk, &product, 2).await;
    let (buyer, pauper) = (world.sign_up("anna", GOOD_CARD).await, world.sign_up("paul", "4000000000009995").await);

    let placed = world.order(&buyer, &product, "first").await.unwrap().expect(202).json();
    let again = world.order(&buyer, &product, "first").await.unwrap().expect(202).json();
    assert_eq!(placed["id"], again["id"], "one key, one order");
    let order = world.settled(&buyer, placed["id"].as_str().unwrap()).await;
    assert_eq!(states(&order), ["placed", "reserved", "paid", "confirmed"]);
    let path = format!("/api/v1/payments/of/{}", order["id"].as_str().unwrap());
    let payment = world.client("payment").get_as(&buyer.bearer, &path).await.expect(200).json();
    assert_eq!((&payment["state"], &payment["steps"]), (&json!("captured"), &json!(["authorise", "capture"])));
    assert_eq!(payment["amount_minor"], order["amount_minor"]);
    world.client("payment").get_as(&pauper.bearer, &path).await.expect(404);

    let declined = world.order(&pauper, &product, "declined").await.unwrap().expect(202).json();
    let declined = world.settled(&pauper, declined["id"].as_str().unwrap()).await;
    assert_eq!(states(&declined), ["placed", "reserved", "releasing", "cancelled"]);
    assert_eq!(declined["why"], "the card lacks funds");
    assert_eq!(inventory(&world, &product).await["available"], 1);

    let last = world.order(&buyer, &product, "last").await.unwrap().expect(202).json();
    world.settled(&buyer, last["id"].as_str().unwrap()).await;
    let late = world.order(&buyer, &product, "late").await.unwrap().expect(202).json();
    let late = world.settled(&buyer, late["id"].as_str().unwrap()).await;
    assert_eq!((&late["state"], &late["why"]), (&json!("cancelled"), &json!("sold out")));

    let path = format!("/api/v1/orders/{}/return", order["id"].as_str().unwrap());
    let none = json!({});
    world.client("order").send_as(&pauper.bearer, (Method::POST, &path), &none, None).await.expect(404);
    world.client("order").send_as(&buyer.bearer, (Method::POST, &path), &none, None).await.expect(202);
    let returned = world.settled(&buyer, order["id"].as_str().unwrap()).await;
    assert_eq!(states(&returned)[4..], ["refunding", "releasing", "cancelled"]);
    assert_eq!(inventory(&world, &product).await["on_hand"], 1);
    let audit = world.audit();
    assert!(audit.contains("0 differences among 4 settled orders (0 on their way)"), "{audit}");

    // An honest audit finds what is wrong.
    sqlx::query("UPDATE stock SET on_hand = on_hand + 1").execute(&world.pool("stock").await).await.unwrap();
    let output = world.command().arg("audit").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("on hand: 2, and it should be 1"));
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_comes_after_its_reservation_expired_is_refunded_if_the_goods_are_gone() {
    let mut world = World::with(&[("RESERVATION_MS", "200")]).await;
    let clerk = world.clerk().await;
    let product = world.products().await[0]["id"].as_str().unwrap().to_owned();
    world.receive(&clerk, &product, 1).await;
    let (slow, quick) = (world.sign_up("slow", GOOD_CARD).await, world.sign_up("quick", GOOD_CARD).await);
    world.kill("payment");
    let first = world.order(&slow, &product, "slow").await.unwrap().expect(202).json();
    let stock = world.pool("stock").await;
    let expired = "SELECT count(*) FROM reservations WHERE state = 'expired'";
    let deadline = Instant::now() + PATIENCE;
    while sqlx::query_scalar::<_, i64>(expired).fetch_one(&stock).await.unwrap() == 0 {
        assert!(Instant::now() < deadline, "the reservation never expired");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Somebody else takes what is left out of the store meanwhile.
    sqlx::query("UPDATE stock SET on_hand = 0").execute(&stock).await.unwrap();
    sqlx::query(
        "INSERT INTO movements (product_id, kind, on_hand_change, reserved_change) \
         SELECT product_id, 'committed', -1, 0 FROM stock",
    )
    .execute(&stock)
    .await
    .unwrap();
    world.serve("payment");
    let first = world.settled(&slow, first["id"].as_str().unwrap()).await;
    assert_eq!(first["why"], "sold out while it was paid");
    assert_eq!(states(&first), ["placed", "reserved", "paid", "refunding", "releasing", "cancelled"]);
    let second = world.order(&quick, &product, "quick").await.unwrap().expect(202).json();
    assert_eq!(world.settled(&quick, second["id"].as_str().unwrap()).await["why"], "sold out");
    world.audit();
    world.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn clerks_keep_the_catalogue_and_it_shows_what_is_available() {
    let world = World::start().await;
    let (clerk, buyer) = (world.clerk().await, world.sign_up("anna", GOOD_CARD).await);
    let products = world.client("product");
    let draft = json!({ "sku": "lamp-1", "name": "Lamp", "category": "deck", "price_minor": 1999, "currency": "EUR" });
    let post = (Method::POST, "/api/v1/products");
    products.send_as(&buyer.bearer, post.clone(), &draft, None).await.expect(403);
    products.post("/api/v1/products", &draft).await.expect(401);
    let lamp = products.send_as(&clerk.bearer, post.clone(), &draft, None).await.expect(201);
    let (tag, lamp) = (lamp.header("etag").to_owned(), lamp.json());
    products.send_as(&clerk.bearer, post, &draft, None).await.expect(409);
    let path = format!("/api/v1/products/{}", lamp["id"].as_str().unwrap());
    let mut dearer = draft.clone();
    dearer["price_minor"] = json!(2499);
    products.send_as(&clerk.bearer, (Method::PUT, &path), &dearer, None).await.expect(428);
    products.send_as(&clerk.bearer, (Method::PUT, &path), &dearer, Some(&tag)).await.expect(200);
    products.send_as(&clerk.bearer, (Method::PUT, &path), &draft, Some(&tag)).await.expect(412);
    let mut lost = draft.clone();
    lost["category"] = json!("nowhere");
    products.send_as(&clerk.bearer, (Method::PUT, &path), &lost, Some("*")).await.expect(422);

    let id = lamp["id"].as_str().unwrap();
    world.receive(&clerk, id, 7).await;
    let deadline = Instant::now() + PATIENCE;
    while products.get(&path).await.expect(200).json()["available"] != 7 {
        assert!(Instant::now() < deadline, "the catalogue never heard of it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Two currencies are not one order.
    let other = world.products().await[0]["id"].clone();
    let lines = json!([{ "product": id, "quantity": 1 }, { "product": other, "quantity": 1 }]);
    let body = json!({ "card": buyer.card, "lines": lines });
    let mixed = || More::json(&body).with("authorization", &buyer.bearer);
    let orders = world.client("order");
    orders.send(Method::POST, "/api/v1/orders", mixed()).await.expect(400);
    orders.send(Method::POST, "/api/v1/orders", mixed().with("idempotency-key", "1")).await.expect(422);

    products.send_as(&clerk.bearer, (Method::DELETE, &path), &json!({}), Some("*")).await.expect(204);
    products.get(&path).await.expect(404);
    let gone = world.order(&buyer, id, "gone").await.unwrap();
    gone.expect(422);
    world.stop();
}
