//! Laws of the choice, in a small world where what is asked happens at once.

use super::{
    Act, Policy, SLOTS, decide,
    seen::{Known, Seen, SlotRange, View, count, take, uncovered},
};
use std::collections::BTreeSet;

/// A node of the imagined cluster; one without `place` is gone, and only others still speak of it.
#[derive(Debug, Clone)]
struct Node {
    id: String,
    place: Option<usize>,
    port: u16,
    of: Option<String>,
    slots: Vec<SlotRange>,
    keys: u64,
    epoch: u64,
    open: bool,
    knows: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Imagined {
    nodes: Vec<Node>,
    policy: Policy,
    born: usize,
    /// Nodes that were forgotten while they had slots.
    lost: usize,
}

impl Imagined {
    fn new(masters: usize, replicas_per_master: usize) -> Self {
        let policy = Policy { masters, replicas_per_master };
        let mut world = Self { nodes: Vec::new(), policy, born: 0, lost: 0 };
        for place in 0..masters * (replicas_per_master + 1) {
            world.bear(place);
        }
        world
    }

    fn bear(&mut self, place: usize) {
        self.born += 1;
        let id = format!("{:040}", self.born);
        let port = 7000 + u16::try_from(place).unwrap();
        let knows = BTreeSet::from([id.clone()]);
        self.nodes.push(Node {
            id,
            place: Some(place),
            port,
            of: None,
            slots: Vec::new(),
            keys: 0,
            epoch: 0,
            open: false,
            knows,
        });
    }

    /// The member loses its folder, and starts as another node.
    fn wipe(&mut self, place: usize) {
        let gone = self.at(place);
        gone.place = None;
        let id = gone.id.clone();
        if !self.nodes.iter().any(|node| node.place.is_some() && node.knows.contains(&id)) {
            self.nodes.retain(|node| node.id != id);
        }
        self.bear(place);
    }

    fn at(&mut self, place: usize) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.place == Some(place)).unwrap()
    }

    fn size(&self) -> usize {
        self.policy.masters * (self.policy.replicas_per_master + 1)
    }

    fn seen(&self) -> Seen {
        let mut members = vec![None; self.size()];
        for node in &self.nodes {
            if let Some(place) = node.place {
                members[place] = Some(self.view(node));
            }
        }
        Seen { members }
    }

    fn view(&self, node: &Node) -> View {
        let known = self.nodes.iter().filter(|other| node.knows.contains(&other.id)).map(|other| Known {
            id: other.id.clone(),
            port: other.port,
            myself: other.id == node.id,
            master: other.of.is_none(),
            of: other.of.clone(),
            handshake: false,
            failing: other.place.is_none(),
            failed: other.place.is_none(),
            connected: other.place.is_some(),
            epoch: other.epoch,
            slots: other.slots.clone(),
        });
        let covered = uncovered(self.nodes.iter().filter(|n| n.place.is_some()).flat_map(|n| &n.slots)).is_empty();
        let master = self.nodes.iter().find(|other| Some(&other.id) == node.of.as_ref());
        View {
            copies_port: master.map_or(0, |master| master.port),
            port: node.port,
            known: known.collect(),
            keys: node.keys,
            stray_keys: 0,
            offset: node.keys,
            linked: true,
            open: node.open,
            ok: covered,
        }
    }

    fn apply(&mut self, act: &Act) {
        match act {
            Act::Wait | Act::Rest | Act::Refuse => {}
            Act::SetEpoch { member, epoch } => {
                let node = self.at(*member);
                assert!(node.knows.len() == 1 && node.epoch == 0, "Redis refuses this");
                node.epoch = *epoch;
            }
            Act::Meet { member, others } => {
                let mut all = self.at(*member).knows.clone();
                for other in others {
                    all.extend(self.at(*other).knows.clone());
                }
                for node in self.nodes.iter_mut().filter(|node| node.place.is_some() && all.contains(&node.id)) {
                    node.knows.extend(all.clone());
                }
            }
            Act::AddSlots { member, ranges } => {
                let held: Vec<SlotRange> = self.nodes.iter().flat_map(|node| node.slots.clone()).collect();
                assert!(!super::seen::overlap(&held, ranges), "Redis refuses this");
                let node = self.at(*member);
                assert!(node.of.is_none() && node.keys == 0 || !node.slots.is_empty());
                node.slots.extend(ranges);
                node.slots.sort_unstable();
            }
            Act::Replicate { member, master } => {
                let master = self.at(*master).clone();
                let node = self.at(*member);
                assert!(node.slots.is_empty() && (node.of.is_some() || node.keys == 0), "Redis refuses this");
                assert!(node.knows.contains(&master.id), "Redis refuses this");
                (node.of, node.keys) = (Some(master.id), master.keys);
            }
            Act::TakeOver { member } => {
                let of = self.at(*member).of.take().expect("a replica");
                let id = self.at(*member).id.clone();
                let old = self.nodes.iter_mut().find(|node| node.id == of).unwrap();
                assert!(old.place.is_none() || old.keys == 0, "its master lives");
                old.of = old.place.is_some().then_some(id);
                let slots = std::mem::take(&mut old.slots);
                self.at(*member).slots = slots;
            }
            Act::Open { members } => {
                for member in members {
                    let opened = self.at(*member);
                    opened.open = true;
                    let (port, keys) = (opened.port, opened.keys);
                    // Replicas know their master by its address.
                    let masters: Vec<String> =
                        self.nodes.iter().filter(|n| n.port == port).map(|n| n.id.clone()).collect();
                    for node in self.nodes.iter_mut().filter(|n| n.of.as_ref().is_some_and(|of| masters.contains(of))) {
                        node.keys = keys;
                    }
                }
            }
            Act::Forget { node } => {
                let gone = self.nodes.iter().position(|other| other.id == *node).unwrap();
                assert!(self.nodes[gone].place.is_none(), "a member is never forgotten");
                self.lost += usize::from(!self.nodes[gone].slots.is_empty());
                assert!(self.nodes.iter().all(|other| other.of.as_deref() != Some(node)), "Redis refuses this");
                self.nodes.remove(gone);
                for other in &mut self.nodes {
                    other.knows.remove(node);
                }
            }
        }
    }

    /// Looks, decides and acts until there is nothing to do; answers each state on the way.
    fn settle(&mut self) -> Vec<Self> {
        let mut states = Vec::new();
        for _ in 0..200 {
            states.push(self.clone());
            let decision = decide(&self.policy, &self.seen());
            assert_ne!(decision.act, Act::Refuse, "{}", decision.reason);
            assert_ne!(decision.act, Act::Wait, "{}", decision.reason);
            if decision.act == Act::Rest {
                return states;
            }
            self.apply(&decision.act);
        }
        panic!("never settles: {self:#?}");
    }

    #[track_caller]
    fn check_whole(&self) {
        assert!(self.nodes.iter().all(|node| node.place.is_some()));
        let owners: Vec<&Node> = self.nodes.iter().filter(|node| !node.slots.is_empty()).collect();
        assert_eq!(owners.len(), self.policy.masters);
        assert_eq!(owners.iter().map(|node| count(&node.slots)).sum::<u32>(), u32::from(SLOTS));
        for owner in owners {
            let replicas = self.nodes.iter().filter(|node| node.of.as_deref() == Some(&owner.id)).count();
            assert_eq!(replicas, self.policy.replicas_per_master);
        }
    }
}

const SHAPES: [(usize, usize); 5] = [(3, 0), (3, 1), (3, 2), (4, 1), (5, 0)];

#[test]
fn new_members_become_an_even_cluster() {
    for (masters, replicas) in SHAPES {
        let mut world = Imagined::new(masters, replicas);
        world.settle();
        world.check_whole();
        let sizes: Vec<u32> = (0..masters).map(|place| count(&world.at(place).slots)).collect();
        let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        assert!(most - least <= 1, "{sizes:?}");
    }
}

#[test]
fn a_member_that_lost_its_data_at_any_step_is_taken_back() {
    for (masters, replicas) in SHAPES {
        for state in Imagined::new(masters, replicas).settle() {
            for place in 0..state.size() {
                let mut world = state.clone();
                world.wipe(place);
                world.settle();
                world.check_whole();
                assert!(
                    replicas == 0
                        || world.lost == 0
                        || state.nodes.iter().any(|node| node.of.is_none() && node.slots.is_empty())
                );
            }
        }
    }
}

#[test]
fn a_replica_with_the_data_takes_over_whoever_is_gone() {
    let mut world = Imagined::new(3, 1);
    world.settle();
    for place in 0..6 {
        world.at(place).keys = 10;
    }
    // Two of three masters at once: there is no majority that could vote.
    world.wipe(0);
    world.wipe(1);
    world.settle();
    world.check_whole();
    assert_eq!(world.lost, 0);
    assert!(world.nodes.iter().all(|node| node.slots.is_empty() || node.keys == 10), "no empty master serves");
}

#[test]
fn a_master_that_came_back_empty_is_not_copied() {
    let mut world = Imagined::new(3, 1);
    world.settle();
    for place in 0..6 {
        world.at(place).keys = 10;
    }
    // As a cache that writes nothing to disk: it is still the same node.
    (world.at(1).keys, world.at(1).open) = (0, false);
    let act = decide(&world.policy, &world.seen()).act;
    assert_eq!(act, Act::TakeOver { member: 4 });
    world.settle();
    world.check_whole();
    assert!(world.nodes.iter().all(|node| node.slots.is_empty() || node.keys == 10), "no empty master serves");
}

#[test]
fn a_replica_is_told_that_its_master_has_moved() {
    let mut world = Imagined::new(3, 1);
    world.settle();
    let mut seen = world.seen();
    seen.members[4].as_mut().unwrap().copies_port = 6999;
    assert_eq!(decide(&world.policy, &seen).act, Act::Replicate { member: 4, master: 1 });
}

#[test]
fn a_whole_cluster_is_left_alone() {
    let mut world = Imagined::new(3, 1);
    world.settle();
    assert_eq!(world.settle().len(), 1);
}

#[test]
fn a_silent_member_is_waited_for() {
    let world = Imagined::new(3, 0);
    let mut seen = world.seen();
    seen.members[1] = None;
    let decision = decide(&world.policy, &seen);
    assert_eq!((decision.act, decision.reason.as_str()), (Act::Wait, "member 1 doesn't answer"));
}

#[track_caller]
fn check_refused(world: &Imagined, part: &str) {
    let decision = decide(&world.policy, &world.seen());
    assert_eq!(decision.act, Act::Refuse, "{}", decision.reason);
    assert!(decision.reason.contains(part), "{}", decision.reason);
}

#[test]
fn keys_outside_of_slots_are_not_overwritten() {
    let mut world = Imagined::new(3, 1);
    world.settle();
    world.wipe(4);
    world.at(4).keys = 7;
    // Met and opened, but not made a replica: that would drop its keys.
    while let act @ (Act::Meet { .. } | Act::Forget { .. } | Act::Open { .. }) =
        decide(&world.policy, &world.seen()).act
    {
        world.apply(&act);
    }
    check_refused(&world, "would drop them");
}

#[test]
fn two_clusters_are_not_joined() {
    let mut world = Imagined::new(3, 0);
    world.settle();
    let mut other = Imagined::new(3, 0);
    other.settle();
    world.nodes.retain(|node| node.place != Some(2));
    for node in &mut world.nodes {
        node.knows.retain(|id| !id.ends_with('3'));
    }
    let mut foreign = other.at(0).clone();
    foreign.id = "f".repeat(40);
    (foreign.place, foreign.port, foreign.knows) = (Some(2), 7002, BTreeSet::from([foreign.id.clone()]));
    world.nodes.push(foreign);
    check_refused(&world, "another cluster");
}

#[test]
fn a_node_of_somebody_else_is_not_touched() {
    let mut world = Imagined::new(3, 0);
    world.settle();
    world.bear(7);
    let stranger = world.nodes.pop().unwrap().id;
    let mut seen = world.seen();
    for view in seen.members.iter_mut().flatten() {
        view.known.push(Known { id: stranger.clone(), port: 9999, master: true, connected: true, ..Known::default() });
    }
    let decision = decide(&world.policy, &seen);
    assert!(decision.act == Act::Refuse && decision.reason.contains("no member of the store"), "{}", decision.reason);
}

#[test]
fn a_copied_folder_is_noticed() {
    let mut world = Imagined::new(3, 0);
    world.settle();
    let id = world.at(0).id.clone();
    world.at(1).id = id;
    check_refused(&world, "same node id");
}

#[test]
fn ranges_add_up() {
    let range = |first, last| SlotRange { first, last };
    assert_eq!(uncovered(&[]), [range(0, 16_383)]);
    assert_eq!(uncovered(&[range(5, 9), range(0, 2), range(8, 12)]), [range(3, 4), range(13, 16_383)]);
    assert_eq!(uncovered(&[range(0, 16_383)]), []);
    assert_eq!(take(&[range(0, 2), range(10, 20)], 5), [range(0, 2), range(10, 11)]);
    assert_eq!(take(&[range(0, 2)], 0), []);
    assert_eq!(count(&[range(0, 16_383)]), 16_384);
}
