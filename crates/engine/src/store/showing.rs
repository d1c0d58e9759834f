//! How the members of a store with standbys are, for a person.

use super::{pooler::PoolerRun, replicated::Replicated};
use crate::input::StoreNews;
use plimsoll_control::failover::{self, Process, Seen};
use plimsoll_stores::{Inspection, MemberSeen};

impl Replicated<'_> {
    /// Tells how its members are.
    pub(super) fn show(&mut self, seen: &Seen) {
        let end = self.memory.positions.last().map(|(_, position)| *position);
        let servers = seen.members.iter().enumerate().map(|(place, member)| self.shown(place, member, end));
        let members: Vec<MemberSeen> = servers.chain(self.pooler.iter().map(PoolerRun::seen)).collect();
        let healthy = self.ready && !self.alone && members.iter().all(|member| member.ok);
        let standbys = members.iter().filter(|member| member.role == "standby" && member.ok).count();
        let copies = if self.alone { "writes are on one copy until a standby has everything: " } else { "" };
        let summary = format!(
            "{copies}member {} is the primary (epoch {}, timeline {}), {standbys} standbys follow",
            self.memory.primary + 1,
            self.memory.epoch,
            self.memory.timeline
        );
        let inspection = Inspection { members, healthy, summary };
        if self.shown.as_ref() != Some(&inspection) {
            self.store.tell(StoreNews::Inspected(inspection.clone()));
            self.shown = Some(inspection);
        }
    }

    fn shown(&self, place: usize, member: &failover::Member, end: Option<u64>) -> MemberSeen {
        let name = place.to_string();
        let Some(answer) = &member.answer else {
            let detail = match member.process {
                Process::Gone => "does not run",
                Process::Preparing => "its data is being made ready",
                Process::Runs => "does not answer yet",
            };
            let (role, detail) = ("unknown".to_owned(), self.with_trouble(place, detail));
            return MemberSeen { name, role, lag_bytes: None, ok: false, detail };
        };
        let at = format!("timeline {}, log up to {}", answer.timeline, failover::lsn(answer.position));
        if !answer.recovering {
            let (ok, detail) = (place == self.memory.primary, self.with_trouble(place, &at));
            return MemberSeen { name, role: "primary".into(), lag_bytes: None, ok, detail };
        }
        let lag_bytes = end.map(|end| end.saturating_sub(answer.replayed));
        let behind = self.memory.behind(answer.replayed, self.store.clock.now());
        let lag = match (lag_bytes, behind) {
            (Some(bytes), Some(time)) => format!("{bytes} bytes and {time} behind"),
            (Some(bytes), None) => format!("{bytes} bytes behind"),
            _ => "how far behind is not known".into(),
        };
        let follows = if answer.streams { "follows" } else { "does not follow" };
        let detail = self.with_trouble(place, &format!("{follows}, {lag}, {at}"));
        MemberSeen { name, role: "standby".into(), lag_bytes, ok: answer.streams, detail }
    }

    /// How a member is, and what it, or its start, was asked in vain.
    fn with_trouble(&self, place: usize, detail: &str) -> String {
        let server = &self.servers[place];
        let trouble = server.failed_for.iter().chain(&server.refused).map(String::as_str);
        std::iter::once(detail).chain(trouble).collect::<Vec<_>>().join("; ")
    }
}
