//! What the gateway does from time to time: shares, time-outs, the allowance for retries.

use super::{
    Event, NONE, WEIGH_EVERY, Word, World,
    state::{Stage, Where},
};
use plimsoll_control::route::{self, SeenReplica, Standing, budget};

impl World {
    /// Shares and time-outs of every service.
    pub(super) fn weigh_all(&mut self) {
        self.wheel.push(self.wheel.now() + WEIGH_EVERY, Event::Weigh);
        for station in 0..self.plan.services() {
            self.expire_late(station);
            self.refill(station);
            self.weigh(station, false);
        }
    }

    /// Weighs the replicas of a service. Between two looks at which nothing new was seen there is nothing to decide.
    pub(super) fn weigh(&mut self, station: usize, anew: bool) {
        let own = &self.stations[station];
        if own.settled && !anew && !self.is_idle_somewhere(station) {
            return;
        }
        let own = &mut self.stations[station];
        let at = super::instant(self.wheel.now());
        let seen = |index: &u32| {
            let replica = &self.replicas[*index as usize];
            SeenReplica {
                id: replica.id.clone(),
                start: u64::from(replica.process),
                serving: replica.serves(),
                gone: !replica.alive,
                weight: replica.weight,
                failures: replica.failures,
                answers: replica.answers,
                latency_us: own.view.get(replica.place as usize).map_or(0, |one| one.latency_us),
            }
        };
        let seen = route::Seen { at, replicas: own.viewed.iter().map(seen).collect() };
        let weighed = route::weigh(&own.resilience, &mut own.weights, &seen);
        let mut opened = false;
        let mut ejected = Vec::new();
        own.settled = true;
        for ((place, one), said) in weighed.iter().enumerate().zip(&seen.replicas) {
            let view = &mut own.view[place];
            if matches!(one.standing, Standing::Ejected { .. }) && view.open {
                ejected.push(own.viewed[place]);
            }
            let open = said.serving && !said.gone && one.share > 0;
            opened |= open && !view.open;
            *view = route::Replica { weight: said.weight, share: one.share, open, latency_us: one.latency_us, ..*view };
            own.settled &= matches!(one.standing, Standing::Full | Standing::Closed) && said.failures == 0;
            let replica = &mut self.replicas[own.viewed[place] as usize];
            replica.answers_weighed = replica.answers;
        }
        own.among.look(&own.view);
        for replica in ejected {
            self.figures.services[station].ejections += 1;
            self.note(Word::Ejected, replica, 0);
        }
        if opened && !self.stations[station].held.is_empty() {
            self.release_held(station);
        }
    }

    /// Whether a replica has a latency to be forgotten, since nothing came from it lately.
    fn is_idle_somewhere(&self, station: usize) -> bool {
        let own = &self.stations[station];
        own.viewed.iter().zip(&own.view).any(|(index, view)| {
            let replica = &self.replicas[*index as usize];
            view.latency_us > 0 && replica.answers == replica.answers_weighed
        })
    }

    /// Puts the replicas of a service before the gateway anew.
    pub(super) fn view(&mut self, station: usize) {
        let own = &mut self.stations[station];
        let former: Vec<(u32, route::Replica)> = own.viewed.iter().copied().zip(own.view.iter().copied()).collect();
        for (index, _) in &former {
            self.replicas[*index as usize].place = NONE;
        }
        let shown = |replica: &u32| matches!(self.replicas[*replica as usize].stage, Stage::Running | Stage::Stopping);
        own.viewed = own.members.iter().copied().filter(shown).collect();
        own.view.clear();
        for (place, index) in own.viewed.iter().enumerate() {
            let replica = &mut self.replicas[*index as usize];
            replica.place = place as u32;
            let known = former.iter().find(|(one, _)| one == index).map(|(_, known)| *known).unwrap_or_default();
            let open = known.open && replica.serves() && replica.alive;
            own.view.push(route::Replica { in_flight: replica.in_flight, open, ..known });
        }
        self.weigh(station, true);
    }

    /// A process died: the kernel tells the gateway at once.
    pub(super) fn unroute(&mut self, replica: u32) {
        let target = &self.replicas[replica as usize];
        let own = &mut self.stations[target.station];
        own.settled = false;
        if let Some(view) = own.view.get_mut(target.place as usize) {
            view.open = false;
            own.among.look(&own.view);
        }
    }

    /// Requests that have taken too long, and those that have waited too long.
    fn expire_late(&mut self, station: usize) {
        let now = self.wheel.now();
        while let Some((deadline, index, life)) = self.stations[station].deadlines.front().copied() {
            let call = &self.calls[index as usize];
            let done = call.life != life || call.due != deadline;
            if !done && deadline > now {
                break;
            }
            self.stations[station].deadlines.pop_front();
            if !done {
                self.expire(index, life);
            }
        }
        while let Some((until, index, generation)) = self.stations[station].held.front().copied() {
            let waits = self.is_at(index, generation, Where::Held);
            if waits && until > now {
                break;
            }
            self.stations[station].held.pop_front();
            if waits {
                self.give_up(index);
            }
        }
    }

    fn refill(&mut self, station: usize) {
        let (now, own) = (self.wheel.now(), &mut self.stations[station]);
        let (at, requests) = own.refilled;
        let elapsed = super::millis(now - at);
        let seen = budget::Seen { left: own.retries_left, requests: own.requests - requests, elapsed };
        own.retries_left = budget::refill(&own.resilience, seen);
        own.refilled = (now, own.requests);
    }
}
