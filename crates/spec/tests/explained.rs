//! `diagnostics.md` explains each rule, and only rules; each rule has been seen broken.

use plimsoll_spec::rules::RULES;
use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a readable file")
}

#[test]
fn every_rule_is_explained_under_its_id() {
    let text = read("diagnostics.md");
    let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(headings, rules);
    for rule in RULES {
        assert!(text.contains(&format!("## {}\n\n{}\n", rule.id, rule.about)), "{} says something else", rule.id);
    }
}

#[test]
fn rules_stand_in_the_order_of_their_ids() {
    let ids: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    let sorted: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids, sorted.into_iter().collect::<Vec<_>>());
}

#[test]
fn every_rule_is_broken_by_some_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut all = read("tests/bad_input.rs");
    for entry in fs::read_dir(folder).expect("the cases") {
        all.push_str(&fs::read_to_string(entry.expect("an entry").path()).expect("a readable file"));
    }
    let missing: Vec<&str> = RULES
        .iter()
        .map(|rule| rule.id)
        .filter(|id| !all.contains(&format!(" {id}:")) && !all.contains(&format!("\"{id}\"")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
