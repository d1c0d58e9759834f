//! What gateways tell, all of them together.

use super::Engine;
use crate::{figures, input::Input};
use plimsoll_control::upgrade::gateway_name;
use plimsoll_model::{EdgeId, Instant, Millis, ReplicaId};
use plimsoll_wire::{
    gateway::{Figures, ReplicaFigures},
    keeper::Spawn,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{sync::watch, task::AbortHandle};

/// How often gateways are asked when nothing waits for their answer.
const CALM: Duration = Duration::from_secs(1);
/// How often while a replica is being drained.
const HURRY: Duration = Duration::from_millis(10);
/// How often while a release is judged.
const RELEASE: Duration = Duration::from_millis(200);
/// How often while traffic decides about numbers of replicas.
const TRAFFIC: Duration = Duration::from_millis(50);

/// The gateways that can be reached, with their last figures.
pub(crate) struct Gateways {
    figures: BTreeMap<String, Figures>,
    /// The figures before, and when the two were told.
    former: BTreeMap<String, (Figures, Instant, Instant)>,
    told_at: BTreeMap<String, Instant>,
    /// What a gateway that can't be reached any more had in flight by its last figures, and when it told them.
    last: BTreeMap<String, (u64, Instant)>,
    /// Requests since this engine began to look, all gateways together: to each service, and (without a name) by the ingress.
    totals: BTreeMap<String, u64>,
    followed: BTreeMap<String, AbortHandle>,
    /// Those of which it is not known yet whether they can be reached.
    unheard: BTreeSet<String>,
    pace: watch::Sender<Duration>,
}

/// Who waits for figures, the most urgent one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Nobody.
    Calm,
    /// A release that is judged by what its versions answer.
    Release,
    /// An autoscaler that goes by traffic.
    Traffic,
    /// A replica that is being drained, or a store whose primary hands over.
    Drain,
}

impl Default for Gateways {
    fn default() -> Self {
        Self {
            figures: BTreeMap::new(),
            former: BTreeMap::new(),
            told_at: BTreeMap::new(),
            last: BTreeMap::new(),
            totals: BTreeMap::new(),
            followed: BTreeMap::new(),
            unheard: BTreeSet::new(),
            pace: watch::channel(CALM).0,
        }
    }
}

impl Gateways {
    /// A gateway told its figures, or can't be reached.
    pub(super) fn take(&mut self, gateway: String, figures: Option<Figures>, at: Instant) {
        self.unheard.remove(&gateway);
        match figures {
            Some(figures) => {
                self.count(&gateway, &figures);
                let then = self.told_at.insert(gateway.clone(), at);
                if let (Some(former), Some(then)) = (self.figures.insert(gateway.clone(), figures), then) {
                    self.former.insert(gateway, (former, then, at));
                }
            }
            None => {
                self.set_aside(&gateway);
                self.former.remove(&gateway);
            }
        }
    }

    /// Takes the last figures of a gateway away, and remembers what was in flight.
    fn set_aside(&mut self, gateway: &str) {
        let (figures, told_at) = (self.figures.remove(gateway), self.told_at.remove(gateway));
        if let Some((figures, at)) = figures.zip(told_at) {
            let given: u64 = figures.replicas.values().map(|replica| replica.in_flight).sum();
            let held: u64 = figures.held.values().sum();
            self.last.insert(gateway.to_owned(), (given + held, at));
        }
    }

    /// The process of a gateway has ended: what it had in flight when it was last heard is what is told of it, whoever
    /// comes after it.
    pub(super) fn ended(&mut self, gateway: &str) {
        self.set_aside(gateway);
    }

    /// Of a gateway that was started again, for a person: what its former process had in flight.
    pub(super) fn lost(&mut self, gateway: &str, now: Instant) -> String {
        match self.last.remove(gateway) {
            None => "how many requests it had in flight is not known".into(),
            Some((0, at)) => format!("no request was in flight when it was last heard, {} before", now.since(at)),
            Some((count, at)) => {
                let (noun, was) = if count == 1 { ("request", "was") } else { ("requests", "were") };
                format!(
                    "{count} {noun} {was} in flight when it was last heard, {} before: what was in flight is lost",
                    now.since(at)
                )
            }
        }
    }

    /// Counts the requests since a gateway's last answer.
    fn count(&mut self, gateway: &str, now: &Figures) {
        let Some(former) = self.figures.get(gateway).filter(|former| former.epoch == now.epoch) else { return };
        for (replica, figures) in &now.replicas {
            let then = former.replicas.get(replica).map_or(0, |former| former.requests);
            let new = figures.requests.saturating_sub(then);
            if let Some(service) = ReplicaId::owner_in(replica).filter(|_| new > 0) {
                *self.totals.entry(service.to_owned()).or_default() += new;
            }
        }
        let by_ingress = |figures: &Figures| -> u64 {
            let routes = figures.routes.iter().filter(|(route, _)| !EdgeId::is_named(route));
            routes.map(|(_, route)| route.requests).sum()
        };
        *self.totals.entry(String::new()).or_default() += by_ingress(now).saturating_sub(by_ingress(former));
    }

    /// Requests since this engine began to look: to a service, or (without a name) by the ingress.
    pub(super) fn total(&self, of: &str) -> u64 {
        self.totals.get(of).copied().unwrap_or(0)
    }

    /// What a gateway told last, what it told before that, and the time between; `None` when that can't be compared.
    pub(super) fn last_span(&self, gateway: &str) -> Option<(&Figures, &Figures, Millis)> {
        let now = self.figures.get(gateway)?;
        let (former, then, at) = self.former.get(gateway).filter(|(former, ..)| former.epoch == now.epoch)?;
        Some((now, former, at.since(*then)))
    }

    /// Requests for a service that wait for a replica now.
    pub(super) fn held(&self, service: &str) -> u64 {
        self.figures.values().filter_map(|figures| figures.held.get(service)).sum()
    }

    /// No gateway can be reached.
    pub(super) fn is_empty(&self) -> bool {
        self.figures.is_empty() && self.unheard.is_empty()
    }

    /// Every gateway that can be reached serves that edition, or a later one.
    pub(super) fn serve(&self, edition: u64) -> bool {
        self.unheard.is_empty() && self.figures.values().all(|figures| figures.edition >= edition)
    }

    /// Requests of a service that other gateways than this one have in flight.
    pub(super) fn in_flight_elsewhere(&self, gateway: &str, service: &str) -> u64 {
        let others =
            self.figures.iter().filter(|(name, _)| *name != gateway).flat_map(|(_, figures)| &figures.replicas);
        others.filter(|(replica, _)| is_of(replica, service)).map(|(_, replica)| replica.in_flight).sum()
    }

    /// Requests that a replica has not answered.
    pub(super) fn in_flight(&self, id: &ReplicaId) -> u64 {
        let name = id.to_string();
        self.figures.values().filter_map(|figures| figures.replicas.get(&name)).map(|replica| replica.in_flight).sum()
    }

    /// Requests that a replica was given, copies for a canary aside, since its gateways began to count.
    pub(super) fn requests(&self, id: &ReplicaId) -> u64 {
        let name = id.to_string();
        self.figures.values().filter_map(|figures| figures.replicas.get(&name)).map(ReplicaFigures::asked).sum()
    }

    /// Asks more often while somebody waits for it.
    pub(super) fn pace(&self, urgency: Urgency) {
        let wanted = match urgency {
            Urgency::Calm => CALM,
            Urgency::Release => RELEASE,
            Urgency::Traffic => TRAFFIC,
            Urgency::Drain => HURRY,
        };
        self.pace.send_if_modified(|pace| std::mem::replace(pace, wanted) != wanted);
    }

    /// Requests a second to a service, between the last two answers of each gateway.
    pub(super) fn requests_per_second(&self, service: &str) -> f64 {
        let count = |figures: &Figures| -> u64 {
            figures.replicas.iter().filter(|(name, _)| is_of(name, service)).map(|(_, replica)| replica.asked()).sum()
        };
        let rate = |name: &String| {
            let (now, former, span) = self.last_span(name)?;
            (span.0 > 0).then(|| count(now).saturating_sub(count(former)) as f64 * 1e3 / span.0 as f64)
        };
        self.figures.keys().filter_map(rate).sum()
    }

    /// All of them.
    pub(super) fn all(&self) -> &BTreeMap<String, Figures> {
        &self.figures
    }
}

/// Whether a replica's name is that of a service.
pub(super) fn is_of(replica: &str, service: &str) -> bool {
    ReplicaId::owner_in(replica) == Some(service)
}

impl Engine {
    /// A gateway told its figures: to be asked for later, and to those who decide by them.
    pub(super) fn take_figures(&mut self, gateway: String, figures: Option<Figures>) {
        let now = self.clock.now();
        if figures.is_some() && !self.gateways.followed.contains_key(&gateway) {
            // Said just before it was forgotten.
            return;
        }
        if let Some(figures) = &figures {
            self.take_ejections(&gateway, figures);
        }
        self.gateways.take(gateway.clone(), figures, now);
        self.sample_traffic(&gateway, now);
        self.sample_releases(&gateway);
    }

    /// Has the keeper start the gateway that serves (or finds that it runs), and follows its figures.
    pub(super) fn start_gateway(&mut self) {
        let number = self.current_gateway();
        self.spawn_gateway(number, self.program.display().to_string());
        self.follow_gateway(number);
    }

    /// Has the keeper start the gateway of that number from that program.
    pub(super) fn spawn_gateway(&self, number: u32, program: String) {
        let (id, state) = (gateway_name(number), self.place.state.display().to_string());
        let spawn = Spawn {
            program,
            args: ["gateway", "--state", &state, "--id", &id].map(str::to_owned).to_vec(),
            id,
            env: crate::own_environment(),
            log: Some(gateway_name(1)),
            channel: true,
            respawn: true,
            ..Spawn::default()
        };
        let (keeper, inputs) = (self.keeper.clone(), self.inputs.clone());
        tokio::task::spawn_local(async move {
            if let Err(error) = keeper.spawn(spawn).await {
                inputs.send(Input::GatewayRefused(error.to_string())).ok();
            }
        });
    }

    /// Follows a gateway's figures until it is forgotten.
    pub(super) fn follow_gateway(&mut self, number: u32) {
        let id = gateway_name(number);
        if self.gateways.followed.contains_key(&id) {
            return;
        }
        let socket = self.place.gateway_socket(&id);
        let follow = figures::follow(id.clone(), socket, self.gateways.pace.subscribe(), self.inputs.clone());
        self.gateways.unheard.insert(id.clone());
        self.gateways.followed.insert(id, tokio::task::spawn_local(follow).abort_handle());
    }

    /// That gateway is gone for good.
    pub(super) fn unfollow_gateway(&mut self, number: u32) {
        let id = gateway_name(number);
        if let Some(following) = self.gateways.followed.remove(&id) {
            following.abort();
        }
        self.gateways.take(id, None, self.clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_unrouted_before_every_gateway_was_heard() {
        let mut gateways = Gateways::default();
        assert!(gateways.is_empty() && gateways.serve(7), "there is none");
        gateways.unheard.extend(["a".to_owned(), "b".to_owned()]);
        assert!(!gateways.is_empty() && !gateways.serve(7));
        gateways.take("a".into(), Some(Figures { edition: 7, ..Figures::default() }), Instant(1));
        assert!(!gateways.serve(7), "the other one may still lead there");
        gateways.take("b".into(), None, Instant(2));
        assert!(!gateways.is_empty() && gateways.serve(7) && !gateways.serve(8));
    }
}
