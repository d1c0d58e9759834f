//! What the members of a Redis Cluster say.

use super::SLOTS;

/// All members, by their place; `None`: that one doesn't answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// What each says.
    pub members: Vec<Option<View>>,
}

/// What one member says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// Its port.
    pub port: u16,
    /// The nodes that it knows, itself among them (`CLUSTER NODES`).
    pub known: Vec<Known>,
    /// Its keys.
    pub keys: u64,
    /// Those of its keys that are in slots which nobody has.
    pub stray_keys: u64,
    /// How long its stream of changes is, in bytes; of a replica, how far it has come in its master's.
    pub offset: u64,
    /// The port from which it copies; 0 for masters.
    pub copies_port: u16,
    /// It is a master, or its copy is connected to its master.
    pub linked: bool,
    /// Replicas may copy it: it was opened since it started.
    pub open: bool,
    /// It says `cluster_state:ok`.
    pub ok: bool,
}

/// A node, as a member knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// The node's id.
    pub id: String,
    /// Its port; 0: the member has no address of it any more.
    pub port: u16,
    /// It is the member itself.
    pub myself: bool,
    /// It is a master.
    pub master: bool,
    /// The id of its master, for replicas.
    pub of: Option<String>,
    /// It is only just being met; its id is not its own yet.
    pub handshake: bool,
    /// It is said to have failed, by this member (`fail?`) or by all (`fail`).
    pub failing: bool,
    /// Most masters agree that it has failed.
    pub failed: bool,
    /// The member is connected to it.
    pub connected: bool,
    /// Its configuration's epoch.
    pub epoch: u64,
    /// The slots that it has, apart and in order.
    pub slots: Vec<SlotRange>,
}

/// Slots from `first` to `last`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotRange {
    /// The first, at most `last`.
    pub first: u16,
    /// The last, below [`SLOTS`].
    pub last: u16,
}

impl SlotRange {
    /// How many slots.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.last as u32 - self.first as u32 + 1
    }
}

impl View {
    /// What it says of itself; `None`: nothing, which no Redis does.
    #[must_use]
    pub fn myself(&self) -> Option<&Known> {
        self.known.iter().find(|node| node.myself)
    }

    /// What it says of a node that it has met.
    #[must_use]
    pub fn of(&self, id: &str) -> Option<&Known> {
        self.known.iter().find(|node| node.id == id && !node.handshake)
    }
}

/// How many slots the ranges hold together.
#[must_use]
pub fn count(ranges: &[SlotRange]) -> u32 {
    ranges.iter().map(|range| range.count()).sum()
}

/// The slots that none of the ranges holds, as ranges in order.
#[must_use]
pub fn uncovered<'a>(held: impl IntoIterator<Item = &'a SlotRange>) -> Vec<SlotRange> {
    let mut held: Vec<SlotRange> = held.into_iter().copied().collect();
    held.sort_unstable();
    let mut free = Vec::new();
    let mut next = 0;
    for range in held {
        if range.first > next {
            free.push(SlotRange { first: next, last: range.first - 1 });
        }
        next = next.max(range.last.saturating_add(1));
    }
    if next < SLOTS {
        free.push(SlotRange { first: next, last: SLOTS - 1 });
    }
    free
}

/// The first so many slots of the ranges.
#[must_use]
pub fn take(ranges: &[SlotRange], slots: u32) -> Vec<SlotRange> {
    let mut left = slots;
    let mut taken = Vec::new();
    for range in ranges {
        let part = u16::try_from(range.count().min(left)).unwrap_or(SLOTS);
        if part == 0 {
            break;
        }
        taken.push(SlotRange { first: range.first, last: range.first + (part - 1) });
        left -= u32::from(part);
    }
    taken
}

/// Whether a slot is in both.
#[must_use]
pub fn overlap(some: &[SlotRange], others: &[SlotRange]) -> bool {
    some.iter().any(|a| others.iter().any(|b| a.first <= b.last && b.first <= a.last))
}
