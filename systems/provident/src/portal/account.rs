//! What a member has, and claiming it.

use super::Portal;
use super::pages::{Account, Frame, show as shown};
use super::visitor::{Away, Person, Visitor};
use crate::ledger::{Balance, Moved};
use crate::money;
use crate::pension::store::Claim;
use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderName, Method, StatusCode};
use plimsoll_kit::Problem;
use plimsoll_kit::sessions::hex;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

#[derive(Deserialize)]
struct Statement {
    balance: Balance,
    moved: Vec<Moved>,
}

#[derive(Deserialize)]
struct Claims {
    claims: Vec<Claim>,
}

/// The page, with what pf and pension know.
async fn page(portal: &Portal, visitor: &Visitor, of: (Person, Uuid, Uuid)) -> Result<Account, Problem> {
    let (person, organization, member) = of;
    let path = format!("/api/v1/pf/{organization}/members/{member}");
    let Statement { balance, moved } = visitor.get(&portal.pf, path).await?;
    let path = format!("/api/v1/pension/{organization}/members/{member}/claims");
    let Claims { claims } = visitor.get(&portal.pension, path).await?;
    let frame = Frame::of(visitor, Some(person), "/account");
    Ok(Account { frame, balance, moved, claims, once: hex(&rand::random::<[u8; 16]>()) })
}

/// Shows what the member has.
pub(super) async fn show(State(portal): State<Portal>, visitor: Visitor) -> Result<Response, Away> {
    let of = visitor.member(&portal).await?;
    let page = page(&portal, &visitor, of).await?;
    Ok(shown(&portal, &visitor, StatusCode::OK, &page))
}

/// What the form holds.
#[derive(Deserialize)]
pub(super) struct ClaimForm {
    csrf: String,
    once: String,
    kind: String,
    #[serde(default)]
    amount: String,
    account: String,
    ifsc: String,
}

/// Claims.
pub(super) async fn claim(
    State(portal): State<Portal>,
    visitor: Visitor,
    Form(form): Form<ClaimForm>,
) -> Result<Response, Away> {
    visitor.check_form(&form.csrf)?;
    let of = visitor.member(&portal).await?;
    let amount = form.amount.trim();
    let amount_paise = money::parse(amount);
    if !amount.is_empty() && amount_paise.is_none() {
        let mut page = page(&portal, &visitor, of).await?;
        page.frame = page.frame.told("An amount is written such as 900.00.");
        return Ok(shown(&portal, &visitor, StatusCode::UNPROCESSABLE_ENTITY, &page));
    }
    let path = format!("/api/v1/pension/{}/members/{}/claims", of.1, of.2);
    let (account, ifsc) = (form.account.trim(), form.ifsc.trim().to_uppercase());
    let body = json!({ "kind": form.kind, "amount_paise": amount_paise, "account": account, "ifsc": ifsc });
    let call = visitor.call(Method::POST, path).header(HeaderName::from_static("idempotency-key"), &form.once);
    let answer = portal.pension.send(call.json(&body)).await?;
    if answer.status == StatusCode::CREATED {
        return Ok(Redirect::to("/account").into_response());
    }
    let mut page = page(&portal, &visitor, of).await?;
    page.frame = page.frame.refused(&answer);
    Ok(shown(&portal, &visitor, answer.status, &page))
}
