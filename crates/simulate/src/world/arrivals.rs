//! Requests come: open streams at a rate, people who think between two requests.

use super::{
    Event, NONE, Word, World,
    observe::Outcome,
    state::{Call, Where},
};
use crate::plan::{LONGEST_NS, SECOND};
use plimsoll_control::route::{again::TRIED_MAX, limit::limit};

impl World {
    pub(super) fn begin_traffic(&mut self) {
        for source in 0..self.plan.sources.len() {
            let index = source as u16;
            let Some((count, think, stay)) = self.plan.sources[source].users else {
                self.change_course(index);
                continue;
            };
            self.change_course(index);
            if let Some(at) = self.plan.sources[source].at_once_ns {
                (0..count).for_each(|user| self.wheel.push(at, Event::Thought { source: index, user }));
                continue;
            }
            for user in 0..count {
                let own = &mut self.sources[source];
                let first = scaled(self.unit.draw(&mut own.draws), think as f64);
                own.stay_until[user as usize] = scaled(self.unit.draw(&mut own.draws), stay as f64);
                self.wheel.push(first, Event::Thought { source: index, user });
            }
        }
    }

    /// A new pace from now on. Arrivals are memoryless, so the next one is drawn anew.
    pub(super) fn change_course(&mut self, source: u16) {
        let now = self.wheel.now();
        let (pace, until) = self.plan.sources[usize::from(source)].course.at(now);
        let own = &mut self.sources[usize::from(source)];
        own.pace = pace;
        own.gap = if pace > 0.0 { 1.0 / pace } else { 0.0 };
        own.turn += 1;
        if until < u64::MAX {
            self.wheel.push(until, Event::Change { source });
        }
        if self.plan.sources[usize::from(source)].users.is_none() {
            self.next_arrival(source);
        }
    }

    fn next_arrival(&mut self, source: u16) {
        let own = &mut self.sources[usize::from(source)];
        if own.pace <= 0.0 {
            return;
        }
        let gap = ((self.unit.draw(&mut own.draws) as f64 * own.gap) as u64).min(LONGEST_NS);
        let turn = own.turn;
        self.wheel.push(self.wheel.now() + gap, Event::Arrive { source, turn });
    }

    /// The next request of an open stream.
    pub(super) fn arrive(&mut self, source: u16, turn: u32) {
        let own = &mut self.sources[usize::from(source)];
        if own.turn != turn {
            return;
        }
        let clients = self.plan.sources[usize::from(source)].clients;
        let user = if own.limits.is_empty() { 0 } else { own.draws.below(u64::from(clients)) as u32 };
        self.next_arrival(source);
        self.ask(source, user, 0);
    }

    /// A person asks; perhaps another one by now.
    pub(super) fn ask_as(&mut self, source: u16, user: u32) {
        let now = self.wheel.now();
        let stay = self.plan.sources[usize::from(source)].users.map_or(0, |users| users.2);
        let own = &mut self.sources[usize::from(source)];
        if stay > 0 && own.stay_until[user as usize] <= now {
            own.cookies[user as usize] = NONE;
            own.stay_until[user as usize] = now + scaled(self.unit.draw(&mut own.draws), stay as f64);
        }
        self.ask(source, user, 0);
    }

    /// A client sends a request; `asked` times before it did so in vain.
    pub(super) fn ask(&mut self, source: u16, user: u32, asked: u8) {
        let index = usize::from(source);
        let plan = &self.plan.sources[index];
        let (station, zone) = (plan.station, plan.zone);
        self.figures.sources[index].asked += 1;
        self.checkers.asked();
        let call = self.new_call(Call { source: source.into(), user, asked, ..Call::of(station, zone) });
        self.note(Word::Asked, call, source.into());
        if let Some(policy) = &self.plan.sources[index].limit {
            let everyone = matches!(policy.by, plimsoll_model::route::LimitBy::Everyone);
            let at = super::instant(self.wheel.now());
            let memory = &mut self.sources[index].limits[if everyone { 0 } else { user as usize }];
            if !limit(policy, memory, at).allowed {
                return self.finish(call, Outcome::Limited);
            }
        }
        self.route(call);
    }

    /// A person has an answer, and thinks.
    pub(super) fn think(&mut self, source: u32, user: u32) {
        let plan = &self.plan.sources[source as usize];
        let Some((_, think, _)) = plan.users.filter(|_| plan.at_once_ns.is_none()) else { return };
        let own = &mut self.sources[source as usize];
        let pace = if own.pace > 0.0 { own.pace } else { 1e-6 };
        let time = scaled(self.unit.draw(&mut own.draws), think as f64 / pace);
        self.wheel.push(self.wheel.now() + time, Event::Thought { source: source as u16, user });
    }

    pub(super) fn new_call(&mut self, mut call: Call) -> u32 {
        call.begun = self.wheel.now();
        if let Some(index) = self.free_calls.pop() {
            let place = &mut self.calls[index as usize];
            (call.generation, call.life) = (place.generation, place.life);
            *place = call;
            return index;
        }
        self.calls.push(call);
        (self.calls.len() - 1) as u32
    }

    pub(super) fn free_call(&mut self, index: u32) {
        let call = &mut self.calls[index as usize];
        debug_assert!(call.at != Where::Free, "a call is freed once");
        call.at = Where::Free;
        call.source = NONE;
        call.parent = NONE;
        call.generation = call.generation.wrapping_add(1);
        call.life = call.life.wrapping_add(1);
        self.free_calls.push(index);
    }
}

impl Call {
    /// A request to `station` by somebody in `zone`.
    pub(super) fn of(station: usize, zone: usize) -> Self {
        Self {
            generation: 0,
            life: 0,
            parent: NONE,
            parent_generation: 0,
            source: NONE,
            user: NONE,
            station: station as u32,
            replica: NONE,
            place: NONE,
            begun: 0,
            sent: 0,
            waited: 0,
            due: 0,
            tried: [NONE; TRIED_MAX],
            tries: 0,
            sends: 0,
            asked: 0,
            failed: false,
            abandoned: false,
            counted: false,
            synthetic: false,
            at: Where::Way,
            stage: 0,
            left: 0,
            zone: zone as u16,
        }
    }
}

/// A draw of mean a second, stretched to another mean in nanoseconds.
fn scaled(unit_ns: u64, mean_ns: f64) -> u64 {
    ((unit_ns as f64 / SECOND as f64 * mean_ns) as u64).min(LONGEST_NS)
}
