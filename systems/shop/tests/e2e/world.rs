//! Stores and services of one test, put together.

use http::Method;
use plimsoll_kit::testing::client::{Client, Reply};
use plimsoll_kit::testing::process::{PATIENCE, Process, command, own_address, run};
use plimsoll_kit::testing::stores::{Nats, Postgres, Redis};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const PASSWORD: &str = "a very long list";
const SECRET: &str = "a secret of the tests, long enough for a key";
/// The databases, as the services call them.
const DATABASES: [&str; 7] = ["users", "products", "stock", "orders", "payments", "index", "notices"];
/// The services, those first that others ask.
const SERVICES: [&str; 5] = ["user", "product", "inventory", "order", "payment"];
pub(crate) const GOOD_CARD: &str = "4242 4242 4242 4242";

/// Fields are dropped in order: the services before their stores.
pub(crate) struct World {
    services: BTreeMap<&'static str, Running>,
    more: Vec<(String, String)>,
    pub(crate) nats: Nats,
    redis: Option<Redis>,
    postgres: Postgres,
}

struct Running {
    process: Process,
    address: String,
}

/// Somebody signed in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) bearer: String,
    pub(crate) card: String,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A world whose services have other settings, too.
    pub(crate) async fn with(more: &[(&str, &str)]) -> Self {
        let (postgres, nats) = (Postgres::start(), Nats::start());
        for database in DATABASES {
            postgres.create(database).await;
        }
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut this = Self { services: BTreeMap::new(), more, nats, redis: None, postgres };
        run("migrate", this.command().arg("migrate"));
        run("seed", this.command().args(["seed", "--people", "1", "--products", "3", "--stock", "0"]));
        for name in SERVICES {
            this.serve(name);
        }
        this
    }

    /// All the others as well: carts in a Redis, search, and the gateway before all of them.
    pub(crate) fn complete(&mut self) {
        self.redis = Some(Redis::single());
        for name in ["cart", "search"] {
            self.serve(name);
        }
        // Order is to know where carts are.
        self.replace("order");
        self.serve("gateway");
    }

    /// A role with the settings of all of them.
    pub(crate) fn command(&self) -> Command {
        let mut command = command(env!("CARGO_BIN_EXE_shop"), None);
        for database in DATABASES {
            let name = database.to_uppercase();
            command.env(format!("{name}_URL"), self.postgres.url_of(database));
            // A busy machine is no reason to fail a test of what is right.
            command.env(format!("{name}_CONNECT_MS"), "30000").env(format!("{name}_POOL_MAX"), "8");
        }
        for (name, running) in &self.services {
            let name = name.to_uppercase();
            command.env(format!("{name}_URL"), format!("http://{}", running.address));
            command.env(format!("{name}_ANSWER_MS"), "60000");
        }
        if !self.services.contains_key("cart") {
            command.env("CART_URL", "http://127.0.0.1:9");
        }
        if let Some(redis) = &self.redis {
            command.env("CARTS_URL", redis.url()).env("CARTS_ANSWER_MS", "5000");
        }
        command.env("EVENTS_URL", self.nats.url()).env("EVENTS_ACK_MS", "2000");
        command.env("TOKEN_SECRET", SECRET).env("SEED_PASSWORD", PASSWORD);
        command.env("WORKERS", "2").env("HASHERS", "2").env("MIGRATE", "false").env("DRAIN_MAX_MS", "120000");
        command.envs(self.more.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a service, at the address that it had before if it had one.
    pub(crate) fn serve(&mut self, name: &'static str) {
        let before = self.services.get(name).map(|running| running.address.clone());
        let port = before.and_then(|address| address.rsplit_once(':').map(|(_, port)| port.to_owned()));
        let mut command = self.command();
        command.arg(name).env("HOST", own_address().to_string()).env("PORT", port.as_deref().unwrap_or("0"));
        let process = Process::start(name, &mut command);
        let address = process.wait_for(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "listening").then(|| line["address"].as_str().map(str::to_owned))?
        });
        self.services.insert(name, Running { process, address });
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, name: &str) {
        self.services.get_mut(name).unwrap().process.kill();
    }

    /// SIGKILL, and it starts again.
    pub(crate) fn replace(&mut self, name: &'static str) {
        self.kill(name);
        self.serve(name);
    }

    pub(crate) fn client(&self, name: &str) -> Client {
        Client::new(&self.services[name].address)
    }

    pub(crate) async fn pool(&self, database: &str) -> sqlx::PgPool {
        sqlx::PgPool::connect(&self.postgres.url_of(database)).await.unwrap()
    }

    /// Signs up, and keeps a card of this number.
    pub(crate) async fn sign_up(&self, name: &str, card: &str) -> Person {
        let body = json!({ "email": format!("{name}@example.com"), "name": name, "password": PASSWORD });
        let tokens = self.client("user").post("/api/v1/users/sign-up", &body).await.expect(201).json();
        self.person(&tokens, card).await
    }

    pub(crate) async fn clerk(&self) -> Person {
        let body = json!({ "email": "clerk@example.com", "password": PASSWORD });
        let tokens = self.client("user").post("/api/v1/users/sign-in", &body).await.expect(201).json();
        self.person(&tokens, GOOD_CARD).await
    }

    async fn person(&self, tokens: &Value, card: &str) -> Person {
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let body = json!({ "number": card, "expires": "12/30" });
        let payment = self.client("payment");
        let card = payment.send_as(&bearer, (Method::POST, "/api/v1/payments/cards"), &body, None).await;
        let card = card.expect(201).json()["id"].as_str().unwrap().to_owned();
        Person { bearer, card }
    }

    /// The seeded products, in the order of their SKUs.
    pub(crate) async fn products(&self) -> Vec<Value> {
        self.client("product").get("/api/v1/products").await.expect(200).json()["products"].as_array().unwrap().clone()
    }

    /// So many of a product came in.
    pub(crate) async fn receive(&self, clerk: &Person, product: &str, quantity: i64) {
        let path = format!("/api/v1/inventory/{product}/receipts");
        let more = plimsoll_kit::testing::client::More::json(&json!({ "quantity": quantity }));
        let key = format!("{product}-{quantity}");
        let more = more.with("authorization", &clerk.bearer).with("idempotency-key", &key);
        self.client("inventory").send(Method::POST, &path, more).await.expect(201);
    }

    /// Orders one of a product; no answer, or one of a service that is away, is none.
    pub(crate) async fn order(&self, buyer: &Person, product: &str, key: &str) -> Option<Reply> {
        order(&self.client("order"), buyer, product, key).await
    }

    /// The order when it is settled.
    pub(crate) async fn settled(&self, buyer: &Person, id: &str) -> Value {
        let (client, path) = (self.client("order"), format!("/api/v1/orders/{id}"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let order = client.get_as(&buyer.bearer, &path).await.expect(200).json();
            if order["state"] == "confirmed" || order["state"] == "cancelled" {
                return order;
            }
            assert!(Instant::now() < deadline, "never settled: {order}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs the audit until nothing is on its way any more, and answers what it printed.
    pub(crate) fn audit(&self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.command().args(["audit", "--settled"]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() {
                return text;
            }
            let only_waits = text.matches("DIFFERENCE").count() == 1 && text.contains("orders are not settled");
            assert!(only_waits && Instant::now() < deadline, "{text}{}", String::from_utf8_lossy(&output.stderr));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends every service as a balancer would, and expects that each ends well.
    pub(crate) fn stop(mut self) {
        for running in self.services.values_mut() {
            running.process.terminate();
            assert_eq!(running.process.wait().code(), Some(0), "{}", running.process.printed());
        }
    }
}

/// Orders one of a product.
pub(crate) async fn order(client: &Client, buyer: &Person, product: &str, key: &str) -> Option<Reply> {
    let body = json!({ "card": buyer.card, "lines": [{ "product": product, "quantity": 1 }] });
    let more = plimsoll_kit::testing::client::More::json(&body);
    let more = more.with("authorization", &buyer.bearer).with("idempotency-key", key);
    let reply = client.try_send(Method::POST, "/api/v1/orders", more).await.ok()?;
    (!reply.status.is_server_error()).then_some(reply)
}
