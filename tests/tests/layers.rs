//! The arrows between the crates, as a test.
//!
//! Invariant: every member of the workspace stands in [`MAY_USE`], and every name there is a member; so neither a new crate
//! nor a mistyped name passes unseen.

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Which of our crates each may use, in its program (what only its tests use is its own affair).
const MAY_USE: &[(&str, &[&str])] = &[
    ("plimsoll-model", &[]),
    ("plimsoll-spec", &["plimsoll-model"]),
    ("plimsoll-control", &["plimsoll-model"]),
    ("plimsoll-wire", &[]),
    ("plimsoll-journal", &["plimsoll-model", "plimsoll-control"]),
    ("plimsoll-api", &["plimsoll-model"]),
    ("plimsoll-keeper", &["plimsoll-wire"]),
    ("plimsoll-gateway", &["plimsoll-model", "plimsoll-control", "plimsoll-wire"]),
    ("plimsoll-stores", &["plimsoll-model", "plimsoll-control"]),
    (
        "plimsoll-engine",
        &["plimsoll-model", "plimsoll-control", "plimsoll-wire", "plimsoll-journal", "plimsoll-api", "plimsoll-stores"],
    ),
    ("plimsoll-load", &["plimsoll-model"]),
    ("plimsoll-report", &[]),
    ("plimsoll-prove", &["plimsoll-model", "plimsoll-api", "plimsoll-load", "plimsoll-report"]),
    ("plimsoll-simulate", &["plimsoll-model", "plimsoll-control", "plimsoll-report"]),
    (
        "plimsoll",
        &[
            "plimsoll-model",
            "plimsoll-spec",
            "plimsoll-control",
            "plimsoll-wire",
            "plimsoll-journal",
            "plimsoll-api",
            "plimsoll-keeper",
            "plimsoll-gateway",
            "plimsoll-stores",
            "plimsoll-engine",
            "plimsoll-load",
            "plimsoll-prove",
            "plimsoll-report",
            "plimsoll-simulate",
        ],
    ),
    ("plimsoll-kit", &[]),
    ("credentials", &["plimsoll-kit"]),
    ("customers", &["plimsoll-kit"]),
    ("provident", &["plimsoll-kit"]),
    ("shop", &["plimsoll-kit"]),
    ("tasks", &["plimsoll-kit"]),
    ("plimsoll-tests", &[]),
];

/// What the crates without I/O may use from outside: everything else needs a reason, here.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("plimsoll-model", &["serde"]),
    ("plimsoll-control", &["serde", "thiserror", "jiff", "croner"]),
    ("plimsoll-spec", &["serde", "serde_json", "annotate-snippets", "granit-parser", "jiff", "croner"]),
];

/// What the keeper never carries, at any depth: it must stay small, and have one thread.
const NEVER_IN_KEEPER: &[&str] =
    &["tokio", "hyper", "rustls", "aws-lc-rs", "granit-parser", "serde-saphyr", "saphyr-parser", "serde_yaml"];

/// What no program of ours carries: there is one TLS provider, aws-lc-rs.
const NEVER: &[&str] = &["ring", "openssl", "openssl-sys", "native-tls"];

#[test]
fn every_member_stands_in_the_list_and_every_name_is_a_member() {
    let members: BTreeSet<String> = declared().into_keys().collect();
    let listed: BTreeSet<String> = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(members, listed, "members of the workspace (left) and names in MAY_USE (right)");
    let used = MAY_USE.iter().flat_map(|(_, allowed)| allowed.iter()).chain(OUTSIDE.iter().map(|(name, _)| name));
    for name in used {
        assert!(members.contains(*name), "{name} is no member of the workspace");
    }
}

#[test]
fn dependencies_point_down() {
    let declared = declared();
    let ours: BTreeSet<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in MAY_USE {
        let used = declared.get(*name).unwrap_or_else(|| panic!("{name} is no member of the workspace"));
        for dependency in used.iter().filter(|dependency| ours.contains(dependency.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not use {dependency}");
        }
    }
}

#[test]
fn crates_without_input_and_output_use_only_listed_crates_from_outside() {
    let declared = declared();
    for (name, allowed) in OUTSIDE {
        let used = declared.get(*name).unwrap_or_else(|| panic!("{name} is no member of the workspace"));
        for dependency in used.iter().filter(|dependency| !dependency.starts_with("plimsoll-")) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not use {dependency}");
        }
    }
}

#[test]
fn the_keeper_carries_no_runtime_no_tls_and_no_yaml() {
    let carried = carried(&["--package", "plimsoll-keeper"]);
    assert!(carried.contains("rustix"), "the tree was not read: {carried:?}");
    for name in NEVER_IN_KEEPER {
        assert!(!carried.contains(*name), "the keeper must not carry {name}");
    }
}

#[test]
fn what_checks_the_simulator_knows_no_decider() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/simulate/src");
    let mut files = vec![folder.join("checkers.rs")];
    files.extend(std::fs::read_dir(folder.join("checkers")).unwrap().map(|entry| entry.unwrap().path()));
    assert!(files.len() >= 5, "the checkers were not found: {files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let uses = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let named = uses.filter(|line| line.contains("plimsoll_control") || line.contains("autoscale::")).count();
        assert_eq!(named, 0, "{} must not use a decider", file.display());
    }
}

#[test]
fn there_is_one_provider_of_tls() {
    let carried = carried(&["--workspace"]);
    assert!(carried.contains("aws-lc-rs"), "the tree was not read");
    for name in NEVER {
        assert!(!carried.contains(*name), "something of ours carries {name}");
    }
}

/// Which crates each member's program names as dependencies.
fn declared() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = cargo(&["metadata", "--offline", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
            (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
        })
        .collect()
}

/// The names of everything that the programs of `which` carry on this machine, at any depth.
fn carried(which: &[&str]) -> BTreeSet<String> {
    let fixed = ["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let tree = cargo(&[&fixed[..], which].concat());
    tree.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect()
}

fn cargo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    let output = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
