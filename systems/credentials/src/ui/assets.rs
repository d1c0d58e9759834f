//! Files that are part of the binary. Their addresses carry a version, so they may be kept for a year.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header;
use plimsoll_kit::Problem;
use plimsoll_kit::sessions::hex;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const FILES: [(&str, &str, &str); 3] = [
    ("app.css", "text/css; charset=utf-8", include_str!("../../static/app.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("../../static/app.js")),
    ("icon.svg", "image/svg+xml", include_str!("../../static/icon.svg")),
];
const WORKER: &str = include_str!("../../static/sw.js");
const MANIFEST: &str = include_str!("../../static/manifest.webmanifest");
const KEEP: &str = "public, max-age=31536000, immutable";

/// A hash of all files: changes when any of them does.
pub(super) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all = FILES.iter().fold(Sha256::new(), |hash, (_, _, text)| hash.chain_update(text));
    hex(&all.chain_update(WORKER).finalize()[..6])
});

/// A file of the pages.
pub(super) async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    let (_, kind, text) =
        FILES.iter().find(|(file, _, _)| *file == name).ok_or_else(|| Problem::not_found("There is no such file."))?;
    Ok(([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, KEEP)], *text).into_response())
}

/// The service worker; always asked for anew, since it decides what is kept.
pub(super) async fn service_worker() -> Response {
    let text = WORKER.replace("VERSION", &VERSION);
    let kind = "text/javascript; charset=utf-8";
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

/// What makes the site installable.
pub(super) async fn manifest() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/manifest+json"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, MANIFEST).into_response()
}
