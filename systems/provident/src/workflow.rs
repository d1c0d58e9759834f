//! The `workflow` role: cases that people decide, each step by somebody else.

mod api;
mod cases;
pub mod steps;

use crate::access::Desk;
use crate::events::{CLAIMS, ClaimEvent};
use crate::migrations;
use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post};
use plimsoll_kit::backend::{BackendSettings, Role, verifier};
use plimsoll_kit::bus::Message;
use plimsoll_kit::inbox::{HandleError, Handler};
use plimsoll_kit::outbox::Wake;
use plimsoll_kit::settings;
use plimsoll_kit::verifier::Verifier;
use sqlx::PgConnection;
use utoipa::OpenApi;

/// What every handler shares; cheap to clone.
#[derive(Clone)]
struct Cases {
    desk: Desk,
    wake: Wake,
}

impl FromRef<Cases> for Verifier {
    fn from_ref(all: &Cases) -> Self {
        all.desk.verifier.clone()
    }
}

/// Opens a case for each claim.
#[derive(Clone)]
struct Listener;

impl Handler for Listener {
    async fn handle(&self, transaction: &mut PgConnection, message: &Message) -> Result<(), HandleError> {
        if let ClaimEvent::Opened { claim, organization, member, by, kind, amount_paise } =
            serde_json::from_slice(&message.body)?
        {
            let opened = cases::Opened { id: claim, organization, member, by, kind, amount_paise };
            cases::open(transaction, &opened).await?;
        }
        Ok(())
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "provident: workflow", description = "Cases, and who decides about them."),
    paths(api::list, api::show, api::act)
)]
struct Description;

/// The service.
pub const ROLE: Role =
    Role { name: "provident-workflow", group: Some("workflow"), store: "cases", migrations: &migrations::CASES };

/// Serves until SIGTERM. Reads what [`BackendSettings`] reads, and `USER_URL`.
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (backend, verifier) = settings::read(|env| (BackendSettings::read(ROLE, env), verifier(env)))?;
    let mut backend = backend.open().await?;
    backend.follow(CLAIMS, Listener);
    let all = Cases { desk: Desk { pool: backend.pool.clone(), verifier }, wake: backend.wake.clone() };
    let routes = Router::new()
        .route("/api/v1/workflow/cases", get(api::list))
        .route("/api/v1/workflow/cases/{id}", get(api::show))
        .route("/api/v1/workflow/cases/{id}/{act}", post(api::act))
        .with_state(all);
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
