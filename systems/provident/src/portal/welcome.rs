//! Pages for everybody: the first one, signing in and out.

use super::Portal;
use super::pages::{Frame, Home, SigningIn, show};
use super::visitor::{Tokens, Visitor, set_tokens};
use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::{Method, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::peer::Call;
use serde::Deserialize;
use serde_json::json;

/// The paper's rule for what is dynamic; only for whoever has no cookies of ours.
const FIVE_MINUTES: &str = "public, max-age=300";

/// The first page.
pub(super) async fn home(State(portal): State<Portal>, visitor: Visitor) -> Result<Response, Problem> {
    let person = visitor.person(&portal).await?;
    let page = Home { frame: Frame::of(&visitor, person, "/") };
    if visitor.token.is_some() {
        return Ok(show(&portal, &visitor, StatusCode::OK, &page));
    }
    // It has no form, so it needs no secret, and anybody's copy is everybody's.
    let text = page.render().map_err(|why| Problem::internal(&why))?;
    Ok(([(header::CACHE_CONTROL, FIVE_MINUTES), (header::VARY, "Cookie")], Html(text)).into_response())
}

/// The empty sign-in form.
pub(super) async fn signing_in(State(portal): State<Portal>, visitor: Visitor) -> Response {
    let page = SigningIn { frame: Frame::of(&visitor, None, "/sign-in"), email: String::new() };
    show(&portal, &visitor, StatusCode::OK, &page)
}

/// What the form holds.
#[derive(Deserialize)]
pub(super) struct SignInForm {
    csrf: String,
    email: String,
    password: String,
}

/// Signs in.
pub(super) async fn sign_in(
    State(portal): State<Portal>,
    visitor: Visitor,
    Form(form): Form<SignInForm>,
) -> Result<Response, Problem> {
    visitor.check_form(&form.csrf)?;
    let body = json!({ "email": form.email, "password": form.password });
    let answer = portal.user.send(Call::new(Method::POST, "/api/v1/users/sign-in").json(&body)).await?;
    if answer.status != StatusCode::CREATED {
        let frame = Frame::of(&visitor, None, "/sign-in").refused(&answer);
        return Ok(show(&portal, &visitor, answer.status, &SigningIn { frame, email: form.email }));
    }
    let mut response = Redirect::to("/").into_response();
    set_tokens(&portal, response.headers_mut(), Some(&answer.json::<Tokens>()?));
    Ok(response)
}

/// What the form holds.
#[derive(Deserialize)]
pub(super) struct SignOutForm {
    csrf: String,
}

/// Signs out.
pub(super) async fn sign_out(
    State(portal): State<Portal>,
    visitor: Visitor,
    Form(form): Form<SignOutForm>,
) -> Result<Response, Problem> {
    visitor.check_form(&form.csrf)?;
    portal.user.send(visitor.call(Method::POST, "/api/v1/users/sign-out")).await?;
    let mut response = Redirect::to("/").into_response();
    set_tokens(&portal, response.headers_mut(), None);
    Ok(response)
}
