//! Stores and services of one test, put together.

use crate::listeners::Relay;
use http::Method;
use plimsoll_kit::testing::client::{Client, Reply};
use plimsoll_kit::testing::process::{Process, command, run};
use plimsoll_kit::testing::stores::{Postgres, Redis};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "a very long list";
const SECRET: &str = "a secret of the tests, long enough for a key";

/// Fields are dropped in order: the services before their stores.
pub(crate) struct World {
    services: Vec<Process>,
    /// The gateway.
    pub(crate) client: Client,
    /// The auth service, without the gateway before it.
    pub(crate) auth: Client,
    pub(crate) redis: Redis,
    pub(crate) postgres: Postgres,
    files: TempDir,
}

/// Somebody signed in.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) bearer: String,
    pub(crate) refresh: String,
    pub(crate) id: String,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A world whose services have other settings, too.
    pub(crate) fn with(more: &[(&str, &str)]) -> Self {
        let (postgres, redis) = (Postgres::start(), Redis::single());
        run("migrate", role(&postgres, &redis).arg("migrate"));
        let mut services = Vec::new();
        let mut address = |name: &str, more: &[(&str, &str)]| {
            let (process, address) = serve(name, &postgres, &redis, more);
            services.push(process);
            address
        };
        let auth = address("auth", more);
        let user = address("user", more);
        let files = TempDir::new().unwrap();
        let folder = files.path().join("files");
        let task = address("task", &[more, &[("FILES_DIR", folder.to_str().unwrap())]].concat());
        let [auth_url, user_url, task_url] = [&auth, &user, &task].map(|address| format!("http://{address}"));
        let peers = [("AUTH_URL", auth_url.as_str()), ("USER_URL", &user_url), ("TASK_URL", &task_url)];
        let gateway = address("gateway", &[more, &peers].concat());
        Self { services, client: Client::new(&gateway), auth: Client::new(&auth), redis, postgres, files }
    }

    /// A role that does one thing and ends.
    pub(crate) fn role(&self, words: &[&str]) -> Command {
        let mut command = role(&self.postgres, &self.redis);
        command.args(words);
        command
    }

    /// Starts a notification service that hands its mail to this relay, and answers which of the services it is.
    pub(crate) fn notify(&mut self, relay: &Relay, more: &[(&str, &str)]) -> usize {
        let address = relay.address();
        let own = [("SMTP_ADDRESS", address.as_str()), ("MAIL_FROM", "tasks@example.com"), ("NOTIFY_POLL_MS", "50")];
        let patient = [("NOTIFY_RETRY_MS", "50"), ("SMTP_ANSWER_MS", "60000"), ("WEBHOOK_ANSWER_MS", "60000")];
        let (process, _) = serve("notification", &self.postgres, &self.redis, &[&own, &patient, more].concat());
        self.services.push(process);
        self.services.len() - 1
    }

    /// Kills a service.
    pub(crate) fn kill(&mut self, which: usize) {
        self.services[which].kill();
    }

    /// Where files lie.
    pub(crate) fn files(&self) -> PathBuf {
        self.files.path().join("files")
    }

    pub(crate) async fn pool(&self) -> sqlx::PgPool {
        sqlx::PgPool::connect(&self.postgres.url()).await.unwrap()
    }

    pub(crate) async fn sign_up(&self, name: &str) -> Person {
        let body = json!({ "email": email(name), "name": name, "password": PASSWORD });
        let reply = self.client.post("/api/v1/auth/sign-up", &body).await.expect(201);
        assert_eq!(reply.header("cache-control"), "no-store");
        Person::of(&self.client, &reply.json())
    }

    pub(crate) async fn try_sign_in(&self, name: &str, password: &str) -> Reply {
        self.client.post("/api/v1/auth/sign-in", &json!({ "email": email(name), "password": password })).await
    }

    pub(crate) async fn sign_in(&self, name: &str) -> Person {
        Person::of(&self.client, &self.try_sign_in(name, PASSWORD).await.expect(201).json())
    }

    pub(crate) async fn refresh(&self, token: &str) -> Reply {
        self.client.post("/api/v1/auth/refresh", &json!({ "refresh_token": token })).await
    }

    /// Ends every service as a balancer would, and expects that each ends well.
    pub(crate) fn stop(mut self) {
        for process in self.services.iter_mut().rev() {
            process.terminate();
            assert_eq!(process.wait().code(), Some(0), "{}", process.printed());
        }
    }
}

/// The address of somebody of that name.
pub(crate) fn email(name: &str) -> String {
    format!("{}@example.com", name.to_lowercase().replace(' ', "."))
}

impl Person {
    pub(crate) fn of(client: &Client, tokens: &Value) -> Self {
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        Self {
            client: client.clone(),
            bearer: format!("Bearer {}", text("access_token")),
            refresh: text("refresh_token"),
            id: text("user_id"),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.client.get_as(&self.bearer, path).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value, if_match: Option<&str>) -> Reply {
        self.client.send_as(&self.bearer, (method, path), body, if_match).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, body, None).await
    }
}

fn role(postgres: &Postgres, redis: &Redis) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_tasks"), None);
    command.env("TASKS_URL", postgres.url()).env("LIMITS_URL", redis.url()).env("TOKEN_SECRET", SECRET);
    command
}

/// Starts a service, and learns its address from its log.
fn serve(name: &str, postgres: &Postgres, redis: &Redis, more: &[(&str, &str)]) -> (Process, String) {
    let mut command = role(postgres, redis);
    // A busy machine is no reason to fail a test of what is right.
    command.env("TASKS_CONNECT_MS", "30000").env("LIMITS_ANSWER_MS", "2000").env("DRAIN_MAX_MS", "120000");
    command
        .env("AUTH_ANSWER_MS", "60000")
        .env("USER_ANSWER_MS", "60000")
        .env("TASK_ANSWER_MS", "60000")
        .env("WORKERS", "2")
        .env("HASHERS", "2");
    command
        .arg(name)
        .env("PORT", "0")
        .env("CLIENT_REQUESTS_PER_S", "5000")
        .env("MIGRATE", "false")
        .envs(more.iter().copied());
    let process = Process::start(name, &mut command);
    let address = process.wait_for(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "listening").then(|| line["address"].as_str().map(str::to_owned))?
    });
    (process, address)
}
