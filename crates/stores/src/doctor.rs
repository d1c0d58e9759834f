//! What this machine lacks for a store, and the command that installs it.

use crate::postgres::installed;
use plimsoll_model::store::{Engine, Store};

/// A finding about this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Nothing to do.
    pub ok: bool,
    /// What was found or is missing, for a person.
    pub what: String,
    /// The exact command that puts it right, where there is one.
    pub fix: Option<String>,
}

/// What this machine has and lacks for a store.
#[must_use]
pub fn doctor(store: &Store) -> Vec<Finding> {
    if store.external.is_some() {
        return vec![Finding { ok: true, what: "external: nothing is run here".to_owned(), fix: None }];
    }
    match store.engine {
        Engine::Postgres => {
            let pooler = store.pooler.as_ref().map(|_| crate::postgres::pooler::doctor());
            std::iter::once(postgres(store, &installed::found())).chain(pooler).collect()
        }
        Engine::Redis => vec![crate::redis::doctor(store)],
        Engine::Nats => vec![crate::nats::doctor(store)],
        other => {
            vec![Finding { ok: false, what: format!("{other:?} stores cannot be run on this machine yet"), fix: None }]
        }
    }
}

fn postgres(store: &Store, found: &[installed::Installed]) -> Finding {
    let wanted = match store.version.as_deref().map(installed::major).transpose() {
        Ok(wanted) => wanted,
        Err(why) => return Finding { ok: false, what: why, fix: None },
    };
    match installed::choose(wanted, None, found) {
        Ok(chosen) => {
            Finding { ok: true, what: format!("PostgreSQL {} in {}", chosen.major, chosen.bin.display()), fix: None }
        }
        Err(installed::Unfit::Missing { what, fix }) => {
            Finding { ok: false, what: format!("{what} is not installed"), fix: Some(fix) }
        }
        Err(installed::Unfit::OtherData { why }) => Finding { ok: false, what: why, fix: None },
    }
}
