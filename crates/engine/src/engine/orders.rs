//! What is asked by the API.

use super::Engine;
use crate::{input::Asked, programs, replica::Stage, revision::revision_of};
use plimsoll_api::Offer;
use plimsoll_journal::entry::Entry;
use plimsoll_model::{ReplicaId, RevisionId};
use std::path::Path;

/// Nobody runs more replicas of one service on one machine.
const REPLICAS_MAX: u32 = 1000;

impl Engine {
    /// Answers one question, or carries out one order. Whoever asked may be gone.
    pub(super) fn answer(&mut self, asked: Asked) {
        match asked {
            Asked::Offer(offer, reply) => drop(reply.send(self.take_offer(*offer))),
            Asked::Refused(findings, reply) => {
                self.tell_refused(&findings);
                reply.send(()).ok();
            }
            Asked::System(reply) => drop(reply.send(self.offer())),
            Asked::Arrival(reply) => self.arrivals.push(reply),
            Asked::Status(reply) => self.answer_status(reply, true),
            Asked::Events(after, reply) => drop(reply.send(self.events.since(after))),
            Asked::Restart(service, reply) => drop(reply.send(self.renew(&service))),
            Asked::Scale(service, replicas, reply) => drop(reply.send(self.scale(&service, replicas))),
            Asked::SwitchOver(store, member, reply) => {
                drop(reply.send(self.switch_over(&store, member.as_deref())));
            }
            Asked::Releases(reply) => drop(reply.send(self.ledger())),
            Asked::Release(order, reply) => drop(reply.send(self.order_release(&order))),
            Asked::Audit(promise, reply) => self.audit(&promise, reply),
            Asked::Signal(id, signal, reply) => drop(reply.send(self.signal(&id, signal))),
            Asked::Down(volumes, reply) => drop(reply.send(self.down(volumes))),
            Asked::Logs(name, reply) => drop(reply.send(self.logs(name.as_deref()))),
            Asked::Upgrade(program, reply) => self.ask_candidate(program, reply),
            Asked::Metrics(reply) => drop(reply.send(self.metrics())),
        }
    }

    fn offer(&self) -> Offer {
        let accepted = self.record.remembered.accepted.as_deref().cloned().unwrap_or_default();
        Offer {
            system: accepted.system,
            text: accepted.text,
            file: accepted.file,
            folder: accepted.folder,
            environment: accepted.environment,
            only: Vec::new(),
            secrets: Default::default(),
        }
    }

    /// Every replica of a service gets a new version that differs in nothing: the rollout does the rest.
    fn renew(&mut self, service: &str) -> Result<(), String> {
        self.is_not_ending()?;
        let what = self.known_service(service)?;
        let renewal = self.record.remembered.renewals.get(service).copied().unwrap_or(0) + 1;
        let former = self.revisions.get(service).cloned().unwrap_or_default();
        self.may_renew(service, &former)?;
        // The program that was accepted: one that was built since comes in with the next `up`, as a release.
        let program = self.record.remembered.programs.get(&former).cloned();
        let mark = match &program {
            Some(program) => Some((program.length, program.written.0, program.written.1)),
            None => {
                let accepted = self.record.remembered.accepted.as_ref();
                let folder = accepted.map(|accepted| accepted.folder.clone()).unwrap_or_default();
                programs::mark(&what, Path::new(&folder))
            }
        };
        let revision = revision_of(&what, mark, renewal);
        if let Some(program) = program {
            self.record.note(Entry::Program { revision: revision.clone(), program });
        }
        let entry = Entry::Renewed { service: service.into(), renewal, revision };
        self.record.commit(entry).map_err(|error| plimsoll_journal::chain(&error))?;
        self.name_revisions();
        self.tell(service, "Restarting", "a person wants every replica replaced", false);
        Ok(())
    }

    /// Replicas are started anew only where the file's version is what runs.
    fn may_renew(&self, service: &str, wanted: &RevisionId) -> Result<(), String> {
        let memory = self.release_memory(service);
        if memory.is_under_way() && memory.stable.is_some() && !memory.at_once {
            return Err(format!("a release of {service} is under way; wait for its end, or abort it"));
        }
        if memory.is_quarantined(wanted) || self.record.remembered.together.chosen.contains_key(service) {
            return Err(format!(
                "{service} runs another version than the file's, which was sent back: change the file, or \
                 `plimsoll release forgive {service}`"
            ));
        }
        Ok(())
    }

    /// What is being ended takes no orders.
    pub(super) fn is_not_ending(&self) -> Result<(), String> {
        if self.record.remembered.ending.is_some() { Err("the system is being ended".into()) } else { Ok(()) }
    }

    fn scale(&mut self, service: &str, replicas: u32) -> Result<String, String> {
        self.is_not_ending()?;
        let what = self.known_service(service)?;
        if replicas > REPLICAS_MAX {
            return Err(format!(
                "{replicas} replicas are more than the {REPLICAS_MAX} that one machine runs of a service"
            ));
        }
        if what.autoscaling.is_some() {
            return self.scale_by_hand(service, replicas, &what);
        }
        let entry = Entry::Scaled { service: service.into(), replicas: Some(replicas) };
        self.record.commit(entry).map_err(|error| plimsoll_journal::chain(&error))?;
        let message = format!("a person wants {replicas} replicas, until the next `plimsoll up` with a changed file");
        self.tell(service, "Scaled", &message, false);
        Ok(message)
    }

    fn signal(&mut self, id: &ReplicaId, signal: i32) -> Result<(), String> {
        let replica = self.replicas.get(id).ok_or_else(|| format!("there is no replica {id}"))?;
        if replica.process.is_none() || matches!(replica.stage, Stage::Done) {
            return Err(format!("{id} does not run now"));
        }
        let process = replica.process_id();
        self.tell(&id.to_string(), "Signal", &format!("a person sends it signal {signal}"), true);
        self.signal_process(process, signal, false);
        Ok(())
    }

    pub(super) fn known_service(&self, name: &str) -> Result<std::rc::Rc<plimsoll_model::Service>, String> {
        self.accepted_service(name).ok_or_else(|| {
            let known: Vec<&String> = self.revisions.keys().collect();
            format!("there is no service {name}; there are {known:?}")
        })
    }

    fn down(&mut self, volumes: bool) -> Result<(), String> {
        if self.record.remembered.ending.is_some_and(|former| former || !volumes) {
            return Ok(());
        }
        let message =
            if volumes { "the system is ended, and its stores' data is dropped" } else { "the system is ended" };
        let refused = self.record.commit(Entry::Ending { volumes }).err();
        if let Some(error) = &refused {
            // A disk that takes nothing must not keep anybody from ending what runs on it.
            self.record.note(Entry::Ending { volumes });
            let why = plimsoll_journal::chain(error);
            let message =
                format!("{message}, though that can't be written down, and a restart would not know it: {why}");
            self.tell("system", "Ending", &message, true);
        } else {
            self.tell("system", "Ending", message, false);
        }
        Ok(())
    }

    /// The names of the logs of a service, a replica or store member, or of all.
    fn logs(&self, name: Option<&str>) -> Result<Vec<String>, String> {
        let mut names: Vec<String> = self.replicas.keys().map(ToString::to_string).collect();
        for (store, state) in &self.stores {
            names.extend((1..=state.ports.len()).map(|member| format!("{store}-{member}")));
        }
        let Some(wanted) = name else { return Ok(names) };
        // A service may be called like one of our own processes, and is then the one that is meant.
        if ["keeper", "engine", "gateway"].contains(&wanted) && !self.revisions.contains_key(wanted) {
            return Ok(vec![wanted.into()]);
        }
        let of = |log: &String| log == wanted || ReplicaId::owner_in(log) == Some(wanted);
        let found: Vec<String> = names.into_iter().filter(of).collect();
        if found.is_empty() && !self.revisions.contains_key(wanted) {
            return Err(format!("there is no service, store or replica {wanted}"));
        }
        Ok(found)
    }
}
