//! The `task` role: projects, their tasks, and the files that hang on those.

mod attachment;
mod item;
mod openapi;
mod project;

use crate::access::Access;
use crate::attachments;
use crate::store::StoreSettings;
use anyhow::Context;
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::routing::{delete, get, post, put};
use plimsoll_kit::files::{FILE_BYTES_MAX, Files};
use plimsoll_kit::links::Links;
use plimsoll_kit::metrics::Metrics;
use plimsoll_kit::postgres;
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::settings::{Environment, ServerSettings};
use plimsoll_kit::{Service, settings};
use std::time::Duration;
use utoipa::OpenApi;

/// What the role needs from the environment.
pub struct TaskSettings {
    server: ServerSettings,
    store: StoreSettings,
    files: String,
    links: Links,
    sweep_every: Duration,
}

impl TaskSettings {
    /// Reads what [`StoreSettings`] and [`Links`] read, `PORT`, `FILES_DIR` (a folder), and `FILES_SWEEP_S` (default 600).
    pub fn read(environment: &mut Environment<'_>) -> Self {
        Self {
            server: ServerSettings::read("tasks-task", environment),
            store: StoreSettings::read(environment),
            files: environment.text("FILES_DIR"),
            links: Links::read(environment),
            sweep_every: Duration::from_secs(environment.parsed("FILES_SWEEP_S", 600_u64).max(1)),
        }
    }
}

/// What every handler shares; cheap to clone.
#[derive(Clone)]
pub(crate) struct Tasks {
    access: Access,
    files: Files,
    links: Links,
}

impl FromRef<Tasks> for Access {
    fn from_ref(all: &Tasks) -> Self {
        all.access.clone()
    }
}

/// Serves until SIGTERM.
///
/// # Errors
/// Settings, the database at start, the keys, the folder of files, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let settings = settings::read(TaskSettings::read)?;
    let files = Files::open(settings.files.as_str()).context("cannot open the folder of files")?;
    let access = settings.store.open("tasks-task").await?;
    let all = Tasks { access, files, links: settings.links };
    tokio::spawn(sweep(all.clone(), settings.sweep_every));
    service(settings.server, &all).serve().await?;
    all.access.pool.close().await;
    Ok(())
}

async fn sweep(all: Tasks, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        match all.files.sweep(|ids| attachments::known(&all.access.pool, ids)).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "files that no attachment speaks of are removed"),
            Err(why) => tracing::warn!(error = %why, "files are not swept"),
        }
    }
}

fn service(settings: ServerSettings, all: &Tasks) -> Service {
    let metrics = Metrics::new();
    postgres::count_connections(&metrics, "tasks", &all.access.pool);
    let (pool, files) = (all.access.pool.clone(), all.files.clone());
    let readiness = Readiness::default()
        .requires("tasks", move || postgres::answers(pool.clone()))
        .wants("files", move || files.clone().answers());
    Service::new(settings, routes(all.clone()))
        .metrics(metrics)
        .readiness(readiness)
        .openapi(&openapi::Description::openapi())
}

fn routes(all: Tasks) -> Router {
    let file = DefaultBodyLimit::max(FILE_BYTES_MAX);
    Router::new()
        .route("/api/v1/projects", get(project::list).post(project::create))
        .route("/api/v1/projects/{id}", get(project::show))
        .route("/api/v1/projects/{id}/members/{user}", put(project::add).delete(project::remove))
        .route("/api/v1/tasks", get(item::list).post(item::create))
        .route("/api/v1/tasks/{id}", get(item::show).patch(item::amend).delete(item::delete))
        .route("/api/v1/tasks/{id}/attachments", get(attachment::list).merge(post(attachment::create).layer(file)))
        .route("/api/v1/tasks/{id}/attachments/{attachment}", delete(attachment::delete))
        .route("/api/v1/files/{id}", get(attachment::download))
        .with_state(all)
}
