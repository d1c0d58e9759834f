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

/// What `deny.toml` says is held here too: `cargo deny` itself would take longer to build than everything else.
#[test]
fn licences_sources_and_bans_are_those_of_deny_toml() {
    let rules = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deny.toml")).unwrap();
    let quoted = |line: &str| line.split('"').nth(1).map(str::to_owned);
    let of_licences = rules.split("allow = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    let allowed: BTreeSet<String> = of_licences.lines().filter_map(quoted).collect();
    let banned: BTreeSet<String> =
        rules.lines().filter(|line| line.contains("{ crate = ")).filter_map(quoted).collect();
    assert!(allowed.contains("MIT") && banned.contains("openssl"), "deny.toml was not read: {allowed:?} {banned:?}");

    // What other systems would need is not on this machine.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = cargo(&["metadata", "--offline", "--format-version", "1", "--filter-platform", &platform]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let mut against = Vec::new();
    for package in metadata["packages"].as_array().unwrap().iter().filter(|package| !package["source"].is_null()) {
        let (name, source) = (text(&package["name"]), text(&package["source"]));
        let licence = package["license"].as_str().unwrap_or_default();
        if !source.starts_with("registry+https://github.com/rust-lang/crates.io-index") {
            against.push(format!("{name} comes from {source}"));
        }
        if !is_allowed(licence, &allowed) {
            against.push(format!("{name} is under `{licence}`"));
        }
    }
    let carried = carried(&["--workspace"]);
    against.extend(banned.intersection(&carried).map(|name| format!("something of ours carries {name}")));
    assert!(against.is_empty(), "against deny.toml:\n{}", against.join("\n"));
}

/// Whether a licence, as Cargo writes it, leaves a choice that is allowed. `/` is an old word for `OR`.
fn is_allowed(licence: &str, allowed: &BTreeSet<String>) -> bool {
    let licence = licence.replace('/', " OR ");
    let mut depth = 0_u32;
    let mut parts = vec![vec![String::new()]];
    for word in licence.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
        match word {
            "AND" if depth == 0 => parts.push(vec![String::new()]),
            "OR" if depth == 0 => parts.last_mut().unwrap().push(String::new()),
            _ => {
                depth += u32::from(word == "(");
                depth -= u32::from(word == ")");
                let part = parts.last_mut().unwrap().last_mut().unwrap();
                part.push_str(if part.is_empty() { "" } else { " " });
                part.push_str(word);
            }
        }
    }
    let one = |part: &String| match part.strip_prefix("( ").and_then(|rest| rest.strip_suffix(" )")) {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.contains(part),
    };
    parts.iter().all(|choices| choices.iter().any(one))
}

#[test]
fn a_licence_is_allowed_if_one_of_each_choice_is() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned(), "Zlib WITH x".to_owned()]);
    for (licence, is) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("ISC AND (GPL-3.0 OR MIT)", true),
        ("(ISC OR MIT) AND (GPL-3.0 OR Unlicense)", false),
        ("Zlib WITH x", true),
    ] {
        assert_eq!(is_allowed(licence, &allowed), is, "{licence}");
    }
}
