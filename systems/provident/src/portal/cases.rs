//! The claims that wait for somebody's decision.

use super::Portal;
use super::encode;
use super::pages::{Cases, Frame, Waiting, show};
use super::visitor::{Away, Person, Visitor};
use crate::access::Appointment;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use plimsoll_kit::Problem;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Listed {
    cases: Vec<Waiting>,
}

/// What somebody may do with a case in this state; the service decides.
fn acts(may: Appointment, state: &str) -> Vec<String> {
    let acts: &[&str] = match (may, state) {
        (Appointment::Employer { .. }, "opened") => &["verify", "reject"],
        (Appointment::Officer, "verified") => &["approve", "reject"],
        (Appointment::Officer, "approved") => &["sanction", "reject"],
        _ => &[],
    };
    acts.iter().map(|act| (*act).to_owned()).collect()
}

/// The page: what this person can do something with.
async fn page(portal: &Portal, visitor: &Visitor, person: Person) -> Result<Cases, Problem> {
    let states: &[&str] = match person.may {
        Appointment::Employer { .. } => &["opened"],
        _ => &["verified", "approved"],
    };
    let mut cases = Vec::new();
    for state in states {
        let listed: Listed = visitor.get(&portal.workflow, format!("/api/v1/workflow/cases?state={state}")).await?;
        cases.extend(listed.cases);
    }
    for case in &mut cases {
        case.acts = acts(person.may, &case.state);
    }
    Ok(Cases { frame: Frame::of(visitor, Some(person), "/cases"), cases })
}

/// Shows what waits.
pub(super) async fn list(State(portal): State<Portal>, visitor: Visitor) -> Result<Response, Away> {
    let person = visitor.signed_in(&portal).await?;
    if !matches!(person.may, Appointment::Employer { .. } | Appointment::Officer) {
        return Err(Away::To("/"));
    }
    let page = page(&portal, &visitor, person).await?;
    Ok(show(&portal, &visitor, StatusCode::OK, &page))
}

/// What the form holds.
#[derive(Deserialize)]
pub(super) struct ActForm {
    csrf: String,
}

/// Does something with a case, and goes back to where the visitor was: members to their account, others to what waits.
pub(super) async fn act(
    State(portal): State<Portal>,
    visitor: Visitor,
    Path((id, act)): Path<(String, String)>,
    Form(form): Form<ActForm>,
) -> Result<Response, Away> {
    visitor.check_form(&form.csrf)?;
    let person = visitor.signed_in(&portal).await?;
    let path = format!("/api/v1/workflow/cases/{}/{}", encode(&id), encode(&act));
    let answer = portal.workflow.send(visitor.call(Method::POST, path).json(&json!({}))).await?;
    if matches!(person.may, Appointment::Member { .. }) {
        return Err(Away::To("/account"));
    }
    if answer.status.is_success() {
        return Ok(Redirect::to("/cases").into_response());
    }
    let mut page = page(&portal, &visitor, person).await?;
    page.frame = page.frame.refused(&answer);
    Ok(show(&portal, &visitor, answer.status, &page))
}
