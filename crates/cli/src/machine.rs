//! How much processor and memory this command, and what it starts, may use.

use plimsoll_model::{Bytes, MilliCpu};
use plimsoll_spec::Machine;
use std::fs;

/// This machine, as far as we may use it: affinity and control groups may leave us less than it has.
pub(crate) fn at_hand() -> Machine {
    let allowed = plimsoll_keeper::allowance();
    let least = |has: Option<u64>, may: Option<u64>| has.into_iter().chain(may).min();
    let memory = least(memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default()), allowed.memory);
    Machine {
        cpu: least(processors().map(|count| count * 1000), allowed.cpu_milli).map(MilliCpu),
        // To a whole MiB, as a person would say it.
        memory: memory.map(|bytes| Bytes(bytes & !0xf_ffff)),
        ..Machine::default()
    }
}

/// The processors that we may run on.
fn processors() -> Option<u64> {
    let set = rustix::thread::sched_getaffinity(None).ok()?;
    Some(u64::from(set.count()))
}

/// Bytes of memory, from `/proc/meminfo`.
fn memory(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_kibibytes() {
        assert_eq!(memory("MemTotal:       24683296 kB\nMemFree: 1 kB\n"), Some(24_683_296 << 10));
        assert_eq!(memory("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn this_machine_has_some_of_both() {
        let machine = at_hand();
        assert!(machine.cpu.unwrap().0 >= 10 && machine.memory.unwrap().0 > 1 << 20, "{machine:?}");
    }
}
