//! A system is offered: accepted whole, or not at all.

use super::Engine;
use crate::{revision::revision_of, secrets};
use plimsoll_api::{Accepted, Change, Offer};
use plimsoll_journal::entry::{AcceptedSystem, Entry};
use plimsoll_model::{System, system::Target};
use plimsoll_wire::channel::memfd;
use std::{collections::BTreeMap, path::Path};

impl Engine {
    /// Accepts a system, durably, before anything is done about it.
    ///
    /// # Errors
    /// Why it was refused; nothing has changed then.
    pub(super) fn accept(&mut self, offer: Offer) -> Result<Accepted, String> {
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
        self.take_secrets(offer.secrets.clone());
        let former = self.record.remembered.accepted.clone();
        let revisions = self.revisions_of(&offer.system, &offer.folder);
        let accepted = AcceptedSystem {
            revisions,
            system: offer.system,
            text: offer.text,
            file: offer.file,
            folder: offer.folder,
            environment: offer.environment,
        };
        let changes = self.changes(former.as_ref(), &accepted);
        if changes.is_empty() && former.as_ref() == Some(&accepted) {
            return Ok(Accepted { changes, after });
        }
        let entry = Entry::Accepted(Box::new(accepted));
        self.record.commit(entry).map_err(|error| format!("not accepted: {}", crate::store::chain(&error)))?;
        self.forget_persons_numbers();
        self.rethink_scaling();
        self.name_revisions();
        let what: Vec<String> = changes.iter().map(|change| format!("{} {}", change.name, change.what)).collect();
        let message = if what.is_empty() { "nothing changed".into() } else { what.join(", ") };
        self.tell("system", "Accepted", &message, false);
        self.arrange_stores();
        self.drop_listeners();
        self.reserve_edges();
        Ok(Accepted { changes, after })
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
        let revision =
            |name: &String, service| revision_of(service, Path::new(folder), renewals.get(name).copied().unwrap_or(0));
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

    /// Keeps secrets from the environment in memory: ours, and the keeper's for an engine that comes after.
    fn take_secrets(&mut self, given: BTreeMap<String, String>) {
        if given.is_empty() || given == self.secrets.given {
            return;
        }
        self.secrets.given = given;
        let Ok(text) = serde_json::to_vec(&self.secrets.given) else { return };
        let Ok(fd) = memfd(secrets::KEPT, &text) else { return };
        let keeper = self.keeper.clone();
        tokio::task::spawn_local(async move {
            keeper.keep(secrets::KEPT, fd).await.ok();
        });
    }
}
