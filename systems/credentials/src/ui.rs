//! The `ui` role: pages rendered on the server, complete without JavaScript.
//!
//! It keeps nothing: the session token lives in the visitor's cookie, everything else is asked of the API.

mod accounts;
mod assets;
mod pages;
mod visitor;
mod welcome;

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Router, extract::Path, extract::State};
use http::{HeaderName, HeaderValue, Method, header};
use plimsoll_kit::peer::{Call, Peer, PeerSettings};
use plimsoll_kit::readiness::Readiness;
use plimsoll_kit::settings::{self, ServerSettings};
use plimsoll_kit::{Problem, Service};

/// Nothing but our own files runs, loads or frames these pages.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What every page shares; cheap to clone.
#[derive(Clone)]
struct Ui {
    api: Peer,
    /// Whether cookies are marked `Secure` (`COOKIE_SECURE`, default false: here TLS ends before us).
    secure: bool,
}

/// Serves the pages until SIGTERM.
///
/// # Errors
/// Settings or the port.
pub async fn serve() -> anyhow::Result<()> {
    let (server, api, secure) = settings::read(|env| {
        let server = ServerSettings::read("credentials-ui", env);
        (server, PeerSettings::read("api", env), env.parsed("COOKIE_SECURE", false))
    })?;
    let ui = Ui { api: api.client(), secure };
    let peer = ui.api.clone();
    let readiness = Readiness::default().requires("api", move || peer.clone().answers());
    Service::new(server, routes(ui)).readiness(readiness).serve().await?;
    Ok(())
}

fn routes(ui: Ui) -> Router {
    Router::new()
        .route("/", get(welcome::home))
        .route("/register", get(welcome::registration).post(welcome::register))
        .route("/sign-in", get(welcome::signing_in).post(welcome::sign_in))
        .route("/sign-out", post(welcome::sign_out))
        .route("/admin", get(accounts::list))
        .route("/admin/audit", get(accounts::audit))
        .route("/admin/accounts/{id}/{act}", post(accounts::act))
        .route("/offline", get(welcome::offline))
        .route("/static/{file}", get(assets::file))
        .route("/sw.js", get(assets::service_worker))
        .route("/manifest.webmanifest", get(assets::manifest))
        .route("/api/usernames/{name}", get(pass_on))
        .with_state(ui)
        .layer(middleware::from_fn(guard))
}

/// For pages reached without the ingress, which otherwise sends `/api` to the API itself.
async fn pass_on(State(ui): State<Ui>, Path(name): Path<String>) -> Result<Response, Problem> {
    let path = format!("/api/usernames/{}", encode(&name));
    let answer = ui.api.send(Call::new(Method::GET, path)).await?;
    let mut response = Response::new(answer.body.into());
    *response.status_mut() = answer.status;
    if let Some(kind) = answer.headers.get(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    }
    Ok(response)
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
