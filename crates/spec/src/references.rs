//! Names that refer to something: everything named exists, and is of the right kind.

use crate::{
    diagnostic::shown,
    reading::{Reading, Reference, ReferenceKind},
};
use plimsoll_model::{System, promise::Kind};
use std::collections::BTreeSet;

impl Reading<'_, '_> {
    /// Looks every reference up.
    pub(crate) fn check_references(&mut self, system: &System, references: &[Reference]) {
        let paths = system.ingress.hosts.values().flat_map(|host| host.paths.keys());
        let paths: BTreeSet<&str> = paths.map(|path| path.trim_end_matches('/')).collect();
        for reference in references {
            match reference.kind {
                ReferenceKind::Uses => self.check_uses(system, reference),
                ReferenceKind::Calls => self.check_calls(system, reference),
                ReferenceKind::Path => self.check_path(system, reference),
                ReferenceKind::Service | ReferenceKind::Alert => self.check_service(system, reference),
                ReferenceKind::Store | ReferenceKind::RecoveryPoint => self.check_store_name(system, reference),
                ReferenceKind::Route => self.check_route(&paths, reference),
                ReferenceKind::Unhurt => self.check_unhurt(system, reference),
                ReferenceKind::Imagined => self.check_imagined(system, reference),
                ReferenceKind::Failover | ReferenceKind::Described => {}
            }
        }
    }

    /// Reports a name that nothing has.
    fn unknown_name<'c>(&mut self, reference: &Reference, what: &str, known: impl Iterator<Item = &'c String> + Clone) {
        if self.unreadable.contains(&reference.to) {
            return;
        }
        let name = shown(&reference.to);
        let help = match self.meant(&reference.to, known.clone().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let all: Vec<&str> = known.take(10).map(String::as_str).collect();
                match all.as_slice() {
                    [] => format!("there is no {what} in this file yet"),
                    all => format!("known: {}", all.join(", ")),
                }
            }
        };
        self.refuse("unknown-name", reference.at, format!("no {what} is called `{name}`"), help);
    }

    fn check_uses(&mut self, system: &System, reference: &Reference) {
        if self.stores.contains(&reference.to) {
            return;
        }
        match system.services.get(&reference.to) {
            Some(service) if service.port.is_none() => self.no_port(reference),
            Some(_) => {}
            None => {
                let stores = self.stores.clone();
                self.unknown_name(reference, "service or store", system.services.keys().chain(&stores));
            }
        }
    }

    fn check_calls(&mut self, system: &System, reference: &Reference) {
        if self.stores.contains(&reference.to) {
            let headline = format!("`{}` is a store, and stores are waited for", shown(&reference.to));
            self.refuse("unknown-name", reference.at, headline, "name it under `uses`");
            return;
        }
        match system.services.get(&reference.to) {
            Some(_) if reference.from == reference.to => {
                let headline = format!("`{}` calls itself", shown(&reference.to));
                self.refuse("use-cycle", reference.at, headline, "remove it");
            }
            Some(service) if service.port.is_none() => self.no_port(reference),
            Some(_) => {}
            None => self.unknown_name(reference, "service", system.services.keys()),
        }
    }

    fn no_port(&mut self, reference: &Reference) {
        let headline = format!("`{}` has no port, so it can't be reached", shown(&reference.to));
        self.refuse(
            "ingress-target",
            reference.at,
            headline,
            format!("write `port: 8080` at `{}`", shown(&reference.to)),
        );
    }

    fn check_path(&mut self, system: &System, reference: &Reference) {
        match system.services.get(&reference.to) {
            Some(service) if service.port.is_none() => self.no_port(reference),
            Some(_) => {}
            None if self.stores.contains(&reference.to) => {
                let headline =
                    format!("`{}` is a store, and stores aren't served to the outside", shown(&reference.to));
                self.refuse("ingress-target", reference.at, headline, "name a service");
            }
            None => self.unknown_name(reference, "service", system.services.keys()),
        }
    }

    fn check_service(&mut self, system: &System, reference: &Reference) {
        if !system.services.contains_key(&reference.to) {
            self.unknown_name(reference, "service", system.services.keys());
        }
    }

    fn check_imagined(&mut self, system: &System, reference: &Reference) {
        let stores = self.stores.clone();
        if !system.services.contains_key(&reference.to) && !stores.contains(&reference.to) {
            self.unknown_name(reference, "service or store", system.services.keys().chain(&stores));
        }
    }

    fn check_store_name(&mut self, system: &System, reference: &Reference) {
        if !system.stores.contains_key(&reference.to) && !self.stores.contains(&reference.to) {
            self.unknown_name(reference, "store", system.stores.keys());
        }
    }

    /// The route of a promise is served, or is the common beginning of paths that are.
    fn check_route(&mut self, paths: &BTreeSet<&str>, reference: &Reference) {
        let route = reference.to.split(['?', '#']).next().unwrap_or_default();
        if is_served(route, paths) {
            return;
        }
        let headline = format!("the ingress serves nothing at `{}`", shown(&reference.to));
        let help = if paths.is_empty() {
            "write `ingress: { listen: [8080], hosts: { \"*\": { paths: { /: SERVICE } } } }`".to_owned()
        } else {
            format!("served are: {}", paths.iter().take(10).copied().collect::<Vec<_>>().join(", "))
        };
        self.refuse("unreachable-route", reference.at, headline, help);
    }

    fn check_unhurt(&mut self, system: &System, reference: &Reference) {
        match system.promises.get(&reference.to).map(|promise| &promise.kind) {
            Some(Kind::Latency { .. }) => {}
            Some(other) => {
                let headline = format!("`{}` is a promise of {}, not of latency", shown(&reference.to), other.name());
                self.refuse("unknown-name", reference.at, headline, "name a promise of latency");
            }
            None => self.unknown_name(reference, "promise", system.promises.keys()),
        }
    }
}

/// Whether a path of the ingress fits the route, or lies below it. Paths fit by whole segments, and have no `/` at the end.
fn is_served(route: &str, paths: &BTreeSet<&str>) -> bool {
    let route = route.trim_end_matches('/');
    let mut prefix = route;
    loop {
        if paths.contains(prefix) {
            return true;
        }
        match prefix.rfind('/') {
            Some(slash) => prefix = &prefix[..slash],
            None => break,
        }
    }
    let below = format!("{route}/");
    paths.range(below.as_str()..).next().is_some_and(|path| path.starts_with(&below))
}
