//! A version of a service that an experiment makes: the same program with further variables, brought in by the engine's own
//! releases, and taken out again.
//!
//! Invariant: only that service is offered, so that nothing else changes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plimsoll_api::release::{Order, Release, Wish};
use plimsoll_api::status::ServiceStatus;
use plimsoll_api::{Offer, Status};
use plimsoll_model::RevisionId;

use crate::lab::{LOOK_CALMLY, Lab};
use crate::proof::Unproven;

/// Who asks, in the ledger.
const BY: &str = "plimsoll prove";
const LOOK_THERE: &str = "see `plimsoll status` and `plimsoll history`";

/// A service whose releases are experimented with.
#[derive(Debug)]
pub(crate) struct Drill<'a> {
    lab: &'a Lab,
    promise: String,
    pub(crate) service: String,
    as_it_was: Offer,
    /// The version that runs.
    pub(crate) old: RevisionId,
}

/// How a release goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing that matters yet.
    Nothing,
    /// The new version is the one, though it may still be on probation.
    Promoted,
    /// It was sent back.
    SentBack(Release),
    /// It waits for a person, or is held back.
    Waits(String),
}

impl<'a> Drill<'a> {
    /// Finds the service (`None`: the one behind the first path of the ingress), whose release must be at rest.
    pub(crate) async fn prepare(lab: &'a Lab, promise: &str, service: Option<&str>) -> Result<Drill<'a>, Unproven> {
        let first = || lab.system.ingress.hosts.values().flat_map(|host| host.paths.values()).next();
        let Some(service) = service.map(str::to_owned).or_else(|| first().cloned()) else {
            return Err(Unproven::new("no service is named, and the ingress has none", "name one: `service: NAME`"));
        };
        let offer = lab.client.system().await;
        let offer = offer.map_err(|error| Unproven::new(error.to_string(), "bring the system up"))?;
        let as_it_was = Offer { only: vec![service.clone()], ..offer };
        let mut old = None;
        lab.wait(LOOK_CALMLY, |status| {
            old = status.services.get(&service).filter(|seen| is_at_rest(seen)).map(|seen| seen.revision.clone());
            old.is_some()
        })
        .await;
        let Some(old) = old else {
            let why = format!("{service} does not run one version, all of it ready and no release under way");
            return Err(Unproven::new(why, LOOK_THERE));
        };
        Ok(Drill { lab, promise: promise.to_owned(), service, as_it_was, old })
    }

    /// Offers another version; its name.
    pub(crate) async fn offer(&self, variables: &BTreeMap<String, String>) -> Result<RevisionId, Unproven> {
        let mut offer = self.as_it_was.clone();
        if let Some(service) = offer.system.services.get_mut(&self.service) {
            service.env.extend(variables.clone());
        }
        self.take(&offer).await?;
        let new = self.lab.service(&self.service).await?.revision;
        if new == self.old {
            let why = format!("these variables make no other version of {}", self.service);
            return Err(Unproven::new(why, "see the promise's `bad`"));
        }
        Ok(new)
    }

    /// Offers the service as it was.
    pub(crate) async fn restore(&self) -> Result<(), Unproven> {
        self.take(&self.as_it_was).await
    }

    async fn take(&self, offer: &Offer) -> Result<(), Unproven> {
        let offered = self.lab.client.offer(offer).await;
        offered
            .map(drop)
            .map_err(|error| Unproven::new(format!("the engine took no other version: {error}"), LOOK_THERE))
    }

    /// What an experiment comes to that a person has broken off; `restored`: the service is as it was again.
    pub(crate) fn interrupted(&self, restored: bool) -> Unproven {
        if restored {
            return Unproven::new("it was interrupted", "run it again");
        }
        let why = format!("it was interrupted, and {} may still have a version to test with", self.service);
        Unproven::new(why, "see `plimsoll status`; `plimsoll up` brings in what the file says")
    }

    /// Orders something of its release.
    pub(crate) async fn order(&self, wish: Wish) -> Result<(), Unproven> {
        let why = format!("to prove `{}`", self.promise);
        let order = Order { service: Some(self.service.clone()), wish, by: BY.to_owned(), why, to: None };
        let said = self.lab.client.release(&order).await;
        said.map(drop).map_err(|error| Unproven::new(format!("{wish:?} was refused: {error}"), LOOK_THERE))
    }

    /// The number of the ledger's last line.
    pub(crate) async fn last_line(&self) -> Result<u64, Unproven> {
        let ledger = self.lab.client.releases().await;
        let ledger = ledger.map_err(|error| Unproven::new(error.to_string(), LOOK_THERE))?;
        Ok(ledger.releases.last().map_or(0, |line| line.number))
    }

    /// Waits until there is news of the release of `new` that is told after line `since`; `Nothing` if there is none in
    /// `patience`. With `to_the_end` a version on probation is waited for until it is no longer.
    pub(crate) async fn news(&self, (new, since): (&RevisionId, u64), to_the_end: bool, patience: Duration) -> News {
        let began = Instant::now();
        while began.elapsed() < patience {
            // An engine that doesn't answer is waited for, too.
            if let (Ok(ledger), Ok(status)) = (self.lab.client.releases().await, self.lab.client.status().await) {
                let lines = ledger.releases.into_iter().filter(|line| line.number > since);
                let lines: Vec<Release> =
                    lines.filter(|line| line.service == self.service && line.revision == *new).collect();
                match news(&lines, status.services.get(&self.service)) {
                    News::Nothing => {}
                    News::Promoted if to_the_end && self.is_on_probation(&status) => {}
                    news => return news,
                }
            }
            tokio::time::sleep(LOOK_CALMLY).await;
        }
        News::Nothing
    }

    fn is_on_probation(&self, status: &Status) -> bool {
        status.services.get(&self.service).is_some_and(|seen| seen.releasing.is_some())
    }

    /// Looks each `look` until all that takes requests is of that version; the status that showed it. `None`: not in
    /// `patience`.
    pub(crate) async fn all_on(&self, revision: &RevisionId, look: Duration, patience: Duration) -> Option<Status> {
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Ok(status) = self.lab.client.status().await
                && status.services.get(&self.service).is_some_and(|seen| is_all_on(seen, revision))
            {
                return Some(status);
            }
            tokio::time::sleep(look).await;
        }
        None
    }
}

fn news(lines: &[Release], service: Option<&ServiceStatus>) -> News {
    let line = |word: &str| lines.iter().rfind(|line| line.what == word);
    if let Some(back) = line("RolledBack") {
        return News::SentBack(back.clone());
    }
    if line("Promoted").is_some() {
        return News::Promoted;
    }
    let release = service.and_then(|seen| seen.releasing.as_ref());
    let waits = release.and_then(|release| release.paused.clone().or_else(|| release.held.clone()));
    waits.map_or(News::Nothing, News::Waits)
}

/// Nothing comes in, nothing is held back, and one version has all traffic. One on probation may be replaced, too.
fn is_at_rest(seen: &ServiceStatus) -> bool {
    let rests = seen.releasing.as_ref().is_none_or(|release| !release.under_way && release.held.is_none());
    rests && is_all_on(seen, &seen.revision)
}

/// As many as are wanted are ready, and all that are ready are of that version.
fn is_all_on(seen: &ServiceStatus, revision: &RevisionId) -> bool {
    let ready = seen.replicas.iter().filter(|replica| replica.phase == "Ready");
    let (own, all) = ready.fold((0, 0), |(own, all), one| (own + u32::from(one.revision == *revision), all + 1));
    own == all && own >= seen.wanted && own > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_api::release::ReleaseStatus;
    use plimsoll_model::Instant;

    fn line(what: &str) -> Release {
        Release {
            number: 1,
            at: Instant(0),
            service: "web".into(),
            revision: RevisionId("new".into()),
            what: what.into(),
            message: String::new(),
            by: String::new(),
            why: String::new(),
            kept: true,
        }
    }

    #[test]
    fn the_last_word_counts() {
        assert_eq!(news(&[line("ReleaseBegan")], None), News::Nothing);
        assert_eq!(news(&[line("ReleaseBegan"), line("Promoted")], None), News::Promoted);
        let back = line("RolledBack");
        assert_eq!(news(&[line("Promoted"), back.clone()], None), News::SentBack(back));
        let waits = ReleaseStatus { paused: Some("too little traffic".into()), ..ReleaseStatus::default() };
        let seen = ServiceStatus { releasing: Some(waits), ..ServiceStatus::default() };
        assert_eq!(news(&[line("ReleasePaused")], Some(&seen)), News::Waits("too little traffic".into()));
    }
}
