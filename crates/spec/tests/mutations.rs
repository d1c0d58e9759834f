//! Good files with bytes changed: whatever comes of it, nothing panics, and what is formatted says the same.

use plimsoll_spec::{Input, Source, check, fmt, render_json, render_sarif, render_text};
use proptest::prelude::*;

const SEEDS: [&str; 2] = [include_str!("everything.yaml"), include_str!("example.yaml")];

/// Changes to a text: at a share of its length, so many bytes go, and something comes.
fn mutated(seed: &str, changes: &[(u16, u8, String)]) -> String {
    let mut bytes = seed.as_bytes().to_vec();
    for (place, gone, new) in changes {
        let at = bytes.len() * usize::from(*place) / 65_536;
        let to = (at + usize::from(*gone)).min(bytes.len());
        bytes.splice(at..to, new.bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn holds(text: &str) {
    let input = Input::new("shop/plimsoll.yaml", text);
    let checked = check(&input);
    let source = Source::new("shop/plimsoll.yaml", text);
    let shown = render_text(&checked.diagnostics, &source, true);
    assert_eq!(shown.is_empty(), checked.diagnostics.is_empty());
    assert!(render_json(&checked.diagnostics, &source).is_object());
    assert!(render_sarif(&checked.diagnostics, &source).is_object());
    assert_eq!(checked.system.is_none(), checked.has_errors(), "a system, or a reason why not");
    if let Some(plan) = checked.plan(None) {
        assert!(!plan.render_text().is_empty());
    }
    let formatted = fmt(text);
    let again = check(&Input::new("shop/plimsoll.yaml", &formatted));
    let without_lines = |checked: &plimsoll_spec::Checked| {
        checked.system.clone().map(|mut system| {
            system.unenforced.clear();
            system.promises.values_mut().for_each(|promise| promise.line = None);
            system
        })
    };
    assert_eq!(without_lines(&again), without_lines(&checked), "formatting changes the system");
    assert_eq!(fmt(&formatted), formatted, "formatting twice changes the text");
}

/// Few cases by default; PROPTEST_CASES asks for more.
fn config() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").is_ok();
    let default = ProptestConfig::default();
    let cases = if asked { default.cases } else { 64 };
    ProptestConfig { cases, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_panics_on_mutated_files(
        seed in 0..SEEDS.len(),
        changes in prop::collection::vec((any::<u16>(), 0..20u8, "[ -~\n\té{}:#&*|>'\"-]{0,6}"), 1..6),
    ) {
        holds(&mutated(SEEDS[seed], &changes));
    }

    #[test]
    fn nothing_panics_on_any_text(text in "[\\PC\n\t ]{0,200}") {
        holds(&text);
    }

    #[test]
    fn nothing_panics_on_what_looks_like_yaml(text in "([a-z]{1,3}: ?|- |  |\n|\\{|\\}|\\[|\\]|, |\\| |> |&a |\\*a |<<: |# x|'|\"|1|null|\\$\\(){0,60}") {
        holds(&text);
    }
}

#[test]
fn the_seeds_themselves_hold() {
    SEEDS.into_iter().for_each(holds);
}
