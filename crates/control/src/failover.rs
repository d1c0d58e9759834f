//! Who is the primary of a PostgreSQL store with standbys, and what becomes of it when that one dies or hangs.
//!
//! Members are told by their place, from 0. Each decision is made from what the members are and say now, and from a
//! [`Memory`] whose lasting part ([`Memory::lasting`]) is on disk before anything that follows from it is done. So an
//! engine that dies anywhere is followed by one that goes on from there.
//!
//! Invariant: a member is promoted only when the one before is gone as a process. A hang is no death: it is fenced first.
//! Invariant: nothing acknowledged is lost where commits wait for a standby: only the member with the most received log
//! is promoted, and only when every other standby was asked, so that none of them can have more.
//! Invariant: where commits are to wait for a standby and none is there, nobody is promoted who lacks a byte of what was
//! written meanwhile.
//! Invariant: without that wait, no more is lost than the promised recovery point; where none is promised, nothing.
//! Whenever more would be lost, the primary is started again where its log is, which loses nothing.
//! Invariant: a member whose log may have gone another way than the primary's never starts on it before it was rewound
//! or copied anew.

mod choose;
mod copies;
mod decide;
mod seen;
mod standbys;
mod told;

pub use choose::{Choice, Found, Outcome, choose};
pub use decide::decide;
pub use seen::{Answer, Member, Preparation, Process, Seen, Wanted};
pub use told::{Event, What};

use plimsoll_model::{Instant, Millis};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A primary that runs and answers nothing for so long is taken for hung. Long enough for a machine with no processor time
/// to spare; a death needs no such wait, since the kernel tells it.
pub const HANG_AFTER: Millis = Millis::from_secs(10);
/// Standbys that run get so long to answer before the choice is made without them.
pub const CHOICE_WAIT: Millis = Millis::from_secs(2);
/// A standby that asks for log and gets none for so long, while the primary answers, can't go on from where it is.
pub const STRANDED_AFTER: Millis = Millis::from_secs(30);
/// Commits that are to wait for a standby wait for nobody once none has followed for so long: a server that is started again
/// follows sooner.
pub const ALONE_AFTER: Millis = Millis::from_secs(1);
/// As above, where none has followed since the store began: copies are made first.
pub const FORM_MAX: Millis = Millis::from_secs(30);
/// A standby that is further behind serves no reads.
pub const READ_LAG_MAX: Millis = Millis::from_secs(1);
/// One that serves none gets them back when it is no further behind than this. More than [`LOOK_EVERY`] and a look take:
/// whoever lacks anything at one look is reckoned to be behind since the one before.
pub const READ_LAG_BACK: Millis = Millis(800);
/// How often everything is looked at while nothing happens.
pub const LOOK_EVERY: Millis = Millis(500);
/// A primary that is to hand over and has not ended for so long is killed: whoever writes waits meanwhile.
pub const HAND_OVER_MAX: Millis = Millis::from_secs(60);
/// Whoever comes is to wait at every gateway before a primary that hands over is ended, but no longer than this.
pub const HOLD_MAX: Millis = Millis::from_secs(5);
/// A member that has not become the primary for so long, and does not run, is given up where the one before has its data.
pub const PROMOTE_MAX: Millis = Millis::from_secs(60);
/// One that runs has so long: it may have much to replay.
pub const REPLAY_MAX: Millis = Millis::from_secs(300);
/// So many positions of the primary are remembered at most; when there are more, every second one is dropped.
const POSITIONS_MAX: usize = 128;

/// What is wanted of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// How many members it has.
    pub members: usize,
    /// A commit waits for a standby.
    pub synchronous: bool,
    /// It does so also when no standby is there: no write rather than one copy.
    pub strict: bool,
    /// The promised recovery point: the newest writes, of so long a time, may be lost. None: nothing is promised, so nothing
    /// may be.
    pub recovery_point: Option<Millis>,
    /// A primary that runs and is silent for so long hangs.
    pub hang_after: Millis,
}

impl Default for Policy {
    fn default() -> Self {
        Self { members: 1, synchronous: false, strict: false, recovery_point: None, hang_after: HANG_AFTER }
    }
}

/// How far the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// The primary is who it was.
    #[default]
    Steady,
    /// A person wants that member to be the primary: the one before is being ended cleanly.
    Handing {
        /// Who is to be.
        to: usize,
        /// When that began.
        since: Instant,
    },
    /// That member becomes the primary. Nobody is led to it before it is, so it may still be given up.
    Promoting {
        /// Who.
        to: usize,
        /// When that began. 0: it is not known.
        #[serde(default)]
        since: Instant,
    },
}

/// Why a member may not start on the primary's log as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unfit {
    /// It may have log that the primary does not have: `pg_rewind` first.
    Rewind,
    /// It can't be rewound: copied anew.
    Copy,
}

/// What is carried from one decision to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Grows by one with each new primary that is chosen.
    pub epoch: u64,
    /// Who is the primary.
    pub primary: usize,
    /// How far a change of it is.
    pub stage: Stage,
    /// Who must be put right before it starts as a standby.
    pub unfit: BTreeMap<usize, Unfit>,
    /// The primary's timeline when it last answered.
    pub timeline: u32,
    /// Where the primary's log was, and when: oldest first. Observed, so not journaled for itself.
    pub positions: Vec<(Instant, u64)>,
    /// Since when a member that runs has been silent.
    pub silent: BTreeMap<usize, Instant>,
    /// Since when the primary is gone.
    pub gone: Option<Instant>,
    /// Since when a standby has asked for log in vain.
    pub apart: BTreeMap<usize, Instant>,
    /// Which standbys serve reads.
    pub reading: BTreeSet<usize>,
    /// Since when commits have waited for nobody, so that standbys may lack what was acknowledged. None: each standby that is
    /// asked may be the one that has it, and one of them does.
    pub alone: Option<Instant>,
    /// Commits wait again; whoever has the log up to there has everything that was acknowledged before.
    pub joining: Option<u64>,
    /// A standby has followed since this engine began to look.
    pub followed: bool,
    /// Since when none follows, while commits wait.
    pub unfollowed: Option<Instant>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            epoch: 1,
            primary: 0,
            stage: Stage::Steady,
            unfit: BTreeMap::new(),
            timeline: 0,
            positions: Vec::new(),
            silent: BTreeMap::new(),
            gone: None,
            apart: BTreeMap::new(),
            reading: BTreeSet::new(),
            alone: None,
            joining: None,
            followed: false,
            unfollowed: None,
        }
    }
}

impl Memory {
    /// What must be on disk before it is acted upon: everything but what is observed. Who serves reads is part of it, so
    /// that an engine that comes after closes no connection to a standby only because it has seen nothing yet.
    #[must_use]
    pub fn lasting(&self) -> Self {
        Self {
            epoch: self.epoch,
            primary: self.primary,
            stage: self.stage,
            unfit: self.unfit.clone(),
            reading: self.reading.clone(),
            alone: self.alone,
            ..Self::default()
        }
    }

    /// How far behind the primary a member with its log up to `position` is at `at`: since the last look at which it would
    /// have had everything. None: no such look is remembered.
    #[must_use]
    pub fn behind(&self, position: u64, at: Instant) -> Option<Millis> {
        let (_, last) = self.positions.last()?;
        if position >= *last {
            return Some(Millis(0));
        }
        self.since_whole(position, at)
    }

    /// From the last look at which a log up to `position` was all that there was, until `at`.
    fn since_whole(&self, position: u64, at: Instant) -> Option<Millis> {
        let had = self.positions.iter().rev().find(|(_, known)| *known <= position)?;
        Some(at.since(had.0))
    }

    /// Takes in where the primary's log is.
    fn remember(&mut self, at: Instant, position: u64) {
        match self.positions.last_mut() {
            // While nothing is written, one entry moves along: whoever has that position has everything until now.
            Some((known_at, known)) if *known == position => *known_at = at,
            _ => self.positions.push((at, position)),
        }
        if self.positions.len() > POSITIONS_MAX {
            let mut keep = false;
            self.positions.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }
}

/// How a member starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// As the primary; with new data where there is none.
    Primary,
    /// As a standby of that member.
    Standby {
        /// Whose.
        of: usize,
        /// What is done with its data first.
        by: Preparation,
    },
}

/// A step. Each may be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Act {
    /// Start its process.
    Start {
        /// Whose.
        member: usize,
        /// As what.
        role: Role,
    },
    /// Kill its process and everything beneath, and wait until it is gone.
    Fence {
        /// Whose.
        member: usize,
    },
    /// End its process cleanly: its standbys get all of its log.
    Stop {
        /// Whose.
        member: usize,
    },
    /// Make a standby the primary.
    Promote {
        /// Which.
        member: usize,
    },
    /// Have a standby that runs follow that primary.
    Follow {
        /// Which.
        member: usize,
        /// Whom.
        of: usize,
    },
    /// Have commits of a primary wait for a standby, and make sure that all do.
    Wait {
        /// Whose.
        member: usize,
    },
    /// Have commits of a primary, or of who becomes it, wait for nobody.
    Alone {
        /// Whose.
        member: usize,
    },
}

/// What is done now, and who is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Decision {
    /// The steps; they do not wait for each other.
    pub acts: Vec<Act>,
    /// Who is reached by the store's address. None: nobody now, and whoever comes waits.
    pub leads_to: Option<usize>,
    /// Who is reached by its address for reads. Empty: the primary.
    pub reads: Vec<usize>,
    /// Commits wait for a standby, and none follows.
    pub stalls: bool,
    /// They were to, and wait for nobody meanwhile: what is written is on one copy.
    pub alone: bool,
    /// What a person should know of, each once as long as it is said again and again.
    pub events: Vec<Event>,
    /// Why, for a person.
    pub reason: String,
    /// When to ask again at the latest.
    pub again_at: Instant,
}

/// A position in the log, as PostgreSQL writes it: `0/3000148`.
#[must_use]
pub fn lsn(position: u64) -> String {
    format!("{:X}/{:X}", position >> 32, position & 0xFFFF_FFFF)
}
