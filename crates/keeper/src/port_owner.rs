//! Who has a TCP port, for the message that says that it is busy.

use crate::proc;
use std::{collections::BTreeSet, fs, net::SocketAddr};

/// The state of a listening socket in `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// The process that has the port, for a person: `pid 4711 (nginx)`; `None` if it can't be seen.
pub(crate) fn find(address: SocketAddr) -> Option<(i32, String)> {
    let mut listening = BTreeSet::new();
    let mut other = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        for (inode, listens) in text.lines().skip(1).filter_map(|line| entry(line, address.port())) {
            if listens {
                listening.insert(inode)
            } else {
                other.insert(inode)
            };
        }
    }
    let sockets = if listening.is_empty() { other } else { listening };
    proc::pids().into_iter().find(|pid| holds(*pid, &sockets)).map(|pid| (pid, proc::name(pid).unwrap_or_default()))
}

/// The socket's inode if its local port is this one, and whether it listens.
fn entry(line: &str, port: u16) -> Option<(u64, bool)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, local) = fields.next()?.rsplit_once(':')?;
    if u16::from_str_radix(local, 16).ok()? != port {
        return None;
    }
    let listens = fields.nth(1)? == LISTENS;
    let inode = fields.nth(5)?.parse().ok()?;
    (inode != 0).then_some((inode, listens))
}

/// Whether one of the sockets is open in that process.
fn holds(pid: i32, sockets: &BTreeSet<u64>) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| {
        let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode: u64| sockets.contains(&inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (pid, name) = find(listener.local_addr().unwrap()).unwrap();
        assert_eq!(pid, proc::own_pid());
        assert!(!name.is_empty());
    }
}
