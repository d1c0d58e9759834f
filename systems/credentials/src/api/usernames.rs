//! Validation of usernames, one or many at once.

use super::{Api, lean};
use crate::validation::{Unanswered, Verdict};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures_util::future::try_join_all;
use http::header;
use plimsoll_kit::Problem;
use plimsoll_kit::extract::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Names in one request.
const NAMES_MAX: usize = 1000;

/// The answer for one name.
#[derive(Serialize, ToSchema)]
#[schema(as = UsernameAnswer)]
pub(super) struct AnswerShape {
    /// As asked.
    name: String,
    /// `available`, `taken` or `invalid`.
    status: String,
    /// Why not: `too-short`, `too-long`, `alphabet`, `look-alike-letter`, `start`, `separator`, `reserved`,
    /// `looks-reserved`, `taken`, `looks-taken`.
    reasons: Vec<String>,
    /// Who answered: `rules`, `filter`, `cache` or `database`.
    by: String,
}

/// The answers for many names.
#[derive(Serialize, ToSchema)]
#[schema(as = UsernameAnswers)]
pub(super) struct AnswersShape {
    /// In the order of the names.
    results: Vec<AnswerShape>,
}

/// The names to check.
#[derive(Deserialize, ToSchema)]
pub(super) struct CheckMany {
    /// 1 to 1,000.
    names: Vec<String>,
}

/// Is this name well-formed and free?
#[utoipa::path(get, path = "/api/usernames/{name}", params(("name" = String, Path, description = "the name, as typed")),
    responses((status = 200, body = AnswerShape)))]
pub(super) async fn check_one(State(api): State<Api>, Path(name): Path<String>) -> Response {
    lean::answer(&api.validation, &name).await
}

/// Checks up to 1,000 names at once; the answers are in the order of the names.
#[utoipa::path(post, path = "/api/usernames:check", request_body = CheckMany,
    responses((status = 200, body = AnswersShape)))]
pub(super) async fn check_many(
    State(api): State<Api>,
    Json(CheckMany { names }): Json<CheckMany>,
) -> Result<Response, Problem> {
    if names.is_empty() || names.len() > NAMES_MAX {
        return Err(Problem::unprocessable("too-many-names", "Send 1 to 1,000 names."));
    }
    let verdicts = try_join_all(names.iter().map(|name| api.validation.verdict(name))).await;
    let verdicts =
        verdicts.map_err(|Unanswered| Problem::unavailable("unanswered", "The database does not answer."))?;
    let mut text = String::with_capacity(names.len() * 80);
    text.push_str("{\"results\":[");
    for (index, (name, verdict)) in names.iter().zip(&verdicts).enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(&mut text, name, verdict);
    }
    text.push_str("]}");
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from(text)).into_response())
}

/// The answer as JSON.
pub(super) fn render(name: &str, verdict: &Verdict) -> String {
    let mut text = String::with_capacity(96 + name.len());
    write(&mut text, name, verdict);
    text
}

fn write(text: &mut String, name: &str, verdict: &Verdict) {
    text.push_str("{\"name\":");
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        text.extend(["\"", name, "\""]);
    } else {
        // A string always can be written; the fallback keeps the answer well-formed all the same.
        text.push_str(&serde_json::to_string(name).unwrap_or_else(|_| "\"\"".into()));
    }
    text.extend([",\"status\":\"", verdict.status.word(), "\",\"reasons\":["]);
    for (index, reason) in verdict.reasons.iter().enumerate() {
        text.extend([if index == 0 { "\"" } else { ",\"" }, reason.word(), "\""]);
    }
    text.extend(["],\"by\":\"", verdict.by.word(), "\"}"]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Reason;
    use crate::validation::{By, Status};

    #[test]
    fn writes_json_whatever_the_name() {
        for name in ["anna", "a\"b\\c\n", "\u{430}dmin", ""] {
            let verdict =
                Verdict { status: Status::Invalid, reasons: vec![Reason::TooShort, Reason::Alphabet], by: By::Rules };
            let value: serde_json::Value = serde_json::from_str(&render(name, &verdict)).unwrap();
            assert_eq!(value["name"], name);
            assert_eq!(value["reasons"], serde_json::json!(["too-short", "alphabet"]));
        }
    }
}
