//! How a process ended, in words.

use plimsoll_wire::keeper::Exit;

/// How a process ended, for a person.
pub(crate) fn ended(exit: &Exit) -> String {
    match (exit.oom, exit.code, exit.signal) {
        (true, ..) => match exit.memory_peak {
            Some(peak) => format!("killed for want of memory at {} MiB", peak >> 20),
            None => "killed for want of memory".into(),
        },
        (_, Some(code), _) => format!("ended with code {code}"),
        (_, _, Some(signal)) => format!("ended by signal {signal}"),
        _ => "ended, nobody knows how".into(),
    }
}
