//! An imagined store: members with logs of writes, processes that die and hang, and an engine that dies between any two
//! steps and goes on from what it wrote down.

use plimsoll_control::failover::{
    Act, Answer, Decision, Member, Memory, Policy, Preparation, Process, Role, Seen, Wanted, decide,
};
use plimsoll_model::{Instant, Millis};
use std::collections::BTreeSet;

/// One member.
#[derive(Debug, Clone, Default)]
pub(crate) struct Server {
    pub(crate) runs: bool,
    pub(crate) hangs: bool,
    pub(crate) writes: bool,
    pub(crate) timeline: u32,
    pub(crate) follows: Option<usize>,
    /// What it has; `None`: no data.
    pub(crate) log: Option<Vec<u64>>,
    /// What it received stays unplayed from there on.
    pub(crate) paused: Option<u64>,
    /// It answers, and does not end when it is asked to: its disk is blocked, say.
    pub(crate) stays: bool,
    /// Its server ends as soon as it is started.
    pub(crate) broken: bool,
    failed: Option<Preparation>,
    /// Its commits wait for a standby.
    pub(crate) waits: bool,
    /// What the engine knows of that.
    told: Option<bool>,
    /// It was told to have them wait, and has not done so yet.
    hears: bool,
}

/// The store, the clock, and what the engine remembers.
pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) now: Instant,
    pub(crate) servers: Vec<Server>,
    pub(crate) memory: Memory,
    /// What is on disk of it.
    kept: Memory,
    pub(crate) acknowledged: BTreeSet<u64>,
    next: u64,
    pub(crate) last: Decision,
    pub(crate) asked: Option<usize>,
    /// Whoever comes waits, where nobody is led anywhere.
    pub(crate) held: bool,
    /// Whom clients were led to last: they write to nobody else.
    led: Option<usize>,
}

impl World {
    pub(crate) fn new(members: usize, synchronous: bool, recovery_point: Option<Millis>) -> Self {
        Self {
            policy: Policy { members, synchronous, recovery_point, ..Policy::default() },
            now: Instant(1_000_000_000),
            servers: vec![Server::default(); members],
            memory: Memory::default(),
            kept: Memory::default(),
            acknowledged: BTreeSet::new(),
            next: 0,
            last: Decision::default(),
            asked: None,
            held: true,
            led: None,
        }
    }

    /// Who takes writes.
    pub(crate) fn writers(&self) -> Vec<usize> {
        (0..self.servers.len()).filter(|place| self.servers[*place].runs && self.servers[*place].writes).collect()
    }

    /// It follows, or can't be helped.
    fn is_in_place(&self, place: usize) -> bool {
        self.streams(place) || self.servers[place].broken
    }

    pub(crate) fn streams(&self, place: usize) -> bool {
        let server = &self.servers[place];
        let Some(of) = server.follows.filter(|of| *of != place) else { return false };
        let from = &self.servers[of];
        let (Some(log), Some(source)) = (&server.log, &from.log) else { return false };
        let works = server.runs && !server.hangs && !server.writes && from.runs && from.writes;
        works && source.starts_with(log)
    }

    /// The primary takes a write; standbys in `reach` get everything it has.
    pub(crate) fn write(&mut self, reach: &[bool]) {
        self.next += 1;
        let write = self.next;
        for writer in self.writers() {
            if self.servers[writer].hangs || self.led != Some(writer) {
                continue;
            }
            if let Some(log) = &mut self.servers[writer].log {
                log.push(write);
            }
            self.deliver(writer, reach);
            if !self.servers[writer].waits {
                self.acknowledged.insert(write);
            }
        }
    }

    fn deliver(&mut self, from: usize, reach: &[bool]) {
        for place in 0..self.servers.len() {
            if self.streams(place) && self.servers[place].follows == Some(from) && reach.get(place) != Some(&false) {
                let log = self.servers[from].log.clone();
                if self.servers[from].waits {
                    self.acknowledged.extend(log.iter().flatten());
                }
                self.servers[place].timeline = self.servers[from].timeline;
                self.servers[place].log = log;
            }
        }
    }

    pub(crate) fn kill(&mut self, place: usize) {
        let server = &mut self.servers[place];
        (server.runs, server.hangs, server.stays, server.paused) = (false, false, false, None);
    }

    pub(crate) fn look(&self) -> Seen {
        let members = (0..self.servers.len()).map(|place| self.look_at(place)).collect();
        Seen { at: self.now, members, asked: self.asked.map(Wanted::Member), held: self.held }
    }

    fn look_at(&self, place: usize) -> Member {
        let server = &self.servers[place];
        let position = server.log.as_ref().map_or(0, |log| log.len() as u64);
        let answers = server.runs && !server.hangs;
        Member {
            process: if server.runs { Process::Runs } else { Process::Gone },
            data: server.log.is_some(),
            backs_off: server.broken && !server.runs,
            failed: server.failed,
            alive: answers,
            answer: answers.then(|| Answer {
                recovering: !server.writes,
                timeline: server.timeline,
                position,
                replayed: server.paused.map_or(position, |paused| paused.min(position)),
                settled: true,
                streams: self.streams(place),
                follows: server.follows,
            }),
            log_end: (!server.runs && server.log.is_some()).then_some(position),
            waits: server.told,
        }
    }

    /// Looks, decides, writes down, and acts, as far as the engine lives: it dies before the act `dies_at`.
    pub(crate) fn turn(&mut self, dies_at: Option<usize>) -> Decision {
        for server in self.servers.iter_mut().filter(|server| server.runs && !server.hangs && server.hears) {
            (server.waits, server.hears, server.told) = (true, false, Some(true));
        }
        let seen = self.look();
        let decision = decide(&self.policy, &mut self.memory, &seen);
        let once = self.memory.clone();
        let mut again = self.memory.clone();
        if seen.asked.is_none()
            && again.lasting() == self.kept
            && !decision.acts.iter().any(|act| matches!(act, Act::Stop { .. }))
        {
            // Nothing changed: deciding again says the same. That a standby is put right is said once, and then waited for.
            assert_eq!(decide(&self.policy, &mut again, &seen), decision);
            assert_eq!(again, once);
        }
        assert!(seen.asked.is_none() || !decision.events.is_empty(), "a wish is not told of: {decision:?}");
        self.kept = self.memory.lasting();
        self.asked = None;
        self.led = decision.leads_to.or(self.led);
        for (place, act) in decision.acts.iter().enumerate() {
            if dies_at == Some(place) {
                break;
            }
            self.act(*act);
            self.check();
        }
        if dies_at.is_some() {
            let text = serde_json::to_string(&self.kept).unwrap();
            self.memory = serde_json::from_str(&text).unwrap();
            self.servers.iter_mut().for_each(|server| server.told = None);
        }
        self.last = decision.clone();
        decision
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Start { member, role } => self.start(member, role),
            Act::Fence { member } => self.kill(member),
            // Such a one takes no signal that asks.
            Act::Stop { member } if self.servers[member].hangs || self.servers[member].stays => {}
            Act::Stop { member } => {
                if self.servers[member].writes && self.servers[member].runs {
                    self.deliver(member, &[]);
                }
                self.kill(member);
            }
            Act::Promote { member } => {
                let newest = self.servers.iter().map(|server| server.timeline).max().unwrap_or(1);
                let server = &mut self.servers[member];
                if server.runs && !server.hangs && !server.writes && server.paused.is_none() {
                    (server.writes, server.timeline, server.follows) = (true, newest + 1, None);
                }
            }
            Act::Follow { member, of } => self.servers[member].follows = Some(of),
            Act::Wait { member } => (self.servers[member].hears, self.servers[member].told) = (true, None),
            Act::Alone { member } => self.release(member),
        }
    }

    /// Its commits wait for nobody from now on, nor do those that waited.
    fn release(&mut self, member: usize) {
        let server = &mut self.servers[member];
        if !server.runs || server.hangs {
            return;
        }
        (server.waits, server.hears, server.told) = (false, false, Some(false));
        if server.writes {
            self.acknowledged.extend(server.log.iter().flatten());
        }
    }

    fn start(&mut self, member: usize, role: Role) {
        assert!(!self.servers[member].runs, "a member that runs is not started");
        self.servers[member].failed = None;
        let waits = self.policy.synchronous;
        (self.servers[member].waits, self.servers[member].told) = (waits, Some(waits));
        self.servers[member].hears = false;
        if self.servers[member].broken {
            return;
        }
        match role {
            Role::Primary => {
                let server = &mut self.servers[member];
                server.log.get_or_insert_default();
                (server.runs, server.writes, server.follows) = (true, true, None);
                server.timeline = server.timeline.max(1);
            }
            Role::Standby { of, by } => {
                let source = self.servers[of].clone();
                let log = match (by, &self.servers[member].log) {
                    (Preparation::Nothing, log) => log.clone(),
                    (Preparation::Copy, _) if source.runs => source.log.clone(),
                    (Preparation::Rewind, Some(log)) if source.runs => {
                        let theirs = source.log.as_deref().unwrap_or_default();
                        Some(log.iter().zip(theirs).take_while(|(a, b)| a == b).map(|(a, _)| *a).collect())
                    }
                    (_, log) => {
                        let log = log.clone();
                        self.servers[member].failed = Some(by);
                        self.servers[member].log = log;
                        return;
                    }
                };
                let server = &mut self.servers[member];
                server.log = log;
                (server.runs, server.writes, server.follows) = (server.log.is_some(), false, Some(of));
            }
        }
    }

    /// What must hold at any moment.
    pub(crate) fn check(&self) {
        let writers = self.writers();
        assert!(writers.len() <= 1, "two primaries: {writers:?}");
        if self.policy.recovery_point.is_none()
            && let Some(place) = writers.first()
        {
            let log: BTreeSet<u64> = self.servers[*place].log.iter().flatten().copied().collect();
            let lost: Vec<_> = self.acknowledged.difference(&log).collect();
            assert!(lost.is_empty(), "member {place} lacks {lost:?}, which were acknowledged");
        }
    }

    /// Nothing happens any more: it comes to rest.
    pub(crate) fn settle(&mut self) {
        for _ in 0..2_000 {
            let decision = self.turn(None);
            let next = decision.again_at.max(self.now.after(Millis(10)));
            self.write(&[]);
            self.check();
            let primary = decision.leads_to.filter(|place| self.writers() == [*place]);
            let whole = primary.is_some_and(|primary| {
                (0..self.servers.len()).all(|place| place == primary || self.is_in_place(place))
            });
            let fit = self.memory.unfit.keys().all(|place| self.servers[*place].broken);
            let waits = !self.policy.synchronous
                || self.memory.alone.is_none()
                || (0..self.servers.len()).all(|place| !self.streams(place));
            if whole && waits && decision.acts.is_empty() && fit {
                return;
            }
            self.now = next;
        }
        panic!("it never comes to rest: {:#?}\n{:#?}\n{:#?}", self.last, self.memory, self.servers);
    }
}
