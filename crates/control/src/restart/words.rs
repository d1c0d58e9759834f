//! How a process ended, in words, and which signals it brings upon itself.

use super::{ExitSeen, Seen};
use plimsoll_model::Bytes;

/// `exited with code 3 after 1500ms`.
pub(super) fn ended(seen: &Seen) -> String {
    let how = how(&seen.exit);
    if seen.exit.probe_kill {
        return format!("stopped because a probe failed ({how}, ran for {})", seen.ran_for);
    }
    format!("{how} after {}", seen.ran_for)
}

fn how(exit: &ExitSeen) -> String {
    match (exit.oom, exit.code, exit.signal) {
        (true, _, _) => format!("killed by the kernel: out of memory (OOMKilled){}", memory(exit)),
        (false, Some(code), _) => format!("exited with code {code}"),
        (false, None, Some(signal)) => match name(signal) {
            Some(name) => format!("ended by {name}"),
            None => format!("ended by signal {signal}"),
        },
        (false, None, None) => "ended, how is not known,".into(),
    }
}

/// `, 64 MiB at most, 66 MiB at the peak`: what is known of it.
fn memory(exit: &ExitSeen) -> String {
    let told =
        |bytes: Option<Bytes>, what: &str| bytes.map(|bytes| format!(", {} MiB {what}", bytes.0.div_ceil(1 << 20)));
    let known = [told(exit.memory_limit, "at most"), told(exit.memory_peak, "at the peak")];
    let known: String = known.into_iter().flatten().collect();
    if known.is_empty() { known } else { known + "," }
}

/// The signals that end processes, as Linux numbers them on every machine that we run on.
fn name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

/// Whether a process brings this signal upon itself: by a fault, by `abort`, by a pipe or a timer of its own, by a limit
/// that it reached. Others are sent by somebody else, and SIGKILL too: for want of memory it is told apart.
pub(super) fn is_own(signal: i32) -> bool {
    // SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGPIPE, SIGALRM, SIGSTKFLT, SIGXCPU, SIGXFSZ, SIGSYS.
    matches!(signal, 4..=8 | 11 | 13 | 14 | 16 | 24 | 25 | 31)
}
