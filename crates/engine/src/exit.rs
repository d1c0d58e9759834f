//! How a process ended: in words, and for those who decide what follows.

use plimsoll_control::restart::ExitSeen;
use plimsoll_model::Bytes;
use plimsoll_wire::keeper::Exit;

/// What the keeper knows of an end. The peak of memory concerns only whom the kernel killed for it.
pub(crate) fn seen(exit: &Exit) -> ExitSeen {
    let memory_peak = exit.memory_peak.filter(|_| exit.oom).map(Bytes);
    ExitSeen { code: exit.code, signal: exit.signal, oom: exit.oom, memory_peak, ..ExitSeen::default() }
}

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
