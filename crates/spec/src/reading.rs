//! What readers share while a file is walked: its text, the findings so far, and who refers to whom.

use crate::{
    Machine,
    diagnostic::{Diagnostic, Severity, shown},
    node::{At, Entry, Node, Value},
    section::{Foreign, Section},
    source::Source,
    suggest::nearest,
};
use plimsoll_model::system::{SettingClass, Unenforced};
use std::collections::BTreeSet;

/// More findings than these help nobody.
const FINDINGS_MAX: usize = 1000;
/// Only the first findings have a "did you mean": looking for it among many names takes time.
const SUGGESTIONS_MAX: usize = 50;

pub(crate) struct Reading<'a, 't> {
    pub(crate) source: &'a Source<'t>,
    pub(crate) machine: &'a Machine,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) references: Vec<Reference>,
    pub(crate) unenforced: Vec<Unenforced>,
    /// The names of all stores.
    pub(crate) stores: BTreeSet<String>,
    /// The names of services that couldn't be read, which has been told.
    pub(crate) unreadable: BTreeSet<String>,
    /// What the port of the service being read is called, for its probes.
    pub(crate) port_name: Option<String>,
}

/// One name that refers to something, to be looked up when everything is read.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) kind: ReferenceKind,
    /// The service, store or promise that refers.
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReferenceKind {
    Uses,
    Calls,
    /// A path of the ingress to a service.
    Path,
    /// A promise about a service.
    Service,
    /// A promise about a store.
    Store,
    /// A promise about a route.
    Route,
    /// A concurrency promise that names a latency promise.
    Unhurt,
    /// An alert about a service.
    Alert,
    /// A promise of a recovery point.
    RecoveryPoint,
    /// A promise of a failover.
    Failover,
    /// A metric is about it: a service, or (without a name) the ingress.
    Described,
    /// A simulation speaks of it: a service or a store.
    Imagined,
}

impl<'a, 't> Reading<'a, 't> {
    pub(crate) fn new(source: &'a Source<'t>, machine: &'a Machine) -> Self {
        let (diagnostics, references, unenforced) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            source,
            machine,
            diagnostics,
            references,
            unenforced,
            stores: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            port_name: None,
        }
    }

    /// Notes a finding.
    pub(crate) fn push(&mut self, found: Diagnostic) {
        match self.diagnostics.len() {
            n if n < FINDINGS_MAX => self.diagnostics.push(found),
            FINDINGS_MAX => {
                let severity = Severity::Error;
                let text = format!("only the first {FINDINGS_MAX} findings are shown");
                self.diagnostics.push(Diagnostic { severity, ..Diagnostic::error("too-many-findings", text) });
            }
            _ => {}
        }
    }

    /// The known word that is probably meant.
    pub(crate) fn meant<'c>(&self, word: &str, known: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
        let is_early = self.diagnostics.len() < SUGGESTIONS_MAX;
        is_early.then(|| nearest(word, known)).flatten()
    }

    /// An error at a place, to be completed and pushed.
    pub(crate) fn error_at(&self, id: &'static str, at: At, headline: impl Into<String>) -> Diagnostic {
        Diagnostic::error(id, headline).at(self.source.span(at))
    }

    /// Notes an error that has a help.
    pub(crate) fn refuse(&mut self, id: &'static str, at: At, headline: impl Into<String>, help: impl Into<String>) {
        let found = self.error_at(id, at, headline).help(help);
        self.push(found);
    }

    /// Notes something that is probably not meant.
    pub(crate) fn warn(&mut self, id: &'static str, at: At, headline: impl Into<String>, help: impl Into<String>) {
        let found = Diagnostic::warning(id, headline).at(self.source.span(at)).help(help);
        self.push(found);
    }

    /// A setting that is right, and kept for other targets.
    pub(crate) fn recorded(&mut self, path: impl Into<String>, at: At, why: impl Into<String>) {
        self.unenforced(path.into(), SettingClass::Recorded, at, why.into());
    }

    /// A setting that can't work here.
    pub(crate) fn refused(&mut self, path: impl Into<String>, at: At, why: impl Into<String>) {
        self.unenforced(path.into(), SettingClass::Refused, at, why.into());
    }

    fn unenforced(&mut self, path: String, class: SettingClass, at: At, why: String) {
        self.unenforced.push(Unenforced { path, class, why, line: Some(self.source.line(at)) });
    }

    pub(crate) fn refer(&mut self, kind: ReferenceKind, from: &str, to: &str, at: At) {
        self.references.push(Reference { kind, from: from.into(), to: to.into(), at });
    }

    /// Opens a map whose keys are known; every other key is reported. Nothing (`null`) is an empty map.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, section: &'static Section, path: &str) -> Option<Fields<'n>> {
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                let keys: Vec<&str> = section.keys.iter().take(4).map(|key| key.name).collect();
                let help = format!("write a map here, with keys such as {}", keys.join(", "));
                self.refuse("wrong-type", node.at, format!("{} is a map, not {}", section.name, node.kind()), help);
                return None;
            }
        };
        for entry in entries.iter().filter(|entry| !section.keys.iter().any(|key| key.name == entry.key)) {
            self.unknown(entry, section, path);
        }
        Some(Fields { path: path.to_owned(), at: node.at, entries, section })
    }

    fn unknown(&mut self, entry: &Entry, section: &'static Section, path: &str) {
        let key = shown(&entry.key);
        let foreign = section.foreign.iter().find(|(name, _)| *name == entry.key).map(|(_, what)| *what);
        let headline = format!("{} has no key `{key}`", section.name);
        match foreign {
            Some(Foreign::Called(help)) => self.refuse("unknown-key", entry.key_at, headline, help),
            Some(Foreign::Later(help)) => {
                self.refuse("comes-later", entry.key_at, format!("`{key}` comes in a later version"), help);
            }
            Some(Foreign::Recorded(why)) => self.recorded(joined(path, &entry.key), entry.key_at, why),
            None => {
                let known = section.keys.iter().map(|key| key.name);
                let help = match self.meant(&entry.key, known.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known keys: {}", known.collect::<Vec<_>>().join(", ")),
                };
                self.refuse("unknown-key", entry.key_at, headline, help);
            }
        }
    }
}

/// `services` + `web` → `services.web`.
pub(crate) fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A map with known keys, opened.
pub(crate) struct Fields<'n> {
    pub(crate) path: String,
    pub(crate) at: At,
    entries: &'n [Entry],
    section: &'static Section,
}

impl<'n> Fields<'n> {
    /// What is missing in it is reported at its name.
    pub(crate) fn called(self, entry: &Entry) -> Self {
        Self { at: entry.key_at, ..self }
    }

    /// What stands at a key; `None` if nothing does, or `null`.
    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        debug_assert!(self.section.keys.iter().any(|known| known.name == key), "`{key}` of {}", self.section.name);
        #[cfg(test)]
        asked::note(self.section.name, key);
        self.entries.iter().find(|entry| entry.key == key && !matches!(entry.node.value, Value::Null))
    }

    /// The value at a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// Where a key stands: the key itself, or the whole map.
    pub(crate) fn at(&self, key: &str) -> At {
        self.entry(key).map_or(self.at, |entry| entry.key_at)
    }

    /// The path of a key.
    pub(crate) fn path(&self, key: &str) -> String {
        joined(&self.path, key)
    }
}

/// Which keys readers ask for, so that a test can tell a key that only stands in a table.
#[cfg(test)]
pub(crate) mod asked {
    use std::{cell::RefCell, collections::BTreeSet};

    thread_local! {
        static ASKED: RefCell<BTreeSet<(&'static str, String)>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(crate) fn note(section: &'static str, key: &str) {
        ASKED.with_borrow_mut(|asked| asked.insert((section, key.to_owned())));
    }

    pub(crate) fn all() -> BTreeSet<(&'static str, String)> {
        ASKED.with_borrow(Clone::clone)
    }
}
