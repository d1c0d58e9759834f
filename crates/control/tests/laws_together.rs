//! Laws of a change of several services: in order, all or none, and at rest in the end.

use plimsoll_control::rollout::together::{Chosen, Decision, Goal, Memory, Seen, ServiceSeen, decide, is_at_rest};
use plimsoll_model::RevisionId;
use proptest::{prelude::*, test_runner::RngSeed};
use std::collections::{BTreeMap, BTreeSet};

fn revision(name: &str) -> RevisionId {
    RevisionId(name.into())
}

/// Services whose releases do what they are told, a step at each tick.
struct World {
    memory: Memory,
    seen: Seen,
    /// Revisions that are sent back when they come in.
    bad: BTreeSet<RevisionId>,
    /// In which order revisions came in.
    promoted: Vec<(String, RevisionId)>,
    last: Decision,
}

impl World {
    /// `uses` by service; all of them run `one`.
    fn new(uses: &[(&str, &[&str])]) -> Self {
        let one = |uses: &[&str]| ServiceSeen {
            wanted: revision("one"),
            stable: Some(revision("one")),
            uses: uses.iter().map(|name| (*name).to_owned()).collect(),
            ..ServiceSeen::default()
        };
        let services = uses.iter().map(|(name, uses)| ((*name).to_owned(), one(uses))).collect();
        let (memory, bad, promoted) = (Memory::default(), BTreeSet::new(), Vec::new());
        Self { memory, seen: Seen { services }, bad, promoted, last: Decision::default() }
    }

    fn want(&mut self, name: &str, what: &str) {
        let one = self.seen.services.get_mut(name).unwrap_or_else(|| panic!("no {name}"));
        one.wanted = revision(what);
        one.sent_back = None;
    }

    fn choose(&mut self, name: &str, what: &str) {
        let instead_of = self.seen.services[name].wanted.clone();
        let (by, why) = ("ann".to_owned(), String::new());
        self.memory.chosen.insert(name.into(), Chosen { revision: revision(what), instead_of, by, why });
    }

    fn stable(&self, name: &str) -> String {
        self.seen.services[name].stable.clone().unwrap_or_default().0
    }

    fn tick(&mut self) {
        let before = self.memory.undone.clone();
        self.last = decide(&mut self.memory, &self.seen);
        let again = decide(&mut self.memory, &self.seen);
        assert_eq!(again.goals, self.last.goals);
        assert!(again.undone.is_none(), "told twice");
        assert!(self.last.undone.is_none() || before.is_none());
        self.check_order();
        for (name, goal) in self.last.goals.clone() {
            self.release(&name, &goal);
        }
    }

    /// No service goes forward before those that it uses.
    fn check_order(&self) {
        if self.memory.undone.is_some() || !self.memory.chosen.is_empty() {
            return;
        }
        for (name, one) in &self.seen.services {
            let goes = self.last.goals[name].revision == one.wanted && one.stable.as_ref() != Some(&one.wanted);
            for used in one.uses.iter().filter(|_| goes && one.sent_back.is_none() && !one.under_way) {
                let used = &self.seen.services[used];
                let there = used.stable.as_ref() == Some(&used.wanted) || used.sent_back.is_some();
                assert!(there || one.stable.is_none(), "{name} went before what it uses: {:?}", self.last);
            }
        }
    }

    /// A release of one service: it begins, and a tick later is in, or sent back.
    fn release(&mut self, name: &str, goal: &Goal) {
        let Some(one) = self.seen.services.get_mut(name) else { return };
        let aim = if one.sent_back.is_some() && goal.revision == one.wanted { None } else { Some(&goal.revision) };
        let Some(aim) = aim.filter(|aim| one.stable.as_ref() != Some(*aim)) else {
            one.under_way = false;
            return;
        };
        if !one.under_way {
            one.under_way = true;
        } else if self.bad.contains(aim) && !goal.at_once {
            one.under_way = false;
            one.sent_back = Some("it fails".into());
        } else {
            one.under_way = false;
            one.stable = Some(aim.clone());
            self.promoted.push((name.into(), aim.clone()));
        }
    }

    fn rest(&mut self) {
        for _ in 0..100 {
            self.tick();
        }
        assert!(is_at_rest(&self.memory, &self.seen), "{:?} {:?}", self.memory, self.seen);
        let told = self.promoted.len();
        self.tick();
        assert_eq!(self.promoted.len(), told, "at rest nothing moves");
    }

    fn order(&self) -> Vec<&str> {
        self.promoted.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// web uses api, which uses base.
fn chain() -> World {
    World::new(&[("api", &["base"]), ("base", &[]), ("web", &["api"])])
}

#[test]
fn users_come_after_what_they_use() {
    let mut world = chain();
    for name in ["web", "api", "base"] {
        world.want(name, "two");
    }
    world.rest();
    assert_eq!(world.order(), ["base", "api", "web"]);
}

#[test]
fn the_order_holds_by_way_of_those_that_do_not_change() {
    let mut world = chain();
    world.want("web", "two");
    world.want("base", "two");
    world.rest();
    assert_eq!(world.order(), ["base", "web"]);
}

#[test]
fn one_that_is_sent_back_takes_the_others_with_it_users_first() {
    let mut world = chain();
    for name in ["web", "api", "base"] {
        world.want(name, if name == "web" { "bad" } else { "two" });
    }
    world.bad.insert(revision("bad"));
    world.rest();
    assert_eq!(world.order(), ["base", "api", "api", "base"], "in and out again");
    for name in ["web", "api", "base"] {
        assert_eq!(world.stable(name), "one");
    }
    // The next file takes the others in again.
    world.want("web", "three");
    world.rest();
    assert_eq!((world.stable("base"), world.stable("web")), ("two".into(), "three".into()));
}

#[test]
fn a_forgiven_one_takes_the_others_with_it_too() {
    let mut world = chain();
    world.want("api", "bad");
    world.want("web", "two");
    world.bad.insert(revision("bad"));
    world.rest();
    assert_eq!((world.stable("api"), world.stable("web")), ("one".into(), "one".into()));
    world.bad.clear();
    world.want("api", "bad");
    world.rest();
    assert_eq!((world.stable("api"), world.stable("web")), ("bad".into(), "two".into()));
}

#[test]
fn a_later_change_is_not_undone_for_an_earlier_one() {
    let mut world = chain();
    world.want("web", "bad");
    world.bad.insert(revision("bad"));
    world.rest();
    world.want("base", "two");
    world.rest();
    assert_eq!((world.stable("base"), world.stable("web")), ("two".into(), "one".into()));
}

#[test]
fn what_persons_choose_goes_backwards_and_holds_until_the_file_changes() {
    let mut world = chain();
    for name in ["web", "api"] {
        world.want(name, "two");
    }
    world.rest();
    world.promoted.clear();
    world.choose("web", "one");
    world.choose("api", "one");
    world.rest();
    assert_eq!(world.order(), ["web", "api"]);
    world.want("api", "three");
    world.rest();
    assert_eq!((world.stable("api"), world.stable("web")), ("three".into(), "one".into()));
}

#[test]
fn what_persons_choose_holds_though_the_files_version_was_sent_back() {
    let mut world = chain();
    for name in ["web", "api"] {
        world.want(name, "two");
    }
    world.rest();
    world.want("api", "bad");
    world.want("web", "three");
    world.bad.insert(revision("bad"));
    world.rest();
    assert_eq!((world.stable("api"), world.stable("web")), ("two".into(), "two".into()));
    world.promoted.clear();
    world.choose("web", "one");
    world.choose("api", "one");
    assert!(!is_at_rest(&world.memory, &world.seen), "both are yet to go");
    world.rest();
    assert_eq!((world.stable("api"), world.stable("web")), ("one".into(), "one".into()));
    assert_eq!(world.order(), ["web", "api"]);
    // The next file is tried again.
    world.bad.clear();
    for name in ["web", "api"] {
        world.want(name, "four");
    }
    world.rest();
    assert_eq!((world.stable("api"), world.stable("web")), ("four".into(), "four".into()));
}

#[test]
fn a_first_version_waits_for_nobody() {
    let mut world = chain();
    for one in world.seen.services.values_mut() {
        one.stable = None;
    }
    world.tick();
    assert!(world.last.goals.values().all(|goal| goal.revision == revision("one") && goal.why.is_none()));
}

/// The same cases in every run. Other cases: `PLIMSOLL_LAWS_SEED`.
fn laws(cases: u32) -> ProptestConfig {
    let seed = std::env::var("PLIMSOLL_LAWS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(laws(200))]

    /// Whatever changes at whatever time, everything comes to rest, and the last good file runs in the end.
    #[test]
    fn it_comes_to_rest(
        edges in prop::collection::btree_set((0..6_usize, 0..6_usize), 0..10),
        turns in prop::collection::vec((0..6_usize, 0..3_u8, 0..6_usize), 1..12),
    ) {
        let names = ["a", "b", "c", "d", "e", "f"];
        // Only to later ones, so that there is no cycle.
        let mut uses: BTreeMap<&str, Vec<&str>> = names.iter().map(|name| (*name, Vec::new())).collect();
        for (from, to) in edges.into_iter().filter(|(from, to)| from < to) {
            uses.entry(names[from]).or_default().push(names[to]);
        }
        let list: Vec<(&str, &[&str])> = uses.iter().map(|(name, uses)| (*name, uses.as_slice())).collect();
        let mut world = World::new(&list);
        for (number, (which, kind, ticks)) in turns.into_iter().enumerate() {
            let what = format!("v{number}");
            match kind {
                0 => world.want(names[which], &what),
                1 => {
                    world.bad.insert(revision(&what));
                    world.want(names[which], &what);
                }
                // A person goes back with it.
                _ => world.choose(names[which], "one"),
            }
            for _ in 0..ticks {
                world.tick();
            }
        }
        world.rest();
        world.bad.clear();
        for name in names {
            world.want(name, "last");
        }
        world.rest();
        for name in names {
            prop_assert_eq!(world.stable(name), "last");
        }
    }
}
