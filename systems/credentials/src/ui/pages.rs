//! The pages as values, and what all of them share.

use super::Ui;
use super::assets::VERSION;
use super::visitor::{SignedIn, Visitor};
use crate::names::Reason;
use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use plimsoll_kit::Problem;
use serde::Deserialize;

/// What surrounds every page.
pub(super) struct Frame {
    pub(super) version: &'static str,
    pub(super) csrf: String,
    pub(super) account: Option<SignedIn>,
    /// Which entry of the menu this page is.
    pub(super) here: &'static str,
    /// A message above the content; empty: none.
    pub(super) notice: String,
    /// `error` or `available`.
    pub(super) notice_kind: &'static str,
    /// Details of the message.
    pub(super) reasons: Vec<&'static str>,
}

impl Frame {
    /// The frame of a page for this visitor.
    pub(super) async fn of(ui: &Ui, visitor: &Visitor, here: &'static str) -> Self {
        let account = visitor.account(ui).await;
        Self { account, ..Self::without_account(visitor, here) }
    }

    /// The same for a page on which nobody is signed in.
    pub(super) fn without_account(visitor: &Visitor, here: &'static str) -> Self {
        Self {
            version: VERSION.as_str(),
            csrf: visitor.csrf.clone(),
            account: None,
            here,
            notice: String::new(),
            notice_kind: "",
            reasons: Vec::new(),
        }
    }

    /// Shows a message of failure above the content.
    #[must_use]
    pub(super) fn failed(self, notice: impl Into<String>, reasons: Vec<&'static str>) -> Self {
        Self { notice: notice.into(), notice_kind: "error", reasons, ..self }
    }

    /// Every reason with its sentence, for the script.
    pub(super) fn sentences(&self) -> Vec<(&'static str, &'static str)> {
        const WORDS: [&str; 10] = [
            "too-short",
            "too-long",
            "alphabet",
            "look-alike-letter",
            "start",
            "separator",
            "reserved",
            "looks-reserved",
            "taken",
            "looks-taken",
        ];
        WORDS.iter().map(|word| (*word, Reason::sentence(word))).collect()
    }
}

/// The sentences for these reasons.
pub(super) fn sentences(words: &[String]) -> Vec<&'static str> {
    words
        .iter()
        .map(|word| match word.as_str() {
            "password-too-short" => "The password needs at least 8 characters.",
            "password-too-long" => "The password may have at most 128 characters.",
            "password-is-username" => "The password must not be the username.",
            word => Reason::sentence(word),
        })
        .collect()
}

/// Find your name.
#[derive(Template)]
#[template(path = "home.html")]
pub(super) struct Home {
    pub(super) frame: Frame,
    pub(super) name: String,
    /// Empty, `available`, `taken` or `invalid`.
    pub(super) status: String,
    pub(super) answers: Vec<&'static str>,
}

/// Register.
#[derive(Template)]
#[template(path = "register.html")]
pub(super) struct Registration {
    pub(super) frame: Frame,
    pub(super) name: String,
    /// The idempotency key of this form: sending it twice registers once.
    pub(super) once: String,
}

/// Sign in.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SigningIn {
    pub(super) frame: Frame,
    pub(super) name: String,
}

/// A title, a sentence, and a way on.
#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct Message {
    pub(super) frame: Frame,
    pub(super) title: &'static str,
    pub(super) text: String,
    pub(super) href: &'static str,
    pub(super) link: &'static str,
}

/// An account as the API lists it.
#[derive(Deserialize)]
pub(super) struct AccountRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) role: String,
    pub(super) disabled: bool,
    pub(super) created_at: String,
}

/// A page of accounts as the API gives it.
#[derive(Deserialize)]
pub(super) struct AccountPage {
    pub(super) accounts: Vec<AccountRow>,
    pub(super) next: Option<String>,
}

/// The list of accounts.
#[derive(Template)]
#[template(path = "admin.html")]
pub(super) struct Accounts {
    pub(super) frame: Frame,
    pub(super) page: AccountPage,
    pub(super) query: String,
    pub(super) after: String,
}

/// A line of the audit as the API gives it.
#[derive(Deserialize)]
pub(super) struct AuditRow {
    pub(super) at: String,
    pub(super) actor: String,
    pub(super) act: String,
    pub(super) subject: String,
    pub(super) outcome: String,
}

/// A page of the audit as the API gives it.
#[derive(Deserialize)]
pub(super) struct AuditRows {
    pub(super) entries: Vec<AuditRow>,
    pub(super) next: Option<i64>,
}

/// The audit.
#[derive(Template)]
#[template(path = "audit.html")]
pub(super) struct Audit {
    pub(super) frame: Frame,
    pub(super) page: AuditRows,
}

/// Renders a page; the visitor gets the form secret as a cookie if it is new.
pub(super) fn show(ui: &Ui, visitor: &Visitor, status: StatusCode, page: &impl Template) -> Response {
    let mut response = match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(why) => return Problem::internal(&why).into_response(),
    };
    visitor.set_csrf(ui, response.headers_mut());
    response
}
