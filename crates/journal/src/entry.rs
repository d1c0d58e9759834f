//! What the engine writes down, and the state that follows from reading it again.
//!
//! Invariant: nothing here is an observation (pids, readiness, figures): those are looked at anew.

use crate::decided::Decided;
use plimsoll_control::{
    autoscale::{self, prediction},
    failover,
    reconcile::rolling::Sets,
    restart, rightsize,
    rollout::{self, together},
    upgrade,
};
use plimsoll_model::{Event, Instant, ReplicaId, RevisionId, Service, System};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One thing written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Entry {
    /// A system was accepted. Survives power loss.
    Accepted(Box<AcceptedSystem>),
    /// A version of a service.
    Revision {
        /// Its identity.
        id: RevisionId,
        /// What it is.
        service: Box<Service>,
    },
    /// A replica is to exist.
    Replica {
        /// Its identity.
        id: ReplicaId,
        /// The version that it runs.
        revision: RevisionId,
    },
    /// A replica, or a member of a store, is about to be started the `attempt`th time (from 1).
    Attempt {
        /// Which.
        id: ReplicaId,
        /// Counts from 1.
        attempt: u32,
        /// Where it will listen.
        port: Option<u16>,
    },
    /// What is remembered of a replica's restarts.
    Restarted {
        /// Which.
        id: ReplicaId,
        /// How often.
        restarts: u32,
        /// The decider's memory.
        memory: restart::Memory,
    },
    /// A replica ended by itself, and stays so by its restart policy.
    Done {
        /// Which.
        id: ReplicaId,
        /// It had done its work.
        well: bool,
    },
    /// A replica is no longer wanted: it is being stopped.
    Stopping {
        /// Which.
        id: ReplicaId,
    },
    /// A replica is gone.
    Gone {
        /// Which.
        id: ReplicaId,
    },
    /// An address that stays: `edge/web->api`, `store/orders/0`.
    Port {
        /// What it is for.
        name: String,
        /// The port.
        port: u16,
    },
    /// A person wants so many replicas.
    Scaled {
        /// Of which service.
        service: String,
        /// So many; `None` is what the file says.
        replicas: Option<u32>,
    },
    /// How large the sets of a service's versions are meant to be. Versions before 0.2 wrote it; read as the beginning of
    /// [`Entry::Released`].
    Sets {
        /// Of which service.
        service: String,
        /// As the rollout decider said.
        sets: Sets,
    },
    /// A release went on. Survives power loss where something happened in it that holds people's requests.
    Released {
        /// Of which service.
        service: String,
        /// The decider's memory.
        memory: Box<rollout::Memory>,
        /// What happened.
        rows: Vec<Row>,
    },
    /// Which services change together. Survives power loss.
    Together(Box<together::Memory>),
    /// The program of a version: where it is kept, and what tells that it is still the same. Its file may be built anew
    /// while the version still runs, or may be gone back to.
    Program {
        /// Whose.
        revision: RevisionId,
        /// What.
        program: Program,
    },
    /// An autoscaler looked: the number that it owns, and what it remembers.
    Autoscaled {
        /// Of which service.
        service: String,
        /// So many replicas.
        replicas: u32,
        /// The decider's memory.
        memory: Box<autoscale::Memory>,
    },
    /// What load asked for in a span of time that is over, where former weeks are looked at.
    Demand {
        /// Of which service.
        service: String,
        /// The span, and how many replicas.
        slot: prediction::Slot,
    },
    /// What is known of what a service's replicas use.
    Sized {
        /// Of which service.
        service: String,
        /// The recommender's memory.
        memory: Box<rightsize::Memory>,
    },
    /// The ejections of a gateway up to this one were told.
    Ejections {
        /// The gateway's process id.
        gateway: String,
        /// Which start of it.
        epoch: u64,
        /// The last one.
        number: u64,
    },
    /// Who is the primary of a store with standbys, or is becoming it. Survives power loss.
    Failover {
        /// Which store.
        store: String,
        /// The lasting part of the decider's memory.
        memory: Box<failover::Memory>,
    },
    /// What led to an event, for `explain` and `replay`.
    Decided(Box<Decided>),
    /// A person wants every replica of a service replaced, the `renewal`th time.
    Renewed {
        /// Which.
        service: String,
        /// Counts from 1.
        renewal: u64,
        /// The version that they get.
        revision: RevisionId,
    },
    /// The system is to end. Survives power loss.
    Ending {
        /// Its stores' data goes too.
        volumes: bool,
    },
    /// The system has ended: nothing of it runs.
    Ended,
    /// What is remembered of Plimsoll's own upgrades has changed. Survives power loss.
    Upgrade(Box<upgrade::Memory>),
    /// Something happened or was decided.
    Told(Event),
}

/// One line of the ledger of releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Counts up from 1 over the life of the system.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// Of which service.
    pub service: String,
    /// The version that comes in or goes.
    pub revision: RevisionId,
    /// What happened.
    pub event: rollout::Event,
    /// Who asked for it; empty: nobody, it was decided.
    pub by: String,
    /// Why, in their words; may be empty.
    pub why: String,
}

/// So many lines of the ledger are remembered; older ones go.
const LEDGER_MAX: usize = 1000;

/// A program in the system's own folder, as one version has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Program {
    /// Its path when the version was accepted, absolute.
    pub path: String,
    /// Its length in bytes.
    pub length: u64,
    /// When it was written: seconds and nanoseconds since the Unix epoch.
    pub written: (i64, i64),
    /// The name of the copy in the state directory.
    pub copy: String,
}

/// A system, and where it comes from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AcceptedSystem {
    /// The system.
    pub system: System,
    /// The file's text.
    pub text: String,
    /// The file's path.
    pub file: String,
    /// The folder that relative paths start from.
    pub folder: String,
    /// Variables that services inherit.
    pub environment: BTreeMap<String, String>,
    /// The version of each service, named when it was accepted: a program that is built anew later changes nothing until
    /// the next `up`.
    pub revisions: BTreeMap<String, RevisionId>,
}

/// A replica, as remembered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RememberedReplica {
    /// The version that it runs.
    pub revision: RevisionId,
    /// The last start; 0 is none yet.
    pub attempt: u32,
    /// Where it was told to listen.
    pub port: Option<u16>,
    /// How often it was started again.
    pub restarts: u32,
    /// The restart decider's memory.
    pub memory: restart::Memory,
    /// It ended for good; whether well. `None`: it runs, or is to.
    pub done: Option<bool>,
    /// It is being stopped.
    pub stopping: bool,
}

/// What an autoscaler last answered, and what it remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RememberedScaling {
    /// The number of replicas that it owns.
    pub replicas: u32,
    /// The decider's memory.
    pub memory: autoscale::Memory,
}

/// Everything that follows from the entries so far; also what a snapshot holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Remembered {
    /// The accepted system; shared, since who decides looks at it again and again.
    #[serde(with = "shared")]
    pub accepted: Option<Arc<AcceptedSystem>>,
    /// Versions that replicas run.
    pub revisions: BTreeMap<RevisionId, Service>,
    /// Replicas that exist.
    #[serde(with = "replica_map")]
    pub replicas: BTreeMap<ReplicaId, RememberedReplica>,
    /// The last serial of each service.
    pub serials: BTreeMap<String, u64>,
    /// Starts of stores' members.
    #[serde(with = "replica_map")]
    pub members: BTreeMap<ReplicaId, RememberedReplica>,
    /// Who is the primary, by store with standbys.
    pub failovers: BTreeMap<String, failover::Memory>,
    /// Addresses that stay.
    pub ports: BTreeMap<String, u16>,
    /// What persons want of numbers of replicas.
    pub scaled: BTreeMap<String, u32>,
    /// Autoscalers, by service.
    pub autoscaled: BTreeMap<String, RememberedScaling>,
    /// What load asked for in former weeks, by service.
    pub demand: BTreeMap<String, prediction::Memory>,
    /// What is known of what replicas use, by service.
    pub sizes: BTreeMap<String, rightsize::Memory>,
    /// Sizes of sets, by service, as versions before 0.2 wrote them.
    pub sets: BTreeMap<String, Sets>,
    /// Releases, by service.
    pub releases: BTreeMap<String, rollout::Memory>,
    /// Which services change together.
    pub together: together::Memory,
    /// What happened in releases, oldest first.
    pub ledger: Vec<Row>,
    /// The number of the ledger's last line.
    pub last_row: u64,
    /// Programs of versions.
    pub programs: BTreeMap<RevisionId, Program>,
    /// Versions that differ from the one before only in that a person wanted all replicas replaced.
    pub renewed: BTreeSet<RevisionId>,
    /// How often persons wanted all replicas of a service replaced.
    pub renewals: BTreeMap<String, u64>,
    /// Services that have started since the system last came up.
    pub begun: BTreeSet<String>,
    /// Plimsoll's own upgrades, and which gateway serves.
    pub upgrade: upgrade::Memory,
    /// Which start of each gateway, and the last of its ejections that was told.
    pub ejections: BTreeMap<String, (u64, u64)>,
    /// The system is to end (and its volumes with it).
    pub ending: Option<bool>,
    /// The last event's number.
    pub last_event: u64,
    /// The last event's moment.
    pub last_at: Instant,
}

impl Remembered {
    /// What is remembered after one more entry.
    pub fn fold(&mut self, entry: Entry) {
        match entry {
            Entry::Accepted(accepted) => {
                self.accepted = Some(Arc::from(accepted));
                self.ending = None;
                self.forget_autoscalers();
                self.forget_releases();
                self.forget_revisions();
            }
            Entry::Revision { id, service } => {
                self.revisions.insert(id, *service);
            }
            entry @ (Entry::Replica { .. }
            | Entry::Attempt { .. }
            | Entry::Restarted { .. }
            | Entry::Done { .. }
            | Entry::Stopping { .. }
            | Entry::Gone { .. }) => self.fold_replica(entry),
            Entry::Port { name, port } => {
                self.ports.insert(name, port);
            }
            Entry::Scaled { service, replicas } => {
                match replicas {
                    Some(replicas) => self.scaled.insert(service, replicas),
                    None => self.scaled.remove(&service),
                };
            }
            Entry::Autoscaled { service, replicas, memory } => {
                self.autoscaled.insert(service, RememberedScaling { replicas, memory: *memory });
            }
            Entry::Demand { service, slot } => self.demand.entry(service).or_default().fold(slot),
            Entry::Sized { service, memory } => drop(self.sizes.insert(service, *memory)),
            Entry::Decided(_) => {}
            Entry::Failover { store, memory } => drop(self.failovers.insert(store, *memory)),
            Entry::Ejections { gateway, epoch, number } => {
                self.ejections.insert(gateway, (epoch, number));
            }
            Entry::Sets { service, sets } => {
                self.sets.insert(service, sets);
            }
            Entry::Released { service, memory, rows } => {
                self.sets.remove(&service);
                self.releases.insert(service, *memory);
                self.last_row = rows.last().map_or(self.last_row, |row| row.number);
                self.ledger.extend(rows);
                self.ledger.drain(..self.ledger.len().saturating_sub(LEDGER_MAX));
            }
            Entry::Together(memory) => self.together = *memory,
            Entry::Program { revision, program } => {
                self.programs.insert(revision, program);
            }
            Entry::Renewed { service, renewal, revision } => {
                if let Some(accepted) = &mut self.accepted {
                    Arc::make_mut(accepted).revisions.insert(service.clone(), revision.clone());
                }
                self.renewed.insert(revision);
                self.renewals.insert(service, renewal);
                self.forget_revisions();
            }
            Entry::Upgrade(upgrade) => self.upgrade = *upgrade,
            Entry::Ending { volumes } => self.ending = Some(volumes),
            Entry::Ended => self.forget_what_ran(),
            Entry::Told(event) => {
                self.last_event = event.number;
                self.last_at = event.at;
            }
        }
    }

    /// Nothing of the system runs any more.
    fn forget_what_ran(&mut self) {
        self.replicas.clear();
        self.begun.clear();
        self.sets.clear();
        self.releases.clear();
        self.together = together::Memory { number: self.together.number, ..Default::default() };
        self.autoscaled.clear();
        self.ending = None;
        self.upgrade.ended();
    }

    /// What becomes of one replica, or of one member of a store.
    fn fold_replica(&mut self, entry: Entry) {
        match entry {
            Entry::Replica { id, revision } => {
                let last = self.serials.entry(id.service.clone()).or_default();
                *last = id.serial.max(*last);
                self.begun.insert(id.service.clone());
                self.replicas.insert(id, RememberedReplica { revision, ..Default::default() });
            }
            Entry::Attempt { id, attempt, port } => {
                let known = self.replica_or_member(id);
                known.attempt = attempt;
                known.done = None;
                known.port = port;
            }
            Entry::Restarted { id, restarts, memory } => {
                let known = self.replica_or_member(id);
                known.restarts = restarts;
                known.memory = memory;
            }
            Entry::Done { id, well } => self.replica_or_member(id).done = Some(well),
            Entry::Stopping { id } => {
                if let Some(replica) = self.replicas.get_mut(&id) {
                    replica.stopping = true;
                }
            }
            Entry::Gone { id } => {
                self.replicas.remove(&id);
            }
            _ => {}
        }
    }

    /// The replica of that name; whoever is no replica is a member of a store.
    fn replica_or_member(&mut self, id: ReplicaId) -> &mut RememberedReplica {
        if self.replicas.contains_key(&id) {
            self.replicas.entry(id).or_default()
        } else {
            self.members.entry(id).or_default()
        }
    }

    /// Forgets autoscalers that the accepted system no longer has.
    fn forget_autoscalers(&mut self) {
        let Some(accepted) = &self.accepted else { return };
        let services = &accepted.system.services;
        self.autoscaled.retain(|name, _| services.get(name).is_some_and(|service| service.autoscaling.is_some()));
        self.demand.retain(|name, _| services.contains_key(name));
        self.sizes.retain(|name, _| services.contains_key(name));
    }

    /// Forgets releases of services that the accepted system no longer has and of which nothing runs.
    fn forget_releases(&mut self) {
        let Some(accepted) = &self.accepted else { return };
        let runs: BTreeSet<&String> = self.replicas.keys().map(|id| &id.service).collect();
        let is_known = |name: &String| accepted.system.services.contains_key(name) || runs.contains(name);
        self.releases.retain(|name, _| is_known(name));
        self.sets.retain(|name, _| is_known(name));
    }

    /// Forgets versions that nothing runs, nobody wants and nobody may go back to any more.
    fn forget_revisions(&mut self) {
        let running = self.replicas.values().map(|replica| &replica.revision);
        let kept = self.releases.values().flat_map(rollout::Memory::kept);
        let sets = self.sets.values().flat_map(|sets| &sets.sets).map(|set| &set.revision);
        let accepted = self.accepted.iter().flat_map(|accepted| accepted.revisions.values());
        let used: BTreeSet<RevisionId> = running.chain(kept).chain(sets).chain(accepted).cloned().collect();
        self.revisions.retain(|id, _| used.contains(id));
        self.programs.retain(|id, _| used.contains(id));
        self.renewed.retain(|id| used.contains(id));
    }
}

/// What is shared, written as what it is.
mod shared {
    use super::AcceptedSystem;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    pub(super) fn serialize<S: Serializer>(
        accepted: &Option<Arc<AcceptedSystem>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        accepted.as_deref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<AcceptedSystem>>, D::Error> {
        Ok(Option::<AcceptedSystem>::deserialize(deserializer)?.map(Arc::new))
    }
}

/// Maps by replica, written with its name as key.
mod replica_map {
    use super::{RememberedReplica, ReplicaId};
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<ReplicaId, RememberedReplica>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map.iter().map(|(id, replica)| (id.to_string(), replica)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<ReplicaId, RememberedReplica>, D::Error> {
        let by_name = BTreeMap::<String, RememberedReplica>::deserialize(deserializer)?;
        by_name
            .into_iter()
            .map(|(name, replica)| Ok((name.parse().map_err(serde::de::Error::custom)?, replica)))
            .collect()
    }
}
