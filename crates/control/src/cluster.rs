//! What a Redis Cluster needs next: forming it, checking it, repairing it.
//!
//! One step at a time, each chosen from nothing but what the members say now; so a step that was cut short, or whose answer
//! was lost, is chosen again or found done. Repeating *look, decide, act* ends in [`Act::Rest`] or [`Act::Refuse`].
//!
//! Invariant: no step makes a member drop keys that no other member has. Slots are only given to members without keys in
//! them, only empty members become replicas, nobody copies a member that came back empty while its replica has the data, and only a
//! node that is certainly gone is forgotten while it holds slots.

mod decide;
pub mod seen;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub use seen::{Known, Seen, SlotRange, View};

/// Slots of every Redis Cluster.
pub const SLOTS: u16 = 16_384;

/// What the cluster should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Masters with slots, at least 3.
    pub masters: usize,
    /// Replicas of each.
    pub replicas_per_master: usize,
}

/// What is done next, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What.
    pub act: Act,
    /// Why, for a person.
    pub reason: String,
    /// A person should be told, though nothing needs to be done: data was lost, or the shape is not the wanted one.
    pub notable: bool,
}

/// A step. Members are told by their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Nothing now: the members are settling something by themselves, or one doesn't answer. Look again soon.
    Wait,
    /// `CLUSTER SET-CONFIG-EPOCH`, so that no two masters start with the same one.
    SetEpoch {
        /// Who is asked.
        member: usize,
        /// From 1.
        epoch: u64,
    },
    /// `CLUSTER MEET` with each of the others.
    Meet {
        /// Who is asked.
        member: usize,
        /// Whom it is to meet.
        others: Vec<usize>,
    },
    /// Lets replicas copy these members. A member starts closed: one that comes back empty, at the address of the master that it
    /// was, would otherwise make its replicas drop the only copy.
    Open {
        /// Who is opened.
        members: Vec<usize>,
    },
    /// `CLUSTER ADDSLOTSRANGE`.
    AddSlots {
        /// Who gets them.
        member: usize,
        /// Which.
        ranges: Vec<SlotRange>,
    },
    /// `CLUSTER REPLICATE`.
    Replicate {
        /// Who becomes a replica.
        member: usize,
        /// Whose.
        master: usize,
    },
    /// `CLUSTER FAILOVER TAKEOVER`: its master is gone for good, or came back empty.
    TakeOver {
        /// Who becomes a master.
        member: usize,
    },
    /// `CLUSTER FORGET` at every member, within a minute (after that, members would learn of it again from each other).
    Forget {
        /// The node's id.
        node: String,
    },
    /// Nothing: it is whole.
    Rest,
    /// Nothing: what is there is not ours to change. A person must decide.
    Refuse,
}

impl Decision {
    fn new(act: Act, reason: impl Into<String>) -> Self {
        Self { act, reason: reason.into(), notable: false }
    }

    fn notable(act: Act, reason: impl Into<String>) -> Self {
        Self { act, reason: reason.into(), notable: true }
    }

    fn wait(reason: impl Into<String>) -> Self {
        Self::new(Act::Wait, reason)
    }

    fn refuse(reason: impl Into<String>) -> Self {
        Self::new(Act::Refuse, reason)
    }
}
