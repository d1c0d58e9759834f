//! The way of a request through the gateway to a replica, and back.

use super::{
    Event, NONE, Word, World,
    observe::Outcome,
    state::{Call, Replica, Stage, Where},
};
use crate::plan::{LONGEST_NS, Plan, SECOND, ns};
use plimsoll_control::route::{
    Admission, Again, Failed, Hold, Version, admit,
    again::{self, TRIED_MAX, again},
    budget, hold, noted, pick, stick,
};

impl World {
    /// Chooses a replica for a request, or has it wait for one.
    pub(super) fn route(&mut self, index: u32) {
        let call = &self.calls[index as usize];
        let own = &mut self.stations[call.station as usize];
        let Some(service) = &self.plan.stations[call.station as usize].service else {
            let member = own.members[0];
            own.in_flight += 1;
            return self.send(index, member);
        };
        match admit(&service.limits, own.among.open(), own.in_flight) {
            Admission::Nobody => return self.hold(index),
            Admission::Full => return self.finish(index, Outcome::Shed),
            Admission::Choose => {}
        }
        let mut places = [0; TRIED_MAX];
        let tried = tried_places(call, &own.viewed, &self.replicas, &mut places);
        let cookie = match (&service.sticky, call.source) {
            (Some(_), source) if source != NONE => {
                self.sources[source as usize].cookies.get(call.user as usize).copied().filter(|one| *one != NONE)
            }
            _ => None,
        };
        let cookie = cookie.map(|replica| self.replicas[replica as usize].place as usize);
        let chosen = cookie.and_then(|place| stick(Version::Either, &own.view, tried, place));
        match chosen.or_else(|| own.among.pick(&own.view, tried, self.choices.bits())) {
            Some(place) => {
                let replica = own.viewed[place];
                if service.sticky.is_some() && call.source != NONE {
                    let cookies = &mut self.sources[call.source as usize].cookies;
                    if let Some(cookie) = cookies.get_mut(call.user as usize) {
                        *cookie = replica;
                    }
                }
                own.in_flight += 1;
                own.view[place].in_flight += 1;
                own.requests += u64::from(call.tries == 0);
                if call.due == 0 {
                    let due = self.wheel.now() + ns(service.limits.response);
                    own.deadlines.push_back((due, index, call.life));
                    self.calls[index as usize].due = due;
                }
                self.send(index, replica);
            }
            None => self.hold(index),
        }
    }

    /// A request waits for a replica that can take it, if it may.
    fn hold(&mut self, index: u32) {
        let now = self.wheel.now();
        let call = &mut self.calls[index as usize];
        let station = call.station as usize;
        let own = &mut self.stations[station];
        let Some(service) = &self.plan.stations[station].service else { return };
        let seen = hold::Seen {
            held: u32::try_from(own.held.len()).unwrap_or(u32::MAX),
            waited: super::millis(call.waited),
            left: (call.sends > 0).then(|| super::millis(call.due.saturating_sub(now))),
        };
        let Hold::For(most) = hold(&service.limits, &seen) else { return self.give_up(index) };
        (call.at, call.sent) = (Where::Held, now);
        if call.sends == 0 {
            // Waiting for a replica is not waiting for its answer.
            call.due = 0;
        }
        let until = now + ns(most);
        let place = own.held.partition_point(|one| one.0 <= until);
        own.held.insert(place, (until, index, call.generation));
        if own.scaler.is_some() && own.replicas == 0 {
            self.wheel.push(now, Event::Scale { station: station as u16 });
        }
    }

    /// No replica came for a request, or too many wait already.
    pub(super) fn give_up(&mut self, index: u32) {
        let outcome = if self.calls[index as usize].sends == 0 { Outcome::Held } else { Outcome::Broken };
        self.finish(index, outcome);
    }

    /// Requests that waited go on, now that somebody can take them.
    pub(super) fn release_held(&mut self, station: usize) {
        let waiting = std::mem::take(&mut self.stations[station].held);
        for (_, index, generation) in waiting {
            if self.is_at(index, generation, Where::Held) {
                let call = &mut self.calls[index as usize];
                call.at = Where::Way;
                call.waited += self.wheel.now() - call.sent;
                self.route(index);
            }
        }
    }

    /// A request goes to a replica, and counts there.
    fn send(&mut self, index: u32, replica: u32) {
        self.replicas[replica as usize].in_flight += 1;
        self.calls[index as usize].counted = true;
        self.go(index, replica);
    }

    /// A request is on its way to a replica.
    pub(super) fn go(&mut self, index: u32, replica: u32) {
        let now = self.wheel.now();
        let target = &self.replicas[replica as usize];
        let call = &mut self.calls[index as usize];
        call.replica = replica;
        call.sent = now;
        call.at = Where::Way;
        if usize::from(call.tries) < call.tried.len() {
            call.tried[usize::from(call.tries)] = replica;
        }
        call.tries = call.tries.saturating_add(1);
        let (generation, zone) = (call.generation, usize::from(call.zone));
        self.checkers.sent(
            (now, index),
            (replica, target.stage == Stage::Running && target.ready_since.is_some()),
            &call.tried[..usize::from(call.tries).min(call.tried.len())],
        );
        let to = target.zone;
        self.note(Word::Sent, index, replica);
        if self.is_cut(zone, to) {
            let connect = self.plan.stations[self.calls[index as usize].station as usize].service.as_ref();
            let connect = connect.map_or(SECOND, |service| ns(service.limits.connect));
            return self.wheel.push(now + connect, Event::Unconnected { call: index, generation });
        }
        match self.plan.way_ns(zone, to) {
            0 => self.reach(index, generation),
            way => self.wheel.push(now + way, Event::Reach { call: index, generation }),
        }
    }

    /// A request reaches its replica.
    pub(super) fn reach(&mut self, index: u32, generation: u32) {
        if !self.is_at(index, generation, Where::Way) {
            return;
        }
        let replica = self.calls[index as usize].replica;
        let target = &mut self.replicas[replica as usize];
        if target.clogged {
            return target.stuck.push((index, generation, false));
        }
        if !target.alive || target.warm_at > self.wheel.now() {
            return self.try_failed(index, Failed::Unsent);
        }
        let own = &self.plan.stations[target.station];
        let works = !target.hung && target.busy < own.workers;
        if !works && target.queue.len() >= own.queue {
            // As an application does that has too much to do: by 503.
            return self.try_failed(index, Failed::Failing);
        }
        let call = &mut self.calls[index as usize];
        call.place = target.inside.len() as u32;
        target.inside.push(index);
        if works {
            self.work(index);
        } else {
            call.at = Where::Queued;
            target.queue.push_back((index, generation));
        }
    }

    /// A worker takes a request.
    fn work(&mut self, index: u32) {
        let call = &mut self.calls[index as usize];
        call.at = Where::Working;
        let target = &mut self.replicas[call.replica as usize];
        let own = &self.plan.stations[target.station];
        let station = &mut self.stations[target.station];
        let milli = station.versions[target.version].times_milli;
        let special = if call.source == NONE { None } else { self.plan.sources[call.source as usize].time.as_ref() };
        let mut time = special.unwrap_or(&own.time).draw(&mut station.times);
        if milli != 1000 || target.slow_milli != 1000 {
            let times = milli.saturating_mul(target.slow_milli) / 1000;
            time = (time / 1000).saturating_mul(times).min(LONGEST_NS);
        }
        target.busy += 1;
        let cpu = if own.cpu.0 == 1_000_000 { time } else { time / 1000 * own.cpu.0 / 1000 };
        target.cpu_ns += cpu;
        station.busy_ns += cpu;
        station.worked_ns += time;
        let generation = call.generation;
        self.wheel.push(self.wheel.now() + time, Event::Worked { call: index, generation });
    }

    /// A replica has done its own part.
    pub(super) fn worked(&mut self, index: u32, generation: u32) {
        if !self.is_at(index, generation, Where::Working) {
            return;
        }
        let call = &mut self.calls[index as usize];
        let replica = call.replica;
        let target = &mut self.replicas[replica as usize];
        if target.hung {
            return target.parked.push((index, generation));
        }
        let errors = self.stations[target.station].versions[target.version].errors;
        let own = &self.plan.stations[target.station];
        let calls = calls_of(&self.plan, call, target.station);
        call.failed = errors > 0 && self.failing.happens(errors);
        if calls.is_empty() || call.failed {
            self.leave_worker(replica);
            return self.answer(index);
        }
        call.at = Where::Calling;
        call.stage = 0;
        call.left = calls[0].1;
        if !own.blocking {
            self.leave_worker(replica);
        }
        self.call_next(index);
    }

    /// A worker is free for the next one.
    fn leave_worker(&mut self, replica: u32) {
        self.replicas[replica as usize].busy -= 1;
        self.feed(replica);
    }

    /// Workers that are free take what waits.
    pub(super) fn feed(&mut self, replica: u32) {
        loop {
            let target = &mut self.replicas[replica as usize];
            let most = self.plan.stations[target.station].workers;
            if target.hung || !target.alive || target.busy >= most {
                return;
            }
            let Some((index, generation)) = target.queue.pop_front() else { return };
            if self.is_at(index, generation, Where::Queued) {
                self.work(index);
            }
        }
    }

    /// The next of the calls that a request makes, or its answer.
    fn call_next(&mut self, index: u32) {
        let call = &mut self.calls[index as usize];
        let target = &self.replicas[call.replica as usize];
        let calls = calls_of(&self.plan, call, target.station);
        while call.left == 0 && (call.stage as usize) < calls.len() {
            call.stage += 1;
            call.left = calls.get(call.stage as usize).map_or(0, |next| next.1);
        }
        let Some((to, _)) = calls.get(call.stage as usize) else {
            let (replica, blocking) = (call.replica, self.plan.stations[target.station].blocking);
            if blocking {
                self.leave_worker(replica);
            }
            return self.answer(index);
        };
        call.left -= 1;
        let (generation, zone) = (call.generation, target.zone);
        let child = Call { parent: index, parent_generation: generation, ..Call::of(*to as usize, zone) };
        let child = self.new_call(child);
        self.route(child);
    }

    /// A replica answers.
    fn answer(&mut self, index: u32) {
        let call = &mut self.calls[index as usize];
        call.at = Where::Back;
        let (generation, zone, replica) = (call.generation, usize::from(call.zone), call.replica);
        self.come_out(index);
        let target = &mut self.replicas[replica as usize];
        let cut = zone != target.zone && (self.unreachable[zone] || self.unreachable[target.zone]);
        if target.clogged || cut {
            return target.stuck.push((index, generation, true));
        }
        match self.plan.way_ns(target.zone, zone) {
            0 => self.answered(index, generation),
            way => self.wheel.push(self.wheel.now() + way, Event::Answered { call: index, generation }),
        }
    }

    /// An answer reaches whoever asked.
    pub(super) fn answered(&mut self, index: u32, generation: u32) {
        if !self.is_at(index, generation, Where::Back) {
            return;
        }
        let call = self.calls[index as usize];
        self.judge_try(index, None);
        self.finish(index, if call.failed { Outcome::Error } else { Outcome::Right });
    }

    /// What the gateway makes of one try: figures of the replica. An error of the application is no failure of it.
    fn judge_try(&mut self, index: u32, failed: Option<Failed>) {
        let good = failed.is_none();
        let call = &mut self.calls[index as usize];
        if !std::mem::take(&mut call.counted) {
            return;
        }
        let took = self.wheel.now() - call.sent;
        let target = &mut self.replicas[call.replica as usize];
        let station = &mut self.stations[target.station];
        target.in_flight -= 1;
        station.in_flight -= 1;
        target.answers += 1;
        if let Some(counts) = station.span.get_mut(&target.version) {
            counts.requests += 1;
            counts.errors += u64::from(!good || call.failed);
            counts.latencies.add(took / 1000, 1);
        }
        target.failures = if good { 0 } else { target.failures + 1 };
        if let Some(seen) = station.view.get_mut(target.place as usize) {
            seen.in_flight = target.in_flight;
            if good || failed == Some(Failed::Failing) {
                seen.latency_us = noted::latency(seen.latency_us, took / 1000);
            }
            station.settled &= good;
        }
        if target.ending.is_some() && target.in_flight == 0 {
            let (replica, process) = (call.replica, target.process);
            self.wheel.push(self.wheel.now(), Event::Ending { replica, process });
        }
    }

    /// A connection could not be made in time.
    pub(super) fn unconnected(&mut self, index: u32, generation: u32) {
        if self.is_at(index, generation, Where::Way) {
            self.try_failed(index, Failed::Unsent);
        }
    }

    /// One try failed: perhaps another replica answers.
    pub(super) fn try_failed(&mut self, index: u32, failed: Failed) {
        self.judge_try(index, Some(failed));
        let call = &mut self.calls[index as usize];
        call.at = Where::Way;
        call.sends += u8::from(failed != Failed::Unsent);
        let may_go_on = !call.synthetic && self.plan.stations[call.station as usize].service.is_some();
        if may_go_on && self.may_try_again(index, failed) {
            return self.route(index);
        }
        self.finish(index, if failed == Failed::Failing { Outcome::Refused } else { Outcome::Broken });
    }

    /// Whether a request goes to another replica. Every request that is imagined may be sent twice.
    fn may_try_again(&mut self, index: u32, failed: Failed) -> bool {
        let call = &self.calls[index as usize];
        let own = &mut self.stations[call.station as usize];
        let mut places = [0; TRIED_MAX];
        let tried = tried_places(call, &own.viewed, &self.replicas, &mut places);
        let seen = again::Seen {
            failed,
            tried: call.tries.into(),
            sent: call.sends.into(),
            repeatable: true,
            whole: true,
            other: failed == Failed::Failing && pick(&own.view, tried, 0).is_some(),
        };
        match again(&own.resilience, &seen) {
            Again::No => false,
            Again::Free => true,
            Again::Allowed => match budget::take(own.retries_left) {
                Some(left) => {
                    own.retries_left = left;
                    true
                }
                None => false,
            },
        }
    }

    /// Whoever asked has their answer, or knows that there is none.
    pub(super) fn finish(&mut self, index: u32, outcome: Outcome) {
        let call = self.calls[index as usize];
        self.free_call(index);
        self.hand_back(&call, index, outcome);
    }

    /// Tells whoever waits for a request how it ended.
    pub(super) fn hand_back(&mut self, call: &Call, index: u32, outcome: Outcome) {
        if call.abandoned {
            return;
        }
        if call.parent != NONE {
            if self.is_at(call.parent, call.parent_generation, Where::Calling) {
                self.resume(call.parent, outcome);
            }
            return;
        }
        if call.synthetic {
            return self.count_synthetic(call, outcome);
        }
        if call.source == NONE {
            return;
        }
        let now = self.wheel.now();
        self.note(Word::Done, index, outcome as u32);
        self.checkers.answered();
        self.figures.record(call.source as usize, outcome, now - call.begun);
        let retries = self.plan.sources[call.source as usize].retries;
        if outcome != Outcome::Right && call.asked < retries {
            return self.ask(call.source as u16, call.user, call.asked + 1);
        }
        self.think(call.source, call.user);
    }

    /// What a request called is there: it goes on, or fails with it.
    fn resume(&mut self, index: u32, outcome: Outcome) {
        if outcome == Outcome::Right {
            return self.call_next(index);
        }
        let call = &mut self.calls[index as usize];
        call.failed = true;
        let replica = call.replica;
        if self.plan.stations[self.replicas[replica as usize].station].blocking {
            self.leave_worker(replica);
        }
        self.answer(index);
    }

    /// A request has taken too long: its caller is told, the replica goes on with it for nobody.
    pub(super) fn expire(&mut self, index: u32, life: u32) {
        let call = self.calls[index as usize];
        if call.life != life || call.abandoned || matches!(call.at, Where::Free) {
            return;
        }
        self.judge_try(index, Some(Failed::Late));
        let inside = matches!(call.at, Where::Queued | Where::Working | Where::Calling);
        if inside {
            self.calls[index as usize].abandoned = true;
        } else {
            self.free_call(index);
        }
        self.hand_back(&call, index, Outcome::TimedOut);
    }

    /// A request is no longer inside its replica.
    fn come_out(&mut self, index: u32) {
        let (replica, place) = (self.calls[index as usize].replica, self.calls[index as usize].place);
        if place == NONE {
            return;
        }
        let inside = &mut self.replicas[replica as usize].inside;
        inside.swap_remove(place as usize);
        if let Some(moved) = inside.get(place as usize) {
            self.calls[*moved as usize].place = place;
        }
        self.calls[index as usize].place = NONE;
    }

    /// A process is gone, and with it everything that it worked on.
    pub(super) fn break_inside(&mut self, replica: u32) {
        let target = &mut self.replicas[replica as usize];
        target.busy = 0;
        target.queue.clear();
        target.parked.clear();
        let inside = std::mem::take(&mut target.inside);
        let stuck = std::mem::take(&mut target.stuck);
        for index in inside {
            let call = &mut self.calls[index as usize];
            call.place = NONE;
            if call.abandoned {
                self.free_call(index);
            } else {
                // A former try's work is passed over by its place: what it calls finds nobody.
                call.generation = call.generation.wrapping_add(1);
                self.try_failed(index, Failed::Broken);
            }
        }
        for (index, generation, _) in stuck {
            let call = &self.calls[index as usize];
            if call.generation != generation || call.at == Where::Free {
                continue;
            }
            if call.abandoned {
                self.free_call(index);
            } else {
                self.try_failed(index, Failed::Broken);
            }
        }
    }

    /// Nothing comes through between two zones.
    pub(super) fn is_cut(&self, one: usize, other: usize) -> bool {
        one != other && (self.unreachable[one] || self.unreachable[other])
    }

    pub(super) fn is_at(&self, index: u32, generation: u32, place: Where) -> bool {
        let call = &self.calls[index as usize];
        call.generation == generation && call.at == place
    }
}

/// The places in the gateway's view of the replicas that a request was sent to.
fn tried_places<'p>(
    call: &Call,
    viewed: &[u32],
    replicas: &[Replica],
    places: &'p mut [usize; TRIED_MAX],
) -> &'p [usize] {
    let mut count = 0;
    for replica in call.tried.iter().take(call.tries.into()) {
        let place = replicas[*replica as usize].place;
        if place != NONE && viewed.get(place as usize) == Some(replica) {
            places[count] = place as usize;
            count += 1;
        }
    }
    &places[..count]
}

/// What a request makes its station call.
fn calls_of<'p>(plan: &'p Plan, call: &Call, station: usize) -> &'p [(u32, u32)] {
    let special = if call.source == NONE { None } else { plan.sources[call.source as usize].calls.as_ref() };
    special.unwrap_or(&plan.stations[station].calls)
}
