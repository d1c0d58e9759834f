//! To which member of a store a connection leads, and how long it stays.
//!
//! Invariant: a write leads to the primary, or nowhere.
//! Invariant: a connection ends when another member is told to take the place of the one that it leads to, and never only
//! because nobody is told.

use super::version::mixed;
use plimsoll_model::route::Members;
use std::net::SocketAddr;

/// Whom a connection leads to now; `draw` may be any number, as a client's port: equals are told apart by it. `None`: it waits.
#[must_use]
pub fn member(members: &Members, reads: bool, draw: u64) -> Option<SocketAddr> {
    let standbys = if reads { members.standbys.as_slice() } else { &[] };
    match u64::try_from(standbys.len()) {
        // Mixed, since the kernel gives clients even ports first.
        Ok(count) if count > 0 => standbys.get(usize::try_from(mixed(draw) % count).unwrap_or(0)).copied(),
        _ => members.primary,
    }
}

/// Whether a connection to `to` goes on.
#[must_use]
pub fn keeps(members: &Members, reads: bool, to: SocketAddr) -> bool {
    let stands = reads && members.standbys.contains(&to);
    let leads = members.primary.is_none_or(|primary| primary == to);
    stands || (leads && (!reads || members.standbys.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn members(primary: Option<u16>, standbys: &[u16]) -> Members {
        Members { primary: primary.map(at), standbys: standbys.iter().copied().map(at).collect() }
    }

    #[test]
    fn writes_lead_to_the_primary_or_nowhere() {
        for draw in 0..100 {
            assert_eq!(member(&members(Some(1), &[2, 3]), false, draw), Some(at(1)));
            assert_eq!(member(&members(None, &[2, 3]), false, draw), None);
        }
    }

    #[test]
    fn every_standby_gets_its_share_of_reads_though_all_ports_are_even() {
        for count in 1..5_u16 {
            let standbys: Vec<u16> = (10..10 + count).collect();
            let all = members(Some(1), &standbys);
            let mut got = std::collections::BTreeMap::<SocketAddr, u64>::new();
            for draw in (32_768..60_000).step_by(2) {
                *got.entry(member(&all, true, draw).unwrap()).or_default() += 1;
            }
            let fair = (60_000 - 32_768) / 2 / u64::from(count);
            assert_eq!(got.len(), usize::from(count));
            assert!(got.values().all(|reads| reads.abs_diff(fair) < fair / 10), "{got:?}");
        }
    }

    #[test]
    fn reads_lead_to_the_primary_when_no_standby_is_near() {
        assert_eq!(member(&members(Some(1), &[]), true, 7), Some(at(1)));
        assert_eq!(member(&members(None, &[]), true, 7), None);
    }

    #[test]
    fn a_connection_stays_until_another_member_is_told_to_take_its_place() {
        let check =
            |members: &Members, reads, to, stays| assert_eq!(keeps(members, reads, at(to)), stays, "{members:?}");
        check(&members(Some(1), &[2]), false, 1, true);
        check(&members(None, &[2]), false, 1, true);
        check(&members(Some(3), &[2]), false, 1, false);
        check(&members(Some(1), &[2]), true, 2, true);
        check(&members(None, &[2]), true, 2, true);
        check(&members(Some(1), &[3]), true, 2, false);
        check(&members(Some(1), &[2]), true, 1, false);
        check(&members(Some(1), &[]), true, 1, true);
    }
}
