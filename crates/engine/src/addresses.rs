//! Ports: chosen once, remembered, and outside the range that the kernel gives to outgoing connections.
//!
//! Invariant: two things of one system never get the same port.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, TcpListener},
};

/// Ports are chosen from here; Linux' outgoing connections begin at 32,768 (`ip_local_port_range`).
const RANGE: std::ops::Range<u16> = 10_000..22_000;

/// A Redis Cluster's members listen for each other so much higher, and a NATS server tells its figures there.
const BUS_OFFSET: u16 = 10_000;

/// The ports of one system.
pub(crate) struct Addresses {
    /// Ports that stay, by what they are for.
    sticky: BTreeMap<String, u16>,
    /// Ports in use by replicas.
    taken: BTreeSet<u16>,
    next: u16,
}

impl Addresses {
    /// The remembered ports; new ones are looked for from a place that differs from system to system.
    pub(crate) fn remembered(sticky: BTreeMap<String, u16>, seed: &[u8]) -> Self {
        let hash = seed.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        let span = u32::from(RANGE.end - RANGE.start);
        let offset = u16::try_from(hash % span).unwrap_or(0);
        Self { sticky, taken: BTreeSet::new(), next: RANGE.start + offset }
    }

    /// The port remembered for `name`.
    pub(crate) fn known(&self, name: &str) -> Option<u16> {
        self.sticky.get(name).copied()
    }

    /// Remembers a port.
    pub(crate) fn remember(&mut self, name: &str, port: u16) {
        self.sticky.insert(name.into(), port);
    }

    /// Forgets the port of `name`, since it can't be used.
    pub(crate) fn forget(&mut self, name: &str) {
        self.sticky.remove(name);
    }

    /// A replica uses that port.
    pub(crate) fn take(&mut self, port: u16) {
        self.taken.insert(port);
    }

    /// A replica no longer uses that port.
    pub(crate) fn release(&mut self, port: u16) {
        self.taken.remove(&port);
    }

    /// A port that nothing of ours uses and nobody listens on now. `None` when the whole range is in use.
    pub(crate) fn choose(&mut self, with_bus: bool) -> Option<u16> {
        for _ in RANGE {
            let port = self.next;
            self.next = if port + 1 == RANGE.end { RANGE.start } else { port + 1 };
            if self.is_ours(port) || !is_free(port) || (with_bus && !is_free(port + BUS_OFFSET)) {
                continue;
            }
            return Some(port);
        }
        None
    }

    fn is_ours(&self, port: u16) -> bool {
        let ours = |port: u16| self.taken.contains(&port) || self.sticky.values().any(|known| *known == port);
        ours(port) || (port >= RANGE.start + BUS_OFFSET && ours(port - BUS_OFFSET))
    }
}

/// Nobody listens there now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_ports_differ_and_can_be_bound() {
        let mut addresses = Addresses::remembered(BTreeMap::new(), b"seed");
        let mut seen = BTreeSet::new();
        for _ in 0..50 {
            let port = addresses.choose(true).unwrap();
            addresses.take(port);
            assert!(seen.insert(port));
            assert!(RANGE.contains(&port));
        }
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_passed_over() {
        let mut addresses = Addresses::remembered(BTreeMap::new(), b"other seed");
        let first = addresses.choose(false).unwrap();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        addresses.next = first;
        assert_ne!(addresses.choose(false), Some(first));
    }
}
