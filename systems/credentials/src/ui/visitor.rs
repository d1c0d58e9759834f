//! Who is asking: cookies, and the proof that a form came from our page.
//!
//! Forms are guarded twice: cookies are `SameSite`, and each form repeats the random value of the `csrf` cookie, which
//! another site can neither read nor send along.

use super::Ui;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use plimsoll_kit::Problem;
use plimsoll_kit::peer::Call;
use plimsoll_kit::sessions::hex;
use serde::Deserialize;
use std::convert::Infallible;

/// The account of a visitor who is signed in.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SignedIn {
    pub(super) name: String,
    pub(super) role: String,
}

/// What the cookies say.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// The session token, if there is one; whether it is valid only the API knows.
    pub(super) session: Option<String>,
    /// The form secret; made anew if the cookie was missing.
    pub(super) csrf: String,
    /// Must the form secret be set as a cookie?
    fresh: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let hexadecimal = |value: &String| !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        let session = cookie(&parts.headers, "session").filter(hexadecimal);
        let csrf = cookie(&parts.headers, "csrf").filter(hexadecimal);
        let fresh = csrf.is_none();
        let csrf = csrf.unwrap_or_else(|| hex(&rand::random::<[u8; 16]>()));
        Ok(Self { session, csrf, fresh })
    }
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
        match &self.session {
            Some(token) => call.bearer(token),
            None => call,
        }
    }

    /// Who is signed in; `None` also when the API does not answer, for the page can be shown all the same.
    pub(super) async fn account(&self, ui: &Ui) -> Option<SignedIn> {
        self.session.as_ref()?;
        let answer = ui.api.send(self.call(Method::GET, "/api/sessions/current")).await.ok()?;
        if answer.status.is_success() { answer.json().ok() } else { None }
    }

    /// The cookie that must accompany a page with a form.
    pub(super) fn set_csrf(&self, ui: &Ui, headers: &mut HeaderMap) {
        if self.fresh {
            set_cookie(headers, ("csrf", &self.csrf), "Strict", ui.secure);
        }
    }
}

/// Sets the session cookie; an empty token ends it.
pub(super) fn set_session(ui: &Ui, headers: &mut HeaderMap, token: &str) {
    set_cookie(headers, ("session", token), "Lax", ui.secure);
}

fn set_cookie(headers: &mut HeaderMap, (name, value): (&str, &str), same_site: &str, secure: bool) {
    let age = if value.is_empty() { 0 } else { 86_400 };
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={age}{secure}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.append(header::SET_COOKIE, value);
    }
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}
