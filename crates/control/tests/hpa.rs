//! The test vectors of the Kubernetes autoscaler: every case must be decided as Kubernetes decided it.
//!
//! Reads the file named by `PLIMSOLL_HPA_VECTORS`, else the full file beside the work tree if it is there, else the
//! committed part of it. Fails when it ran no case.

#![expect(clippy::unwrap_used, reason = "a vector file of another form must fail the test")]

use plimsoll_control::autoscale::vectors::{Answer, Case, answer};
use serde_json::Value;
use std::{collections::BTreeMap, env, fs, path::PathBuf};

fn file() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    if let Some(named) = env::var_os("PLIMSOLL_HPA_VECTORS") {
        return named.into();
    }
    let full = here.join("../../../shared/kubernetes/hpa-vectors.json");
    if full.exists() { full } else { here.join("tests/hpa-vectors.json") }
}

/// Why `decided` is not what `expected` says; None when it is.
fn difference(expected: &Value, decided: &Answer) -> Option<String> {
    let decided = serde_json::to_value(decided).unwrap();
    for (key, want) in expected.as_object().unwrap() {
        let got = decided.get(key).unwrap_or(&Value::Null);
        let same = match key.as_str() {
            "error_contains" => {
                let error = decided.get("error").and_then(Value::as_str).unwrap_or("");
                !error.is_empty() && error.contains(want.as_str().unwrap())
            }
            "unready" | "missing" | "ignored" => sorted(want) == sorted(got),
            // The upstream test leaves the list open where it names none.
            "stored_recommendations" if want.is_null() => true,
            _ => got == want,
        };
        if !same {
            return Some(format!("{key}: wanted {want}, decided {decided}"));
        }
    }
    let failed_unasked = decided.get("error").is_some() && !expected.to_string().contains("error");
    failed_unasked.then(|| format!("an error nobody expected: {decided}"))
}

fn sorted(list: &Value) -> Vec<String> {
    let mut names: Vec<String> =
        list.as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn decides_every_vector_as_kubernetes_does() {
    let file = file();
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let mut ran = BTreeMap::<String, usize>::new();
    let mut wrong = Vec::new();
    for raw in vectors["cases"].as_array().unwrap() {
        *ran.entry(raw["group"].as_str().unwrap().to_owned()).or_default() += 1;
        match serde_json::from_value::<Case>(raw.clone()) {
            Err(error) => wrong.push(format!("{}: cannot be read: {error}", raw["id"])),
            Ok(case) => {
                if let Some(difference) = difference(&raw["expect"], &answer(&case)) {
                    wrong.push(format!("{}: {difference}", case.id));
                }
            }
        }
    }
    let total: usize = ran.values().sum();
    println!("{total} cases of {}: {ran:?}", file.display());
    assert!(total > 0, "no case was run");
    let shown = wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {total} cases are decided otherwise:\n{shown}", wrong.len());
}
