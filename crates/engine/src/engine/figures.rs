//! What gateways tell, all of them together.

use super::Engine;
use crate::figures;
use plimsoll_model::ReplicaId;
use plimsoll_wire::{gateway::Figures, keeper::Spawn};
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::watch;

/// How often gateways are asked when nothing waits for their answer.
const CALM: Duration = Duration::from_secs(1);
/// How often while a replica is being drained.
const HURRY: Duration = Duration::from_millis(10);
/// The process id of the first gateway.
pub(super) const FIRST: &str = "gateway";

/// The gateways that can be reached, with their last figures.
pub(crate) struct Gateways {
    figures: BTreeMap<String, Figures>,
    former: BTreeMap<String, Figures>,
    pace: watch::Sender<Duration>,
}

impl Default for Gateways {
    fn default() -> Self {
        Self { figures: BTreeMap::new(), former: BTreeMap::new(), pace: watch::channel(CALM).0 }
    }
}

impl Gateways {
    /// A gateway told its figures, or can't be reached.
    pub(super) fn take(&mut self, gateway: String, figures: Option<Figures>) {
        match figures {
            Some(figures) => {
                if let Some(former) = self.figures.insert(gateway.clone(), figures) {
                    self.former.insert(gateway, former);
                }
            }
            None => {
                self.figures.remove(&gateway);
                self.former.remove(&gateway);
            }
        }
    }

    /// No gateway can be reached.
    pub(super) fn is_empty(&self) -> bool {
        self.figures.is_empty()
    }

    /// Requests that a replica has not answered.
    pub(super) fn in_flight(&self, id: &ReplicaId) -> u64 {
        let name = id.to_string();
        self.figures.values().filter_map(|figures| figures.replicas.get(&name)).map(|replica| replica.in_flight).sum()
    }

    /// The edition that every gateway serves at least; `None` when there is no gateway.
    pub(super) fn edition_served_by_all(&self) -> Option<u64> {
        self.figures.values().map(|figures| figures.edition).min()
    }

    /// Asks more often while somebody waits for it.
    pub(super) fn pace(&self, hurry: bool) {
        let wanted = if hurry { HURRY } else { CALM };
        self.pace.send_if_modified(|pace| std::mem::replace(pace, wanted) != wanted);
    }

    /// Requests a second to a service, between the last two answers of each gateway.
    pub(super) fn requests_per_second(&self, service: &str) -> f64 {
        let count = |figures: &Figures| -> u64 {
            let of = |name: &str| name.rsplit_once('-').is_some_and(|(owner, _)| owner == service);
            figures.replicas.iter().filter(|(name, _)| of(name)).map(|(_, replica)| replica.requests).sum()
        };
        let rate = |(name, now): (&String, &Figures)| {
            let former = self.former.get(name).filter(|former| former.epoch == now.epoch)?;
            let seconds = now.at.saturating_sub(former.at) as f64 / 1e6;
            (seconds > 0.0).then(|| count(now).saturating_sub(count(former)) as f64 / seconds)
        };
        self.figures.iter().filter_map(rate).sum()
    }

    /// All of them.
    pub(super) fn all(&self) -> &BTreeMap<String, Figures> {
        &self.figures
    }
}

impl Engine {
    /// Has the keeper start the gateway (or finds that it runs), and follows its figures.
    pub(super) fn start_gateway(&self) {
        let state = self.place.state.display().to_string();
        let spawn = Spawn {
            id: FIRST.into(),
            program: self.program.display().to_string(),
            args: ["gateway", "--state", &state, "--id", FIRST].map(str::to_owned).to_vec(),
            env: own_environment(),
            log: Some(FIRST.into()),
            channel: true,
            respawn: true,
            ..Spawn::default()
        };
        let keeper = self.keeper.clone();
        tokio::task::spawn_local(async move { keeper.spawn(spawn).await });
    }

    /// Follows the gateway's figures for ever.
    pub(super) fn follow_gateway(&self) {
        let socket = self.place.gateway_socket(FIRST);
        tokio::task::spawn_local(figures::follow(
            FIRST.into(),
            socket,
            self.gateways.pace.subscribe(),
            self.inputs.clone(),
        ));
    }
}

/// What Plimsoll's own processes need of the environment.
fn own_environment() -> Vec<(String, String)> {
    const NAMES: [&str; 5] = ["PATH", "HOME", "RUST_BACKTRACE", "PLIMSOLL_WORKERS", "TMPDIR"];
    NAMES.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}
