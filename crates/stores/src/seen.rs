//! What is seen of a store.

/// What [`crate::Driver::provision`] left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Provisioned {
    /// What was changed, for the record; empty: everything was there.
    pub done: Vec<String>,
    /// What a person should know, though it works.
    pub notes: Vec<String>,
}

/// A store, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Its members, by their place.
    pub members: Vec<MemberSeen>,
    /// All of it works.
    pub healthy: bool,
    /// One line for a person: `PostgreSQL 15.10, 12 MB, 3 connections`.
    pub summary: String,
}

/// A member, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSeen {
    /// Its name: `0`, `1` …
    pub name: String,
    /// `primary`, `master`, `replica`; `unknown` when it doesn't answer.
    pub role: String,
    /// Bytes of the log that it is behind its primary; `None`: it is one, or it is not known.
    pub lag_bytes: Option<u64>,
    /// It answers, and does what its role says.
    pub ok: bool,
    /// One line for a person.
    pub detail: String,
}

impl MemberSeen {
    pub(crate) fn silent(name: String, why: impl Into<String>) -> Self {
        Self { name, role: "unknown".to_owned(), lag_bytes: None, ok: false, detail: why.into() }
    }
}
