//! The `payment` role: pays claims out, each once.
//!
//! The bank is one for tests: nobody is paid. An account whose number begins with three zeros is one that it does not know:
//! what is sent there comes back.

mod api;
mod transfers;

use crate::access::Desk;
use crate::events::{CLAIMS, ClaimEvent};
use crate::migrations;
use axum::Router;
use axum::routing::get;
use plimsoll_kit::backend::{BackendSettings, Role, verifier};
use plimsoll_kit::bus::Message;
use plimsoll_kit::inbox::{HandleError, Handler};
use plimsoll_kit::settings;
use sqlx::PgConnection;
use transfers::Due;
use utoipa::OpenApi;

/// Pays what pension asks for.
#[derive(Clone)]
struct Listener;

impl Handler for Listener {
    async fn handle(&self, transaction: &mut PgConnection, message: &Message) -> Result<(), HandleError> {
        if let ClaimEvent::PaymentWanted { claim, organization, member, amount_paise, account, ifsc } =
            serde_json::from_slice(&message.body)?
        {
            transfers::pay(transaction, &Due { claim, organization, member, amount_paise, account, ifsc }).await?;
        }
        Ok(())
    }
}

#[derive(OpenApi)]
#[openapi(info(title = "provident: payment", description = "What was paid out."), paths(api::show))]
struct Description;

/// The service.
pub const ROLE: Role =
    Role { name: "provident-payment", group: Some("payment"), store: "payments", migrations: &migrations::PAYMENTS };

/// Serves until SIGTERM. Reads what [`BackendSettings`] reads, and `USER_URL`.
///
/// # Errors
/// Settings, the database at start, or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (backend, verifier) = settings::read(|env| (BackendSettings::read(ROLE, env), verifier(env)))?;
    let mut backend = backend.open().await?;
    backend.follow(CLAIMS, Listener);
    let desk = Desk { pool: backend.pool.clone(), verifier };
    let routes = Router::new().route("/api/v1/payments/{claim}", get(api::show)).with_state(desk);
    Ok(backend.serve(routes, &Description::openapi()).await?)
}
