//! Services whose versions change with one file go as one: each after those that it uses, and if one of them is sent back
//! the others go back too, users before what they use.
//!
//! It chooses, for each service, which revision its own release ([`super::decide`]) is to aim at; a service that was never
//! released is aimed at what the file says at once.
//!
//! Invariant: while a change goes forward, no service is aimed at its new revision before every changed one that it uses,
//! be it by way of others, has been promoted.
//! Invariant: once one was sent back, no other is aimed at its new revision until the file asks for something else, or a
//! person forgives the one.
//! Invariant: a service whose file's revision has not changed is aimed at nothing else because of others.
//! Invariant: deciding again with nothing new seen changes nothing and tells nothing.

use plimsoll_model::RevisionId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is carried from one decision to the next. It is durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Counts changes; 0 is none yet.
    pub number: u64,
    /// The services of the last change.
    pub members: BTreeMap<String, Member>,
    /// It is being undone, or was.
    pub undone: Option<Undone>,
    /// Revisions that persons chose instead of the file's, by service.
    pub chosen: BTreeMap<String, Chosen>,
}

/// A service of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// What it is to run.
    pub revision: RevisionId,
    /// What it ran before.
    pub former: RevisionId,
}

/// Why a change is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Undone {
    /// The service that was sent back.
    pub service: String,
    /// Why it was.
    pub why: String,
}

/// A revision that a person chose: it holds until the file asks for another one, or it is forgiven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chosen {
    /// What is to run.
    pub revision: RevisionId,
    /// What the file asked for when it was chosen.
    pub instead_of: RevisionId,
    /// By whom.
    pub by: String,
    /// Why, in their words; may be empty.
    pub why: String,
}

/// What is known of all services.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// By name; those of the accepted file only.
    pub services: BTreeMap<String, ServiceSeen>,
}

/// What is known of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceSeen {
    /// The revision that the file asks for.
    pub wanted: RevisionId,
    /// It is the present one with replicas started anew.
    pub renewed: bool,
    /// The revision that was last promoted; `None`: none yet.
    pub stable: Option<RevisionId>,
    /// Something is coming in.
    pub under_way: bool,
    /// What it runs has taken away what its former version needs: it does not go back with others.
    pub bound: bool,
    /// Why the wanted revision was sent back; `None`: it wasn't.
    pub sent_back: Option<String>,
    /// What it uses; names of stores are no harm.
    pub uses: Vec<String>,
}

/// What the release of one service is to aim at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Goal {
    /// This revision.
    pub revision: RevisionId,
    /// As [`super::Seen::at_once`].
    pub at_once: bool,
    /// Why it is not the file's revision; `None`: it is.
    pub why: Option<String>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// By service.
    pub goals: BTreeMap<String, Goal>,
    /// The change began to be undone just now.
    pub undone: Option<Undone>,
}

/// Decides what each service's release is to aim at.
pub fn decide(memory: &mut Memory, seen: &Seen) -> Decision {
    memory.chosen.retain(|name, chosen| seen.services.get(name).is_some_and(|one| one.wanted == chosen.instead_of));
    gather(memory, seen);
    let undone = memory.undone.as_ref();
    if undone.is_some_and(|undone| sent_back(memory, seen, &undone.service).is_none()) {
        memory.undone = None;
        memory.number += 1;
    }
    let mut decision = Decision::default();
    if memory.undone.is_none() {
        memory.undone = memory.members.keys().find_map(|name| {
            let why = sent_back(memory, seen, name)?.clone();
            Some(Undone { service: name.clone(), why })
        });
        decision.undone = memory.undone.clone().filter(|_| memory.members.len() > 1);
    }
    decision.goals = seen.services.keys().map(|name| (name.clone(), goal(memory, seen, name))).collect();
    decision
}

/// Whether nothing is coming in, and nothing is about to.
#[must_use]
pub fn is_at_rest(memory: &Memory, seen: &Seen) -> bool {
    seen.services.iter().all(|(name, one)| {
        let aim = aim(memory, name, one);
        let is_there = one.stable.as_ref() == Some(&aim);
        // What a person chose since is not there because something else went back.
        let member = memory.members.get(name).filter(|member| memory.undone.is_some() && member.revision == aim);
        let is_back = member.is_some_and(|member| is_back(member, one));
        let is_held = sent_back(memory, seen, name).is_some();
        !one.under_way && ((one.stable.is_some() && (is_there || is_back)) || is_held)
    })
}

/// What a service is to run in the end, were it alone.
fn aim(memory: &Memory, name: &str, one: &ServiceSeen) -> RevisionId {
    memory.chosen.get(name).map_or_else(|| one.wanted.clone(), |chosen| chosen.revision.clone())
}

/// Why what a service is to run was sent back; `None`: it wasn't. A person who chose another version has no use for the
/// file's.
fn sent_back<'s>(memory: &Memory, seen: &'s Seen, name: &str) -> Option<&'s String> {
    let one = seen.services.get(name)?;
    one.sent_back.as_ref().filter(|_| aim(memory, name, one) == one.wanted)
}

/// Finds out which services change now. A new one among them begins another change, without those that are done or were
/// sent back before.
fn gather(memory: &mut Memory, seen: &Seen) {
    memory.members.retain(|name, _| seen.services.contains_key(name));
    let mut new = BTreeMap::new();
    let mut withdrawn = Vec::new();
    for (name, one) in &seen.services {
        let Some(stable) = &one.stable else { continue };
        let revision = aim(memory, name, one);
        match memory.members.get(name) {
            Some(member) if member.revision == revision => {}
            _ if revision == *stable => withdrawn.push(name.clone()),
            _ if sent_back(memory, seen, name).is_some() => {}
            _ => {
                new.insert(name.clone(), Member { revision, former: stable.clone() });
            }
        }
    }
    for name in withdrawn {
        memory.members.remove(&name);
    }
    if new.is_empty() {
        return;
    }
    let over = |name: &String| {
        let member = memory.members.get(name).zip(seen.services.get(name));
        member.is_none_or(|(member, one)| is_done(member, one)) || sent_back(memory, seen, name).is_some()
    };
    let over: BTreeSet<String> = memory.members.keys().filter(|name| over(name)).cloned().collect();
    memory.members.retain(|name, _| !over.contains(name));
    memory.members.extend(new);
    memory.undone = None;
    memory.number += 1;
}

fn is_done(member: &Member, one: &ServiceSeen) -> bool {
    one.stable.as_ref() == Some(&member.revision) && !one.under_way
}

fn is_back(member: &Member, one: &ServiceSeen) -> bool {
    (one.stable.as_ref() == Some(&member.former) && !one.under_way) || one.bound
}

fn goal(memory: &Memory, seen: &Seen, name: &str) -> Goal {
    let one = &seen.services[name];
    let chosen = memory.chosen.get(name);
    let revision = aim(memory, name, one);
    let at_once = chosen.is_some() || one.renewed;
    let why = chosen.map(|chosen| format!("{} went back to {}: {}", chosen.by, chosen.revision, chosen.why));
    let (Some(member), Some(stable)) = (memory.members.get(name), &one.stable) else {
        return Goal { revision, at_once, why };
    };
    if let Some(undone) = &memory.undone {
        if undone.service == name || one.bound {
            return Goal { revision, at_once, why };
        }
        let why = Some(format!("went back together with {}: {}", undone.service, undone.why));
        let away = users(seen, name).into_iter().find(|user| differs(memory, seen, user, is_back));
        let revision = if away.is_some() { stable.clone() } else { member.former.clone() };
        return Goal { revision, at_once: true, why };
    }
    let first = if goes_backwards(memory) { users(seen, name) } else { used(seen, name) };
    let first = first.into_iter().find(|other| differs(memory, seen, other, is_done));
    match first.filter(|_| !is_done(member, one) && !one.under_way) {
        Some(other) => Goal { revision: stable.clone(), at_once, why: Some(format!("{other} goes first")) },
        None => Goal { revision, at_once, why },
    }
}

/// Whether persons chose all that changes: then users go before what they use.
fn goes_backwards(memory: &Memory) -> bool {
    memory.members.keys().all(|name| memory.chosen.contains_key(name))
}

/// Whether a service is of this change and not there yet.
fn differs(memory: &Memory, seen: &Seen, name: &str, there: fn(&Member, &ServiceSeen) -> bool) -> bool {
    let (Some(member), Some(one)) = (memory.members.get(name), seen.services.get(name)) else { return false };
    !there(member, one)
}

/// All services that one uses, be it by way of others.
fn used(seen: &Seen, name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(next) = open.pop() {
        for other in seen.services.get(&next).map(|one| one.uses.as_slice()).unwrap_or_default() {
            if other != name && seen.services.contains_key(other) && found.insert(other.clone()) {
                open.push(other.clone());
            }
        }
    }
    found
}

/// All services that use one, be it by way of others.
fn users(seen: &Seen, name: &str) -> BTreeSet<String> {
    seen.services.keys().filter(|user| *user != name && used(seen, user).contains(name)).cloned().collect()
}
