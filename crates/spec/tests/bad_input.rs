//! Input that is meant to hurt: it is refused, in bounded time and memory, and never panics.

use plimsoll_model::{Bytes, MilliCpu};
use plimsoll_spec::{Checked, Diagnostic, Input, Machine, check, read, source::BYTES_MAX};
use std::{fmt::Write as _, fs::File, io::Write as _};

#[track_caller]
fn refused(text: &str, id: &str) -> Diagnostic {
    let checked = check(&Input::new("plimsoll.yaml", text));
    assert!(checked.system.is_none(), "accepted");
    let found = checked.diagnostics.into_iter().find(|found| found.id == id);
    found.unwrap_or_else(|| panic!("`{id}` is not found"))
}

#[test]
fn aliases_inside_of_what_they_refer_to_are_refused() {
    refused("a: &a [*a]\n", "syntax");
}

#[test]
fn depth_is_refused_however_it_is_written() {
    let deep = 100_000;
    refused(&"[".repeat(deep), "too-deep");
    refused(&"{a: ".repeat(deep), "too-deep");
    refused(&"- ".repeat(deep), "too-deep");
    let stairs: String = (0..300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    refused(&stairs, "too-deep");
}

#[test]
fn a_text_beyond_the_limit_is_not_even_parsed() {
    let text = format!("a: {}", "x".repeat(BYTES_MAX));
    let found = refused(&text, "too-large");
    assert!(found.span.is_none());
}

#[test]
fn a_file_of_one_gigabyte_is_not_read_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plimsoll.yaml");
    let file = File::create(&path).expect("a file");
    file.set_len(1 << 30).expect("a sparse gigabyte");
    assert_eq!(read(&path).expect_err("too large").id, "too-large");
}

#[test]
fn too_many_values_are_refused() {
    let text = format!("a: [{}]", "x,".repeat(2_000_001));
    refused(&text, "too-large");
}

#[test]
fn what_is_not_utf8_is_told_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plimsoll.yaml");
    File::create(&path).and_then(|mut file| file.write_all(b"system: shop\nname: \xff\n")).expect("a file");
    let found = read(&path).expect_err("not UTF-8");
    assert_eq!(found.id, "not-utf8");
    assert!(found.headline.contains("byte 7 of line 2"), "{}", found.headline);
}

#[test]
fn what_is_not_there_is_unreadable() {
    assert_eq!(read("/nowhere/plimsoll.yaml".as_ref()).expect_err("no file").id, "unreadable");
    assert_eq!(read("/".as_ref()).expect_err("a folder").id, "unreadable");
}

const GOOD: &str = "services:\n  web:\n    command: [./web]\n    port: 8080\n";

#[track_caller]
fn accepted(text: &str) -> Checked {
    let checked = check(&Input::new("shop/plimsoll.yaml", text));
    assert_eq!(checked.diagnostics, Vec::new());
    checked
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let plain = accepted(GOOD);
    let marked = accepted(&format!("\u{feff}{GOOD}"));
    let windows = accepted(&GOOD.replace('\n', "\r\n"));
    assert_eq!(marked.system, plain.system);
    assert_eq!(windows.system, plain.system);
}

#[test]
fn places_are_right_behind_windows_line_ends_and_wide_characters() {
    let text = "services:\r\n  web:\r\n    command: [\"ä→🚢\", { a: b }]\r\n";
    let found = refused(text, "wrong-type");
    let span = found.span.expect("a place");
    assert_eq!((span.line, span.column), (3, 22));
}

#[test]
fn findings_have_a_limit() {
    let mut text = String::from("services:\n");
    for number in 0..3000 {
        writeln!(text, "  s{number}: {{ command: [./s], banana: 1 }}").expect("writing to a string");
    }
    let checked = check(&Input::new("plimsoll.yaml", &text));
    assert_eq!(checked.diagnostics.len(), 1001);
    assert!(checked.diagnostics.iter().any(|found| found.id == "too-many-findings"));
}

#[test]
fn a_chain_of_ten_thousand_services_is_followed_without_recursion() {
    let mut text = String::from("services:\n");
    let last = 10_000;
    for number in 0..last {
        writeln!(text, "  s{number}: {{ command: [./s], port: 80, uses: [s{}] }}", (number + 1) % last)
            .expect("writing to a string");
    }
    let found = refused(&text, "use-cycle");
    assert!(found.headline.starts_with("these services wait for each other: s0 → s1 → s2"));
    assert!(found.headline.ends_with("(9901 more) → s0"), "{}", found.headline);
}

#[test]
fn control_characters_never_reach_a_terminal() {
    let text = "services:\n  \"\\e[31mred\\a\": { command: [./x] }\n";
    let checked = check(&Input::new("plimsoll.yaml", text));
    let source = plimsoll_spec::Source::new("plimsoll.yaml", text);
    let shown = plimsoll_spec::render_text(&checked.diagnostics, &source, false);
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    let raw = "services:\n  web: { command: [./x], banana: '\u{85}\u{202e}' }\n";
    let checked = check(&Input::new("plimsoll.yaml", raw));
    let source = plimsoll_spec::Source::new("plimsoll.yaml", raw);
    let shown = plimsoll_spec::render_text(&checked.diagnostics, &source, false);
    assert!(!shown.contains('\u{202e}'), "{shown:?}");
}

#[test]
fn requests_that_do_not_fit_the_machine_are_told_with_the_arithmetic() {
    let text =
        "services:\n  web: { command: [./web], replicas: 6, resources: { requests: { cpu: 1, memory: 3Gi } } }\n";
    let machine = Machine { cpu: Some(MilliCpu(4000)), memory: Some(Bytes(16 << 30)), ..Machine::default() };
    let checked = check(&Input { machine, ..Input::new("plimsoll.yaml", text) });
    assert!(checked.system.is_some(), "a warning only");
    let said: Vec<(&str, &str)> = checked.diagnostics.iter().map(|found| (found.id, found.headline.as_str())).collect();
    let cpu = "all together request 6 of processor at rest, and this machine has 4";
    let memory = "all together request 18Gi of memory at rest, and this machine has 16Gi";
    assert_eq!(said, [("does-not-fit", cpu), ("does-not-fit", memory)]);
    let noted: Vec<&str> = checked.diagnostics.iter().map(|found| found.notes[0].text.as_str()).collect();
    assert_eq!(noted, ["asked: web 6 × 1", "asked: web 6 × 3Gi"]);
}

/// What would take time or memory by the square of its size is refused, or read in another way.
#[test]
fn nothing_grows_by_the_square() {
    let many = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(", ");
    let wide = many(10_000, &|n| format!("K{n}: v"));
    // large defaults for many services
    let services = many(10_000, &|n| format!("s{n}: {{ command: [x] }}"));
    refused(&format!("defaults: {{ env: {{ {wide} }} }}\nservices: {{ {services} }}\n"), "too-large");
    // many environments
    let environments = many(1000, &|n| format!("e{n}: {{}}"));
    refused(&format!("services: {{ a: {{ command: [a] }} }}\nenvironments: {{ {environments} }}\n"), "too-large");
    // anchors around each other
    let around: String = (0..40).map(|n| format!("&a{n} [")).collect();
    refused(&format!("a: {around}{}{}\n", many(50_000, &|_| "x".to_owned()), "]".repeat(40)), "alias-budget");
    // large merges, long lists of variables and links, unknown names among many
    accepted(&format!(
        "services:\n  a: &a {{ command: [a], env: &e {{ {wide} }} }}\n  b: {{ command: [b], env: {{ <<: *e, {wide} }} }}\n"
    ));
    let listed = many(10_000, &|n| format!("{{ name: K{n}, value: v }}"));
    accepted(&format!("services: {{ a: {{ command: [a, $(K9999)], env: [{listed}] }} }}\n"));
    let unknown = many(5_000, &|n| format!("unknown-{n}"));
    let few = many(2000, &|n| format!("s{n}: {{ command: [x] }}"));
    refused(&format!("services: {{ a: {{ command: [a], uses: [{unknown}] }}, {few} }}\n"), "unknown-name");
    // an overlay that removes everything
    let nulls = many(10_000, &|n| format!("s{n}: null"));
    let text = format!(
        "services: {{ a: {{ command: [a] }}, {} }}\nenvironments: {{ development: {{ services: {{ {nulls} }} }} }}\n",
        services
    );
    assert_eq!(accepted(&text).system.map(|system| system.services.len()), Some(1));
}

#[test]
fn a_line_that_is_too_long_to_be_shown_is_named() {
    let text = format!("services: {{ {} web: {{ command: [./web], banana: 1 }} }}\n", " ".repeat(1 << 20));
    let checked = check(&Input::new("plimsoll.yaml", &text));
    let source = plimsoll_spec::Source::new("plimsoll.yaml", &text);
    let shown = plimsoll_spec::render_text(&checked.diagnostics, &source, false);
    assert!(shown.len() < 4096 && shown.contains("plimsoll.yaml:1:1048615"), "{shown}");
}
