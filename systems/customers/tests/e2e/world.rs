//! Stores and replicas of one test, put together.

use http::Method;
use plimsoll_kit::testing::client::{Client, Reply};
use plimsoll_kit::testing::process::{Process, command, run};
use plimsoll_kit::testing::stores::{Postgres, Redis};
use serde_json::{Value, json};
use std::process::Command;

pub(crate) const ADMIN: &str = "harbourmaster";
pub(crate) const PASSWORD: &str = "a very long watch";
const SECRET: &str = "a secret of the tests, long enough for a key";

/// Fields are dropped in order: the services before their stores.
pub(crate) struct World {
    pub(crate) api: Process,
    pub(crate) client: Client,
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
}

/// Somebody signed in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) bearer: String,
    pub(crate) refresh: String,
}

impl World {
    pub(crate) fn start() -> Self {
        let (postgres, redis) = (Postgres::start(), Redis::single());
        run("seed", role(&["seed", "--admin", ADMIN], &postgres, &redis).env("ADMIN_PASSWORD", PASSWORD));
        let (api, address) = serve(&postgres, &redis, &[]);
        Self { api, client: Client::new(&address), redis, postgres }
    }

    /// A replica more.
    pub(crate) fn replica(&self, more: &[(&str, &str)]) -> (Process, Client) {
        let (process, address) = serve(&self.postgres, &self.redis, more);
        (process, Client::new(&address))
    }

    /// A role that does one thing and ends.
    pub(crate) fn role(&self, words: &[&str]) -> Command {
        role(words, &self.postgres, &self.redis)
    }

    pub(crate) async fn pool(&self) -> sqlx::PgPool {
        sqlx::PgPool::connect(&self.postgres.url()).await.unwrap()
    }

    pub(crate) async fn sign_in(&self, name: &str, password: &str) -> Reply {
        self.client.post("/api/sessions", &json!({ "name": name, "password": password })).await
    }

    pub(crate) async fn person(&self, name: &str, password: &str) -> Person {
        let reply = self.sign_in(name, password).await.expect(201);
        assert_eq!(reply.header("cache-control"), "no-store");
        Person::of(&self.client, &reply.json())
    }

    pub(crate) async fn admin(&self) -> Person {
        self.person(ADMIN, PASSWORD).await
    }

    /// Creates a user of that role, and signs it in.
    pub(crate) async fn user(&self, admin: &Person, name: &str, role: &str) -> Person {
        let body = json!({ "name": name, "role": role, "password": PASSWORD });
        admin.send(Method::POST, "/api/users", &body, None).await.expect(201);
        self.person(name, PASSWORD).await
    }
}

impl Person {
    pub(crate) fn of(client: &Client, tokens: &Value) -> Self {
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        Self {
            client: client.clone(),
            bearer: format!("Bearer {}", text("access_token")),
            refresh: text("refresh_token"),
        }
    }

    /// The same person at another replica.
    pub(crate) fn at(&self, client: &Client) -> Self {
        Self { client: client.clone(), ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.client.get_as(&self.bearer, path).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value, if_match: Option<&str>) -> Reply {
        self.client.send_as(&self.bearer, (method, path), body, if_match).await
    }

    pub(crate) async fn create(&self, name: &str, email: &str) -> Value {
        let body = json!({ "name": name, "email": email });
        self.send(Method::POST, "/api/customers", &body, None).await.expect(201).json()
    }
}

/// The path of a customer.
pub(crate) fn path(customer: &Value) -> String {
    format!("/api/customers/{}", customer["id"].as_str().unwrap())
}

fn role(words: &[&str], postgres: &Postgres, redis: &Redis) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_customers"), None);
    command.args(words);
    command.env("CUSTOMERS_URL", postgres.url()).env("CACHE_URL", redis.url()).env("TOKEN_SECRET", SECRET);
    command
}

/// Starts a replica, and learns its address from its log.
fn serve(postgres: &Postgres, redis: &Redis, more: &[(&str, &str)]) -> (Process, String) {
    let mut api = role(&["api"], postgres, redis);
    api.env("PORT", "0").envs(more.iter().copied());
    // A busy machine is no reason to fail a test of what is right.
    api.env("CUSTOMERS_CONNECT_MS", "30000").env("CACHE_ANSWER_MS", "2000").env("DRAIN_MAX_MS", "120000");
    let process = Process::start("api", &mut api);
    let address = process.wait_for(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "listening").then(|| line["address"].as_str().map(str::to_owned))?
    });
    (process, address)
}
