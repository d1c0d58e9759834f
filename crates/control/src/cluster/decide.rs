//! The choice of the next step.

use super::{
    Act, Decision, Policy,
    seen::{Known, Seen, SlotRange, View, count, overlap, take, uncovered},
};
use std::collections::BTreeSet;

/// Chooses the next step.
#[must_use]
pub fn decide(policy: &Policy, seen: &Seen) -> Decision {
    let mut members = Vec::new();
    for (place, view) in seen.members.iter().enumerate() {
        match view.as_ref().and_then(|view| Some(Member { view, me: view.myself()? })) {
            Some(member) => members.push(member),
            None => return Decision::wait(format!("member {place} doesn't answer")),
        }
    }
    let world = World { policy, members };
    None.or_else(|| world.identities())
        .or_else(|| world.strangers())
        .or_else(|| world.introductions())
        .or_else(|| world.openings())
        .or_else(|| world.slots())
        .or_else(|| world.replicas())
        .or_else(|| world.differences())
        .unwrap_or_else(|| world.rest())
}

struct Member<'a> {
    view: &'a View,
    me: &'a Known,
}

impl Member<'_> {
    /// The slots that it says it has.
    fn slots(&self) -> &[SlotRange] {
        if self.me.master { &self.me.slots } else { &[] }
    }

    fn owns(&self) -> bool {
        !self.slots().is_empty()
    }

    fn idle_master(&self) -> bool {
        self.me.master && !self.owns()
    }
}

struct World<'a> {
    policy: &'a Policy,
    members: Vec<Member<'a>>,
}

impl World<'_> {
    fn place(&self, id: &str) -> Option<usize> {
        self.members.iter().position(|member| member.me.id == id)
    }

    fn owners(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|i| self.members[*i].owns()).collect()
    }

    fn idle_masters(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|i| self.members[*i].idle_master()).collect()
    }

    fn replicas_of(&self, id: &str) -> Vec<usize> {
        (0..self.members.len()).filter(|i| self.members[*i].me.of.as_deref() == Some(id)).collect()
    }

    /// No two members may be the same node: their data was copied.
    fn identities(&self) -> Option<Decision> {
        let twin = (0..self.members.len()).find(|i| self.place(&self.members[*i].me.id) != Some(*i))?;
        let first = self.place(&self.members[twin].me.id)?;
        Some(Decision::refuse(format!(
            "members {first} and {twin} have the same node id, so one's data is a copy of the other's; set one of the two folders aside"
        )))
    }

    /// Nodes that members know and that are no member.
    fn strangers(&self) -> Option<Decision> {
        let known = self.members.iter().flat_map(|member| &member.view.known);
        let ids: BTreeSet<&str> = known
            .filter(|node| !node.handshake && self.place(&node.id).is_none())
            .map(|node| node.id.as_str())
            .collect();
        ids.into_iter().find_map(|id| self.stranger(id))
    }

    fn stranger(&self, id: &str) -> Option<Decision> {
        let reports: Vec<&Known> = self.members.iter().filter_map(|member| member.view.of(id)).collect();
        let port = reports.iter().map(|node| node.port).find(|port| *port != 0);
        // The member that has its port now has another id: the node's data is gone, and it never comes back.
        let successor = port.and_then(|port| self.members.iter().position(|member| member.view.port == port));
        let gone = successor.is_some() || port.is_none();
        let failed = reports.iter().any(|node| node.failed);
        let slots = self.unclaimed(&reports);
        let short = id.get(..8).unwrap_or(id);
        if !gone && !failed {
            let silent = reports.iter().all(|node| node.failing || !node.connected);
            return Some(if silent {
                Decision::wait(format!("node {short} at port {} doesn't answer, and is no member", port.unwrap_or(0)))
            } else {
                Decision::refuse(format!(
                    "node {short} at port {} is in this cluster and no member of the store",
                    port.unwrap_or(0)
                ))
            });
        }
        let replicas = self.replicas_of(id);
        if let Some(best) =
            replicas.iter().copied().max_by_key(|i| (self.members[*i].view.offset, std::cmp::Reverse(*i)))
        {
            return Some(self.orphan(best, gone && !slots.is_empty(), short));
        }
        if slots.is_empty() {
            return Some(Decision::new(
                Act::Forget { node: id.to_owned() },
                format!("node {short} is gone, and has no slots"),
            ));
        }
        if !gone {
            let count = count(&slots);
            return Some(Decision::refuse(format!(
                "node {short} at port {} has failed with {count} slots, has no replica, and is no member; start it again where it was",
                port.unwrap_or(0)
            )));
        }
        if let Some(place) = successor.filter(|place| self.members[*place].view.keys > 0) {
            return Some(Decision::refuse(format!(
                "member {place} came back as another node with {} keys while node {short} had {} slots; which data counts?",
                self.members[place].view.keys,
                count(&slots)
            )));
        }
        let reason = format!(
            "node {short} lost its data and has no replica: its {} slots can only be served again empty",
            count(&slots)
        );
        Some(Decision::notable(Act::Forget { node: id.to_owned() }, reason))
    }

    /// The slots of a node, as far as no member says that it has them itself by now.
    fn unclaimed(&self, reports: &[&Known]) -> Vec<SlotRange> {
        let not_theirs = uncovered(reports.iter().flat_map(|node| &node.slots));
        uncovered(not_theirs.iter().chain(self.members.iter().flat_map(|member| member.slots())))
    }

    /// A replica whose master is gone or has failed, and is no member.
    fn orphan(&self, member: usize, must_take_over: bool, master: &str) -> Decision {
        if must_take_over {
            return Decision::notable(
                Act::TakeOver { member },
                format!("the master of member {member} ({master}) is gone for good"),
            );
        }
        match self.neediest() {
            Some(needy) if self.unserved().is_empty() => Decision::new(
                Act::Replicate { member, master: needy },
                format!("the master of member {member} ({master}) is gone and has no slots"),
            ),
            _ => Decision::wait(format!("member {member} is to take over from its master ({master})")),
        }
    }

    /// Members that don't know each other meet.
    fn introductions(&self) -> Option<Decision> {
        let count = self.members.len();
        if self.owners().is_empty()
            && let Some(fresh) =
                (0..count).find(|i| self.members[*i].view.known.len() == 1 && self.members[*i].me.epoch == 0)
        {
            let epoch = u64::try_from(fresh).unwrap_or(0) + 1;
            return Some(Decision::new(Act::SetEpoch { member: fresh, epoch }, format!("member {fresh} is new")));
        }
        let hub =
            (0..count).max_by_key(|i| ((0..count).filter(|j| self.knows(*i, *j)).count(), std::cmp::Reverse(*i)))?;
        let apart: Vec<usize> = (0..count).filter(|i| !self.knows(hub, *i) || !self.knows(*i, hub)).collect();
        if apart.is_empty() {
            let (one, other) =
                (0..count).flat_map(|i| (0..count).map(move |j| (i, j))).find(|(i, j)| !self.knows(*i, *j))?;
            return Some(Decision::wait(format!("member {one} doesn't know member {other} yet")));
        }
        if let Some(clash) = apart.iter().find(|i| (0..count).any(|j| !self.knows(**i, j) && self.clash(**i, j))) {
            return Some(Decision::refuse(format!(
                "member {clash} has slots of another cluster; to join the two would drop the data of one, so set one aside"
            )));
        }
        let meeting = |place: &usize| {
            let port = self.members[*place].view.port;
            self.members[hub].view.known.iter().any(|node| node.handshake && node.port == port)
        };
        let others: Vec<usize> = apart.iter().copied().filter(|place| !meeting(place)).collect();
        if others.is_empty() {
            return Some(Decision::wait(format!("member {hub} is meeting {}", places(&apart))));
        }
        let reason = format!("member {hub} doesn't know {}", places(&others));
        Some(Decision::new(Act::Meet { member: hub, others }, reason))
    }

    /// Knows it at its present address.
    fn knows(&self, who: usize, whom: usize) -> bool {
        let whom = &self.members[whom];
        self.members[who].view.of(&whom.me.id).is_some_and(|node| node.myself || node.port == whom.view.port)
    }

    fn clash(&self, one: usize, other: usize) -> bool {
        one != other && overlap(self.members[one].slots(), self.members[other].slots())
    }

    /// Members that have just started are opened to replicas, but for a master that came back without the data that its
    /// replica still has: the replica takes over.
    fn openings(&self) -> Option<Decision> {
        let closed: Vec<usize> = (0..self.members.len()).filter(|i| !self.members[*i].view.open).collect();
        for master in closed.iter().copied().filter(|i| self.members[*i].owns() && self.members[*i].view.keys == 0) {
            let replicas = self.replicas_of(&self.members[master].me.id);
            let full = replicas.into_iter().filter(|i| self.members[*i].view.keys > 0);
            if let Some(member) = full.max_by_key(|i| (self.members[*i].view.offset, std::cmp::Reverse(*i))) {
                let reason =
                    format!("member {master} came back without its data, and its replica, member {member}, has it");
                return Some(Decision::notable(Act::TakeOver { member }, reason));
            }
        }
        let reason = format!("{} may be copied", places(&closed));
        (!closed.is_empty()).then(|| Decision::new(Act::Open { members: closed }, reason))
    }

    fn unserved(&self) -> Vec<SlotRange> {
        uncovered(self.members.iter().flat_map(|member| member.slots()))
    }

    /// Slots that nobody has are given to masters that have none yet, up to the wanted number of them.
    fn slots(&self) -> Option<Decision> {
        let count_members = self.members.len();
        for one in 0..count_members {
            if let Some(other) = (one + 1..count_members).find(|other| self.clash(one, *other)) {
                return Some(Decision::wait(format!("members {one} and {other} are settling whose slots are whose")));
            }
        }
        let free = self.unserved();
        if free.is_empty() {
            return None;
        }
        let owners = self.owners();
        let idle = self.idle_masters();
        let keys_at = |i: &usize| {
            let view = self.members[*i].view;
            if self.members[*i].owns() { view.stray_keys } else { view.keys }
        };
        if let Some(place) = owners.iter().chain(&idle).find(|i| keys_at(i) > 0) {
            let keys = keys_at(place);
            return Some(Decision::refuse(format!(
                "{} slots have no master, and member {place} has {keys} keys outside of its slots; give it those slots by CLUSTER ADDSLOTS if they count",
                count(&free)
            )));
        }
        let wanted = self.policy.masters.saturating_sub(owners.len());
        let takers: Vec<usize> = if wanted > 0 && !idle.is_empty() {
            idle.into_iter().take(wanted).collect()
        } else {
            owners.iter().copied().min_by_key(|i| count(self.members[*i].slots())).into_iter().collect()
        };
        let Some(member) = takers.first().copied() else {
            return Some(Decision::wait("no member is a master"));
        };
        let share = count(&free).div_ceil(u32::try_from(takers.len()).unwrap_or(1));
        let reason = format!("{} slots have no master", count(&free));
        Some(Decision::new(Act::AddSlots { member, ranges: take(&free, share) }, reason))
    }

    /// Members without slots copy the master with the fewest replicas. All slots are served here.
    fn replicas(&self) -> Option<Decision> {
        let lacking = self.policy.masters.saturating_sub(self.owners().len());
        let needy = self.neediest()?;
        if let Some(member) = self.idle_masters().into_iter().nth(lacking) {
            let keys = self.members[member].view.keys;
            if keys > 0 {
                return Some(Decision::refuse(format!(
                    "member {member} has {keys} keys and no slots; as a replica it would drop them"
                )));
            }
            return Some(Decision::new(
                Act::Replicate { member, master: needy },
                format!("member {member} has no slots"),
            ));
        }
        let owner_of = |i: usize| {
            self.members[i].me.of.as_deref().and_then(|id| self.place(id)).filter(|j| self.members[*j].owns())
        };
        let replicas: Vec<usize> = (0..self.members.len()).filter(|i| !self.members[*i].me.master).collect();
        if let Some(member) = replicas.iter().copied().find(|i| owner_of(*i).is_none()) {
            return Some(Decision::new(
                Act::Replicate { member, master: needy },
                format!("the master of member {member} has no slots"),
            ));
        }
        // A replica that learns its master's new address from others doesn't use it by itself.
        for member in replicas.iter().copied() {
            if let Some(master) =
                owner_of(member).filter(|i| self.members[*i].view.port != self.members[member].view.copies_port)
            {
                let reason = format!("member {member} copies from where member {master} no longer is");
                return Some(Decision::new(Act::Replicate { member, master }, reason));
            }
        }
        let wanted = self.policy.replicas_per_master;
        let have = |owner: usize| self.replicas_of(&self.members[owner].me.id).len();
        if have(needy) < wanted
            && let Some(member) =
                replicas.into_iter().rev().find(|i| owner_of(*i).is_some_and(|owner| have(owner) > wanted))
        {
            let reason = format!("member {needy} lacks a replica, and the master of member {member} has one too many");
            return Some(Decision::new(Act::Replicate { member, master: needy }, reason));
        }
        None
    }

    /// The master with slots and the fewest replicas.
    fn neediest(&self) -> Option<usize> {
        self.owners().into_iter().min_by_key(|i| self.replicas_of(&self.members[*i].me.id).len())
    }

    fn rest(&self) -> Decision {
        let owners = self.owners().len();
        let wanted = self.policy.masters;
        let whole = "all slots are served, and every replica copies its master";
        if owners == wanted {
            return Decision::new(Act::Rest, whole);
        }
        Decision::notable(
            Act::Rest,
            format!(
                "{whole}; {owners} masters share the slots where {wanted} are wanted: slots with data are not moved"
            ),
        )
    }

    /// It is whole when every member says so.
    fn differences(&self) -> Option<Decision> {
        for (place, member) in self.members.iter().enumerate() {
            if !member.view.ok {
                return Some(Decision::wait(format!("member {place} does not call the cluster whole yet")));
            }
            if !member.view.linked {
                return Some(Decision::wait(format!("member {place} is not connected to its master yet")));
            }
            if member.view.known.iter().any(|node| node.handshake) {
                return Some(Decision::wait(format!("member {place} is meeting a node")));
            }
            for (other_place, other) in self.members.iter().enumerate() {
                let agrees = member.view.of(&other.me.id).is_some_and(|said| {
                    let reached = said.myself || (said.connected && !said.failing && !said.failed);
                    let slots: &[SlotRange] = if said.master { &said.slots } else { &[] };
                    reached && said.master == other.me.master && slots == other.slots() && said.of == other.me.of
                });
                if !agrees {
                    return Some(Decision::wait(format!(
                        "member {place} doesn't see member {other_place} as it is yet"
                    )));
                }
            }
        }
        None
    }
}

fn places(places: &[usize]) -> String {
    let names: Vec<String> = places.iter().map(ToString::to_string).collect();
    format!("member{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
}
