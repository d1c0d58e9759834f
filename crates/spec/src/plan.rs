//! What would change, before anything does.

use plimsoll_model::{
    System,
    system::{SettingClass, Unenforced},
};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write};

/// The difference between what is and what is asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The system's name.
    pub system: String,
    /// The environment that was chosen, if any.
    pub environment: Option<String>,
    /// Services, stores, promises, alerts and the ingress that change; empty: nothing does.
    pub changes: Vec<Change>,
    /// Services whose change nothing goes back from by itself: their `before` command is a contract step.
    pub one_way: Vec<String>,
    /// Settings that are recorded or refused on this machine.
    pub unenforced: Vec<Unenforced>,
    /// What was chosen for the person.
    pub notes: Vec<String>,
}

/// One thing that changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `service`, `store`, `ingress`, `promise`, `alert`, `target`.
    pub kind: &'static str,
    /// Its name; empty for the ingress and the target.
    pub name: String,
    /// What becomes of it.
    pub verb: Verb,
    /// The fields that differ; empty unless it is changed.
    pub fields: Vec<Field>,
}

/// What becomes of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verb {
    /// It is new.
    Added,
    /// It stays, and differs.
    Changed,
    /// It goes.
    Removed,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// `resources.cpuRequest`.
    pub path: String,
    /// `null`: it wasn't there.
    pub before: Value,
    /// `null`: it isn't there any more.
    pub after: Value,
}

/// Compares a system with the one before it; without one, everything is added.
#[must_use]
pub fn plan(system: &System, previous: Option<&System>) -> Plan {
    let nothing = System::default();
    let before = previous.unwrap_or(&nothing);
    let mut changes = Vec::new();
    if previous.is_some_and(|before| before.target != system.target) {
        changes.push(changed("target", "", &before.target, &system.target));
    }
    compare("store", &before.stores, &system.stores, &mut changes);
    compare("service", &before.services, &system.services, &mut changes);
    match (before.ingress.listen.is_empty(), system.ingress.listen.is_empty()) {
        (true, true) => {}
        (true, false) => changes.push(whole("ingress", "", Verb::Added)),
        (false, true) => changes.push(whole("ingress", "", Verb::Removed)),
        (false, false) if before.ingress != system.ingress => {
            changes.push(changed("ingress", "", &before.ingress, &system.ingress));
        }
        (false, false) => {}
    }
    let promises = |system: &System| -> BTreeMap<String, _> {
        let without_line = |promise: &plimsoll_model::promise::Promise| plimsoll_model::promise::Promise {
            line: None,
            ..promise.clone()
        };
        system.promises.iter().map(|(name, promise)| (name.clone(), without_line(promise))).collect()
    };
    compare("promise", &promises(before), &promises(system), &mut changes);
    compare("alert", &before.alerts, &system.alerts, &mut changes);
    let one_way = changes.iter().filter(|change| is_one_way(change, system)).map(|change| change.name.clone());
    Plan {
        system: system.name.clone(),
        environment: system.environment.clone(),
        one_way: one_way.collect(),
        changes,
        unenforced: system.unenforced.clone(),
        notes: Vec::new(),
    }
}

/// A service that runs already, and whose next version takes away what the present one needs.
fn is_one_way(change: &Change, system: &System) -> bool {
    let service = system.services.get(&change.name).filter(|_| change.kind == "service");
    change.verb == Verb::Changed && service.is_some_and(|service| service.rollout.contract)
}

fn whole(kind: &'static str, name: &str, verb: Verb) -> Change {
    Change { kind, name: name.into(), verb, fields: Vec::new() }
}

fn compare<T: PartialEq + Serialize>(
    kind: &'static str,
    before: &BTreeMap<String, T>,
    after: &BTreeMap<String, T>,
    changes: &mut Vec<Change>,
) {
    for (name, new) in after {
        match before.get(name) {
            None => changes.push(whole(kind, name, Verb::Added)),
            Some(old) if old != new => changes.push(changed(kind, name, old, new)),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    changes.extend(gone.map(|name| whole(kind, name, Verb::Removed)));
}

fn changed<T: Serialize>(kind: &'static str, name: &str, old: &T, new: &T) -> Change {
    let mut fields = Vec::new();
    let value = |thing: &T| serde_json::to_value(thing).unwrap_or(Value::Null);
    differ("", &value(old), &value(new), &mut fields);
    Change { kind, name: name.into(), verb: Verb::Changed, fields }
}

/// Notes the leaves that differ; lists are leaves.
fn differ(path: &str, old: &Value, new: &Value, fields: &mut Vec<Field>) {
    if old == new {
        return;
    }
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        fields.push(Field { path: path.into(), before: old.clone(), after: new.clone() });
        return;
    };
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let null = Value::Null;
        differ(&path, before.get(key).unwrap_or(&null), after.get(key).unwrap_or(&null), fields);
    }
}

impl Plan {
    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The plan for a person.
    #[must_use]
    pub fn render_text(&self) -> String {
        let mut out = String::new();
        let environment = self.environment.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        line(&mut out, format_args!("{}{environment}", self.system));
        for note in &self.notes {
            line(&mut out, format_args!("  note: {note}"));
        }
        if self.changes.is_empty() {
            line(&mut out, format_args!("  nothing changes"));
        }
        for change in &self.changes {
            let sign = match change.verb {
                Verb::Added => '+',
                Verb::Changed => '~',
                Verb::Removed => '-',
            };
            line(&mut out, format_args!("  {sign} {} {}", change.kind, change.name));
            for field in &change.fields {
                line(&mut out, format_args!("      {}: {} → {}", field.path, field.before, field.after));
            }
        }
        for name in &self.one_way {
            line(
                &mut out,
                format_args!(
                    "  ! service {name} has no way back by itself: its `before` command takes away what the present \
                     version needs (contract: true). `plimsoll rollback {name}` goes back all the same, without what is gone"
                ),
            );
        }
        for (class, title) in [
            (SettingClass::Refused, "refused on this machine (known not to work):"),
            (SettingClass::Recorded, "recorded, but not enforced on this machine:"),
        ] {
            let mut settings = self.unenforced.iter().filter(|setting| setting.class == class).peekable();
            if settings.peek().is_some() {
                line(&mut out, format_args!("{title}"));
            }
            for setting in settings {
                let place = setting.line.map(|line| format!(" (line {line})")).unwrap_or_default();
                line(&mut out, format_args!("  {}{place}: {}", setting.path, setting.why));
            }
        }
        out
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let is_written = writeln!(out, "{}", text.to_string().trim_end());
    debug_assert!(is_written.is_ok(), "writing to a String can't fail");
}

impl crate::Checked {
    /// The plan of a file that has no errors, with what was chosen for the person; `None` if it has any.
    #[must_use]
    pub fn plan(&self, previous: Option<&System>) -> Option<Plan> {
        let system = self.system.as_ref()?;
        Some(Plan { notes: self.notes.clone(), ..plan(system, previous) })
    }
}
