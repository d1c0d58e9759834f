//! Stores and services of one test, put together.

use http::Method;
use plimsoll_kit::testing::client::{Client, More, Reply};
use plimsoll_kit::testing::process::{Process, command, own_address, run};
use plimsoll_kit::testing::stores::{Nats, Postgres};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "a very long list";
const SECRET: &str = "a secret of the tests, long enough for a key";
/// The databases, as the services call them.
const DATABASES: [&str; 3] = ["fund", "cases", "payments"];
/// The services that every test has, those first that others ask.
const SERVICES: [&str; 3] = ["user", "organization", "pf"];
/// The first seeded organization.
pub(crate) const FIRST: &str = "01900000-0000-7000-8000-000000000000";

/// Fields are dropped in order: the services before their stores.
pub(crate) struct World {
    services: BTreeMap<&'static str, Running>,
    nats: Option<Nats>,
    files: TempDir,
    postgres: Postgres,
}

struct Running {
    process: Process,
    address: String,
}

impl World {
    /// Two organizations of three members, and whoever belongs to them.
    pub(crate) async fn start() -> Self {
        let postgres = Postgres::start();
        for database in DATABASES {
            postgres.create(database).await;
        }
        let mut this = Self { services: BTreeMap::new(), nats: None, files: TempDir::new().unwrap(), postgres };
        run("migrate", this.command().arg("migrate"));
        run("seed", this.command().args(["seed", "--organizations", "2", "--members", "3"]));
        for name in SERVICES {
            this.serve(name);
        }
        this
    }

    /// Claims, too: the bus, and the services that speak over it.
    pub(crate) fn complete(&mut self) {
        self.nats = Some(Nats::start());
        for name in ["pension", "workflow", "payment", "document", "portal"] {
            self.serve(name);
        }
    }

    /// SIGKILL, and it starts again.
    pub(crate) fn replace(&mut self, name: &'static str) {
        self.services.get_mut(name).unwrap().process.kill();
        self.serve(name);
    }

    /// SIGKILL of the broker, and it starts again with what it had stored.
    pub(crate) fn replace_broker(&mut self) {
        let nats = self.nats.as_mut().unwrap();
        nats.kill();
        nats.start_again();
    }

    /// A role with the settings of all of them.
    pub(crate) fn command(&self) -> Command {
        let mut command = command(env!("CARGO_BIN_EXE_provident"), None);
        for database in DATABASES {
            let name = database.to_uppercase();
            command.env(format!("{name}_URL"), self.postgres.url_of(database));
            // A busy machine is no reason to fail a test of what is right.
            command.env(format!("{name}_CONNECT_MS"), "30000").env(format!("{name}_POOL_MAX"), "8");
            command.env(format!("{name}_STATEMENT_MS"), "60000");
        }
        for (name, running) in &self.services {
            let name = name.to_uppercase();
            command.env(format!("{name}_URL"), format!("http://{}", running.address));
            command.env(format!("{name}_ANSWER_MS"), "60000");
        }
        if let Some(nats) = &self.nats {
            command.env("EVENTS_URL", nats.url()).env("EVENTS_ACK_MS", "2000");
        }
        command.env("FILES_DIR", self.files.path()).env("TOKEN_SECRET", SECRET).env("SEED_PASSWORD", PASSWORD);
        command.env("WORKERS", "2").env("HASHERS", "2").env("MIGRATE", "false").env("DRAIN_MAX_MS", "120000");
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

    pub(crate) fn client(&self, name: &str) -> Client {
        Client::new(&self.services[name].address)
    }

    pub(crate) async fn pool(&self, database: &str) -> sqlx::PgPool {
        sqlx::PgPool::connect(&self.postgres.url_of(database)).await.unwrap()
    }

    /// The header of somebody who signs in.
    pub(crate) async fn sign_in(&self, name: &str) -> String {
        let body = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        let tokens = self.client("user").post("/api/v1/users/sign-in", &body).await.expect(201).json();
        format!("Bearer {}", tokens["access_token"].as_str().unwrap())
    }

    /// Files for a month.
    pub(crate) async fn file(&self, bearer: &str, path: &str, body: &str) -> Reply {
        file(&self.client("pf"), bearer, path, body).await
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, service: &str, bearer: &str, path: &str, body: &Value) -> Reply {
        self.client(service).send_as(bearer, (Method::POST, path), body, None).await
    }

    /// Runs the audit, for which nothing is to be on its way: whether it found nothing, and what it printed.
    pub(crate) fn audit(&self) -> (bool, String) {
        let output = self.command().args(["audit", "--settled"]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ends every service as a balancer would, and expects that each ends well.
    pub(crate) fn stop(mut self) {
        for running in self.services.values_mut() {
            running.process.terminate();
            assert_eq!(running.process.wait().code(), Some(0), "{}", running.process.printed());
        }
    }
}

/// Files for a month: `organization/month?total=…`.
pub(crate) async fn file(client: &Client, bearer: &str, path: &str, body: &str) -> Reply {
    let (organization, month) = path.split_once('/').unwrap();
    let more = More::text(body).with("content-type", "text/csv").with("authorization", bearer);
    client.send(Method::PUT, &format!("/api/v1/pf/{organization}/filings/{month}"), more).await
}
