//! A system's own audit, as a promise names it: run once, beside a service, for whoever asks.
//!
//! Invariant: nothing is run but what the accepted file says.

use super::Engine;
use crate::{keeper::KeeperError, replica::Replica};
use plimsoll_api::audit::Audited;
use plimsoll_model::{Instant, ReplicaId, promise::Kind};
use plimsoll_wire::keeper::{Exit, Spawn};
use std::rc::Rc;
use tokio::sync::oneshot;

/// Of its output, so much is told, in bytes.
const OUTPUT_MAX: usize = 4000;

impl Engine {
    /// Runs the audit of a promise, and answers when it has ended. One that takes too long is ended.
    pub(super) fn audit(&mut self, promise: &str, reply: oneshot::Sender<Result<Audited, String>>) {
        let (spawn, log, max) = match self.audit_of(promise) {
            Ok(found) => found,
            Err(why) => return drop(reply.send(Err(why))),
        };
        let (oneshots, keeper, clock, log) =
            (self.oneshots.clone(), self.keeper.clone(), self.clock, self.place.log(&log));
        tokio::task::spawn_local(async move {
            let before = std::fs::metadata(&log).map_or(0, |found| found.len());
            let (id, began) = (spawn.id.clone(), clock.now());
            let run = oneshots.run(spawn);
            tokio::pin!(run);
            let (ended, late) = tokio::select! {
                ended = &mut run => (ended, false),
                () = tokio::time::sleep(max.as_duration()) => {
                    oneshots.kill(&id).await;
                    (run.await, true)
                }
            };
            let took = clock.now().since(began);
            let answer = match ended {
                Err(KeeperError::Gone) => Err("the keeper ended meanwhile, so nobody knows how it went".to_owned()),
                Err(error) => Err(format!("it could not be started: {error}")),
                Ok(exit) => {
                    // What it wrote last is in its log once the keeper has answered something else.
                    keeper.list().await.ok();
                    let output = super::preparing::output_since(&log, before, OUTPUT_MAX);
                    Ok(Audited { well: ended_well(&exit) && !late, ended: in_words(&exit, late), output, took })
                }
            };
            reply.send(answer).ok();
        });
    }

    /// The process, its log, and how long it may take.
    fn audit_of(&self, promise: &str) -> Result<(Spawn, String, plimsoll_model::Millis), String> {
        self.is_not_ending()?;
        let accepted = self.record.remembered.accepted.as_ref().ok_or("no system is accepted")?;
        let kind = accepted.system.promises.get(promise).map(|promise| &promise.kind);
        let Some(Kind::Invariants { service: name, command, max, .. }) = kind else {
            return Err(format!("`{promise}` is no promise of invariants"));
        };
        let service = self.known_service(name)?;
        if let Some(link) =
            service.uses.iter().find(|link| self.stores.get(&link.to).is_some_and(|it| it.url.is_none()))
        {
            return Err(format!("the address of {} is not known yet", link.to));
        }
        let now: Instant = self.clock.now();
        let revision = self.revisions.get(name).cloned().unwrap_or_default();
        let like = Replica::new(ReplicaId::new(name, 0), revision, Rc::new((*service).clone()), now);
        let log = format!("{name}.audit");
        let spawn = self.shell_beside(&like, (format!("{name}.audit-{}", now.0), log.clone()), command)?;
        Ok((spawn, log, *max))
    }
}

fn ended_well(exit: &Exit) -> bool {
    exit.code == Some(0)
}

fn in_words(exit: &Exit, late: bool) -> String {
    if late { "took too long, and was ended".to_owned() } else { crate::exit::ended(exit) }
}
