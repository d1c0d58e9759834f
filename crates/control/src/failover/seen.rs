//! What is seen of a store's members.

use plimsoll_model::Instant;
use serde::{Deserialize, Serialize};

/// What is seen when it is decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seen {
    /// Now.
    pub at: Instant,
    /// The members, by their place.
    pub members: Vec<Member>,
    /// A person wants another primary.
    pub asked: Option<Wanted>,
    /// Whoever comes to the store's address waits there, since it leads nowhere. Only looked for while a primary hands over.
    pub held: bool,
}

/// Whom a person wants to be the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wanted {
    /// The standby with the most log.
    Best,
    /// That member.
    Member(usize),
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Member {
    /// Whether its process is there: a fact of the kernel's, told by the keeper.
    pub process: Process,
    /// It has data.
    pub data: bool,
    /// It ended too often lately: it is not to be started yet.
    pub backs_off: bool,
    /// What its last start failed at, before its server ran.
    pub failed: Option<Preparation>,
    /// Somebody answers at its socket, if only that it can't serve yet.
    pub alive: bool,
    /// What it says of itself. None: it can't be asked.
    pub answer: Option<Answer>,
    /// The end of the log that lies in its folder. Only looked for where its process is gone.
    pub log_end: Option<u64>,
    /// Whether its commits wait for a standby, as it was told last and has done. None: that is not known.
    pub waits: Option<bool>,
}

/// Whether a process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Process {
    /// It was never started, or has ended with everything beneath it.
    #[default]
    Gone,
    /// Its data is being made ready.
    Preparing,
    /// It runs.
    Runs,
}

/// What is done with a member's data before it starts as a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Preparation {
    /// Nothing.
    Nothing,
    /// `pg_rewind`: what it has beyond the primary's log is taken back.
    Rewind,
    /// `pg_basebackup`: a copy of the primary's.
    Copy,
}

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    /// It is a standby: it takes no writes.
    pub recovering: bool,
    /// Its timeline.
    pub timeline: u32,
    /// The end of its log on disk: of a primary what it wrote, of a standby what it received.
    pub position: u64,
    /// Of a standby: what can be read there.
    pub replayed: u64,
    /// Of a standby: it has come to the end of what it has since it started, so `position` is all that it has.
    pub settled: bool,
    /// Of a standby: it is connected to its primary.
    pub streams: bool,
    /// Of a standby: whose log it asks for.
    pub follows: Option<usize>,
}

impl Member {
    /// It answers as a primary.
    pub(super) fn writes(&self) -> bool {
        self.process == Process::Runs && self.answer.as_ref().is_some_and(|answer| !answer.recovering)
    }

    /// What it says as a standby that runs.
    pub(super) fn standby(&self) -> Option<&Answer> {
        let answer = self.answer.as_ref().filter(|answer| answer.recovering)?;
        (self.process == Process::Runs).then_some(answer)
    }
}
