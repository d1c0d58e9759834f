//! What a person is told about what they wrote.
//!
//! Invariant: every id stands in [`crate::rules::RULES`].

use serde::Serialize;

/// One finding. Its headline stands alone; notes and help add to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Kebab-case; the heading of its explanation in `diagnostics.md`.
    pub id: &'static str,
    /// Whether it keeps the file from being used.
    pub severity: Severity,
    /// Where it stands; `None` when the file as a whole is meant.
    pub span: Option<Span>,
    /// What is wrong, in one line.
    pub headline: String,
    /// What else belongs to it, perhaps elsewhere in the file.
    pub notes: Vec<Note>,
    /// What to write instead.
    pub help: Option<String>,
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs, but perhaps not as meant.
    Warning,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// In characters, within its first line.
    pub length: u32,
}

/// A remark beside a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// What is to be known.
    pub text: String,
    /// The other place that is meant, if any.
    pub span: Option<Span>,
}

impl Diagnostic {
    /// A finding that keeps the file from being used.
    #[must_use]
    pub fn error(id: &'static str, headline: impl Into<String>) -> Self {
        debug_assert!(crate::rules::rule(id).is_some(), "`{id}` stands in RULES");
        let headline = headline.into();
        Self { id, severity: Severity::Error, span: None, headline, notes: Vec::new(), help: None }
    }

    /// A finding that doesn't.
    #[must_use]
    pub fn warning(id: &'static str, headline: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(id, headline) }
    }

    /// Says where.
    #[must_use]
    pub fn at(self, span: Span) -> Self {
        Self { span: Some(span), ..self }
    }

    /// Adds a remark.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(Note { text: text.into(), span: None });
        self
    }

    /// Adds a remark about another place.
    #[must_use]
    pub fn note_at(mut self, text: impl Into<String>, span: Span) -> Self {
        self.notes.push(Note { text: text.into(), span: Some(span) });
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// A person's text as a message may show it: control characters escaped, at most 60 characters.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(60) {
        match c {
            '\\' | '"' | '\'' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    if text.chars().count() > 60 {
        out.push('…');
    }
    out
}
