//! Stores: their tasks are started and ended here, and what they tell is taken in.

use super::{Engine, deciding::Words};
use crate::{
    input::StoreNews,
    store::{StoreRun, member::POOLER},
    variables::expand,
};
use plimsoll_control::{
    account::{self, Question},
    failover,
};
use plimsoll_journal::entry::Entry;
use plimsoll_model::{ReplicaId, Store, promise, store::Engine as Kind};
use plimsoll_stores::{Front, Inspection, Site, User};
use plimsoll_wire::sum;
use std::{
    cell::{Cell, RefCell},
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    rc::Rc,
};
use tokio::sync::watch;

/// Where stores live whose servers can't reach the state directory.
const ELSEWHERE: &str = "/var/lib/plimsoll";

/// Where stores' sockets are when we are root: only root may make folders there.
const SOCKETS: &str = "/run/plimsoll";
/// A longer folder would make a socket's path longer than Unix allows.
const SOCKETS_LENGTH_MAX: usize = 80;

/// A store, as the loop sees it.
pub(crate) struct StoreState {
    pub(crate) store: Store,
    pub(crate) phase: &'static str,
    pub(crate) reason: String,
    pub(crate) ready: bool,
    /// Its URL, with its password: for services only.
    pub(crate) url: Option<String>,
    pub(crate) ports: Vec<u16>,
    pub(crate) inspection: Option<Inspection>,
    /// Where it is reached for reads, with its password. `None`: it has no standbys.
    pub(crate) read_url: Option<String>,
    /// Where it is reached past its pooler, with its password. `None`: it has none.
    pub(crate) direct_url: Option<String>,
    /// The port of its pooler. `None`: it has none.
    pub(crate) pooler: Option<u16>,
    /// Its addresses, where it has standbys; others listen there.
    pub(crate) front: Option<Front>,
    /// Who is reached by them: the primary, and standbys for reads, by place.
    pub(crate) leads: (Option<usize>, Vec<usize>),
    /// What is wanted of it, for its task.
    policy: Rc<RefCell<failover::Policy>>,
    /// Whoever comes to its address waits there, at every gateway: for its task.
    held: Rc<Cell<bool>>,
    /// Which other primary a person wants.
    wish: watch::Sender<(u64, Option<failover::Wanted>)>,
    /// Ends its task. `None`: it has none, because there is no place for it to run.
    stop: Option<watch::Sender<bool>>,
}

impl StoreState {
    /// It has no task, or that has ended.
    pub(crate) fn is_stopped(&self) -> bool {
        self.phase == "Stopped" || self.stop.is_none()
    }

    /// Has its task end.
    fn end(&self) {
        if let Some(stop) = &self.stop {
            stop.send(true).ok();
        }
    }
}

impl Engine {
    /// Starts the stores that are wanted and not there, and ends those that are there and not wanted. Those for which there
    /// was no place are tried again.
    pub(super) fn arrange_stores(&mut self) {
        let Some(accepted) = self.record.remembered.accepted.clone() else { return };
        if self.record.remembered.ending.is_none() {
            self.stores.retain(|_, state| state.stop.is_some());
        }
        let wanted = &accepted.system.stores;
        for (name, state) in &self.stores {
            if wanted.get(name) != Some(&state.store) {
                state.end();
            }
            *state.policy.borrow_mut() = self.failover_policy(name, &state.store);
        }
        let new: Vec<_> = wanted.iter().filter(|(name, _)| !self.stores.contains_key(*name)).collect();
        for (name, store) in new {
            self.start_store(name, store);
        }
    }

    fn start_store(&mut self, name: &str, store: &Store) {
        let (stop, stopped) = watch::channel(false);
        let mut state = StoreState {
            store: store.clone(),
            phase: "Preparing",
            reason: String::new(),
            ready: false,
            url: None,
            ports: Vec::new(),
            inspection: None,
            read_url: None,
            direct_url: None,
            pooler: None,
            front: None,
            leads: (None, Vec::new()),
            policy: Rc::default(),
            held: Rc::default(),
            wish: watch::Sender::new((0, None)),
            stop: Some(stop),
        };
        *state.policy.borrow_mut() = self.failover_policy(name, store);
        match self.store_site(name, store) {
            Ok((site, store)) => {
                state.ports.clone_from(&site.ports);
                state.front = site.front;
                state.pooler = site.pooler;
                let run = StoreRun {
                    name: name.into(),
                    former: self.former_starts(name, site.ports.len()),
                    former_pooler: self.former_start(name, POOLER),
                    store,
                    site,
                    keeper: self.keeper.clone(),
                    oneshots: self.oneshots.clone(),
                    inputs: self.inputs.clone(),
                    clock: self.clock,
                    policy: state.policy.clone(),
                    wish: state.wish.subscribe(),
                    held: state.held.clone(),
                    failover: self.record.remembered.failovers.get(name).cloned().unwrap_or_default(),
                    stop: stopped,
                };
                tokio::task::spawn_local(run.run());
            }
            Err(why) => {
                state.stop = None;
                state.phase = "Failed";
                state.reason.clone_from(&why);
                self.tell(name, "Failed", &why, true);
            }
        }
        self.stores.insert(name.into(), state);
    }

    /// Where a store lives, and the store with its variables replaced.
    fn store_site(&mut self, name: &str, store: &Store) -> Result<(Site, Store), String> {
        let folder =
            self.record.remembered.accepted.as_ref().map(|accepted| accepted.folder.clone()).unwrap_or_default();
        let mut store = store.clone();
        if let Some(url) = &store.external {
            let secrets = &self.secrets;
            let value = &mut |name: &str| match name.strip_prefix("secret:") {
                Some(secret) => secrets.value(secret, Path::new(&folder)).map(Some),
                None => Ok(None),
            };
            store.external = Some(expand(url, value)?);
        }
        let user = server_user(store.engine)?;
        let stores = self.stores_folder(user).map_err(|error| format!("cannot make a folder for stores: {error}"))?;
        let home = stores.join(name);
        let data = home.join("data");
        let secrets = home.join("secrets");
        let made = make_folder(&home, None, 0o711)
            .and_then(|()| make_folder(&data, user, 0o700))
            .and_then(|()| make_folder(&secrets, None, 0o700));
        made.map_err(|error| format!("cannot make the store's folder {}: {error}", home.display()))?;
        let run =
            self.socket_folder(name, user).map_err(|error| format!("cannot make a folder for sockets: {error}"))?;
        let ports = self.store_ports(name, &store)?;
        let front = self.store_front(name, &store)?;
        let pooled = store.pooler.is_some() && store.external.is_none();
        let pooler = pooled.then(|| self.store_port(format!("store/{name}/pooler"), store.engine)).transpose()?;
        Ok((Site { data, secrets, ports, server_user: user, run, front, pooler }, store))
    }

    /// The folder of all stores: in the state directory, or, where an account for servers could not reach that (below
    /// `/root`, say), in `/var/lib/plimsoll`, with a link from the state directory.
    fn stores_folder(&self, user: Option<User>) -> io::Result<PathBuf> {
        let stores = self.place.state.join("stores");
        if user.is_some() {
            fs::set_permissions(&self.place.state, std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
            if !stores.is_dir() && !is_open_to_all(&self.place.state) {
                let elsewhere = Path::new(ELSEWHERE);
                make_folder(elsewhere, None, 0o711)?;
                let home = elsewhere.join(format!("{:016x}", self.state_hash()));
                make_folder(&home, None, 0o711)?;
                std::os::unix::fs::symlink(&home, &stores)?;
                return Ok(stores);
            }
        }
        if !stores.is_dir() {
            make_folder(&stores, None, 0o711)?;
        }
        Ok(stores)
    }

    /// Tells this system's state directory from others.
    fn state_hash(&self) -> u64 {
        sum::fnv(sum::START, self.place.state.as_os_str().as_encoded_bytes())
    }

    /// Tells the sockets of one store from those of others, of all systems.
    fn socket_name(&self, name: &str) -> String {
        format!("{:016x}", sum::fnv(self.state_hash(), name.as_bytes()))
    }

    /// Removes the folder of a store's sockets, wherever it was; its servers have ended.
    fn drop_socket_folder(&self, name: &str) {
        let unique = self.socket_name(name);
        let elsewhere = Path::new("/tmp").join(format!("plimsoll-{unique}"));
        for folder in [Path::new(SOCKETS).join(&unique), self.place.run.join(&unique), elsewhere] {
            fs::remove_dir_all(folder).ok();
        }
        // Only when no other system has sockets there.
        fs::remove_dir(SOCKETS).ok();
    }

    /// As above, of every store.
    pub(super) fn drop_socket_folders(&self) {
        self.stores.keys().for_each(|name| self.drop_socket_folder(name));
    }

    /// A short folder for the sockets of one store's servers, that nobody else may write to.
    fn socket_folder(&self, name: &str, user: Option<User>) -> io::Result<PathBuf> {
        let unique = self.socket_name(name);
        if user.is_some() {
            let all = Path::new(SOCKETS);
            make_folder(all, None, 0o711)?;
            let run = all.join(unique);
            make_folder(&run, user, 0o700)?;
            return Ok(run);
        }
        let run = self.place.run.join(&unique);
        let run = if run.as_os_str().len() <= SOCKETS_LENGTH_MAX {
            run
        } else {
            Path::new("/tmp").join(format!("plimsoll-{unique}"))
        };
        make_folder(&run, None, 0o700)?;
        let found = fs::symlink_metadata(&run)?;
        if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other(format!("{} belongs to somebody else", run.display())));
        }
        Ok(run)
    }

    fn store_ports(&mut self, name: &str, store: &Store) -> Result<Vec<u16>, String> {
        let members = self.replicated_members(name, store);
        let count = members.unwrap_or_else(|| plimsoll_stores::member_count(store));
        let key = |place: usize| match members {
            Some(_) => format!("store/{name}/member/{place}"),
            None => format!("store/{name}/{place}"),
        };
        (0..count).map(|place| self.store_port(key(place), store.engine)).collect()
    }

    /// A port that stays.
    fn store_port(&mut self, key: String, engine: Kind) -> Result<u16, String> {
        if let Some(port) = self.addresses.known(&key) {
            return Ok(port);
        }
        let port = self.addresses.choose(matches!(engine, Kind::Redis | Kind::Nats)).ok_or("no port is free")?;
        self.addresses.remember(&key, port);
        self.record.note(Entry::Port { name: key, port });
        Ok(port)
    }

    /// How many members a PostgreSQL store with standbys may have: those that are wanted, and up to its primary. `None`: one
    /// server runs, and it always was the same.
    pub(super) fn replicated_members(&self, name: &str, store: &Store) -> Option<usize> {
        if store.engine != Kind::Postgres || store.external.is_some() {
            return None;
        }
        let primary = self.record.remembered.failovers.get(name).map_or(0, |memory| memory.primary);
        let wanted = plimsoll_stores::member_count(store);
        (wanted > 1 || primary > 0).then(|| wanted.max(primary + 1))
    }

    /// The addresses of a store with standbys. The first is the one that a single server would have, so that it stays when
    /// standbys come or go.
    fn store_front(&mut self, name: &str, store: &Store) -> Result<Option<Front>, String> {
        if self.replicated_members(name, store).is_none() {
            return Ok(None);
        }
        let port = self.store_port(format!("store/{name}/0"), store.engine)?;
        let reads = self.store_port(format!("store/{name}/reads"), store.engine)?;
        Ok(Some(Front { port, reads }))
    }

    /// What is wanted of a store with standbys.
    fn failover_policy(&self, name: &str, store: &Store) -> failover::Policy {
        let system = self.record.remembered.accepted.as_ref().map(|accepted| &accepted.system);
        let promises = system.iter().flat_map(|system| system.promises.values());
        let points = promises.filter_map(|promise| match &promise.kind {
            promise::Kind::RecoveryPoint { store, max } if store == name => Some(*max),
            _ => None,
        });
        failover::Policy {
            members: plimsoll_stores::member_count(store),
            synchronous: store.waits_for_standby(),
            strict: store.strict,
            recovery_point: points.min(),
            hang_after: failover::HANG_AFTER,
        }
    }

    fn former_starts(&self, name: &str, count: usize) -> Vec<(u32, u32, plimsoll_control::restart::Memory)> {
        (0..count).map(|place| self.former_start(name, place as u64 + 1)).collect()
    }

    fn former_start(&self, name: &str, number: u64) -> (u32, u32, plimsoll_control::restart::Memory) {
        let known = self.record.remembered.members.get(&ReplicaId::new(name, number));
        known.map(|known| (known.attempt, known.restarts, known.memory)).unwrap_or_default()
    }

    /// A store's task told something.
    pub(super) fn take_store(&mut self, name: &str, news: StoreNews) {
        let Some(state) = self.stores.get_mut(name) else { return };
        match news {
            StoreNews::Phase { phase, reason } => {
                let changed = state.phase != phase || (phase == "Failed" && state.reason != reason);
                state.phase = phase;
                state.ready = phase == "Ready";
                state.reason.clone_from(&reason);
                if changed {
                    self.tell(name, phase, &reason, phase == "Failed");
                }
                if phase == "Stopped" {
                    self.forget_stopped(name);
                }
            }
            StoreNews::Url(url) => state.url = Some(url),
            StoreNews::Attempt { member, attempt } => {
                let id = ReplicaId::new(name, member);
                let place = usize::try_from(member).ok().and_then(|number| number.checked_sub(1));
                let port = place.map_or(state.pooler, |place| state.ports.get(place).copied());
                self.record.note(Entry::Attempt { id, attempt, port });
            }
            StoreNews::Ended { member, restarts, memory, decided } => {
                let id = ReplicaId::new(name, member);
                // A store with standbys tells by itself whether it still serves.
                if state.front.is_none() {
                    (state.phase, state.ready) = ("Starting", false);
                    state.reason = format!("{id} ended and is started again");
                }
                let (asked, decision) = *decided;
                let answer = account::restarted(&asked.seen, &decision);
                let words =
                    Words { subject: &id.to_string(), reason: "Restarting", message: &decision.reason, warning: true };
                self.tell_decision(&words, &Question::Restart(asked), answer);
                self.record.note(Entry::Restarted { id, restarts, memory });
            }
            StoreNews::Inspected(inspection) => state.inspection = Some(inspection),
            StoreNews::DirectUrl(url) => state.direct_url = url,
            StoreNews::ReadUrl(url) => state.read_url = Some(url),
            StoreNews::Leads { to, reads } => state.leads = (to, reads),
            StoreNews::Trouble { member, why } => {
                self.tell(&ReplicaId::new(name, member).to_string(), "NotStarted", &why, true);
            }
            StoreNews::Failover { memory, written } => {
                let entry = Entry::Failover { store: name.into(), memory };
                let done = self.record.commit(entry).is_ok();
                written.send(done).ok();
            }
            StoreNews::Decided { decided, new } => {
                let (asked, decision) = *decided;
                let answer = account::failed_over(&decision);
                let Some((first, others)) = new.split_first() else { return };
                let (reason, warning) = (first.what.word(), first.what.is_warning());
                let words = Words { subject: name, reason, message: &first.why, warning };
                self.tell_decision(&words, &Question::Failover(Box::new(asked)), answer);
                for event in others {
                    self.tell(name, event.what.word(), &event.why, event.what.is_warning());
                }
            }
        }
    }

    /// A store that has ended is forgotten, unless its new self is wanted: then that is started.
    fn forget_stopped(&mut self, name: &str) {
        if self.record.remembered.ending.is_none() {
            self.stores.remove(name);
            self.drop_socket_folder(name);
            self.arrange_stores();
        }
    }

    /// A person wants another member of a store to be its primary: `None` is the best.
    pub(super) fn switch_over(&mut self, name: &str, member: Option<&str>) -> Result<String, String> {
        self.is_not_ending()?;
        let state = self.stores.get(name).ok_or_else(|| format!("there is no store {name}"))?;
        if state.front.is_none() {
            return Err(format!("{name} has no standbys: write `instances: 2` or more"));
        }
        let wanted = match member {
            None => failover::Wanted::Best,
            Some(member) => {
                let places = 0..state.ports.len();
                let place = places.clone().find(|place| format!("{name}-{}", place + 1) == member);
                let known = || places.map(|place| format!("{name}-{}", place + 1)).collect::<Vec<_>>().join(", ");
                failover::Wanted::Member(place.ok_or_else(|| format!("{member} is none of its members ({})", known()))?)
            }
        };
        state.wish.send_modify(|(number, wish)| (*number, *wish) = (*number + 1, Some(wanted)));
        self.tell(name, "Asked", "a person wants another primary", false);
        Ok(format!("{name} is asked to hand over; `plimsoll events` shows how it goes"))
    }

    /// Tells stores that lead nobody anywhere whether every gateway knows it. The routes are published.
    pub(super) fn tell_held(&self) {
        let served = self.gateways.serve(self.routes.table.edition);
        for (name, state) in &self.stores {
            let nowhere = self.routes.table.stores.get(name).is_some_and(|members| members.primary.is_none());
            state.held.set(served && nowhere);
        }
    }

    /// Whether a primary of a store is about to be ended so that another one takes over.
    pub(super) fn hands_over(&self) -> bool {
        let mut stages = self.stores.keys().filter_map(|name| self.record.remembered.failovers.get(name));
        stages.any(|memory| matches!(memory.stage, failover::Stage::Handing { .. }))
    }

    /// Ends all stores.
    pub(super) fn stop_stores(&self) {
        self.stores.values().for_each(StoreState::end);
    }
}

/// The account that servers run as when we are root.
fn server_user(engine: Kind) -> Result<Option<User>, String> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let names: &[&str] = match engine {
        Kind::Postgres => &["postgres", "nobody"],
        Kind::Redis => &["redis", "nobody"],
        Kind::Nats => &["nats", "nobody"],
        _ => &["nobody"],
    };
    plimsoll_stores::site::account(names).map(Some).ok_or_else(|| {
        format!("the servers may not run as root, and this machine has none of the accounts {}", names.join(", "))
    })
}

/// Every folder above may be passed through by everybody.
fn is_open_to_all(path: &Path) -> bool {
    path.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 != 0))
}

fn make_folder(path: &Path, user: Option<User>, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    match user {
        Some(user) => std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    }
}
