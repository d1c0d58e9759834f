//! The gateway as a whole: a real gateway process, a keeper's side of the line, real replicas, real clients.
//!
//! No test waits for a time to pass: they wait for what they expect, for at most [`world::PATIENCE`].

#![expect(clippy::unwrap_used, reason = "what tests need and do not get is a failed test")]

mod abuse;
mod backend;
mod canary;
mod client;
mod draining;
mod edges;
mod keeper;
mod lifecycle;
mod retries;
mod routing;
mod shedding;
mod slow;
mod slow_start;
mod smuggling;
mod synthetic;
mod timeouts;
mod world;

/// Not a test: the process of the gateway (and of replicas) that tests start. See [`world`].
#[test]
fn process() {
    if let Ok(state) = std::env::var("PLIMSOLL_TEST_GATEWAY") {
        let id = std::env::var("PLIMSOLL_TEST_ID").unwrap();
        let code = plimsoll_gateway::run(plimsoll_gateway::Options { state: state.into(), id });
        assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
    }
    if std::env::var_os("PLIMSOLL_TEST_REPLICA").is_some() {
        backend::replica_process();
    }
}
