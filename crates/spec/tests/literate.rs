//! The cases in `cases/*.md`: what each piece of YAML must give.
//!
//! A case is a `yaml` block (its info string may say `environment=NAME`), followed by an `errors` block (`LINE:COLUMN
//! [warning] ID: text that is said`, `-` for no place), or by an `expect` block (`/json/pointer = value` of the System;
//! `unenforced PATH CLASS`; `note TEXT`). Without a block, there must be no finding at all.

use plimsoll_spec::{Checked, Input, Severity, check};
use std::{fmt::Write, fs, path::Path};

#[derive(Debug, Default)]
struct Case {
    heading: String,
    line: usize,
    yaml: String,
    environment: Option<String>,
    errors: Option<String>,
    expect: Option<String>,
}

fn cases_of(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut heading = String::new();
    let mut fence: Option<String> = None;
    let mut block = String::new();
    for (number, line) in text.lines().enumerate() {
        match (&fence, line) {
            (None, line) if line.starts_with('#') => line.trim_start_matches('#').trim().clone_into(&mut heading),
            (None, line) if line.starts_with("```") => {
                fence = Some(line.trim_start_matches('`').trim().to_owned());
                block.clear();
                if fence.as_deref().is_some_and(|info| info.starts_with("yaml")) {
                    cases.push(Case { heading: heading.clone(), line: number + 2, ..Case::default() });
                }
            }
            (Some(info), "```") => {
                let case = cases.last_mut().expect("a yaml block comes first");
                match info.split_whitespace().next() {
                    Some("yaml") => {
                        case.yaml = std::mem::take(&mut block);
                        case.environment = info.split_once("environment=").map(|(_, name)| name.to_owned());
                    }
                    Some("errors") => case.errors = Some(std::mem::take(&mut block)),
                    Some("expect") => case.expect = Some(std::mem::take(&mut block)),
                    other => panic!("unknown block {other:?} at line {number}"),
                }
                fence = None;
            }
            (Some(_), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    assert!(fence.is_none(), "an open fence");
    cases
}

fn said(checked: &Checked) -> Vec<(String, String)> {
    checked
        .diagnostics
        .iter()
        .map(|found| {
            let place = found.span.map_or_else(|| "-".to_owned(), |span| format!("{}:{}", span.line, span.column));
            let severity = if found.severity == Severity::Warning { " warning" } else { "" };
            let mut text = found.headline.clone();
            for extra in found.notes.iter().map(|note| &note.text).chain(&found.help) {
                text.push_str(" | ");
                text.push_str(extra);
            }
            (format!("{place}{severity} {}", found.id), text)
        })
        .collect()
}

fn check_errors(wanted: &str, checked: &Checked) -> Result<(), String> {
    let found = said(checked);
    let wanted: Vec<(&str, &str)> = wanted.lines().map(|line| line.split_once(": ").unwrap_or((line, ""))).collect();
    let fits = wanted.len() == found.len()
        && wanted.iter().zip(&found).all(|((mark, text), (place, said))| mark == place && said.contains(text));
    if fits {
        return Ok(());
    }
    let mut report = String::from("found:\n");
    for (mark, text) in &found {
        writeln!(report, "{mark}: {text}").expect("writing to a string");
    }
    Err(report)
}

fn check_expected(expect: &str, checked: &Checked) -> Result<(), String> {
    let Some(system) = &checked.system else { return Err(format!("no system: {:?}", said(checked))) };
    let errors = said(checked);
    if !errors.is_empty() {
        return Err(format!("findings: {errors:?}"));
    }
    let value = serde_json::to_value(system).expect("a system can be written as JSON");
    for line in expect.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(text) = line.strip_prefix("note ") {
            if !checked.notes.iter().any(|note| note.contains(text)) {
                return Err(format!("no note says {text}: {:?}", checked.notes));
            }
            continue;
        }
        if let Some(setting) = line.strip_prefix("unenforced ") {
            let fits = |one: &plimsoll_model::system::Unenforced| {
                setting == format!("{} {}", one.path, format!("{:?}", one.class).to_lowercase())
            };
            if !system.unenforced.iter().any(fits) {
                return Err(format!("not unenforced: {setting}: {:#?}", system.unenforced));
            }
            continue;
        }
        let (pointer, wanted) = line.split_once(" = ").expect("`/pointer = value`");
        let wanted: serde_json::Value = serde_json::from_str(wanted).expect("a JSON value");
        let got = value.pointer(pointer);
        if got != Some(&wanted) && !(wanted.is_null() && got.is_none()) {
            return Err(format!("{pointer} is {got:?}, not {wanted}"));
        }
    }
    Ok(())
}

fn run(case: &Case) -> Result<(), String> {
    let input = Input { environment: case.environment.as_deref(), ..Input::new("shop/plimsoll.yaml", &case.yaml) };
    let checked = check(&input);
    // whatever is found can be shown
    let source = plimsoll_spec::Source::new("shop/plimsoll.yaml", &case.yaml);
    let text = plimsoll_spec::render_text(&checked.diagnostics, &source, false);
    assert_eq!(text.is_empty(), checked.diagnostics.is_empty());
    let formatted = plimsoll_spec::fmt(&case.yaml);
    assert_eq!(plimsoll_spec::fmt(&formatted), formatted, "formatting twice changes {}", case.heading);
    match (&case.errors, &case.expect) {
        (Some(errors), None) => check_errors(errors, &checked),
        (None, Some(expect)) => check_expected(expect, &checked),
        (None, None) => check_errors("", &checked),
        (Some(errors), Some(expect)) => check_errors(errors, &checked)
            .and_then(|()| check_expected(expect, &Checked { diagnostics: Vec::new(), ..checked.clone() })),
    }
}

#[test]
fn every_case_gives_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "md"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no cases at all");
    let mut failures = String::new();
    for file in &files {
        let cases = cases_of(&fs::read_to_string(file).expect("a readable file"));
        assert!(!cases.is_empty(), "no cases in {}", file.display());
        for case in cases {
            if let Err(why) = run(&case) {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                writeln!(failures, "{name}:{} ({})\n{why}", case.line, case.heading).expect("writing to a string");
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
