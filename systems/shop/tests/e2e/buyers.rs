//! Two hundred buyers of the last item, while services die.

use crate::world::{GOOD_CARD, Person, World, order};
use plimsoll_kit::testing::client::Client;
use plimsoll_kit::testing::process::PATIENCE;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const BUYERS: usize = 200;

/// Orders, again and again under one key, until the order service has taken it; answers the order's id.
async fn insist(client: Client, buyer: Person, product: String, key: String) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(reply) = order(&client, &buyer, &product, &key).await {
            return reply.expect(202).json()["id"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "nobody takes the order {key}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_buyers_of_the_last_item_one_gets_it_though_services_are_killed() {
    let mut world = World::with(&[("ORDER_PATIENCE_MS", "2000")]).await;
    let clerk = world.clerk().await;
    let product = world.products().await[0]["id"].as_str().unwrap().to_owned();
    world.receive(&clerk, &product, 1).await;
    let buyer = world.sign_up("anna", GOOD_CARD).await;
    let (taken, mut so_many) = mpsc::unbounded_channel();
    let mut buying = JoinSet::new();
    for number in 0..BUYERS {
        let (client, buyer, product) = (world.client("order"), buyer.clone(), product.clone());
        let taken = taken.clone();
        buying.spawn(async move {
            let id = insist(client, buyer, product, format!("buyer-{number}")).await;
            taken.send(()).unwrap();
            id
        });
    }
    // Each dies in the midst of it, and another time; so does the broker.
    for name in ["inventory", "payment", "order", "inventory", "order", "payment"] {
        for _ in 0..10 {
            so_many.recv().await.unwrap();
        }
        world.replace(name);
    }
    world.nats.kill();
    world.nats.start_again();
    let mut ids = Vec::new();
    while let Some(id) = buying.join_next().await {
        ids.push(id.unwrap());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), BUYERS, "each buyer has an order, and no two have one");
    let audit = world.audit();
    assert!(audit.contains("0 differences among 200 settled orders (0 on their way)"), "{audit}");
    let orders = world.pool("orders").await;
    let confirmed = "SELECT count(*) FROM orders WHERE state = 'confirmed'";
    assert_eq!(sqlx::query_scalar::<_, i64>(confirmed).fetch_one(&orders).await.unwrap(), 1);
    let left = "SELECT on_hand FROM stock WHERE product_id = $1::uuid";
    let stock = world.pool("stock").await;
    let left: i64 = sqlx::query_scalar(left).bind(&product).fetch_one(&stock).await.unwrap();
    assert_eq!(left, 0, "the last one is sold, once");
    let charged = "SELECT count(*) FROM entries WHERE account = 'shop'";
    let payments = world.pool("payments").await;
    assert_eq!(sqlx::query_scalar::<_, i64>(charged).fetch_one(&payments).await.unwrap(), 1, "one was charged, once");
    world.stop();
}
