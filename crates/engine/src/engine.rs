//! The engine's state, and what each input changes in it.
//!
//! The loop is: take inputs, [`Engine::turn`] (ask `control`, act), sleep until the next input or moment.

mod analysing;
mod auditing;
mod deciding;
mod disk;
mod ending;
mod exits;
mod figures;
mod gates;
mod launching;
mod ledger;
mod measuring;
mod offers;
mod orders;
mod preparing;
mod recovery;
mod releasing;
mod routing;
mod scaling;
mod sizing;
mod status;
mod storing;
mod turning;
mod upgrading;

use crate::{
    addresses::Addresses,
    clock::Clock,
    events::Events,
    input::Input,
    keeper::Keeper,
    oneshot::Oneshots,
    record::Record,
    recorder::Recorder,
    replica::{Replica, of_process},
    secrets::Secrets,
    serve,
};
use figures::Gateways;
use plimsoll_api::Status;
use plimsoll_control::upgrade::gateway_number;
use plimsoll_journal::entry::Entry;
use plimsoll_model::{Instant, ReplicaId, RevisionId};
use plimsoll_wire::{
    keeper::Event,
    place::{API, Place},
};
use releasing::Release;
use routing::Routes;
use scaling::Scaler;
use sizing::Sizers;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};
use storing::StoreState;
use tokio::{
    sync::{mpsc::UnboundedSender, oneshot},
    task::JoinHandle,
};
use upgrading::Upgrading;

/// The whole state of the engine.
pub(crate) struct Engine {
    place: Place,
    program: PathBuf,
    clock: Clock,
    keeper: Keeper,
    oneshots: Oneshots,
    inputs: UnboundedSender<Input>,
    record: Record,
    /// What is done about a disk that refuses.
    disk: plimsoll_control::disk::Memory,
    /// The flight recorder.
    recorder: Recorder,
    events: Events,
    secrets: Secrets,
    /// The wanted version of each service of the accepted system.
    revisions: BTreeMap<String, RevisionId>,
    replicas: BTreeMap<ReplicaId, Replica>,
    stores: BTreeMap<String, StoreState>,
    addresses: Addresses,
    /// The address of each listener that is bound, or why it isn't, by its name.
    listeners: BTreeMap<String, Result<String, String>>,
    /// Listeners that the keeper was asked to bind and has not answered about.
    binding: BTreeSet<String>,
    /// Listeners that were refused: how often in a row, and when they are asked for again.
    refused: BTreeMap<String, (u32, Instant)>,
    routes: Routes,
    gateways: Gateways,
    /// Who waits for whom, by service.
    waiting: BTreeMap<String, Vec<String>>,
    /// The autoscaler of each service that has one.
    scalers: BTreeMap<String, Scaler>,
    /// What is known of what replicas use.
    sizers: Sizers,
    /// The release of each service.
    releases: BTreeMap<String, Release>,
    /// Why a service is not to run what the file asks for, where another one is the reason or a person.
    goals_said: BTreeMap<String, String>,
    warnings: Vec<String>,
    keeper_pid: i32,
    /// Until then, adopted replicas are looked at before anything is decided.
    settle_until: Option<Instant>,
    finished: bool,
    /// The keeper is gone, and another one is being looked for.
    keeper_lost: bool,
    upgrading: Upgrading,
    /// Who waits until the system is ready, or stuck.
    arrivals: Vec<oneshot::Sender<Status>>,
    /// The task that serves the API.
    serving: Option<JoinHandle<()>>,
}

impl Engine {
    /// Takes one input in.
    pub(crate) fn take(&mut self, input: Input) {
        match input {
            Input::Keeper(event) => self.take_event(event),
            Input::KeeperLost => self.lose_keeper(),
            Input::KeeperBack(took) => self.take_keeper_back(took),
            Input::Launched { replica, attempt, result } => self.take_launched(&replica, attempt, result),
            Input::Probed { process, mut outcome, detail } => {
                outcome.at = self.clock.now();
                if let Some(replica) = self.by_process(&process) {
                    replica.under_way.retain(|kind| *kind != outcome.probe);
                    replica.probed.insert(outcome.probe, detail);
                    replica.outcomes.push(outcome);
                }
            }
            Input::ProbeUnmade { process, probe } => {
                if let Some(replica) = self.by_process(&process) {
                    replica.under_way.retain(|kind| *kind != probe);
                }
            }
            Input::Hooked { process } => {
                if let Some(ending) = self.by_process(&process).and_then(Replica::ending) {
                    ending.hook_done = true;
                }
            }
            Input::Listening { name, result } => self.take_listening(name, result),
            Input::Prepared { service, revision, result } => self.take_prepared(&service, revision, result),
            Input::Store { name, news } => self.take_store(&name, news),
            Input::Figures { gateway, figures } => self.take_figures(gateway, figures.map(|figures| *figures)),
            Input::Candidate { found, reply } => self.take_candidate(*found, reply),
            Input::KeeperUpgraded(became) => self.take_keeper_upgraded(became),
            Input::GatewayRefused(why) => self.take_gateway_refusal(why),
            Input::Retired(number, gone) => self.take_retired(number, gone),
            Input::Asked(asked) => self.answer(asked),
        }
    }

    /// The runtime's instant for a moment.
    pub(crate) fn runtime_instant(&self, moment: Instant) -> tokio::time::Instant {
        self.clock.at(moment)
    }

    /// Serves the API on the listener that the keeper has; once more after another keeper took over, since that one has
    /// another listener.
    pub(crate) fn serve_api(&mut self) {
        let (keeper, inputs, place) = (self.keeper.clone(), self.inputs.clone(), self.place.clone());
        let serving = tokio::task::spawn_local(async move {
            match keeper.take(API).await {
                Ok(listener) => serve::serve(listener, inputs, place).await,
                Err(error) => eprintln!("the keeper has no listener for the API: {error}"),
            }
        });
        if let Some(former) = self.serving.replace(serving) {
            former.abort();
        }
    }

    /// The system has ended, and the keeper was asked to end too.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The replica whose present process that is.
    fn by_process(&mut self, process: &str) -> Option<&mut Replica> {
        let (id, attempt) = of_process(process)?;
        self.replicas.get_mut(&id).filter(|replica| replica.attempt == attempt)
    }

    fn take_event(&mut self, event: Event) {
        if self.oneshots.take(&event) {
            return;
        }
        match event {
            Event::Exited { id, exit } => match gateway_number(&id) {
                Some(number) => self.take_gateway_exit(number, &exit),
                None => self.take_exit(&id, &exit),
            },
            Event::Respawned(process) => {
                let lost = self.gateways.lost(&process.id, self.clock.now());
                let lost = gateway_number(&process.id).map(|_| format!("; {lost}")).unwrap_or_default();
                let message = format!("started again by the keeper as process {}{lost}", process.pid);
                self.tell(&process.id, "Respawned", &message, true);
            }
            Event::LogDropped { log, bytes, refused } => {
                let why = refused.map_or("they came faster than allowed".into(), |why| format!("cannot write: {why}"));
                let message = format!("{bytes} bytes of its log were dropped: {why}");
                self.tell(&log, "LogDropped", &message, true);
            }
            Event::Kept { .. } => {}
        }
    }

    /// Tells that something happened: to the journal, to those who follow, to those who ask later.
    fn tell(&mut self, subject: &str, reason: &str, message: &str, warning: bool) {
        let event = self.events.tell(plimsoll_api::Event {
            number: 0,
            at: self.clock.now(),
            subject: subject.into(),
            reason: reason.into(),
            message: message.into(),
            warning,
        });
        self.record.note(Entry::Told(event));
    }
}
