//! Messages of the version before, as they were recorded from its own processes, are understood.

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

use plimsoll_wire::{VERSION, gateway, keeper, understands};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{fs, path::Path};

/// A message is understood if everything that was said is known: it is still there when it is said again.
fn is_understood<T: Serialize + DeserializeOwned>(said: &Value) -> bool {
    serde_json::from_value::<T>(said.clone()).is_ok_and(|known| is_part(said, &serde_json::to_value(known).unwrap()))
}

fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|known| is_part(value, known)))
        }
        _ => part == whole,
    }
}

#[test]
fn what_the_version_before_says_is_understood() {
    let file = format!("tests/recorded/version-{}.jsonl", VERSION - 1);
    // Whoever raises the version records what the one before says: `strace -e sendmsg` on its processes.
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap_or_else(|_| panic!("{file}"));
    let mut kinds = [0; 4];
    for line in text.lines() {
        let said: Value = serde_json::from_str(line).unwrap();
        let (kind, understood) = if said.get("ask").is_some() {
            (0, is_understood::<keeper::Request>(&said))
        } else if said.get("answer").is_some() || said.get("event").is_some() {
            (1, is_understood::<keeper::Said>(&said))
        } else if said.is_string() {
            (2, is_understood::<gateway::Ask>(&said))
        } else {
            (3, is_understood::<gateway::Figures>(&said))
        };
        assert!(understood, "{line}");
        kinds[kind] += 1;
    }
    assert!(kinds.iter().all(|count| *count > 0) && kinds[0] >= 10 && kinds[1] >= 8, "{kinds:?}");
}

#[test]
fn neighbours_are_understood_and_nobody_else() {
    for (version, expected) in
        [(VERSION - 1, true), (VERSION, true), (VERSION + 1, true), (VERSION - 2, false), (VERSION + 2, false)]
    {
        assert_eq!(understands(version), expected, "{version}");
    }
}

#[test]
fn what_only_a_later_version_says_does_no_harm() {
    let later = r#"{"number":1,"ask":{"upgrade":{"program":"/p","former":null,"mood":"good"}}}"#;
    assert!(serde_json::from_str::<keeper::Request>(later).is_ok(), "unknown fields are passed over");
    let unknown = r#"{"number":1,"ask":{"juggle":{}}}"#;
    assert!(serde_json::from_str::<keeper::Request>(unknown).is_err(), "and answered as not understood by the keeper");
}
