//! Pages for administrators: accounts and audit.

use super::pages::{AccountPage, Accounts, Audit, AuditRows, Frame, Message, show};
use super::visitor::Visitor;
use super::{Ui, encode};
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use plimsoll_kit::Problem;
use plimsoll_kit::peer::Answer;
use serde::Deserialize;

/// Which accounts.
#[derive(Deserialize)]
pub(super) struct Which {
    #[serde(default)]
    query: String,
    #[serde(default)]
    after: String,
}

/// Lists and searches accounts.
pub(super) async fn list(
    State(ui): State<Ui>,
    visitor: Visitor,
    Query(Which { query, after }): Query<Which>,
) -> Result<Response, Problem> {
    let path = format!("/api/admin/accounts?limit=25&query={}&after={}", encode(&query), encode(&after));
    let answer = ui.api.send(visitor.call(Method::GET, path)).await?;
    if !answer.status.is_success() {
        return Ok(refused(&ui, &visitor, &answer).await);
    }
    let frame = Frame::of(&ui, &visitor, "admin").await;
    let page = Accounts { frame, page: answer.json::<AccountPage>()?, query, after };
    Ok(show(&ui, &visitor, StatusCode::OK, &page))
}

/// Which part of the audit.
#[derive(Deserialize)]
pub(super) struct Before {
    before: Option<i64>,
}

/// Shows the audit.
pub(super) async fn audit(
    State(ui): State<Ui>,
    visitor: Visitor,
    Query(Before { before }): Query<Before>,
) -> Result<Response, Problem> {
    let before = before.map_or_else(String::new, |id| format!("&before={id}"));
    let answer = ui.api.send(visitor.call(Method::GET, format!("/api/admin/audit?limit=50{before}"))).await?;
    if !answer.status.is_success() {
        return Ok(refused(&ui, &visitor, &answer).await);
    }
    let frame = Frame::of(&ui, &visitor, "audit").await;
    Ok(show(&ui, &visitor, StatusCode::OK, &Audit { frame, page: answer.json::<AuditRows>()? }))
}

/// What the form of a row holds.
#[derive(Deserialize)]
pub(super) struct ActForm {
    csrf: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    after: String,
}

/// Disables or enables an account, and goes back to where the administrator was.
pub(super) async fn act(
    State(ui): State<Ui>,
    visitor: Visitor,
    Path((id, act)): Path<(i64, String)>,
    Form(form): Form<ActForm>,
) -> Result<Response, Problem> {
    visitor.check_form(&form.csrf)?;
    if !matches!(act.as_str(), "disable" | "enable") {
        return Err(Problem::not_found("There is nothing at this address."));
    }
    let answer = ui.api.send(visitor.call(Method::POST, format!("/api/admin/accounts/{id}/{act}"))).await?;
    if !answer.status.is_success() {
        return Ok(refused(&ui, &visitor, &answer).await);
    }
    let back = format!("/admin?query={}&after={}", encode(&form.query), encode(&form.after));
    Ok(Redirect::to(&back).into_response())
}

async fn refused(ui: &Ui, visitor: &Visitor, answer: &Answer) -> Response {
    let frame = Frame::of(ui, visitor, "admin").await;
    let body: serde_json::Value = answer.json().unwrap_or_default();
    let text = body["detail"].as_str().unwrap_or("That did not work.").to_owned();
    let (title, href, link) = match answer.status {
        StatusCode::UNAUTHORIZED => ("Sign in first", "/sign-in", "Sign in"),
        StatusCode::FORBIDDEN => ("Not for you", "/", "Back to the start"),
        _ => ("That did not work", "/admin", "Back to the accounts"),
    };
    show(ui, visitor, answer.status, &Message { frame, title, text, href, link })
}
