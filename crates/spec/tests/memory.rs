//! How much memory a bomb takes. Alone in its file, so that no other test is measured with it.

use plimsoll_spec::{Input, check};
use std::fmt::Write;

/// The most memory that this process ever used, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("the peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

#[test]
fn a_bomb_of_aliases_is_defused_in_little_memory() {
    let before = peak_kib();
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let many = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{many}]").expect("writing to a string");
    }
    let checked = check(&Input::new("plimsoll.yaml", &text));
    assert_eq!(checked.diagnostics.last().map(|found| found.id), Some("alias-budget"));
    assert!(peak_kib() - before < 50 << 10, "more than 50 MiB");
}
