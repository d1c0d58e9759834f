//! Requests that nobody made: what the gateway asks both versions of a service while a release is judged and its users ask too
//! little. Whether is decided by `control::rollout`, and who gets the next ones by `control::route`.
//!
//! Invariant: as in the gateway, they count for the version that answered them, told apart, and nowhere else: not as requests
//! in flight, not as failures for which a replica is left out, not for the allowance of retries, not for a client.

use super::{
    Event, World,
    observe::Outcome,
    state::{Call, Synthetic},
};
use crate::plan::{SECOND, ns};
use plimsoll_control::route::version::synthetic_twins;
use plimsoll_model::RevisionId;

impl World {
    /// These versions of a service are to be asked so often from now on; none: nobody is.
    pub(super) fn ask_synthetic(&mut self, station: usize, revisions: &[RevisionId], per_second: u32) {
        let own = &mut self.stations[station];
        let place = |revision: &RevisionId| own.versions.iter().position(|one| one.id == *revision);
        own.synthetic.versions = match revisions {
            [one, other] => place(one).zip(place(other)).map(|(one, other)| [one, other]),
            _ => None,
        };
        own.synthetic.every = SECOND / u64::from(per_second.max(1));
        if own.synthetic.versions.is_some() && !own.synthetic.begun {
            own.synthetic.begun = true;
            self.wheel.push(self.wheel.now(), Event::Synthetic { station: station as u16 });
        }
    }

    /// One replica of each version is asked, as long as they are to be.
    pub(super) fn ask_both(&mut self, station: usize) {
        let own = &mut self.stations[station];
        let Some(versions) = own.synthetic.versions else {
            own.synthetic.begun = false;
            return;
        };
        let open = |version: usize| -> Vec<usize> {
            let members = own.viewed.iter().map(|index| *index as usize);
            let serves = |index: &usize| self.replicas[*index].serves() && self.replicas[*index].alive;
            members.filter(|index| self.replicas[*index].version == version).filter(serves).collect()
        };
        let [one, other] = versions.map(open);
        // Which path is asked makes no difference here.
        let twins = synthetic_twins([&one, &other], 1, own.synthetic.turn, own.synthetic.under_way);
        own.synthetic.turn += 1;
        let next = self.wheel.now() + own.synthetic.every;
        self.wheel.push(next, Event::Synthetic { station: station as u16 });
        for replica in twins.into_iter().flat_map(|twins| twins.places) {
            self.send_synthetic(station, replica as u32);
        }
    }

    fn send_synthetic(&mut self, station: usize, replica: u32) {
        let now = self.wheel.now();
        let limits = self.plan.stations[station].service.as_ref().map(|service| &service.limits);
        let due = now + limits.map_or(SECOND, |limits| ns(limits.response));
        let index =
            self.new_call(Call { synthetic: true, due, ..Call::of(station, self.replicas[replica as usize].zone) });
        let own = &mut self.stations[station];
        own.synthetic.under_way += 1;
        own.deadlines.push_back((due, index, self.calls[index as usize].life));
        self.figures.services[station].synthetic += 1;
        self.go(index, replica);
    }

    /// A synthetic request has ended.
    pub(super) fn count_synthetic(&mut self, call: &Call, outcome: Outcome) {
        let own = &mut self.stations[call.station as usize];
        own.synthetic.under_way -= 1;
        let Some(counts) = own.span.get_mut(&self.replicas[call.replica as usize].version) else { return };
        let failed = u64::from(outcome != Outcome::Right);
        counts.requests += 1;
        counts.errors += failed;
        counts.synthetic.requests += 1;
        counts.synthetic.errors += failed;
        if matches!(outcome, Outcome::Right | Outcome::Error | Outcome::Refused) {
            let took_us = (self.wheel.now() - call.begun) / 1000;
            counts.latencies.add(took_us, 1);
            counts.synthetic.latencies.add(took_us, 1);
        }
    }
}

impl Synthetic {
    /// Nobody is asked.
    pub(super) fn none() -> Self {
        Self { versions: None, every: SECOND, begun: false, turn: 0, under_way: 0 }
    }
}
