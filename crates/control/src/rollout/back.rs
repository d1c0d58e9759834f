//! What "go back" means for a service, by where its release is.

use super::{Memory, Stage};
use plimsoll_model::RevisionId;

/// The way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Back {
    /// What comes in, or is on probation, is sent back.
    Abort(RevisionId),
    /// A version that was promoted before is chosen instead of the file's.
    Choose(RevisionId),
}

/// How to go back: to `to`, or to what ran before.
///
/// # Errors
/// There is no way back; a sentence for a person.
pub fn back(memory: &Memory, to: Option<&RevisionId>) -> Result<Back, String> {
    let Some(stable) = &memory.stable else {
        return Err("no version was promoted yet: there is nothing to go back to".into());
    };
    if let Some(target) = memory.target.as_ref().filter(|_| to.is_none_or(|to| to == stable)) {
        return Ok(Back::Abort(target.clone()));
    }
    let previous = memory.previous.as_ref().filter(|_| matches!(memory.stage, Stage::Baking { .. }));
    if previous.is_some_and(|previous| to.is_none_or(|to| to == previous)) {
        return Ok(Back::Abort(stable.clone()));
    }
    let past = |to: &&RevisionId| memory.past.contains(to);
    match to {
        Some(to) if to == stable => Err(format!("{to} is what runs already")),
        Some(to) => Some(to).filter(past).cloned().map(Back::Choose).ok_or_else(|| {
            format!("{to} is not kept: only versions that were promoted are, and of those the last {}", super::PAST_MAX)
        }),
        None => {
            let before = memory.past.iter().rev().find(|past| *past != stable);
            let none = || format!("no version before {stable} is kept: there is nothing to go back to");
            before.cloned().map(Back::Choose).ok_or_else(none)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::Instant;

    fn revision(name: &str) -> RevisionId {
        RevisionId(name.into())
    }

    fn memory(stable: &str, target: Option<&str>) -> Memory {
        let past = ["one", "two", "three"].map(revision).to_vec();
        Memory { stable: Some(revision(stable)), target: target.map(revision), past, ..Memory::default() }
    }

    #[track_caller]
    fn check(memory: &Memory, to: Option<&str>, want: Option<Back>) {
        assert_eq!(back(memory, to.map(revision).as_ref()).ok(), want);
    }

    #[test]
    fn what_comes_in_is_sent_back_first() {
        check(&memory("three", Some("four")), None, Some(Back::Abort(revision("four"))));
        check(&memory("three", Some("four")), Some("three"), Some(Back::Abort(revision("four"))));
        check(&memory("three", Some("four")), Some("one"), Some(Back::Choose(revision("one"))));
    }

    #[test]
    fn a_version_on_probation_is_sent_back() {
        let previous = Some(revision("two"));
        let baking = Memory { previous, stage: Stage::Baking { since: Instant(1) }, ..memory("three", None) };
        check(&baking, None, Some(Back::Abort(revision("three"))));
        check(&baking, Some("one"), Some(Back::Choose(revision("one"))));
    }

    #[test]
    fn only_what_is_kept_can_be_gone_back_to() {
        check(&memory("three", None), None, Some(Back::Choose(revision("two"))));
        check(&memory("two", None), None, Some(Back::Choose(revision("three"))));
        check(&memory("three", None), Some("one"), Some(Back::Choose(revision("one"))));
        check(&memory("three", None), Some("three"), None);
        check(&memory("three", None), Some("zero"), None);
        check(&Memory::default(), None, None);
    }
}
