//! The `document` role: what people bring to prove a claim, in the object storage; read by whoever has a link that is still
//! good.

mod api;
mod store;

use crate::access::Desk;
use crate::migrations;
use anyhow::Context;
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::routing::get;
use plimsoll_kit::backend::{BackendSettings, Role, verifier};
use plimsoll_kit::files::{FILE_BYTES_MAX, Files, SweepError};
use plimsoll_kit::links::Links;
use plimsoll_kit::settings;
use plimsoll_kit::verifier::Verifier;
use std::time::Duration;
use utoipa::OpenApi;

/// What every handler shares; cheap to clone.
#[derive(Clone)]
struct Documents {
    desk: Desk,
    files: Files,
    links: Links,
}

impl FromRef<Documents> for Verifier {
    fn from_ref(all: &Documents) -> Self {
        all.desk.verifier.clone()
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "provident: document", description = "What people bring to prove a claim."),
    paths(api::create, api::list, api::download)
)]
struct Description;

/// The service.
pub const ROLE: Role = Role { name: "provident-document", group: None, store: "fund", migrations: &migrations::FUND };

/// Serves until SIGTERM. Reads what [`BackendSettings`] and [`Links`] read, `USER_URL`, `FILES_DIR` (a folder that all
/// replicas share), and `FILES_SWEEP_S` (default 600).
///
/// # Errors
/// Settings, the folder, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (backend, verifier, links, (folder, sweep_every)) = settings::read(|env| {
        let sweep_every = Duration::from_secs(env.parsed("FILES_SWEEP_S", 600_u64).max(1));
        let folder = env.text("FILES_DIR");
        if env.optional("TOKEN_SECRET").is_none() {
            env.mistake("TOKEN_SECRET", "is required and not set");
        }
        (BackendSettings::read(ROLE, env), verifier(env), Links::read(env), (folder, sweep_every))
    })?;
    let files = Files::open(folder).context("cannot open the folder of files")?;
    let mut backend = backend.open().await?;
    let swept = files.clone();
    backend.every(sweep_every, "files that no document speaks of removed", move |pool| {
        let files = swept.clone();
        async move {
            let removed = files.sweep(|ids| async move { store::known(&pool, &ids).await }).await;
            match removed {
                Ok(count) => Ok(u64::try_from(count).unwrap_or(u64::MAX)),
                Err(SweepError::Database(why)) => Err(why),
                Err(SweepError::Disk(why)) => Err(sqlx::Error::Io(why)),
            }
        }
    });
    let all = Documents { desk: Desk { pool: backend.pool.clone(), verifier }, files, links };
    let routes = Router::new()
        .route("/api/v1/documents/{organization}/claims/{claim}", get(api::list).post(api::create))
        .route("/api/v1/documents/{organization}/files/{id}", get(api::download))
        .layer(DefaultBodyLimit::max(FILE_BYTES_MAX))
        .with_state(all);
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
