//! Pages for everybody: find a name, register, sign in and out.

use super::pages::{Frame, Home, Message, Registration, SigningIn, sentences, show};
use super::visitor::{Visitor, set_session};
use super::{Ui, encode};
use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderName, Method, StatusCode};
use plimsoll_kit::Problem;
use plimsoll_kit::peer::{Answer, Call};
use plimsoll_kit::sessions::hex;
use serde::Deserialize;
use serde_json::{Value, json};

/// A name to begin with.
#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Checked {
    status: String,
    reasons: Vec<String>,
}

/// Find your name; with `?name=` also the answer, for those without JavaScript.
pub(super) async fn home(State(ui): State<Ui>, visitor: Visitor, Query(named): Query<Named>) -> Response {
    let frame = Frame::of(&ui, &visitor, "home").await;
    let name = named.name.trim().to_owned();
    let mut page = Home { frame, name, status: String::new(), answers: Vec::new() };
    // A dot or two are a path of their own; no rule allows such a name anyway.
    if !page.name.is_empty() && page.name != "." && page.name != ".." {
        let path = format!("/api/usernames/{}", encode(&page.name));
        let answer = ui.api.send(Call::new(Method::GET, path)).await;
        match answer.and_then(|answer| answer.json::<Checked>()) {
            Ok(checked) => (page.status, page.answers) = (checked.status, sentences(&checked.reasons)),
            Err(why) => {
                tracing::warn!(error = %why, "cannot check a name");
                page.frame = page.frame.failed("Cannot check just now. Try again in a moment.", Vec::new());
            }
        }
    }
    show(&ui, &visitor, StatusCode::OK, &page)
}

/// The empty registration form.
pub(super) async fn registration(State(ui): State<Ui>, visitor: Visitor, Query(named): Query<Named>) -> Response {
    let frame = Frame::of(&ui, &visitor, "register").await;
    show(&ui, &visitor, StatusCode::OK, &Registration { frame, name: named.name, once: once() })
}

/// What the form holds.
#[derive(Deserialize)]
pub(super) struct RegisterForm {
    csrf: String,
    once: String,
    username: String,
    password: String,
}

/// Registers.
pub(super) async fn register(
    State(ui): State<Ui>,
    visitor: Visitor,
    Form(form): Form<RegisterForm>,
) -> Result<Response, Problem> {
    visitor.check_form(&form.csrf)?;
    let call = Call::new(Method::POST, "/api/registrations")
        .header(HeaderName::from_static("idempotency-key"), &form.once)
        .json(&json!({ "username": form.username.trim(), "password": form.password }));
    let answer = ui.api.send(call).await?;
    let frame = Frame::without_account(&visitor, "register");
    if answer.status == StatusCode::CREATED {
        let name = field(&answer, "name");
        let page = Message {
            frame,
            title: "Welcome",
            text: format!("“{name}” is yours now."),
            href: "/sign-in",
            link: "Sign in",
        };
        return Ok(show(&ui, &visitor, StatusCode::CREATED, &page));
    }
    let frame = frame.failed(field(&answer, "detail"), sentences(&reasons(&answer)));
    let page = Registration { frame, name: form.username, once: once() };
    Ok(show(&ui, &visitor, answer.status, &page))
}

/// The empty sign-in form.
pub(super) async fn signing_in(State(ui): State<Ui>, visitor: Visitor) -> Response {
    let frame = Frame::of(&ui, &visitor, "sign-in").await;
    show(&ui, &visitor, StatusCode::OK, &SigningIn { frame, name: String::new() })
}

/// What the form holds.
#[derive(Deserialize)]
pub(super) struct SignInForm {
    csrf: String,
    username: String,
    password: String,
}

/// Signs in: administrators go to the accounts, others home.
pub(super) async fn sign_in(
    State(ui): State<Ui>,
    visitor: Visitor,
    Form(form): Form<SignInForm>,
) -> Result<Response, Problem> {
    visitor.check_form(&form.csrf)?;
    let call =
        Call::new(Method::POST, "/api/sessions").json(&json!({ "username": form.username, "password": form.password }));
    let answer = ui.api.send(call).await?;
    if answer.status != StatusCode::CREATED {
        let frame = Frame::without_account(&visitor, "sign-in").failed(field(&answer, "detail"), Vec::new());
        return Ok(show(&ui, &visitor, answer.status, &SigningIn { frame, name: form.username }));
    }
    let is_admin = answer.json::<Value>()?["account"]["role"] == "admin";
    let mut response = Redirect::to(if is_admin { "/admin" } else { "/" }).into_response();
    set_session(&ui, response.headers_mut(), &field(&answer, "token"));
    Ok(response)
}

/// What the form holds.
#[derive(Deserialize)]
pub(super) struct SignOutForm {
    csrf: String,
}

/// Signs out.
pub(super) async fn sign_out(
    State(ui): State<Ui>,
    visitor: Visitor,
    Form(form): Form<SignOutForm>,
) -> Result<Response, Problem> {
    visitor.check_form(&form.csrf)?;
    if visitor.session.is_some() {
        ui.api.send(visitor.call(Method::DELETE, "/api/sessions/current")).await?;
    }
    let mut response = Redirect::to("/").into_response();
    set_session(&ui, response.headers_mut(), "");
    Ok(response)
}

/// The page that the service worker keeps for when there is no network.
pub(super) async fn offline(State(ui): State<Ui>, visitor: Visitor) -> Response {
    let page = Message {
        frame: Frame::without_account(&visitor, "offline"),
        title: "You are offline",
        text: "Names can be checked again as soon as there is a connection.".into(),
        href: "/",
        link: "Try again",
    };
    show(&ui, &visitor, StatusCode::OK, &page)
}

fn once() -> String {
    hex(&rand::random::<[u8; 16]>())
}

/// A text member of a JSON answer; empty if it has none.
fn field(answer: &Answer, name: &str) -> String {
    answer.json::<Value>().ok().and_then(|body| body[name].as_str().map(str::to_owned)).unwrap_or_default()
}

fn reasons(answer: &Answer) -> Vec<String> {
    answer
        .json::<Value>()
        .ok()
        .and_then(|body| serde_json::from_value(body["reasons"].clone()).ok())
        .unwrap_or_default()
}
