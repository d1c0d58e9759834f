//! The pages as values, and what all of them share.

use super::Portal;
use super::assets::VERSION;
use super::visitor::{Person, Visitor};
use crate::access::Appointment;
use crate::filings::Filing;
use crate::ledger::{Balance, Moved};
use crate::members::Member;
use crate::money;
use crate::pension::store::Claim;
use crate::shards::Shard;
use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use plimsoll_kit::Problem;
use plimsoll_kit::peer::Answer;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// Paise as people read them.
trait Rupees {
    fn rupees(&self) -> String;
}

impl Rupees for i64 {
    fn rupees(&self) -> String {
        money::written(*self)
    }
}

/// An entry of the menu.
pub(super) struct Entry {
    path: &'static str,
    name: &'static str,
    is_here: bool,
}

/// What surrounds every page.
pub(super) struct Frame {
    version: &'static str,
    csrf: String,
    person: Option<Person>,
    /// Which entry of the menu this page is.
    here: &'static str,
    /// A message above the content; empty: none.
    notice: String,
    /// Details of the message.
    reasons: Vec<String>,
}

impl Frame {
    /// The frame of a page for this visitor, at this path.
    pub(super) fn of(visitor: &Visitor, person: Option<Person>, here: &'static str) -> Self {
        let (notice, reasons) = (String::new(), Vec::new());
        Self { version: VERSION.as_str(), csrf: visitor.csrf.clone(), person, here, notice, reasons }
    }

    /// Shows what a service refused above the content, and why: its sentence, and its mistakes by line.
    #[must_use]
    pub(super) fn refused(self, answer: &Answer) -> Self {
        let problem: Value = answer.json().unwrap_or_default();
        let notice = problem["detail"].as_str().unwrap_or("That did not work.").to_owned();
        let mistakes = problem["mistakes"].as_array().cloned().unwrap_or_default();
        let told = |mistake: &Value| {
            let what = mistake["what"].as_str().unwrap_or_default();
            match mistake["line"].as_u64() {
                Some(line) if line > 0 => format!("Line {line}: {what}."),
                _ => format!("{what}."),
            }
        };
        Self { notice, reasons: mistakes.iter().map(told).collect(), ..self }
    }

    /// Shows a sentence above the content.
    #[must_use]
    pub(super) fn told(self, notice: &str) -> Self {
        Self { notice: notice.to_owned(), ..self }
    }

    /// What this person can go to.
    fn menu(&self) -> Vec<Entry> {
        let all: &[(&str, &str)] = match self.person.as_ref().map(|person| person.may) {
            Some(Appointment::Member { .. }) => &[("/account", "Your account")],
            Some(Appointment::Employer { .. }) => &[("/organization", "Organization"), ("/cases", "Claims")],
            Some(Appointment::Officer) => &[("/cases", "Claims"), ("/members", "Members")],
            Some(Appointment::Nobody) | None => &[],
        };
        all.iter().map(|(path, name)| Entry { path, name, is_here: *path == self.here }).collect()
    }
}

/// The first page.
#[derive(Template)]
#[template(path = "home.html")]
pub(super) struct Home {
    pub(super) frame: Frame,
}

/// Sign in.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SigningIn {
    pub(super) frame: Frame,
    pub(super) email: String,
}

/// What a member has.
#[derive(Template)]
#[template(path = "account.html")]
pub(super) struct Account {
    pub(super) frame: Frame,
    pub(super) balance: Balance,
    pub(super) moved: Vec<Moved>,
    pub(super) claims: Vec<Claim>,
    /// The idempotency key of the form: sending it twice claims once.
    pub(super) once: String,
}

/// An organization: filings and members.
#[derive(Template)]
#[template(path = "organization.html")]
pub(super) struct Employer {
    pub(super) frame: Frame,
    pub(super) name: String,
    pub(super) month: String,
    pub(super) total: String,
    pub(super) lines: String,
    pub(super) filings: Vec<Filing>,
    pub(super) members: Vec<Member>,
    pub(super) next: Option<String>,
}

/// A case as workflow lists it, and what can be done with it.
#[derive(Deserialize)]
pub(super) struct Waiting {
    id: Uuid,
    kind: String,
    amount_paise: i64,
    pub(super) state: String,
    #[serde(default)]
    pub(super) acts: Vec<String>,
}

/// The cases that wait.
#[derive(Template)]
#[template(path = "cases.html")]
pub(super) struct Cases {
    pub(super) frame: Frame,
    pub(super) cases: Vec<Waiting>,
}

/// Members of all shards.
#[derive(Template)]
#[template(path = "find.html")]
pub(super) struct Found {
    pub(super) frame: Frame,
    pub(super) query: String,
    pub(super) members: Vec<Member>,
    pub(super) shards: Vec<Shard>,
    pub(super) sum: Shard,
}

/// Renders a page; the visitor gets the form secret as a cookie if it is new.
pub(super) fn show(portal: &Portal, visitor: &Visitor, status: StatusCode, page: &impl Template) -> Response {
    let mut response = match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(why) => return Problem::internal(&why).into_response(),
    };
    visitor.set_csrf(portal, response.headers_mut());
    response
}
