//! Where a store lives on this machine.

use std::path::PathBuf;

/// Where one store lives on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The store's own folder; exists, mode 0700, owned by [`Site::server_user`] where there is one.
    pub data: PathBuf,
    /// Where secrets are kept; exists, mode 0700, owned by who we are. Never given to a server.
    pub secrets: PathBuf,
    /// One port for each member, on 127.0.0.1. Of a Redis Cluster port + 10,000 must be free too, so at most 55,535.
    pub ports: Vec<u16>,
    /// The unprivileged account the servers run as. Needed when we are root; `None`: they run as we do.
    /// It must be in the user database (`initdb` looks its name up).
    pub server_user: Option<User>,
    /// A short folder (at most 80 bytes) for Unix sockets; exists, and is writable by the servers and nobody else.
    pub run: PathBuf,
    /// Where services find a store with standbys, whoever is its primary. `None`: they go to its one server.
    pub front: Option<Front>,
    /// The port of its pooler, on 127.0.0.1. `None`: it has none.
    pub pooler: Option<u16>,
}

/// The ports of a store with standbys, on 127.0.0.1; somebody else listens there and leads on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Front {
    /// Leads to the primary.
    pub port: u16,
    /// Leads to standbys that are not far behind.
    pub reads: u16,
}

/// A Unix user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id, and the only group.
    pub gid: u32,
}

/// The first of these accounts that this machine has, for servers when we are root.
///
/// `None`: none of them is there. Reads `/etc/passwd`; accounts from other sources are not seen.
#[must_use]
pub fn account(names: &[&str]) -> Option<User> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    names.iter().find_map(|name| account_in(&text, name))
}

fn account_in(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(User { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let text =
            "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104:a,,:/var:/bin/bash\n";
        assert_eq!(account_in(text, "postgres"), Some(User { uid: 101, gid: 104 }));
        assert_eq!(account_in(text, "redis"), None);
        assert_eq!(account_in("postgres:x:nonsense", "postgres"), None);
    }
}
