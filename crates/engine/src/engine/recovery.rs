//! The engine comes back: what was remembered is held against what the keeper has, and gone on with.
//!
//! Invariant: a process that runs and is wanted is never started anew.

use super::{Engine, figures::Gateways, routing::Routes, sizing::Sizers};
use crate::{
    addresses::Addresses,
    clock::Clock,
    events::Events,
    input::Input,
    keeper::{Keeper, KeeperError},
    oneshot::Oneshots,
    record::Record,
    recorder::Recorder,
    replica::{Replica, Stage, of_process},
    secrets::{self, Secrets},
};
use plimsoll_control::{health, upgrade::gateway_number};
use plimsoll_journal::entry::Entry;
use plimsoll_model::{
    Instant, Millis, ReplicaId,
    route::{ROUTES, RouteTable},
};
use plimsoll_wire::{
    channel::{Channel, read_memfd},
    keeper::{Exit, Inventory},
    place::{ENGINE, Place},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

/// Adopted replicas may take so long to answer their first probe before it is decided without them.
const SETTLE_MAX: Millis = Millis(3_000);
/// How often a new keeper is asked for the routes that a gateway hands back, and the pause between: 3 s in all.
const HAND_BACK_TRIES: u32 = 120;
const HAND_BACK_LOOK: Duration = Duration::from_millis(25);
/// Without a keeper, it is tried to start another one after so long.
const KEEPER_AGAIN: Duration = Duration::from_secs(1);
/// What is told of a keeper that died.
const TOOK_OVER: &str = "the keeper died and another one took over: how processes ended meanwhile is not known";

impl Engine {
    /// The engine as the journal and the keeper have it.
    ///
    /// # Errors
    /// The keeper is gone, or the journal can't be used; a sentence for a person.
    pub(crate) async fn recover(
        place: Place,
        program: PathBuf,
        channel: Channel,
        inputs: UnboundedSender<Input>,
    ) -> Result<Self, String> {
        let (record, damage) = Record::open(&place.journal()).map_err(|error| plimsoll_journal::chain(&error))?;
        let keeper = Keeper::unconnected();
        keeper.connect(channel, inputs.clone()).map_err(|error| error.to_string())?;
        let remembered = &record.remembered;
        let addresses = Addresses::remembered(remembered.ports.clone(), place.state.as_os_str().as_encoded_bytes());
        let sizers = Sizers::remembered(&remembered.sizes);
        let mut engine = Self {
            clock: Clock::start(remembered.last_at),
            events: Events::after(remembered.last_event),
            oneshots: Oneshots::new(keeper.clone()),
            place,
            program,
            keeper,
            inputs,
            record,
            disk: plimsoll_control::disk::Memory::default(),
            recorder: Recorder::default(),
            secrets: Secrets::default(),
            revisions: BTreeMap::new(),
            replicas: BTreeMap::new(),
            stores: BTreeMap::new(),
            addresses,
            listeners: BTreeMap::new(),
            binding: BTreeSet::new(),
            refused: BTreeMap::new(),
            routes: Routes::default(),
            gateways: Gateways::default(),
            waiting: BTreeMap::new(),
            scalers: BTreeMap::new(),
            sizers,
            releases: BTreeMap::new(),
            goals_said: BTreeMap::new(),
            warnings: Vec::new(),
            keeper_pid: 0,
            settle_until: None,
            finished: false,
            keeper_lost: false,
            upgrading: Default::default(),
            arrivals: Vec::new(),
            serving: None,
        };
        engine.adopt(damage).await.map_err(|error| format!("cannot go on with what runs: {error}"))?;
        Ok(engine)
    }

    /// Takes over what runs.
    async fn adopt(&mut self, damage: Option<String>) -> Result<(), KeeperError> {
        let (pid, took_over) = self.keeper.hello().await?;
        self.keeper_pid = pid;
        if let Some(damage) = damage {
            self.warn("JournalDamaged", format!("the journal is damaged and was used up to there: {damage}"));
        }
        if took_over {
            self.warn("KeeperTookOver", TOOK_OVER.into());
        }
        if self.record.passed_over > 0 {
            let count = self.record.passed_over;
            self.warn(
                "JournalNewer",
                format!("{count} entries of the journal are of a newer version, and were passed over"),
            );
        }
        let inventory = self.keeper.list().await?;
        self.take_what_was_kept(took_over, &inventory).await;
        if self.record.remembered.ending.is_some() && inventory.processes.iter().all(|process| process.id == ENGINE) {
            // Only a keeper that was just started has nothing, not even a gateway: the system had ended.
            self.record.note(Entry::Ended);
        }
        self.name_revisions();
        // Before replicas: one that is being drained waits for what gateways tell.
        self.start_gateway();
        self.adopt_gateways(&inventory);
        self.adopt_replicas(&inventory);
        self.end_strangers(&inventory);
        self.arrange_stores();
        self.reserve_edges();
        self.keep_programs();
        self.settle_until = Some(self.clock.now().after(SETTLE_MAX));
        Ok(())
    }

    /// Says something that a person should know as long as the engine runs.
    fn warn(&mut self, reason: &str, message: String) {
        self.tell("system", reason, &message, true);
        self.warnings.push(message);
    }

    /// The last routes and the secrets, as the keeper kept them.
    async fn take_what_was_kept(&mut self, took_over: bool, inventory: &Inventory) {
        let mut routes = self.kept_routes().await;
        let mut serves = inventory
            .processes
            .iter()
            .filter(|process| gateway_number(&process.id).is_some() && process.exit.is_none());
        if took_over && serves.next().is_some() {
            // A gateway that lost its keeper looks for the next one, and hands the routes back that it serves.
            for _ in 0..HAND_BACK_TRIES {
                if routes.is_some() {
                    break;
                }
                tokio::time::sleep(HAND_BACK_LOOK).await;
                routes = self.kept_routes().await;
            }
        }
        match routes {
            Some(table) => self.routes.table = table,
            // Whatever edition a gateway may still serve, ours come after it.
            None if took_over => self.routes.table.edition = self.clock.now().0,
            None => {}
        }
        if let Ok(fd) = self.keeper.take(secrets::KEPT).await
            && let Ok(text) = read_memfd(fd)
            && let Ok(given) = serde_json::from_slice(&text)
        {
            self.secrets.given = given;
        }
    }

    async fn kept_routes(&self) -> Option<RouteTable> {
        let text = read_memfd(self.keeper.take(ROUTES).await.ok()?).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Makes the remembered replicas again; those whose process runs go on as they were, as far as routes tell.
    fn adopt_replicas(&mut self, inventory: &Inventory) {
        let now = self.clock.now();
        let served: BTreeSet<String> = self
            .routes
            .table
            .services
            .values()
            .flat_map(|backend| &backend.replicas)
            .filter(|endpoint| endpoint.serving)
            .map(|endpoint| endpoint.process.clone())
            .collect();
        let mut adopted = 0;
        for (id, known) in self.record.remembered.replicas.clone() {
            let Some(service) = self.record.remembered.revisions.get(&known.revision).cloned() else { continue };
            let mut replica = Replica::new(id.clone(), known.revision, Rc::new(service), now);
            replica.attempt = known.attempt;
            replica.port = known.port;
            replica.restarts = known.restarts;
            replica.restart = known.memory;
            let name = replica.process_id();
            if let Some(process) = inventory.processes.iter().find(|process| process.id == name) {
                adopted += usize::from(process.exit.is_none());
                replica.started_at = Instant(process.started_at);
                if served.contains(&name) {
                    let since = Some(replica.started_at);
                    replica.ready_since = since;
                    replica.was_ready = true;
                    replica.health = health::Memory::of_running(replica.started_at, true, since);
                }
                replica.process = Some(process.clone());
                replica.stage = Stage::Running;
            } else if let Some(well) = known.done {
                replica.stage = Stage::Done;
                replica.failed = !well;
            } else if known.attempt > 0 {
                // The spawn was written down and not carried out, or its end was told to an engine that is gone.
                replica.stage = Stage::BackOff { until: now };
            }
            if let Some(port) = replica.port {
                self.addresses.take(port);
            }
            self.replicas.insert(id.clone(), replica);
            self.go_on(&id, inventory, known.stopping, now);
        }
        if adopted > 0 {
            self.tell("system", "Adopted", &format!("{adopted} running replicas were gone on with"), false);
        }
    }

    /// Takes in the end that a replica met meanwhile, or goes on with stopping it.
    fn go_on(&mut self, id: &ReplicaId, inventory: &Inventory, stopping: bool, now: Instant) {
        let Some(replica) = self.replicas.get(id) else { return };
        let name = replica.process_id();
        let exit =
            inventory.processes.iter().find(|process| process.id == name).and_then(|process| process.exit.clone());
        let runs = replica.process.is_some() && exit.is_none();
        if stopping && !runs {
            if exit.is_some() {
                self.forget_process(name);
            }
            return self.remove(id);
        }
        if stopping {
            self.begin_end(id, now, true);
        }
        if let Some(exit) = exit {
            self.take_exit(&name, &exit);
        }
    }

    /// Ends processes of replicas that nobody remembers (the journal was damaged, say).
    fn end_strangers(&mut self, inventory: &Inventory) {
        for process in &inventory.processes {
            let Some((id, attempt)) = of_process(&process.id) else { continue };
            let is_replica = self.replicas.get(&id).is_some_and(|replica| replica.attempt == attempt);
            let is_member = self.record.remembered.members.get(&id).is_some_and(|member| member.attempt == attempt);
            if is_replica || is_member {
                continue;
            }
            if process.exit.is_none() {
                self.tell(&process.id, "Stranger", "nobody remembers this process: it is ended", true);
                self.signal_process(process.id.clone(), 9, true);
            } else {
                self.forget_process(process.id.clone());
            }
        }
    }

    /// The keeper is gone: another one is started, which takes over what runs; then the engine connects to it.
    pub(super) fn lose_keeper(&mut self) {
        self.oneshots.give_up();
        // Whoever finds it gone says so, and more than one may.
        if std::mem::replace(&mut self.keeper_lost, true) {
            return;
        }
        // One that was asked to stop, and does, ends this engine before another one could be started.
        if !self.finished {
            self.tell("system", "KeeperLost", "the keeper is gone; another one is started and takes over", true);
        }
        let place = self.place.clone();
        let (keeper, inputs) = (self.keeper.clone(), self.inputs.clone());
        tokio::task::spawn_local(async move {
            let took = crate::takeover::another_keeper(&place, &keeper, inputs.clone()).await;
            inputs.send(Input::KeeperBack(took)).ok();
        });
    }

    /// Another keeper has taken over.
    pub(super) fn take_keeper_back(&mut self, took: Result<(i32, Inventory), String>) {
        self.keeper_lost = false;
        match took {
            // The system had ended, and the keeper died before it could: the one after it is to end all the more.
            Ok(_) if self.finished => self.stop_keeper(),
            Ok((pid, inventory)) => {
                self.keeper_pid = pid;
                self.serve_api();
                self.warn("KeeperTookOver", TOOK_OVER.into());
                self.listeners.clear();
                self.binding.clear();
                self.start_gateway();
                self.adopt_gateways(&inventory);
                let launching: Vec<ReplicaId> = self
                    .replicas
                    .values()
                    .filter(|replica| matches!(replica.stage, Stage::Launching))
                    .map(|replica| replica.id.clone())
                    .collect();
                for id in launching {
                    self.send_spawn(&id);
                }
                self.keep_secrets();
                self.miss_the_dead(&inventory);
                self.signal_again();
                self.routes.table.edition += 1;
                self.routes.lost = true;
            }
            Err(why) => {
                self.tell("system", "NoKeeper", &why, true);
                let inputs = self.inputs.clone();
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(KEEPER_AGAIN).await;
                    inputs.send(Input::KeeperLost).ok();
                });
            }
        }
    }

    /// Replicas that ended while there was no keeper: the next one tells their ends to nobody. Of those that it does not
    /// have any more nobody knows how.
    fn miss_the_dead(&mut self, inventory: &Inventory) {
        let unknown = Exit::unknown(self.clock.now().0);
        let end = |id: &str| match inventory.processes.iter().find(|process| process.id == id) {
            Some(process) => process.exit.clone(),
            None => Some(unknown.clone()),
        };
        let ran = self.replicas.values().filter(|replica| replica.process.is_some()).map(Replica::process_id);
        let dead: Vec<(String, Exit)> = ran.filter_map(|id| end(&id).map(|exit| (id, exit))).collect();
        for (process, exit) in dead {
            self.take_exit(&process, &exit);
        }
    }

    /// A signal that was sent while there was no keeper has reached nobody.
    fn signal_again(&self) {
        for replica in self.replicas.values() {
            let (Stage::Restarting(ending) | Stage::Stopping(ending), Some(_)) = (&replica.stage, &replica.process)
            else {
                continue;
            };
            if ending.memory.killed {
                self.signal_process(replica.process_id(), 9, true);
            } else if ending.memory.terminated_at.is_some() {
                self.signal_process(replica.process_id(), 15, false);
            }
        }
    }
}
