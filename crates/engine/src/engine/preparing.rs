//! The command that is run once before a version comes in: a migration, say.
//!
//! The keeper runs it under a name that is the version's, and keeps its end until that is written down: an engine that dies
//! meanwhile asks again, and is told of the same run.

use super::Engine;
use crate::{input::Input, keeper::KeeperError, launch, replica::Replica};
use plimsoll_control::rollout::Prepared;
use plimsoll_model::{Instant, ReplicaId, RevisionId, Service};
use plimsoll_wire::keeper::{Exit, Spawn};
use std::{path::Path, rc::Rc};

/// Of its output, so much is told when it fails, in bytes.
const OUTPUT_MAX: usize = 1500;

/// The keeper's name of the command.
fn process(service: &str, revision: &RevisionId) -> String {
    format!("{service}.before-{revision}")
}

/// The name of its log.
fn log(service: &str) -> String {
    format!("{service}.before")
}

impl Engine {
    /// Has the `before` command of a version run, once what the service uses is ready.
    pub(super) fn prepare(&mut self, (name, service): (&str, &Service), revision: &RevisionId, now: Instant) {
        let waits = |to: &String| self.stores.get(to).is_some_and(|store| !store.ready || store.url.is_none());
        let Some(release) = self.releases.get(name) else { return };
        if release.preparing.as_ref() == Some(revision) || service.uses.iter().any(|link| waits(&link.to)) {
            return;
        }
        let spawn = self.preparation((name, service), revision, now);
        if let Some(release) = self.releases.get_mut(name) {
            release.preparing = Some(revision.clone());
        }
        let (oneshots, keeper, inputs) = (self.oneshots.clone(), self.keeper.clone(), self.inputs.clone());
        let (service, revision, log) = (name.to_owned(), revision.clone(), self.place.log(&log(name)));
        tokio::task::spawn_local(async move {
            // What is in it already is of another run.
            let before = std::fs::metadata(&log).map_or(0, |found| found.len());
            let ended = match spawn {
                Ok(spawn) => oneshots.run_and_keep(spawn).await,
                Err(why) => Err(KeeperError::Failed(why)),
            };
            let result = match ended {
                Err(KeeperError::Gone) => None,
                Err(error) => Some(Err(error.to_string())),
                Ok(exit) if exit.code == Some(0) => Some(Ok(())),
                Ok(exit) => {
                    // What it wrote last is in its log once the keeper has answered something else.
                    keeper.list().await.ok();
                    Some(Err(failure(&exit, &log, before)))
                }
            };
            inputs.send(Input::Prepared { service, revision, result }).ok();
        });
    }

    /// The process of the command: as a replica of the version would be started, without a port.
    fn preparation(
        &self,
        (name, service): (&str, &Service),
        revision: &RevisionId,
        now: Instant,
    ) -> Result<Spawn, String> {
        let before = service.rollout.before.clone().unwrap_or_default();
        let like = Replica::new(ReplicaId::new(name, 0), revision.clone(), Rc::new(service.clone()), now);
        self.shell_beside(&like, (process(name, revision), log(name)), &before)
    }

    /// A command of a shell, as a replica like that would be started, without a port; called that, with that log.
    pub(super) fn shell_beside(
        &self,
        like: &Replica,
        (process, log): (String, String),
        command: &str,
    ) -> Result<Spawn, String> {
        let words = ["sh", "-c", command].map(str::to_owned);
        let mut spawn = launch::beside(like, &self.site_of(like)?, process, &words)?;
        spawn.log = Some(log);
        Ok(spawn)
    }

    /// The command has ended, or the keeper did (then it is asked again).
    pub(super) fn take_prepared(&mut self, name: &str, revision: RevisionId, result: Option<Result<(), String>>) {
        let Some(release) = self.releases.get_mut(name).filter(|one| one.preparing.as_ref() == Some(&revision)) else {
            return self.forget_preparation(name, &revision);
        };
        release.preparing = None;
        release.prepared = result.map(|result| Prepared { revision, failed: result.err() });
    }

    /// Its end is written down: the keeper may forget it.
    pub(super) fn forget_preparation(&self, name: &str, revision: &RevisionId) {
        let (keeper, process) = (self.keeper.clone(), process(name, revision));
        tokio::task::spawn_local(async move {
            keeper.forget(&process).await.ok();
        });
    }
}

/// How it failed, with the end of its output.
fn failure(exit: &Exit, log: &Path, before: u64) -> String {
    let text = output_since(log, before, OUTPUT_MAX);
    let how = crate::exit::ended(exit);
    if text.is_empty() { how } else { format!("{how}: {text}") }
}

/// The last `most` bytes of what came after the first `before` bytes of a log, unless that was begun anew; without the moments
/// that its lines begin with.
pub(super) fn output_since(log: &Path, before: u64, most: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = usize::try_from(before).ok().and_then(|before| text.get(before..)).unwrap_or(&text);
    unstamped(String::from_utf8_lossy(&text[text.len().saturating_sub(most)..]).trim())
}

/// Lines of a log without the moment that each begins with.
fn unstamped(lines: &str) -> String {
    let is_moment = |word: &str| word.starts_with(|first: char| first.is_ascii_digit()) && word.ends_with('Z');
    let text = |line: &str| match line.split_once(' ') {
        Some((moment, text)) if is_moment(moment) => text.to_owned(),
        _ => line.to_owned(),
    };
    lines.lines().map(text).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_told_without_the_logs_own_words() {
        let log = "2026-11-29T09:01:31.080527Z all is well\n2026-11-29T09:01:31.080528Z\nrest of a line that was cut";
        assert_eq!(unstamped(log), "all is well\n2026-11-29T09:01:31.080528Z\nrest of a line that was cut");
        assert_eq!(unstamped("2026-11-29T09:01:31.080527Z "), "");
    }
}
