//! The rules of this house that no compiler holds: headers, lengths, names, and what the deciding crates may not touch.

#![expect(clippy::unwrap_used, reason = "a test fails where it fails")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines of a file at most; from 400 on, look for what could go.
const LINES_MAX: usize = 600;

/// Files that are longer. This list may only shrink.
const LONGER: &[&str] = &[];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["mod", "util", "utils", "helper", "helpers", "manager", "common", "misc"];

/// What `control` and `model` never name: a clock, a draw, the world.
const WORLDLY: &[&str] = &[
    "Instant::now",
    "SystemTime",
    "Zoned::now",
    "Timestamp::now",
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
    "TcpStream",
    "HashMap",
    "HashSet",
    "rand::",
];

/// The only crate that may ask for `unsafe`.
const UNSAFE: &str = "crates/keeper/";

#[test]
fn every_file_says_what_it_is() {
    report("opens without `//!`", sources().iter().filter(|source| !source.text.starts_with("//!")));
}

#[test]
fn files_are_short() {
    let sources = sources();
    let long = |source: &&Source| source.text.lines().count() > LINES_MAX;
    let unexpected = sources.iter().filter(long).filter(|source| !LONGER.contains(&source.name.as_str()));
    report(&format!("has more than {LINES_MAX} lines; split it"), unexpected);
    for name in LONGER {
        let still = sources.iter().any(|source| source.name == *name && long(&source));
        assert!(still, "{name} is short, or gone: take it from LONGER");
    }
}

#[test]
fn names_say_what_is_inside() {
    let sources = sources();
    let empty = |source: &&Source| {
        let stem = Path::new(&source.name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        EMPTY_NAMES.contains(&stem)
    };
    report("has a name that says nothing (and `foo.rs` stands beside `foo/`, not in it)", sources.iter().filter(empty));
}

#[test]
fn nothing_is_left_open() {
    // Put together, so that this file does not find itself.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let macros = [["to", "do!("].concat(), ["unimple", "mented!("].concat()];
    let sources = sources();
    let open = |source: &&Source| {
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let mut found = source.text.split(|letter| !is_word(letter));
        found.any(|word| words.iter().any(|open| open == word)) || macros.iter().any(|open| source.text.contains(open))
    };
    report("leaves something open; do it, or file an issue", sources.iter().filter(open));
}

#[test]
fn nothing_names_the_folder_it_is_built_in() {
    let root = root();
    if root.components().count() < 3 {
        return; // In a folder such as `/app` that name may stand for something else.
    }
    let here = format!("{}/", root.display());
    report("names the folder of this checkout", sources().iter().filter(|source| source.text.contains(&here)));
}

#[test]
fn decisions_name_no_clock_no_draw_and_no_world() {
    let sources = sources();
    let deciding = sources
        .iter()
        .filter(|source| ["crates/control/src/", "crates/model/src/"].iter().any(|p| source.name.starts_with(p)));
    let deciding: Vec<&Source> = deciding.collect();
    assert!(deciding.len() > 20, "the files of control and model were not found");
    for word in WORLDLY {
        report(&format!("names {word}"), deciding.iter().copied().filter(|source| source.text.contains(word)));
    }
}

#[test]
fn only_the_keeper_is_unsafe() {
    let lint = ["unsafe", "_code"].concat();
    let sources = sources();
    let elsewhere = sources.iter().filter(|source| !source.name.starts_with(UNSAFE) && source.text.contains(&lint));
    report("asks for unsafe code", elsewhere);
}

#[test]
fn every_crate_has_the_lints_of_the_house() {
    let mut manifests = Vec::new();
    collect(&root(), "toml", &mut manifests);
    let crates: Vec<&PathBuf> =
        manifests.iter().filter(|path| path.ends_with("Cargo.toml") && **path != root().join("Cargo.toml")).collect();
    assert!(crates.len() >= 16, "the crates were not found: {crates:?}");
    for manifest in crates {
        let text = fs::read_to_string(manifest).unwrap();
        assert!(
            text.contains("[lints]\nworkspace = true\n"),
            "{} lacks `[lints] workspace = true`",
            manifest.display()
        );
    }
}

#[test]
fn the_map_of_the_house_is_short() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    assert!(text.lines().count() <= 200, "docs/architecture.md has more than 200 lines");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents = Vec::new();
    collect(&root(), "md", &mut documents);
    assert!(documents.len() > 10, "the documents were not found: {documents:?}");
    let mut lost = Vec::new();
    for document in &documents {
        let text = fs::read_to_string(document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)) {
            let file = target.split('#').next().unwrap_or_default();
            let is_path = !file.is_empty() && !file.contains("://") && !file.contains(char::is_whitespace);
            if is_path && !document.parent().unwrap().join(file).exists() {
                lost.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(lost.is_empty(), "leads nowhere:\n  {}", lost.join("\n  "));
}

/// A Rust file: its path from the root, and what it says.
struct Source {
    name: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut paths = Vec::new();
    collect(&root, "rs", &mut paths);
    assert!(paths.len() > 100, "the sources were not found in {}", root.display());
    let name = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
    paths.iter().map(|path| Source { name: name(path), text: fs::read_to_string(path).unwrap() }).collect()
}

/// Files below `folder`, in order, without what is built, hidden or run.
fn collect(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&entry.path(), extension, into);
        } else if kind.is_file() && entry.path().extension().is_some_and(|found| found == extension) {
            into.push(entry.path());
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[track_caller]
fn report<'a>(what: &str, found: impl Iterator<Item = &'a Source>) {
    let names: Vec<&str> = found.map(|source| source.name.as_str()).collect();
    assert!(names.is_empty(), "{what}:\n  {}", names.join("\n  "));
}
