//! Laws of `upgrade`: somebody serves at every moment, it ends, and what it ends with is of one program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use plimsoll_control::upgrade::{
    Act, Candidate, Gateway, Keeper, Memory, Policy, Program, Seen, Standing, check, decide, gateway_name,
    gateway_number,
};
use plimsoll_model::{Instant, Millis};
use proptest::{prelude::*, test_runner::RngSeed};
use std::collections::BTreeMap;

/// What is wrong with the new program, or with the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    GatewayEnds,
    GatewayHangs,
    KeeperRefuses,
    KeeperDies,
    KeeperHangs,
    OldGatewayIsDeaf,
    EngineFails,
}

const FAULTS: [Fault; 8] = [
    Fault::Nothing,
    Fault::GatewayEnds,
    Fault::GatewayHangs,
    Fault::KeeperRefuses,
    Fault::KeeperDies,
    Fault::KeeperHangs,
    Fault::OldGatewayIsDeaf,
    Fault::EngineFails,
];

fn program(name: &str, inode: u64) -> Program {
    Program { path: name.into(), file: (1, inode) }
}

fn old() -> Program {
    program("/old", 1)
}

fn new() -> Program {
    program("/new", 2)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serves {
    NotYet,
    Yes,
    Drains,
    No,
}

/// What an engine sees and does, as far as an upgrade is concerned.
struct World {
    fault: Fault,
    memory: Memory,
    now: Instant,
    gateways: BTreeMap<u32, (Program, Serves)>,
    keeper: Program,
    engine: Program,
    /// What the keeper starts engines from.
    starts: Program,
    /// What the keeper goes back to if the engine does not stay.
    former: Option<Program>,
    asked: bool,
    problem: Option<String>,
}

impl World {
    fn new(fault: Fault) -> Self {
        let mut memory = Memory::default();
        memory.begin(new(), old(), Instant(1_000_000));
        Self {
            fault,
            memory,
            now: Instant(1_000_000),
            gateways: BTreeMap::from([(1, (old(), Serves::Yes))]),
            keeper: old(),
            engine: old(),
            starts: old(),
            former: None,
            asked: false,
            problem: None,
        }
    }

    fn is_bad(&self, program: &Program, fault: Fault) -> bool {
        self.fault == fault && program.file == new().file
    }

    fn seen(&self) -> Seen {
        let under_way = self.memory.under_way.as_ref().unwrap();
        let next = match self.gateways.get(&under_way.next) {
            None => Gateway::Absent,
            Some((_, Serves::NotYet)) => Gateway::Starting,
            Some((_, Serves::Yes | Serves::Drains)) => Gateway::Ready,
            Some((_, Serves::No)) => Gateway::Ended("exit code 1".into()),
        };
        let drains = |serves| matches!(serves, Serves::Drains | Serves::No);
        Seen {
            at: self.now,
            next,
            old_drains: self.gateways.get(&self.memory.current).is_none_or(|(_, serves)| drains(*serves)),
            keeper: Keeper {
                is_new: self.keeper.file == under_way.to.file,
                asked: self.asked,
                problem: self.problem.clone(),
            },
            engine_is_new: self.engine.file == under_way.to.file,
            critical: Vec::new(),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Wait => {}
            Act::StartGateway(number, program) => {
                assert!(!self.gateways.contains_key(&number), "{number} was used before");
                let serves = if self.is_bad(&program, Fault::GatewayEnds) {
                    Serves::No
                } else if self.is_bad(&program, Fault::GatewayHangs) {
                    Serves::NotYet
                } else {
                    Serves::Yes
                };
                self.gateways.insert(number, (program, serves));
            }
            Act::ReplaceKeeper(to, former) => {
                if self.is_bad(&to, Fault::KeeperRefuses) {
                    self.problem = Some("refused".into());
                } else if self.is_bad(&to, Fault::KeeperDies) {
                    // The engine starts another one from its own program.
                    (self.keeper, self.starts) = (self.engine.clone(), self.engine.clone());
                    self.problem = Some("died".into());
                } else if self.is_bad(&to, Fault::KeeperHangs) {
                    (self.keeper, self.asked) = (to, true);
                } else {
                    (self.keeper, self.starts, self.former) = (to.clone(), to, former);
                }
            }
            Act::EndKeeper => {
                (self.keeper, self.starts) = (self.engine.clone(), self.engine.clone());
                (self.asked, self.problem) = (false, Some("was ended".into()));
            }
            Act::Retire(number) => {
                if let Some((program, serves)) = self.gateways.get_mut(&number)
                    && !(self.fault == Fault::OldGatewayIsDeaf && program.file == old().file)
                    && *serves == Serves::Yes
                {
                    *serves = Serves::Drains;
                }
            }
            Act::EndGateway(number) => self.gateways.get_mut(&number).unwrap().1 = Serves::No,
            Act::Leave => {
                assert!(self.memory.under_way.as_ref().unwrap().left, "it is known that the engine left");
                self.restart_engine();
            }
            Act::Trust => self.former = None,
        }
    }

    /// The keeper starts an engine, of the former program if the new one does not stay.
    fn restart_engine(&mut self) {
        if self.is_bad(&self.starts.clone(), Fault::EngineFails) {
            // The keeper goes back, for good.
            self.starts = self.former.take().unwrap();
        }
        self.engine = self.starts.clone();
        // What an engine only knew is gone.
        (self.asked, self.problem) = (false, None);
    }

    /// Decides once, and again on what is known after that; acts.
    fn turn(&mut self) {
        let before = self.memory.under_way.clone().unwrap();
        let seen = self.seen();
        let decision = decide(&Policy::default(), &mut self.memory, &seen);
        let text = serde_json::to_string(&self.memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), self.memory);
        assert!(!decision.reason.is_empty());
        assert!(decision.again_at.is_some() || self.memory.under_way.is_none(), "nobody would look again");
        if self.memory.under_way.as_ref().is_some_and(|after| after.to != before.to) {
            (self.asked, self.problem) = (false, None);
        }
        self.act(decision.act);
        let serving = self.gateways.values().filter(|(_, serves)| *serves == Serves::Yes).count();
        assert!(serving > 0, "nobody serves: {:?}", self.gateways);
        self.now = self.now.after(Millis(200));
    }

    /// Until it is over; the engine dies before the turns that are named.
    fn run(&mut self, deaths: &[usize]) {
        for turn in 0..5_000 {
            if self.memory.under_way.is_none() {
                return;
            }
            if deaths.contains(&turn) {
                self.restart_engine();
            }
            self.turn();
        }
        panic!("it does not end: {:?}", self.memory);
    }

    fn programs(&self) -> [u64; 3] {
        let (gateway, serves) = &self.gateways[&self.memory.current];
        assert_eq!(*serves, Serves::Yes, "the gateway that counts as serving");
        [gateway.file.1, self.keeper.file.1, self.engine.file.1]
    }
}

#[track_caller]
fn ends(fault: Fault, done: bool, inode: u64) -> World {
    let mut world = World::new(fault);
    world.run(&[]);
    let outcome = world.memory.outcome.clone().unwrap();
    assert_eq!(outcome.done, done, "{outcome:?}");
    assert_eq!(world.programs(), [inode; 3], "{outcome:?}");
    let others = world.gateways.iter().filter(|(number, _)| **number != world.memory.current);
    assert!(others.clone().all(|(_, (_, serves))| *serves != Serves::Yes), "{:?}", world.gateways);
    world
}

#[test]
fn a_good_program_takes_over() {
    let world = ends(Fault::Nothing, true, 2);
    assert_eq!(world.memory.current, 2);
    assert!(world.now.since(Instant(1_000_000)) < Millis::from_secs(5));
    ends(Fault::OldGatewayIsDeaf, true, 2);
}

#[test]
fn a_bad_gateway_or_keeper_changes_nothing() {
    for fault in [Fault::GatewayEnds, Fault::KeeperRefuses, Fault::KeeperDies] {
        let world = ends(fault, false, 1);
        assert_eq!(world.memory.current, 1, "{fault:?}");
    }
    let mut world = World::new(Fault::GatewayHangs);
    world.run(&[]);
    assert!(!world.memory.outcome.clone().unwrap().done);
    assert_eq!(world.programs(), [1; 3]);
}

#[test]
fn what_was_replaced_goes_back() {
    let world = ends(Fault::EngineFails, false, 1);
    assert_eq!(world.memory.current, 3, "a third gateway, of the former program");
    ends(Fault::KeeperHangs, false, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, rng_seed: RngSeed::Fixed(17), ..ProptestConfig::default() })]

    /// Whatever is wrong, and whenever the engine dies: it ends, somebody serves throughout, and one program runs.
    #[test]
    fn it_ends_with_one_program_whenever_the_engine_dies(
        fault in prop::sample::select(&FAULTS[..]),
        deaths in prop::collection::vec(0usize..12, 0..4),
    ) {
        let mut world = World::new(fault);
        world.run(&deaths);
        let programs = world.programs();
        // An engine that dies while a keeper hangs, or is the only one that could go back, leaves that to a person.
        if !matches!(fault, Fault::KeeperHangs | Fault::EngineFails) {
            prop_assert!(programs == [1; 3] || programs == [2; 3], "{programs:?}: {:?}", world.memory.outcome);
            prop_assert_eq!(world.memory.outcome.unwrap().done, programs == [2; 3]);
        }
    }
}

fn standing() -> Standing {
    let candidate = Candidate { version: "9.9.9".into(), wire: 3, not_understood: Vec::new() };
    let running = ["keeper", "engine", "gateway"].map(|who| (who.to_owned(), 2)).to_vec();
    Standing { candidate: Some(Ok(candidate)), running, ..Standing::default() }
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Standing), why: &str) {
    let mut standing = standing();
    change(&mut standing);
    let said = check(&standing).unwrap_err();
    assert!(said.contains(why), "{said}");
}

#[test]
fn only_neighbours_that_understand_everything_may_take_over_and_not_in_a_critical_step() {
    assert_eq!(check(&standing()), Ok(()));
    let speaks = |version: u32| {
        move |standing: &mut Standing| {
            let candidate = standing.candidate.as_mut().unwrap().as_mut().unwrap();
            candidate.wire = version;
        }
    };
    for near in 1..=3 {
        let mut standing = standing();
        speaks(near)(&mut standing);
        assert_eq!(check(&standing), Ok(()), "{near}");
    }
    refused(speaks(4), "speaks version 4");
    refused(speaks(0), "in between");
    refused(|standing| standing.running[2].1 = 1, "the gateway that runs speaks 1");
    refused(|standing| standing.candidate = Some(Err("it is no plimsoll".into())), "no plimsoll");
    refused(|standing| standing.candidate = None, "not asked");
    refused(|standing| standing.same = true, "already");
    refused(|standing| standing.ending = true, "ended");
    refused(|standing| standing.under_way = Some("/new".into()), "/new");
    refused(|standing| standing.critical.push("the store orders is forming".into()), "not now: the store orders");
    let strange = |standing: &mut Standing| {
        let candidate = standing.candidate.as_mut().unwrap().as_mut().unwrap();
        candidate.not_understood.push("the journal".into());
    };
    refused(strange, "does not understand this system's state: the journal");
}

#[test]
fn names_of_gateways_tell_their_numbers() {
    for number in [1, 2, 17] {
        assert_eq!(gateway_number(&gateway_name(number)), Some(number));
    }
    for other in ["engine", "gateway-1", "gateway-x", "gateway-1.1", "gatewayx", ""] {
        assert_eq!(gateway_number(other), None, "{other}");
    }
}
