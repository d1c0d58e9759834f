//! What becomes of a replica whose process ended.

use super::{Engine, deciding::Words};
use crate::replica::{Stage, of_process};
use plimsoll_control::{
    account::{self, Question, Restart},
    restart::{self, Act, Decision, ExitSeen},
};
use plimsoll_journal::entry::Entry;
use plimsoll_model::{Instant, ReplicaId};
use plimsoll_wire::keeper::Exit;

impl Engine {
    /// The keeper told of an end.
    pub(super) fn take_exit(&mut self, process: &str, exit: &Exit) {
        let Some((id, attempt)) = of_process(process) else { return };
        self.forget_process(process.to_owned());
        // Told twice (by an inventory, and by an event), it is one end.
        if self.replicas.get(&id).is_none_or(|replica| replica.attempt != attempt || replica.is_ended()) {
            return;
        }
        let mut message = crate::exit::ended(exit);
        if exit.stragglers > 0 {
            message.push_str(&format!("; {} processes that it left behind were killed", exit.stragglers));
        }
        self.after_end(&id, exit, &message);
    }

    /// Decides what follows the end of a replica's process.
    pub(super) fn after_end(&mut self, id: &ReplicaId, exit: &Exit, message: &str) {
        let now = self.clock.now();
        let Some(replica) = self.replicas.get_mut(id) else { return };
        let probe_kill = matches!(replica.stage, Stage::Restarting(_));
        let by_us = matches!(replica.stage, Stage::Stopping(_));
        let seen = restart::Seen {
            at: now,
            exited_at: Instant(exit.at),
            exit: ExitSeen {
                memory_limit: replica.service.resources.memory_limit.filter(|_| exit.oom),
                by_us,
                probe_kill,
                ..crate::exit::seen(exit)
            },
            ready_for: replica.ready_since.map(|since| now.since(since)).unwrap_or_default(),
            ran_for: now.since(replica.started_at),
        };
        let policy = restart::Policy { restart: replica.service.restart, ..restart::Policy::default() };
        let asked = Restart { policy, memory: replica.restart, seen };
        let decision = restart::decide(&policy, &mut replica.restart, &seen);
        let well = restart::ended_well(&seen.exit);
        replica.process = None;
        replica.ready_since = None;
        replica.was_ready = false;
        replica.unrouted_in = None;
        replica.probed.clear();
        replica.outcomes.clear();
        replica.under_way.clear();
        replica.last_exit = Some(message.into());
        replica.reason.clone_from(&decision.reason);
        match decision.act {
            _ if by_us => {
                self.tell(&id.to_string(), "Stopped", message, false);
                self.remove(id);
            }
            Act::Never => {
                replica.stage = Stage::Done;
                replica.failed = !well;
                self.record.note(Entry::Done { id: id.clone(), well });
                self.tell_end(id, if well { "Done" } else { "Failed" }, &decision, asked);
            }
            Act::Now => self.restart_at(id, now, "Restarting", (&decision, asked)),
            Act::At(until) => self.restart_at(id, until, "BackOff", (&decision, asked)),
        }
    }

    fn restart_at(&mut self, id: &ReplicaId, until: Instant, word: &str, (decision, asked): (&Decision, Restart)) {
        let Some(replica) = self.replicas.get_mut(id) else { return };
        replica.restarts += 1;
        replica.stage = Stage::BackOff { until };
        let (restarts, memory) = (replica.restarts, replica.restart);
        if restart::ended_by_itself(&asked.seen.exit) {
            self.sample_end(id);
        }
        self.record.note(Entry::Restarted { id: id.clone(), restarts, memory });
        self.tell_end(id, word, decision, asked);
    }

    /// Tells what was decided about an end, with what led to it.
    fn tell_end(&mut self, id: &ReplicaId, word: &str, decision: &Decision, asked: Restart) {
        let answer = account::restarted(&asked.seen, decision);
        let warning = decision.act != Act::Never || !restart::ended_well(&asked.seen.exit);
        let words = Words { subject: &id.to_string(), reason: word, message: &decision.reason, warning };
        self.tell_decision(&words, &Question::Restart(asked), answer);
    }
}
