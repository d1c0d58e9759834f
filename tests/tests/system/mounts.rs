//! File systems of a test's own: mounted in a namespace that ends with the test, and they with it.

use std::process::Command;

/// Says that this process is the one in a mount namespace of its own, which ends with it, and its mounts with it.
const INNER: &str = "PLIMSOLL_TEST_MOUNTS";

/// Runs a program of the system; whether it succeeded.
pub(crate) fn run(program: &str, words: &[&str]) -> bool {
    // Ordinary users' paths lack the folders of such programs.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    Command::new(program).args(words).env("PATH", path).output().is_ok_and(|output| output.status.success())
}

/// Where a test of that name runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a namespace of its own: here.
    Here,
    /// It ran in one, by another process, and passed.
    Passed,
    /// Nothing can be mounted on this machine by this user.
    Nowhere,
}

/// Runs the test of that name in a mount namespace of its own, if this is not it already.
#[track_caller]
pub(crate) fn in_namespace(test: &str) -> Place {
    if std::env::var_os(INNER).is_some() {
        return Place::Here;
    }
    if !run("unshare", &["--mount", "true"]) {
        return Place::Nowhere;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(INNER, "1");
    assert!(command.status().unwrap().success(), "see above");
    Place::Passed
}

/// As [`in_namespace`], for a test that is nothing without: whether it is to be done here.
#[track_caller]
pub(crate) fn is_here(test: &str) -> bool {
    let place = in_namespace(test);
    if place == Place::Nowhere {
        eprintln!("skipped: nothing can be mounted here");
    }
    place == Place::Here
}
