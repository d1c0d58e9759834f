//! How releases stand and what happened in them, for whoever asks.

use super::Engine;
use plimsoll_api::release::{Ledger, Release, ReleaseStatus};
use plimsoll_control::{
    analysis::Verdict,
    rollout::{Memory, Paused, Stage},
};

impl Engine {
    /// What happened in releases.
    pub(super) fn ledger(&self) -> Ledger {
        let line = |row: &plimsoll_journal::entry::Row| Release {
            number: row.number,
            at: row.at,
            service: row.service.clone(),
            revision: row.revision.clone(),
            what: row.event.word().into(),
            message: row.event.said(),
            by: row.by.clone(),
            why: row.why.clone(),
            kept: self.release_memory(&row.service).past.contains(&row.revision),
        };
        Ledger { releases: self.record.remembered.ledger.iter().map(line).collect() }
    }

    /// How the release of a service stands; `None` when nothing is to be told of it.
    pub(super) fn release_status(&self, name: &str) -> Option<ReleaseStatus> {
        let release = self.releases.get(name)?;
        let memory = &release.memory;
        let held = self.held(name, memory);
        let on_probation = matches!(memory.stage, Stage::Baking { .. });
        if !memory.is_under_way() && !on_probation && held.is_none() {
            return None;
        }
        let (verdict, missing) = match &release.last.verdict {
            None => (None, None),
            Some(Verdict::Pass) => (Some("pass"), None),
            Some(Verdict::Fail(why)) => (Some("fail"), Some(why.clone())),
            Some(Verdict::Inconclusive(missing)) => (Some("inconclusive"), Some(missing.clone())),
        };
        let wanted = self.revisions.get(name).cloned().unwrap_or_default();
        let (revision, from) = match (&memory.target, held.is_some()) {
            (Some(_), false) if memory.stable.is_none() => return None,
            (Some(target), _) => (target.clone(), memory.stable.clone()),
            (None, true) => (wanted, memory.stable.clone()),
            (None, false) => (memory.stable.clone()?, memory.previous.clone()),
        };
        let share = release.last.shares.iter().find(|share| share.revision == revision).map(|share| share.share);
        Some(ReleaseStatus {
            revision,
            from,
            under_way: memory.is_under_way(),
            stage: memory.stage_name(),
            share,
            verdict: verdict.map(Into::into),
            missing,
            paused: memory.paused.as_ref().map(paused),
            held,
            reason: release.last.reason.clone(),
        })
    }

    /// Why what the file asks for does not run, and is not coming in.
    fn held(&self, name: &str, memory: &Memory) -> Option<String> {
        let wanted = self.revisions.get(name)?;
        if memory.stable.as_ref() == Some(wanted) || memory.target.as_ref() == Some(wanted) {
            return None;
        }
        if let Some(one) = memory.quarantine.iter().find(|one| one.revision == *wanted) {
            return Some(format!("it was sent back and is not tried again: {}", one.why));
        }
        self.goals_said.get(name).cloned()
    }
}

fn paused(paused: &Paused) -> String {
    if paused.by.is_empty() { paused.why.clone() } else { format!("{}: {}", paused.by, paused.why) }
}
