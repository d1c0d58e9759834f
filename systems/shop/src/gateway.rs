//! The `gateway` role: one address for all services.
//!
//! It forwards whole requests and whole answers; who is signed in is each service's own affair, and how often a client may
//! come is the ingress's.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::any;
use plimsoll_kit::Service;
use plimsoll_kit::forward::{Forward, forward};
use plimsoll_kit::peer::{Peer, PeerSettings};
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::settings::{self, ServerSettings};

/// Largest body that is forwarded, in bytes: no service takes a larger one.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The services, and the paths that are theirs.
const SERVICES: [(&str, &[&str]); 7] = [
    ("user", &["/api/v1/users", "/.well-known/jwks.json"]),
    ("product", &["/api/v1/products"]),
    ("inventory", &["/api/v1/inventory"]),
    ("cart", &["/api/v1/cart"]),
    ("order", &["/api/v1/orders"]),
    ("payment", &["/api/v1/payments"]),
    ("search", &["/api/v1/search"]),
];

/// Serves until SIGTERM. Reads `PORT` and the URL of each service (`USER_URL`, `PRODUCT_URL`, …).
///
/// # Errors
/// Settings or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (server, peers) = settings::read(|env| {
        let server = ServerSettings::read("shop-gateway", env);
        (server, SERVICES.map(|(name, _)| PeerSettings::read(name, env).client()))
    })?;
    // A service that is away is told by those who ask it: the others are still there.
    Service::new(server, routes(&peers)).readiness(Readiness::default()).serve().await?;
    Ok(())
}

fn routes(peers: &[Peer]) -> Router {
    let mut all = Router::new();
    for ((name, paths), peer) in SERVICES.iter().zip(peers) {
        let to = |rewritten| Forward { peer: peer.clone(), rewritten };
        for path in *paths {
            let one = Router::new().route(path, any(forward)).route(&format!("{path}/{{*rest}}"), any(forward));
            all = all.merge(one.with_state(to(None)));
        }
        let described = Router::new().route(&format!("/openapi/{name}.json"), any(forward));
        all = all.merge(described.with_state(to(Some("/openapi.json"))));
    }
    all.layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}
