//! Limits of the kernel on a process that is to be started.

use plimsoll_wire::keeper::{Limits, Ulimit};
use rustix::process::{Resource, getrlimit};

/// One limit, ready for the child.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rlimit {
    /// As a person writes it.
    name: &'static str,
    resource: Resource,
    /// As the kernel numbers it.
    pub(crate) number: libc::__rlimit_resource_t,
    /// `u64::MAX`, as the kernel's own word: none.
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// What is to be set, in the order in which it is.
pub(crate) fn of(limits: &Limits) -> Vec<Rlimit> {
    let said = &limits.ulimits;
    let files = limits.open_files.map(|files| Ulimit { soft: files, hard: files });
    [
        ("core", Resource::Core, libc::RLIMIT_CORE, said.core),
        ("fsize", Resource::Fsize, libc::RLIMIT_FSIZE, said.fsize),
        ("memlock", Resource::Memlock, libc::RLIMIT_MEMLOCK, said.memlock),
        ("nofile", Resource::Nofile, libc::RLIMIT_NOFILE, said.nofile.or(files)),
        ("nproc", Resource::Nproc, libc::RLIMIT_NPROC, said.nproc),
        ("stack", Resource::Stack, libc::RLIMIT_STACK, said.stack),
    ]
    .into_iter()
    .filter_map(|(name, resource, number, limit)| {
        limit.map(|Ulimit { soft, hard }| Rlimit { name, resource, number, soft, hard })
    })
    .collect()
}

/// Those above our own hard limits, which only root may raise, for a person; empty: none is.
pub(crate) fn too_high(limits: &[Rlimit]) -> String {
    let told = limits.iter().filter_map(|limit| {
        let most = getrlimit(limit.resource).maximum.filter(|most| limit.hard > *most)?;
        Some(format!("; {} can be {most} at most here, only root may raise it to {}", limit.name, said(limit.hard)))
    });
    told.collect()
}

fn said(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".into() } else { limit.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_wire::keeper::Ulimits;

    #[test]
    fn nofile_is_said_in_two_ways_and_set_once() {
        let old = Limits { open_files: Some(77), ..Limits::default() };
        assert_eq!(of(&old).iter().map(|one| (one.soft, one.hard)).collect::<Vec<_>>(), [(77, 77)]);
        let ulimits = Ulimits { nofile: Some(Ulimit { soft: 64, hard: 128 }), ..Ulimits::default() };
        let both = Limits { ulimits, ..old };
        assert_eq!(of(&both).iter().map(|one| (one.soft, one.hard)).collect::<Vec<_>>(), [(64, 128)]);
    }

    #[test]
    fn what_only_root_may_raise_is_named() {
        let Some(most) = getrlimit(Resource::Nofile).maximum else { return };
        let ulimits = Ulimits { nofile: Some(Ulimit { soft: 64, hard: u64::MAX }), ..Ulimits::default() };
        let told = too_high(&of(&Limits { ulimits, ..Limits::default() }));
        assert_eq!(told, format!("; nofile can be {most} at most here, only root may raise it to unlimited"));
        let ulimits = Ulimits { nofile: Some(Ulimit { soft: 16, hard: 16 }), ..Ulimits::default() };
        assert_eq!(too_high(&of(&Limits { ulimits, ..Limits::default() })), "");
    }
}
