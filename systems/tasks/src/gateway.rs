//! The `gateway` role: one address for all services, and how often a client may come.
//!
//! It forwards whole requests and whole answers; who is signed in is each service's own affair. A client's address goes on
//! in `X-Client-Address`, for the limits of the services behind.
//!
//! Invariant: what a client says of its own address is never believed.

use crate::limit::{Limiter, Policy, limited};
use axum::extract::DefaultBodyLimit;
use axum::routing::any;
use axum::{Router, middleware};
use plimsoll_kit::Service;
use plimsoll_kit::files::FILE_BYTES_MAX;
use plimsoll_kit::forward::{FORWARDED, Forward, forward};
use plimsoll_kit::keyvalue::{KeyValue, KeyValueSettings};
use plimsoll_kit::peer::PeerSettings;
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::settings::{self, Environment, ServerSettings};
use std::time::Duration;

/// Largest body that is forwarded: a file.
const BODY_BYTES_MAX: usize = FILE_BYTES_MAX;

/// What the role needs from the environment.
pub struct GatewaySettings {
    server: ServerSettings,
    limits: KeyValueSettings,
    requests: u64,
    auth: PeerSettings,
    user: PeerSettings,
    task: PeerSettings,
}

impl GatewaySettings {
    /// Reads `PORT`, `LIMITS_URL`, `AUTH_URL`, `USER_URL`, `TASK_URL`, and `CLIENT_REQUESTS_PER_S` (default 100).
    pub fn read(environment: &mut Environment<'_>) -> Self {
        Self {
            server: ServerSettings::read("tasks-gateway", environment),
            limits: KeyValueSettings::read("limits", environment),
            requests: environment.parsed("CLIENT_REQUESTS_PER_S", 100_u64).max(1),
            auth: PeerSettings::read("auth", environment),
            user: PeerSettings::read("user", environment),
            task: PeerSettings::read("task", environment),
        }
    }
}

/// Serves until SIGTERM.
///
/// # Errors
/// Settings or the port.
pub async fn serve() -> anyhow::Result<()> {
    let settings = settings::read(GatewaySettings::read)?;
    let store = settings.limits.open();
    let policy = Policy { name: "client", requests: settings.requests, window: Duration::from_secs(1) };
    let limiter = Limiter::new(policy, store.clone(), FORWARDED);
    let routes = routes(&settings).layer(middleware::from_fn_with_state(limiter, limited));
    Service::new(settings.server, routes).readiness(readiness(store)).serve().await?;
    Ok(())
}

/// Without Redis everything goes on, uncounted; a service that is away is told by those who ask it.
fn readiness(store: KeyValue) -> Readiness {
    Readiness::default().wants("limits", move || store.clone().answers())
}

fn routes(settings: &GatewaySettings) -> Router {
    let mut all = Router::new();
    for (peer, name, paths) in [
        (&settings.auth, "auth", &["/api/v1/auth", "/.well-known/jwks.json"][..]),
        (&settings.user, "user", &["/api/v1/users"][..]),
        (&settings.task, "task", &["/api/v1/projects", "/api/v1/tasks", "/api/v1/files"][..]),
    ] {
        let to = |rewritten| Forward { peer: peer.client(), rewritten };
        for path in paths {
            let one = Router::new().route(path, any(forward)).route(&format!("{path}/{{*rest}}"), any(forward));
            all = all.merge(one.with_state(to(None)));
        }
        let described = Router::new().route(&format!("/openapi/{name}.json"), any(forward));
        all = all.merge(described.with_state(to(Some("/openapi.json"))));
    }
    all.layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}
