//! What a person is told of a store's primary and its standbys.

use super::Decision;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    /// A member is started as the primary, or to become it.
    Starting,
    /// The primary is gone, and another one takes over.
    Failover,
    /// A person wants another one, and it takes over.
    Switchover,
    /// A member is the primary now.
    Promoted,
    /// One that was to be the primary is given up.
    GivenUp,
    /// A member is killed that must not take writes.
    Fenced,
    /// What would lose too much, or can't be, is not done.
    Refused,
    /// A member's data is rewound.
    Rejoining,
    /// A member's data is copied from the primary.
    Copying,
    /// A standby can't go on from where it is.
    Stranded,
    /// Commits wait for no standby any more, since none is there.
    Asynchronous,
    /// They wait for one again.
    Synchronous,
}

impl What {
    /// As `plimsoll events` shows it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Failover => "Failover",
            Self::Switchover => "Switchover",
            Self::Promoted => "Promoted",
            Self::GivenUp => "GivenUp",
            Self::Fenced => "Fenced",
            Self::Refused => "Refused",
            Self::Rejoining => "Rejoining",
            Self::Copying => "Copying",
            Self::Stranded => "Stranded",
            Self::Asynchronous => "Asynchronous",
            Self::Synchronous => "Synchronous",
        }
    }

    /// Whether something went wrong.
    #[must_use]
    pub fn is_warning(self) -> bool {
        matches!(
            self,
            Self::Failover | Self::GivenUp | Self::Fenced | Self::Refused | Self::Stranded | Self::Asynchronous
        )
    }
}

/// What happened, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What.
    pub what: What,
    /// Why, for a person.
    pub why: String,
}

impl Decision {
    /// Tells something; the reason of all is what is told.
    pub(super) fn tell(&mut self, what: What, why: impl Into<String>) {
        self.events.push(Event { what, why: why.into() });
        self.reason = self.events.iter().map(|event| event.why.as_str()).collect::<Vec<_>>().join("; ");
    }

    /// The same, with something told before all else.
    pub(super) fn after(mut self, what: What, why: impl Into<String>) -> Self {
        let later = std::mem::take(&mut self.events);
        self.tell(what, why);
        for event in later {
            self.tell(event.what, event.why);
        }
        self
    }
}
