//! A Redis server's configuration file.

use crate::secret::Secret;
use plimsoll_model::store::Store;
use std::{fmt::Write, path::Path};

/// Where a server is; goes into its configuration.
pub(crate) struct Place<'a> {
    /// Its port.
    pub port: u16,
    /// Its data folder.
    pub dir: &'a Path,
    /// Its Unix socket.
    pub socket: &'a Path,
    /// The port of the server that it copies; `None`: it is one, or in a cluster.
    pub primary: Option<u16>,
}

/// The bus of a cluster's member is that far above its port.
pub(crate) const BUS: u16 = 10_000;

/// The account by which members of a cluster copy each other; off when a server starts, so that nobody copies a member that
/// came back empty before it is known to be in order.
pub(crate) const REPLICATION: &str = "replication";

/// How long a member may be silent before its replica takes over: shorter than Redis' 15 s, as all are on one machine, yet
/// longer than a stall of a busy one, since writes of the last moment are lost in a take-over.
const NODE_TIMEOUT_MS: u32 = 5_000;

/// The same until the cluster is whole: for as long a member that found itself alone, as each does when it starts, serves
/// nothing. There is nobody yet whose writes could be lost.
const NODE_TIMEOUT_AT_START_MS: u32 = 1_000;

/// Its name.
pub(crate) const NODE_TIMEOUT: &str = "cluster-node-timeout";

/// The setting of a whole cluster: that of the file, or ours.
pub(crate) fn node_timeout_ms(store: &Store) -> String {
    store.settings.get(NODE_TIMEOUT).map_or_else(|| NODE_TIMEOUT_MS.to_string(), Clone::clone)
}

/// What a full cache may do.
const POLICIES: [&str; 8] = [
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
];

/// Settings that are the driver's own.
const OURS: [&str; 24] = [
    "port",
    "tls-port",
    "bind",
    "bind-source-addr",
    "protected-mode",
    "unixsocket",
    "unixsocketperm",
    "requirepass",
    "masterauth",
    "masteruser",
    "user",
    "aclfile",
    "dir",
    "dbfilename",
    "appenddirname",
    "appendfilename",
    "daemonize",
    "supervised",
    "pidfile",
    "logfile",
    "include",
    "rename-command",
    "replicaof",
    "slaveof",
];

/// Checks what the file asks for.
pub(crate) fn check(store: &Store) -> Result<(), String> {
    if let Some(policy) = &store.eviction
        && !POLICIES.contains(&policy.as_str())
    {
        return Err(format!("eviction {policy:?} is not one of Redis'; write one of {}", POLICIES.join(", ")));
    }
    if let Some(cluster) = store.cluster
        && !(3..=1000).contains(&cluster.masters)
    {
        return Err(format!("a Redis Cluster needs at least 3 masters, not {}", cluster.masters));
    }
    for (name, value) in &store.settings {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(format!("{name:?} is not the name of a setting of Redis"));
        }
        let lower = name.to_ascii_lowercase();
        if OURS.contains(&lower.as_str())
            || lower.starts_with("cluster-announce")
            || matches!(&*lower, "cluster-enabled" | "cluster-config-file" | "cluster-port")
        {
            return Err(format!("setting `{name}` is Plimsoll's own; remove it"));
        }
        if lower == NODE_TIMEOUT && (*name != lower || value.parse::<u32>().is_err()) {
            return Err(format!("setting `{NODE_TIMEOUT}` is a number of milliseconds"));
        }
        if value.chars().any(char::is_control) {
            return Err(format!("the value of setting `{name}` has a line break or another control character"));
        }
    }
    Ok(())
}

/// `redis.conf`. The later line wins, so settings of the file come last.
pub(crate) fn server(store: &Store, place: &Place<'_>, password: &Secret) -> String {
    let mut out = "# Written by Plimsoll before each start; changes made here are lost.\n".to_owned();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "{name} {value}");
    };
    let path = |path: &Path| quote(&path.display().to_string());
    line("bind", "127.0.0.1");
    line("protected-mode", "yes");
    line("port", &place.port.to_string());
    line("unixsocket", &path(place.socket));
    line("unixsocketperm", "700");
    line("requirepass", password.expose());
    line("masterauth", password.expose());
    line("daemonize", "no");
    line("always-show-logo", "no");
    line("dir", &path(place.dir));
    line("appendonly", if store.persistent { "yes" } else { "no" });
    line("appendfsync", "everysec");
    line("save", if store.persistent { "3600 1 300 100 60 10000" } else { "\"\"" });
    line("maxclients", "10000");
    if let Some(memory) = store.max_memory {
        line("maxmemory", &memory.0.to_string());
    }
    line("maxmemory-policy", store.eviction.as_deref().unwrap_or("noeviction"));
    if let Some(primary) = place.primary {
        line("replicaof", &format!("127.0.0.1 {primary}"));
    }
    // Replicas on the same machine: a copy over a socket at once, not in 5 s.
    line("repl-diskless-sync-delay", "0");
    if store.cluster.is_some() {
        line("masteruser", REPLICATION);
        line("user", &format!("{REPLICATION} off >{} resetchannels -@all +psync +replconf +ping", password.expose()));
        line("cluster-enabled", "yes");
        line("cluster-config-file", "nodes.conf");
        line("cluster-port", &(place.port.saturating_add(BUS)).to_string());
        line("cluster-announce-ip", "127.0.0.1");
        line(NODE_TIMEOUT, &NODE_TIMEOUT_AT_START_MS.to_string());
        // Who copies whom is decided in one place.
        line("cluster-allow-replica-migration", "no");
    }
    for (name, value) in store.settings.iter().filter(|(name, _)| *name != NODE_TIMEOUT) {
        line(name, if value.is_empty() { "\"\"" } else { value });
    }
    out
}

/// A value in double quotes.
fn quote(value: &str) -> String {
    let escaped = value.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
        out
    });
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_closes_nothing_early() {
        assert_eq!(quote("/a b"), "\"/a b\"");
        assert_eq!(quote("a\"b\\c\nd"), "\"a\\\"b\\\\c\\x0ad\"");
    }
}
