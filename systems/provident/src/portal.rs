//! The `portal` role: pages for members, employers and officers, rendered on the server, complete without JavaScript: there is
//! none.
//!
//! It keeps nothing: the tokens live in the visitor's cookies, everything else is asked of the services in the visitor's name.
//!
//! Caches: files under `/static/` are public for a day and carry their version, what shows anything of anybody is stored
//! nowhere, and the first page of somebody who is not signed in is public for five minutes.

mod account;
mod assets;
mod cases;
mod members;
mod organization;
mod pages;
mod visitor;
mod welcome;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, header};
use plimsoll_kit::Service;
use plimsoll_kit::peer::{Peer, PeerSettings};
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::settings::{self, ServerSettings};

/// Nothing but our own files is loaded, nothing runs, and nobody frames these pages.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";
/// Largest form, in bytes: a filing of some ten thousand lines, percent-encoded.
const FORM_BYTES_MAX: usize = 8 << 20;

/// What every page shares; cheap to clone.
#[derive(Clone)]
struct Portal {
    user: Peer,
    organization: Peer,
    pf: Peer,
    pension: Peer,
    workflow: Peer,
    /// Whether cookies are marked `Secure` (`COOKIE_SECURE`, default false: here TLS ends before us).
    secure: bool,
}

/// Serves the pages until SIGTERM. Reads `PORT`, `USER_URL`, `ORGANIZATION_URL`, `PF_URL`, `PENSION_URL`, `WORKFLOW_URL`,
/// and `COOKIE_SECURE` (default false).
///
/// # Errors
/// Settings or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (server, portal) = settings::read(|env| {
        let mut peer = |name: &str| PeerSettings::read(name, env).client();
        let (user, organization, pf) = (peer("user"), peer("organization"), peer("pf"));
        let (pension, workflow) = (peer("pension"), peer("workflow"));
        let secure = env.parsed("COOKIE_SECURE", false);
        (ServerSettings::read("provident-portal", env), Portal { user, organization, pf, pension, workflow, secure })
    })?;
    // Without the others some pages are still there; without `user` nobody is known.
    let user = portal.user.clone();
    let readiness = Readiness::default().requires("user", move || user.clone().answers());
    Service::new(server, routes(portal)).readiness(readiness).serve().await?;
    Ok(())
}

fn routes(portal: Portal) -> Router {
    Router::new()
        .route("/", get(welcome::home))
        .route("/sign-in", get(welcome::signing_in).post(welcome::sign_in))
        .route("/sign-out", post(welcome::sign_out))
        .route("/account", get(account::show))
        .route("/account/claims", post(account::claim))
        .route("/organization", get(organization::show))
        .route("/organization/filings", post(organization::file))
        .route("/cases", get(cases::list))
        .route("/cases/{id}/{act}", post(cases::act))
        .route("/members", get(members::find))
        .route_layer(middleware::from_fn_with_state(portal.clone(), visitor::keep_signed_in))
        .route("/static/{file}", get(assets::file))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::from_fn(guard))
        .with_state(portal)
}

async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Percent-encodes a path segment or query value.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
