//! A system is offered: accepted whole, or not at all.

use super::Engine;
use crate::{programs, revision::revision_of, secrets};
use plimsoll_api::{Accepted, Change, Offer};
use plimsoll_journal::entry::{AcceptedSystem, Entry};
use plimsoll_model::{RevisionId, System, system::Target};
use plimsoll_wire::channel::memfd;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// So much of the findings about a refused file is told.
const FINDINGS_MAX: usize = 16 << 10;

impl Engine {
    /// Accepts a system, or tells why it is refused.
    ///
    /// # Errors
    /// Why it was refused; nothing has changed then.
    pub(super) fn take_offer(&mut self, offer: Offer) -> Result<Accepted, String> {
        self.accept(offer).inspect_err(|why| self.tell_refused(why))
    }

    /// Tells that a file was refused, with what is wrong with it.
    pub(super) fn tell_refused(&mut self, findings: &str) {
        let end = findings.floor_char_boundary(FINDINGS_MAX);
        self.tell("system", "Refused", findings[..end].trim_end(), true);
    }

    /// Accepts a system, durably, before anything is done about it.
    ///
    /// # Errors
    /// Why it was refused; nothing has changed then.
    fn accept(&mut self, offer: Offer) -> Result<Accepted, String> {
        if self.record.remembered.ending.is_some() {
            return Err("the system is being ended; wait until it is down, then run `plimsoll up` again".into());
        }
        if let Target::Kubernetes { .. } = offer.system.target {
            return Err(
                "this system is for Kubernetes: `plimsoll apply` takes it there, `up` runs systems on this machine"
                    .into(),
            );
        }
        let after = self.events.last();
        let former = self.record.remembered.accepted.clone();
        let mut offer = offer;
        let kept = self.keep_others(&mut offer)?;
        self.take_secrets(std::mem::take(&mut offer.secrets));
        let mut revisions = self.revisions_of(&offer.system, &offer.folder);
        revisions.extend(kept);
        let accepted = AcceptedSystem {
            revisions,
            system: offer.system,
            text: offer.text,
            file: offer.file,
            folder: offer.folder,
            environment: offer.environment,
        };
        let changes = self.changes(former.as_deref(), &accepted);
        if changes.is_empty() && former.as_deref() == Some(&accepted) {
            // What a store lacked, a secret or an account, may be there now.
            self.arrange_stores();
            return Ok(Accepted { changes, after });
        }
        let entry = Entry::Accepted(Box::new(accepted));
        self.record.commit(entry).map_err(|error| format!("not accepted: {}", plimsoll_journal::chain(&error)))?;
        self.forget_persons_numbers();
        self.rethink_scaling();
        self.name_revisions();
        self.keep_programs();
        let what: Vec<String> = changes.iter().map(|change| format!("{} {}", change.name, change.what)).collect();
        let message = if what.is_empty() { "nothing changed".into() } else { what.join(", ") };
        self.tell("system", "Accepted", &message, false);
        self.arrange_stores();
        self.drop_listeners();
        self.reserve_edges();
        Ok(Accepted { changes, after })
    }

    /// Puts what is accepted in the place of services that are not meant; their versions.
    ///
    /// # Errors
    /// A service that is meant is not in the file.
    fn keep_others(&self, offer: &mut Offer) -> Result<BTreeMap<String, RevisionId>, String> {
        let only = std::mem::take(&mut offer.only);
        if let Some(unknown) = only.iter().find(|name| !offer.system.services.contains_key(*name)) {
            return Err(format!("the file has no service {unknown}"));
        }
        let mut kept = BTreeMap::new();
        let Some(accepted) = self.record.remembered.accepted.as_ref().filter(|_| !only.is_empty()) else {
            return Ok(kept);
        };
        for (name, service) in &accepted.system.services {
            if only.contains(name) {
                continue;
            }
            offer.system.services.insert(name.clone(), service.clone());
            kept.extend(accepted.revisions.get(name).map(|revision| (name.clone(), revision.clone())));
        }
        offer.system.services.retain(|name, _| only.contains(name) || kept.contains_key(name));
        Ok(kept)
    }

    /// Keeps the programs of all accepted versions, in the background; those that no version has are removed.
    pub(super) fn keep_programs(&mut self) {
        let Some(accepted) = &self.record.remembered.accepted else { return };
        let mut new = Vec::new();
        for (name, service) in &accepted.system.services {
            let Some(revision) = accepted.revisions.get(name) else { continue };
            if !self.record.remembered.programs.contains_key(revision) {
                let program = programs::program_of(service, Path::new(&accepted.folder));
                new.extend(program.map(|program| (revision.clone(), program)));
            }
        }
        for (revision, program) in new {
            self.record.note(Entry::Program { revision, program });
        }
        let known = &self.record.remembered.programs;
        programs::forget_others(&self.place.state, &known.values().map(|program| program.copy.as_str()).collect());
        let all: BTreeSet<_> = known.values().cloned().collect();
        let state = self.place.state.clone();
        tokio::task::spawn_blocking(move || {
            for program in all.iter().filter(|program| programs::is_missing(&state, program)) {
                if let Err(error) = programs::keep(&state, program) {
                    eprintln!("no copy of {} was kept: {error}", program.path);
                }
            }
        });
    }

    /// Ports of edges are chosen before the first replica is launched, since it is told them.
    pub(super) fn reserve_edges(&mut self) {
        let Some(accepted) = &self.record.remembered.accepted else { return };
        for edge in super::routing::edges(&accepted.system) {
            self.bind_edge(&super::routing::edge_name(&edge));
        }
    }

    /// Names the version of each service of the accepted system.
    pub(super) fn name_revisions(&mut self) {
        let accepted = self.record.remembered.accepted.as_ref();
        self.revisions = accepted.map(|accepted| accepted.revisions.clone()).unwrap_or_default();
    }

    fn revisions_of(&self, system: &System, folder: &str) -> BTreeMap<String, plimsoll_model::RevisionId> {
        let renewals = &self.record.remembered.renewals;
        let revision = |name: &String, service| {
            let mark = programs::mark(service, Path::new(folder));
            revision_of(service, mark, renewals.get(name).copied().unwrap_or(0))
        };
        system.services.iter().map(|(name, service)| (name.clone(), revision(name, service))).collect()
    }

    /// What a newly accepted system changes.
    fn changes(&self, former: Option<&AcceptedSystem>, new: &AcceptedSystem) -> Vec<Change> {
        let empty = System::default();
        let old = former.map_or(&empty, |former| &former.system);
        let revisions = &new.revisions;
        let mut changes = Vec::new();
        let mut compare = |name: &String, before: bool, after: bool, same: bool| {
            let what = match (before, after) {
                (false, true) => "added",
                (true, false) => "removed",
                _ if same => return,
                _ => "changed",
            };
            changes.push(Change { name: name.clone(), what: what.into() });
        };
        for name in
            old.services.keys().chain(new.system.services.keys().filter(|name| !old.services.contains_key(*name)))
        {
            let (before, after) = (old.services.get(name), new.system.services.get(name));
            let same = before == after && self.revisions.get(name) == revisions.get(name);
            compare(name, before.is_some(), after.is_some(), same);
        }
        for name in old.stores.keys().chain(new.system.stores.keys().filter(|name| !old.stores.contains_key(*name))) {
            let (before, after) = (old.stores.get(name), new.system.stores.get(name));
            compare(name, before.is_some(), after.is_some(), before == after);
        }
        compare(&"ingress".into(), former.is_some(), true, former.is_some() && old.ingress == new.system.ingress);
        if former.is_none() && new.system.ingress.listen.is_empty() {
            changes.retain(|change| change.name != "ingress");
        }
        changes
    }

    /// What persons wanted of numbers of replicas ends with the next file.
    fn forget_persons_numbers(&mut self) {
        for service in self.record.remembered.scaled.keys().cloned().collect::<Vec<_>>() {
            self.record.note(Entry::Scaled { service: service.clone(), replicas: None });
            self.tell(&service, "Scaled", "the file says again how many replicas it has", false);
        }
    }

    /// Keeps secrets from the environment in memory: ours, and the keeper's. Those that were given before stay: whoever
    /// runs `up` the next time need not have them all.
    fn take_secrets(&mut self, given: BTreeMap<String, String>) {
        let before = self.secrets.given.clone();
        self.secrets.given.extend(given);
        if self.secrets.given != before {
            self.keep_secrets();
        }
    }

    /// Has the keeper keep the secrets that were given, for an engine that comes after.
    pub(super) fn keep_secrets(&self) {
        if self.secrets.given.is_empty() {
            return;
        }
        let Ok(text) = serde_json::to_vec(&self.secrets.given) else { return };
        let Ok(fd) = memfd(secrets::KEPT, &text) else { return };
        let keeper = self.keeper.clone();
        tokio::task::spawn_local(async move {
            keeper.keep(secrets::KEPT, fd).await.ok();
        });
    }
}
