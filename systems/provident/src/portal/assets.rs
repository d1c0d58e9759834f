//! Files that are part of the binary. Their addresses carry a version.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header;
use plimsoll_kit::Problem;
use plimsoll_kit::sessions::hex;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const FILES: [(&str, &str, &str); 2] = [
    ("app.css", "text/css; charset=utf-8", include_str!("../../static/app.css")),
    ("icon.svg", "image/svg+xml", include_str!("../../static/icon.svg")),
];
/// A day: the rule of the paper's CDN for `/static/*`.
const KEEP: &str = "public, max-age=86400";

/// A hash of all files: changes when any of them does.
pub(super) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all = FILES.iter().fold(Sha256::new(), |hash, (_, _, text)| hash.chain_update(text));
    hex(&all.finalize()[..6])
});

/// A file of the pages.
pub(super) async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    let (_, kind, text) =
        FILES.iter().find(|(file, _, _)| *file == name).ok_or_else(|| Problem::not_found("There is no such file."))?;
    Ok(([(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, KEEP)], *text).into_response())
}
