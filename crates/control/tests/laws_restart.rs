//! Laws of `restart`: kubelet's back-off, and replacement at once of what had been ready.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use plimsoll_control::restart::{Act, ExitSeen, Memory, Policy, Seen, decide, ended_by_itself};
use plimsoll_model::{Bytes, Instant, Millis, service::RestartPolicy};
use proptest::{prelude::*, test_runner::RngSeed};

const CRASH: ExitSeen = ExitSeen {
    code: Some(1),
    signal: None,
    oom: false,
    memory_peak: None,
    memory_limit: None,
    by_us: false,
    probe_kill: false,
};

/// Decides about an end as the engine does: when it is seen, and again when the wait is over. How long it waited.
fn wait(policy: &Policy, memory: &mut Memory, mut seen: Seen) -> Option<Millis> {
    let decision = decide(policy, memory, &seen);
    let once = *memory;
    assert_eq!(decide(policy, memory, &seen), decision, "deciding again changes nothing");
    assert_eq!(*memory, once);
    let text = serde_json::to_string(memory).unwrap();
    assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), *memory);
    assert!(!decision.reason.is_empty());
    match decision.act {
        Act::Never => None,
        Act::Now => Some(Millis(0)),
        Act::At(then) => {
            assert!(then > seen.at && decision.again_at == Some(then));
            seen.at = then;
            assert_eq!(decide(policy, memory, &seen).act, Act::Now, "when the time has come");
            Some(then.since(seen.exited_at))
        }
    }
}

/// An end of a process that ran for so long, observed a little later.
fn end(now: Instant, ran_ms: u64, ready_ms: u64, exit: ExitSeen) -> Seen {
    let exited_at = now.after(Millis(ran_ms));
    Seen { at: exited_at.after(Millis(1)), exited_at, exit, ready_for: Millis(ready_ms), ran_for: Millis(ran_ms) }
}

/// Waits of a replica that ends again and again after running for so long.
fn waits(ran_ms: u64, ready_ms: u64, count: usize) -> Vec<u64> {
    let (mut memory, mut now) = (Memory::default(), Instant(5_000_000));
    let mut waits = vec![];
    for _ in 0..count {
        let seen = end(now, ran_ms, ready_ms, CRASH);
        let wait = wait(&Policy::default(), &mut memory, seen).unwrap();
        waits.push(wait.0 / 1000);
        now = seen.exited_at.after(wait).max(seen.at);
    }
    waits
}

#[test]
fn a_crash_loop_is_backed_off_as_kubelet_does() {
    assert_eq!(waits(100, 0, 9), [0, 10, 20, 40, 80, 160, 300, 300, 300]);
    assert_eq!(waits(9_999, 9_998, 4), [0, 10, 20, 40], "ready, but not for long enough");
    assert_eq!(waits(590_000, 0, 4), [0, 10, 20, 40], "not yet forgotten");
    assert_eq!(waits(601_000, 0, 4), [0, 0, 0, 0], "forgotten after ten minutes");
}

#[test]
fn what_had_been_ready_for_ten_seconds_is_replaced_at_once() {
    assert_eq!(waits(12_000, 10_000, 5), [0, 0, 0, 0, 0]);
    let mut memory = Memory::default();
    let mut now = Instant(0);
    let mut next = |ready_ms: u64| {
        let seen = end(now, ready_ms + 50, ready_ms, CRASH);
        let waited = wait(&Policy::default(), &mut memory, seen).unwrap();
        now = seen.exited_at.after(waited).max(seen.at);
        waited.0 / 1000
    };
    assert_eq!([0, 0, 0, 30_000, 0, 0].map(&mut next), [0, 10, 20, 0, 0, 10], "its back-off is forgotten");
}

#[test]
fn a_clock_that_is_ahead_makes_no_wait_longer() {
    let mut memory = Memory::default();
    for expected in [0, 10, 20] {
        let at = Instant(1_000_000_000 * (1 + expected));
        let seen = Seen { at, exited_at: at.after(Millis(3_600_000)), exit: CRASH, ..Seen::default() };
        let then = match decide(&Policy::default(), &mut memory, &seen).act {
            Act::At(then) => then,
            _ => at,
        };
        assert!(then <= at.after(Millis::from_secs(expected)), "{then:?}");
    }
}

#[test]
fn the_restart_policy_holds() {
    use RestartPolicy::{Always, Never, OnFailure};
    let done = ExitSeen { code: Some(0), ..CRASH };
    let killed = ExitSeen { code: None, signal: Some(9), oom: true, ..CRASH };
    let stopped = ExitSeen { by_us: true, ..CRASH };
    let probed = ExitSeen { by_us: true, probe_kill: true, code: Some(0), ..CRASH };
    let restarts = |restart, exit| {
        let policy = Policy { restart, ..Policy::default() };
        wait(&policy, &mut Memory::default(), end(Instant(0), 100, 0, exit)).is_some()
    };
    assert_eq!(
        [done, CRASH, killed, stopped, probed].map(|exit| restarts(Always, exit)),
        [true, true, true, false, true]
    );
    let on_failure = [done, CRASH, killed, stopped, probed].map(|exit| restarts(OnFailure, exit));
    assert_eq!(on_failure, [false, true, true, false, true]);
    assert_eq!([done, CRASH, killed, stopped, probed].map(|exit| restarts(Never, exit)), [false; 5]);
}

#[test]
fn what_a_process_does_itself_is_told_from_what_is_done_to_it() {
    let by = |signal| ExitSeen { code: None, signal: Some(signal), ..CRASH };
    let oom = ExitSeen { oom: true, ..by(9) };
    let own = [CRASH, ExitSeen { code: Some(0), ..CRASH }, oom, ExitSeen { probe_kill: true, by_us: true, ..by(9) }];
    assert!(own.iter().all(ended_by_itself), "it exited, ran out of memory, or hung");
    // A fault of its own: SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS.
    assert!([4, 6, 7, 8, 11, 31].map(by).iter().all(ended_by_itself));
    // SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGUSR1, SIGTERM, one of real time.
    assert!(![1, 2, 3, 9, 10, 15, 40].map(by).iter().any(ended_by_itself), "somebody sent it");
    let unknown = ExitSeen { code: None, ..CRASH };
    let wanted = [ExitSeen { by_us: true, ..CRASH }, ExitSeen { by_us: true, ..by(11) }, unknown];
    assert!(!wanted.iter().any(ended_by_itself), "we stopped it, or nobody saw it");
}

#[test]
fn the_reason_says_how_it_ended_and_what_follows() {
    let reason = |memory: &mut Memory, exit| decide(&Policy::default(), memory, &end(Instant(0), 1500, 0, exit)).reason;
    let mut memory = Memory::default();
    assert_eq!(reason(&mut memory, CRASH), "exited with code 1 after 1500ms; restart 1 in a row, now");
    memory.exited_at = None;
    assert_eq!(
        reason(&mut memory, ExitSeen { code: None, signal: Some(11), ..CRASH }),
        "ended by SIGSEGV after 1500ms; restart 2 in a row, 10s after it ended (CrashLoopBackOff)"
    );
    let oom = ExitSeen { code: None, signal: Some(9), oom: true, ..CRASH };
    assert!(reason(&mut Memory::default(), oom).starts_with("killed by the kernel: out of memory (OOMKilled) after"));
    let (memory_limit, memory_peak) = (Some(Bytes(64 << 20)), Some(Bytes((65 << 20) + 1)));
    let told = reason(&mut Memory::default(), ExitSeen { memory_limit, memory_peak, ..oom });
    let words = "killed by the kernel: out of memory (OOMKilled), 64 MiB at most, 66 MiB at the peak, after 1500ms";
    assert!(told.starts_with(words), "{told}");
}

/// The same cases at every run, so that a test that passed passes again.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(1876), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn every_wait_is_one_of_kubelets_and_none_is_for_ever(
        lives in proptest::collection::vec((0..700_000u64, any::<bool>(), 0..2000u64), 1..40),
    ) {
        let (mut memory, mut now) = (Memory::default(), Instant(1));
        for (ran, was_ready, late) in lives {
            let mut seen = end(now, ran, if was_ready { ran } else { 0 }, CRASH);
            seen.at = seen.at.after(Millis(late));
            let waited = wait(&Policy::default(), &mut memory, seen);
            prop_assert!(waited.is_some(), "never given up");
            let waited = waited.unwrap_or_default();
            prop_assert!([0, 10, 20, 40, 80, 160, 300].map(|s| s * 1000).contains(&waited.0));
            prop_assert!(!(was_ready && ran >= 10_000) || waited == Millis(0));
            now = seen.exited_at.after(waited).max(seen.at);
        }
    }
}
