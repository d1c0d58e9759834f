//! Who is asking: cookies, and the proof that a form came from our page.
//!
//! Forms are guarded twice: cookies are `SameSite`, and each form repeats the random value of the `csrf` cookie, which
//! another site can neither read nor send along. An access token that has expired is replaced with the refresh token before
//! the page is made, so that whoever works for an hour is not sent away.

use super::Portal;
use crate::access::Appointment;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::keys::ACCESS_S;
use plimsoll_kit::logins::SESSION_S;
use plimsoll_kit::peer::{Answer, Call, Peer, PeerError};
use plimsoll_kit::sessions::hex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

/// Somebody who is signed in.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Person {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) may: Appointment,
}

/// Why a page is not shown.
pub(super) enum Away {
    /// It is another one that they are to see.
    To(&'static str),
    /// Something is wrong.
    Problem(Problem),
}

impl IntoResponse for Away {
    fn into_response(self) -> Response {
        match self {
            Self::To(path) => Redirect::to(path).into_response(),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

impl From<Problem> for Away {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<PeerError> for Away {
    fn from(why: PeerError) -> Self {
        Self::Problem(why.into())
    }
}

/// What the cookies say.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// The access token, if there is one.
    pub(super) token: Option<String>,
    /// The form secret; made anew if the cookie was missing.
    pub(super) csrf: String,
    /// Must the form secret be set as a cookie?
    fresh: bool,
}

/// The access token that replaced an expired one.
#[derive(Clone)]
struct Renewed(String);

#[derive(Deserialize)]
pub(super) struct Tokens {
    access_token: String,
    refresh_token: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let hexadecimal = |value: &String| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        let renewed = parts.extensions.get::<Renewed>().map(|Renewed(token)| token.clone());
        let csrf = cookie(&parts.headers, "csrf").filter(hexadecimal);
        let fresh = csrf.is_none();
        let csrf = csrf.unwrap_or_else(|| hex(&rand::random::<[u8; 16]>()));
        Ok(Self { token: renewed.or_else(|| cookie(&parts.headers, "access")), csrf, fresh })
    }
}

/// Replaces an expired access token before anything else happens.
pub(super) async fn keep_signed_in(State(portal): State<Portal>, mut request: Request, next: Next) -> Response {
    let has_access = cookie(request.headers(), "access").is_some();
    let Some(refresh) = cookie(request.headers(), "refresh").filter(|_| !has_access) else {
        return next.run(request).await;
    };
    let call = Call::new(Method::POST, "/api/v1/users/refresh").json(&json!({ "refresh_token": refresh }));
    let answer = match portal.user.send(call).await {
        Ok(answer) => answer,
        Err(why) => return Problem::from(why).into_response(),
    };
    let tokens = if answer.status == StatusCode::CREATED { answer.json::<Tokens>().ok() } else { None };
    if let Some(tokens) = &tokens {
        request.extensions_mut().insert(Renewed(tokens.access_token.clone()));
    }
    let mut response = next.run(request).await;
    // A page that set its own (sign-in and sign-out) knows better.
    if !sets(response.headers(), "refresh") {
        set_tokens(&portal, response.headers_mut(), tokens.as_ref());
    }
    response
}

impl Visitor {
    /// Refuses a form that did not come from our page.
    ///
    /// # Errors
    /// 403.
    pub(super) fn check_form(&self, csrf: &str) -> Result<(), Problem> {
        if !self.fresh && csrf == self.csrf {
            return Ok(());
        }
        Err(Problem::new(StatusCode::FORBIDDEN, "foreign-form", "Open the page again, and send the form from there."))
    }

    /// A call in the visitor's name.
    pub(super) fn call(&self, method: Method, path: impl Into<String>) -> Call {
        let call = Call::new(method, path);
        match &self.token {
            Some(token) => call.bearer(token),
            None => call,
        }
    }

    /// What a service answers to a GET in the visitor's name.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) async fn ask(&self, peer: &Peer, path: impl Into<String>) -> Result<Answer, Problem> {
        Ok(peer.send(self.call(Method::GET, path)).await?)
    }

    /// What a service answers to a GET in the visitor's name, read.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub(super) async fn get<T: DeserializeOwned>(&self, peer: &Peer, path: impl Into<String>) -> Result<T, Problem> {
        let answer = self.ask(peer, path).await?;
        if answer.status.is_success() {
            return Ok(answer.json()?);
        }
        let problem: Value = answer.json().unwrap_or_default();
        Err(Problem::new(answer.status, "refused", problem["detail"].as_str().unwrap_or("That did not work.")))
    }

    /// Who is signed in; `None`: nobody.
    ///
    /// # Errors
    /// Nobody can be known just now.
    pub(super) async fn person(&self, portal: &Portal) -> Result<Option<Person>, Problem> {
        if self.token.is_none() {
            return Ok(None);
        }
        let answer = self.ask(&portal.user, "/api/v1/users/me").await?;
        Ok(if answer.status.is_success() { Some(answer.json()?) } else { None })
    }

    /// Who is signed in, if they act for themselves: with their organization and member. Others are sent to the first page.
    ///
    /// # Errors
    /// Where to send them, or nobody can be known.
    pub(super) async fn member(&self, portal: &Portal) -> Result<(Person, Uuid, Uuid), Away> {
        let person = self.signed_in(portal).await?;
        match person.may {
            Appointment::Member { organization, member } => Ok((person, organization, member)),
            _ => Err(Away::To("/")),
        }
    }

    /// Who is signed in, if they act for an organization.
    ///
    /// # Errors
    /// As [`Visitor::member`].
    pub(super) async fn employer(&self, portal: &Portal) -> Result<(Person, Uuid), Away> {
        let person = self.signed_in(portal).await?;
        match person.may {
            Appointment::Employer { organization } => Ok((person, organization)),
            _ => Err(Away::To("/")),
        }
    }

    /// Who is signed in, if they are an officer.
    ///
    /// # Errors
    /// As [`Visitor::member`].
    pub(super) async fn officer(&self, portal: &Portal) -> Result<Person, Away> {
        let person = self.signed_in(portal).await?;
        if person.may == Appointment::Officer { Ok(person) } else { Err(Away::To("/")) }
    }

    /// Who is signed in; others are sent to sign in.
    ///
    /// # Errors
    /// As [`Visitor::member`].
    pub(super) async fn signed_in(&self, portal: &Portal) -> Result<Person, Away> {
        self.person(portal).await?.ok_or(Away::To("/sign-in"))
    }

    /// The cookie that must accompany a page with a form.
    pub(super) fn set_csrf(&self, portal: &Portal, headers: &mut HeaderMap) {
        if self.fresh {
            set_cookie(headers, ("csrf", &self.csrf), ("Strict", SESSION_S), portal.secure);
        }
    }
}

/// Keeps the tokens in cookies; `None` ends them.
pub(super) fn set_tokens(portal: &Portal, headers: &mut HeaderMap, tokens: Option<&Tokens>) {
    let (access, refresh) = tokens.map_or(("", ""), |tokens| (&tokens.access_token, &tokens.refresh_token));
    // A little before the token itself expires, so that it is replaced and not refused.
    set_cookie(headers, ("access", access), ("Lax", ACCESS_S - 30), portal.secure);
    set_cookie(headers, ("refresh", refresh), ("Lax", SESSION_S), portal.secure);
}

fn set_cookie(headers: &mut HeaderMap, (name, value): (&str, &str), (same_site, age_s): (&str, i64), secure: bool) {
    let age = if value.is_empty() { 0 } else { age_s };
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={age}{secure}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.append(header::SET_COOKIE, value);
    }
}

fn sets(headers: &HeaderMap, name: &str) -> bool {
    let set = headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    set.filter_map(|text| text.split_once('=')).any(|(key, _)| key == name)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}
