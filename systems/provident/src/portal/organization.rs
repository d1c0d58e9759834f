//! An employer's page: filing for a month, what was filed, who is a member.

use super::pages::{Employer, Frame, show as shown};
use super::visitor::{Away, Person, Visitor};
use super::{Portal, encode};
use crate::filings::Filing;
use crate::members::Member;
use crate::organizations::Organization;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode, header};
use plimsoll_kit::Problem;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
struct Filings {
    filings: Vec<Filing>,
}

#[derive(Deserialize)]
struct Members {
    members: Vec<Member>,
    next: Option<String>,
}

/// Which part of the members.
#[derive(Deserialize)]
pub(super) struct Part {
    #[serde(default)]
    after: String,
}

/// The page, with what organization and pf know.
async fn page(portal: &Portal, visitor: &Visitor, of: (Person, Uuid), after: &str) -> Result<Employer, Problem> {
    let (person, id) = of;
    let Organization { name, .. } = visitor.get(&portal.organization, format!("/api/v1/organizations/{id}")).await?;
    let Filings { filings } = visitor.get(&portal.pf, format!("/api/v1/pf/{id}/filings")).await?;
    let path = format!("/api/v1/organizations/{id}/members?limit=50&after={}", encode(after));
    let Members { members, next } = visitor.get(&portal.organization, path).await?;
    let frame = Frame::of(visitor, Some(person), "/organization");
    let [month, total, lines] = [const { String::new() }; 3];
    Ok(Employer { frame, name, month, total, lines, filings, members, next })
}

/// Shows the organization.
pub(super) async fn show(
    State(portal): State<Portal>,
    visitor: Visitor,
    Query(Part { after }): Query<Part>,
) -> Result<Response, Away> {
    let of = visitor.employer(&portal).await?;
    let page = page(&portal, &visitor, of, &after).await?;
    Ok(shown(&portal, &visitor, StatusCode::OK, &page))
}

/// What the form holds.
#[derive(Deserialize)]
pub(super) struct FilingForm {
    csrf: String,
    month: String,
    total: String,
    lines: String,
}

/// Files for a month; what is wrong is shown above what was sent, so that it can be put right.
pub(super) async fn file(
    State(portal): State<Portal>,
    visitor: Visitor,
    Form(form): Form<FilingForm>,
) -> Result<Response, Away> {
    visitor.check_form(&form.csrf)?;
    let of = visitor.employer(&portal).await?;
    let (month, total) = (encode(form.month.trim()), encode(form.total.trim()));
    let path = format!("/api/v1/pf/{}/filings/{month}?total={total}", of.1);
    // Forms end their lines as the web does.
    let body = form.lines.replace("\r\n", "\n");
    let call = visitor.call(Method::PUT, path).header(header::CONTENT_TYPE, "text/csv").body(body.into());
    let answer = portal.pf.send(call).await?;
    if answer.status.is_success() {
        return Ok(Redirect::to("/organization").into_response());
    }
    let page = page(&portal, &visitor, of, "").await?;
    let frame = page.frame.refused(&answer);
    let page = Employer { frame, month: form.month, total: form.total, lines: form.lines, ..page };
    Ok(shown(&portal, &visitor, answer.status, &page))
}
