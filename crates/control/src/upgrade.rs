//! Plimsoll's own upgrade: whether another program may take the place of the one that runs, and in which order.
//!
//! The order is gateway, keeper, old gateway, engine. The new gateway is started beside the old one and must serve before
//! anything is replaced; the keeper becomes the new program in place; then the old gateway is let go, politely; the engine
//! comes last, since it is the one that can go back.
//!
//! Invariant: there is a gateway that serves at every step.
//! Invariant: an upgrade ends: it is complete, was given up before anything was replaced, or went back.

mod decide;

use plimsoll_model::{Instant, Millis};
use serde::{Deserialize, Serialize};

pub use decide::{Act, Decision, Gateway, Keeper, News, Seen, decide};

/// How patient an upgrade is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What is started, or asked to become another program, has to serve within this.
    pub patience: Millis,
    /// A gateway that was replaced is ended after so long, whatever is still open.
    pub longest: Millis,
}

impl Default for Policy {
    fn default() -> Self {
        Self { patience: Millis::from_secs(60), longest: Millis::from_secs(3600) }
    }
}

/// What a program says of itself when it is asked whether it could take over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Candidate {
    /// Its version, for a person.
    pub version: String,
    /// The version of the messages that it speaks.
    pub wire: u32,
    /// What of this system's state it does not understand, for a person; empty when it understands everything.
    pub not_understood: Vec<String>,
}

/// How things are when an upgrade is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// What the program said, or why it said nothing.
    pub candidate: Option<Result<Candidate, String>>,
    /// The versions of the messages that run: `keeper` 1, `engine` 2 …
    pub running: Vec<(String, u32)>,
    /// Everything that runs is that program already.
    pub same: bool,
    /// The system is being ended.
    pub ending: bool,
    /// The path of the program that it is being upgraded to.
    pub under_way: Option<String>,
    /// What must not be interrupted now, as sentences: see [`critical`].
    pub critical: Vec<String>,
}

/// Whether an upgrade may begin.
///
/// # Errors
/// Why not, and what to do about it, for a person.
pub fn check(standing: &Standing) -> Result<(), String> {
    if standing.ending {
        return Err("the system is being ended".into());
    }
    if let Some(path) = &standing.under_way {
        return Err(format!("it is being upgraded already, to {path}; wait for that: `plimsoll status` shows it"));
    }
    let candidate = match &standing.candidate {
        Some(Ok(candidate)) => candidate,
        Some(Err(why)) => return Err(why.clone()),
        None => return Err("the program was not asked what it speaks".into()),
    };
    for (who, version) in &standing.running {
        if candidate.wire.abs_diff(*version) > 1 {
            return Err(format!(
                "that program ({}) speaks version {} of Plimsoll's own messages, and the {who} that runs speaks {version}: \
                 only neighbours understand each other; upgrade to a version in between first",
                candidate.version, candidate.wire
            ));
        }
    }
    if !candidate.not_understood.is_empty() {
        let what = candidate.not_understood.join("; ");
        return Err(format!("that program ({}) does not understand this system's state: {what}", candidate.version));
    }
    if standing.same {
        return Err("everything here runs that program already".into());
    }
    if !standing.critical.is_empty() {
        return Err(format!("not now: {}; try again when that is done", standing.critical.join(", ")));
    }
    Ok(())
}

/// What an engine that leaves would interrupt, as sentences: stores that are being formed, by name and phase, and services
/// whose `before` command runs.
#[must_use]
pub fn critical<'a>(
    forming: impl Iterator<Item = (&'a str, &'a str)>,
    preparing: impl Iterator<Item = &'a str>,
) -> Vec<String> {
    let forming = forming.filter(|(_, phase)| matches!(*phase, "Preparing" | "Forming"));
    let forming = forming.map(|(name, phase)| format!("the store {name} is {}", phase.to_lowercase()));
    forming.chain(preparing.map(|name| format!("the `before` command of {name} runs"))).collect()
}

/// A program, told apart from others by its file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Program {
    /// Where it is; for starting it, and for a person.
    pub path: String,
    /// Device and inode of the file: what runs from it is this program, wherever it was moved.
    pub file: (u64, u64),
}

/// What is remembered of upgrades.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Upgrades that were begun.
    pub attempt: u64,
    /// The number of the gateway that serves; see [`gateway_name`].
    pub current: u32,
    /// The highest number that a gateway ever had.
    pub last: u32,
    /// The upgrade that goes on.
    pub under_way: Option<UnderWay>,
    /// How the last one went.
    pub outcome: Option<Outcome>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { attempt: 0, current: 1, last: 1, under_way: None, outcome: None }
    }
}

impl Memory {
    /// Begins an upgrade that [`check`] allowed. `from` is a copy of the present program that stays as it is.
    pub fn begin(&mut self, to: Program, from: Program, at: Instant) {
        self.attempt += 1;
        self.last += 1;
        self.outcome = None;
        self.under_way = Some(UnderWay {
            to,
            from: Some(from),
            step: Step::Gateway,
            since: at,
            began: at,
            left: false,
            back: None,
            next: self.last,
        });
    }

    /// The number of the gateway that is to take over.
    #[must_use]
    pub fn next(&self) -> Option<u32> {
        self.under_way.as_ref().map(|under_way| under_way.next).filter(|next| *next != self.current)
    }

    /// What follows from the end of the system: nothing of it runs, so nothing is being replaced.
    pub fn ended(&mut self) {
        self.under_way = None;
    }
}

/// An upgrade that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UnderWay {
    /// The program that is to take over.
    pub to: Program,
    /// The program to go back to; `None` when it is gone back already.
    pub from: Option<Program>,
    /// How far it has come.
    pub step: Step,
    /// Since when it is at that step.
    pub since: Instant,
    /// When it was begun.
    pub began: Instant,
    /// The engine has left, so that the keeper starts the new one.
    pub left: bool,
    /// It goes back, and why.
    pub back: Option<String>,
    /// The number of the gateway that is to take over.
    pub next: u32,
}

/// How far an upgrade has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// A gateway of the new program is started beside the one that serves.
    #[default]
    Gateway,
    /// The keeper becomes the new program.
    Keeper,
    /// The old gateway accepts no more.
    Retire,
    /// The engine leaves, and the keeper starts the new one.
    Engine,
}

/// How an upgrade went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outcome {
    /// Everything runs the program that was asked for.
    pub done: bool,
    /// A sentence for a person.
    pub message: String,
    /// When it ended.
    pub at: Instant,
}

/// The keeper's id of the gateway of that number.
#[must_use]
pub fn gateway_name(number: u32) -> String {
    if number <= 1 { "gateway".into() } else { format!("gateway-{number}") }
}

/// The number of the gateway of that id; `None` for anything else.
#[must_use]
pub fn gateway_number(id: &str) -> Option<u32> {
    match id.strip_prefix("gateway")? {
        "" => Some(1),
        rest => rest.strip_prefix('-')?.parse().ok().filter(|number| *number > 1),
    }
}
