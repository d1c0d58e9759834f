//! Contract steps: a `before` command that takes away what the old version needs. What promises a way back across one, or
//! keeps the old version serving after it, is refused.

use crate::reading::{Fields, Reading, Reference, ReferenceKind};
use plimsoll_model::{
    System,
    promise::Kind,
    rollout::{Inconclusive, Rollout, Strategy},
};

const ID: &str = "contract-step";
const FIRST: &str = "first release a version that no longer needs it; take it away with the next one, by `rolling` or \
                     `recreate`";

impl Reading<'_, '_> {
    /// Checks how a version with a contract step comes in; `rollout` is what was read of the fields.
    pub(crate) fn check_contract(&mut self, fields: &Fields<'_>, rollout: &Rollout) {
        if !rollout.contract {
            return;
        }
        let beside = match rollout.strategy {
            Strategy::Canary { .. } => Some("canary"),
            Strategy::BlueGreen { .. } => Some("blueGreen"),
            Strategy::Rolling { .. } | Strategy::Recreate => None,
        };
        if let Some(key) = beside {
            let headline = format!(
                "`{key}` keeps the old version to go back to, and the `before` command takes away what it needs"
            );
            self.refuse(ID, fields.at(key), headline, FIRST);
            return;
        }
        let analysis = rollout.analysis.as_ref();
        if analysis.is_some_and(|analysis| analysis.inconclusive == Inconclusive::Rollback) {
            let headline = "`inconclusive: rollback` goes back by itself, and nothing does across a contract step";
            self.refuse(ID, fields.at("analysis"), headline, "write `inconclusive: pause`");
            return;
        }
        let headline = "a contract step: once its `before` command has run, nothing goes back by itself";
        self.warn(ID, fields.at("before"), headline, "remove `contract` when this version is in");
    }

    /// A promise that a release is taken back can't be kept across a contract step.
    pub(crate) fn check_ways_back(&mut self, system: &System, references: &[Reference]) {
        for reference in references.iter().filter(|one| one.kind == ReferenceKind::Service) {
            let promise = system.promises.get(&reference.from).map(|promise| &promise.kind);
            let Some(Kind::Rollback { service: Some(name), .. }) = promise else { continue };
            if system.services.get(name).is_some_and(|service| service.rollout.contract) {
                let headline = format!(
                    "that a release of `{name}` is taken back is promised, and its `before` command is a contract step"
                );
                self.refuse(ID, reference.at, headline, "remove the promise, or `contract` once this version is in");
            }
        }
    }
}
