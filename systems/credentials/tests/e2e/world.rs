//! Stores and services of one test, put together.

use plimsoll_kit::testing::client::{Client, Reply};
use plimsoll_kit::testing::process::{Process, command, run};
use plimsoll_kit::testing::stores::{Postgres, Redis};
use serde_json::{Value, json};
use std::process::Command;

pub(crate) const ADMIN: &str = "harbourmaster";
pub(crate) const ADMIN_PASSWORD: &str = "a very long watch";

/// Fields are dropped in order: the service before its stores.
pub(crate) struct World {
    pub(crate) api: Process,
    pub(crate) client: Client,
    pub(crate) address: String,
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
}

impl World {
    pub(crate) fn start(redis: Redis) -> Self {
        Self::start_with(redis, &[])
    }

    /// With further variables for the API.
    pub(crate) fn start_with(redis: Redis, variables: &[(&str, &str)]) -> Self {
        let postgres = Postgres::start();
        let (accounts, names) = (postgres.url(), redis.url());
        let mut seed = role(&["seed", "--admin", ADMIN]);
        run("seed", seed.env("ACCOUNTS_URL", &accounts).env("NAMES_URL", &names).env("ADMIN_PASSWORD", ADMIN_PASSWORD));
        let mut api = role(&["api"]);
        api.env("ACCOUNTS_URL", &accounts).env("NAMES_URL", &names).env("PORT", "0");
        // A busy machine is no reason to fail a test of what is right.
        api.env("ACCOUNTS_CONNECT_MS", "30000").env("NAMES_ANSWER_MS", "10000").env("DRAIN_MAX_MS", "120000");
        api.envs(variables.iter().copied());
        let (api, address) = serve("api", &mut api);
        Self { api, client: Client::new(&address), address, redis, postgres }
    }

    /// Runs a role that does one thing and ends.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let mut command = role(words);
        run(words[0], command.env("ACCOUNTS_URL", self.postgres.url()).env("NAMES_URL", self.redis.url()))
    }

    /// Starts the pages before this API.
    pub(crate) fn pages(&self) -> (Process, Client, String) {
        let mut ui = role(&["ui"]);
        ui.env("API_URL", format!("http://{}", self.address)).env("PORT", "0");
        let (process, address) = serve("ui", &mut ui);
        (process, Client::new(&address), address)
    }

    pub(crate) async fn pool(&self) -> sqlx::PgPool {
        sqlx::PgPool::connect(&self.postgres.url()).await.unwrap()
    }

    pub(crate) async fn register(&self, name: &str, password: &str) -> Reply {
        self.client.post("/api/registrations", &json!({ "username": name, "password": password })).await
    }

    pub(crate) async fn sign_in(&self, name: &str, password: &str) -> Reply {
        self.client.post("/api/sessions", &json!({ "username": name, "password": password })).await
    }

    pub(crate) async fn check(&self, name: &str) -> Value {
        self.client.get(&format!("/api/usernames/{name}")).await.expect(200).json()
    }

    /// Waits until `/ready` says 200 and what is expected.
    pub(crate) async fn wait_until_ready(&self, expected: impl Fn(&Value) -> bool) {
        let mut last = String::new();
        for _ in 0..3000 {
            let reply = self.client.get("/ready").await;
            if reply.status == 200 && expected(&reply.json()) {
                return;
            }
            last = reply.text;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("never so: {last}");
    }

    /// Waits until the filter answers for a name that nobody has.
    pub(crate) async fn wait_for_filter(&self) {
        for attempt in 0..3000 {
            if self.check(&format!("nobody-{attempt}")).await["by"] == "filter" {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the filter never answered");
    }
}

fn role(words: &[&str]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_credentials"), None);
    command.args(words);
    command
}

/// Starts a role that serves, and learns its address from its log.
fn serve(name: &str, command: &mut Command) -> (Process, String) {
    let process = Process::start(name, command);
    let address = process.wait_for(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "listening").then(|| line["address"].as_str().map(str::to_owned))?
    });
    (process, address)
}
