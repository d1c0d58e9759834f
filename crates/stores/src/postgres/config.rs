//! PostgreSQL's configuration files, and names that it takes.

use crate::{
    postgres::{ADMIN, pooler, standby::REPLICATION},
    text,
};
use plimsoll_model::store::Store;
use std::{collections::BTreeMap, fmt::Write, path::Path};

/// Where a server is; goes into its configuration.
pub(crate) struct Place<'a> {
    /// Its name in process titles.
    pub cluster: &'a str,
    /// Its port.
    pub port: u16,
    /// The folder of its Unix socket.
    pub run: &'a Path,
    /// Who may connect.
    pub hba: &'a Path,
    /// Whose name stands for whose.
    pub ident: &'a Path,
    /// Whom it follows, and who follows it. `None`: it has no standbys.
    pub standbys: Option<&'a Path>,
}

/// Settings that are the driver's own.
const OURS: [&str; 16] = [
    "port",
    "listen_addresses",
    "unix_socket_directories",
    "unix_socket_permissions",
    "data_directory",
    "config_file",
    "hba_file",
    "ident_file",
    "external_pid_file",
    "password_encryption",
    "include",
    "include_dir",
    "include_if_exists",
    "primary_conninfo",
    "primary_slot_name",
    "synchronous_standby_names",
];

/// What a server with standbys needs, and each of them, since any may take over. `wal_retrieve_retry_interval`: by its default
/// of 5 s a standby would look for a new primary that seldom. `max_slot_wal_keep_size`: a standby that is gone for good does not
/// fill the disk; it is copied anew then.
const REPLICATED: [(&str, &str); 9] = [
    ("wal_level", "replica"),
    ("max_wal_senders", "16"),
    ("max_replication_slots", "16"),
    ("hot_standby", "on"),
    ("hot_standby_feedback", "on"),
    ("wal_keep_size", "'128MB'"),
    ("wal_retrieve_retry_interval", "'100ms'"),
    ("wal_receiver_status_interval", "'1s'"),
    ("wal_receiver_timeout", "'10s'"),
];

/// How many connections a server takes, unless its pooler needs more.
const CONNECTIONS: u32 = 200;
/// How many it must take at least beside those of its pooler: for standbys, backups and ourselves.
const BESIDE_LEAST: u32 = 10;

/// Checks what the file asks for.
pub(crate) fn check(store: &Store) -> Result<(), String> {
    check_settings(&store.settings)?;
    let pooled = store.pooler.as_ref().map_or(0, pooler::most);
    let least = pooled.saturating_add(BESIDE_LEAST);
    match store.settings.get("max_connections").and_then(|text| text.parse::<u32>().ok()) {
        Some(given) if pooled > 0 && given < least => Err(format!(
            "its pooler may open {pooled} connections, and `max_connections` is {given}: write at least {least}"
        )),
        _ => Ok(()),
    }
}

fn check_settings(settings: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in settings {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(format!("{name:?} is not the name of a setting of PostgreSQL"));
        }
        if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("setting `{name}` is Plimsoll's own; remove it"));
        }
        if value.chars().any(char::is_control) {
            return Err(format!("the value of setting `{name}` has a line break or another control character"));
        }
    }
    Ok(())
}

/// `postgresql.conf`. The later line wins, so settings of the file come last.
pub(crate) fn server(store: &Store, place: &Place<'_>) -> String {
    let memory = store.resources.memory_limit.or(store.resources.memory_request).map_or(512 << 20, |bytes| bytes.0);
    let buffers_kb = (memory / 4).clamp(16 << 20, 8 << 30) >> 10;
    let connections =
        CONNECTIONS.max(store.pooler.as_ref().map_or(0, |it| pooler::most(it).saturating_add(pooler::BESIDE)));
    let durable = if store.persistent { "on" } else { "off" };
    let text = |value: &str| quote(value);
    let path = |value: &Path| quote(&value.display().to_string());
    let lines = [
        ("listen_addresses", text("127.0.0.1")),
        ("port", place.port.to_string()),
        ("unix_socket_directories", quote(&quote_list(&place.run.display().to_string()))),
        ("unix_socket_permissions", "0700".to_owned()),
        ("hba_file", path(place.hba)),
        ("ident_file", path(place.ident)),
        ("password_encryption", text("scram-sha-256")),
        ("cluster_name", text(&printable(place.cluster))),
        ("max_connections", connections.to_string()),
        ("shared_buffers", format!("{buffers_kb}kB")),
        ("fsync", durable.to_owned()),
        ("full_page_writes", durable.to_owned()),
        ("synchronous_commit", durable.to_owned()),
        ("max_wal_size", text("1GB")),
        ("max_slot_wal_keep_size", text("4GB")),
        ("wal_compression", "on".to_owned()),
        ("jit", "off".to_owned()),
        ("log_destination", text("stderr")),
        ("logging_collector", "off".to_owned()),
        ("log_line_prefix", text("%m [%p] %q%u@%d ")),
        ("log_timezone", text("UTC")),
        ("timezone", text("UTC")),
        ("lc_messages", text("C.UTF-8")),
    ];
    let mut out = "# Written by Plimsoll before each start; changes made here are lost.\n".to_owned();
    for (name, value) in &lines {
        let _ = writeln!(out, "{name} = {value}");
    }
    for (name, value) in REPLICATED.iter().filter(|_| place.standbys.is_some()) {
        let _ = writeln!(out, "{name} = {value}");
    }
    for (name, value) in &store.settings {
        let _ = writeln!(out, "{name} = {}", quote(value));
    }
    if let Some(standbys) = place.standbys {
        let _ = writeln!(out, "include = {}", path(standbys));
    }
    out
}

/// `pg_hba.conf`: passwords only; the administrator only by the Unix socket.
pub(crate) fn access() -> String {
    format!(
        "# Written by Plimsoll before each start; changes made here are lost.\n\
         local replication {REPLICATION} scram-sha-256\n\
         local all all scram-sha-256\n\
         host all {ADMIN},{REPLICATION} 127.0.0.1/32 reject\n\
         host all all 127.0.0.1/32 scram-sha-256\n"
    )
}

/// The role and database of a store: its name, unless PostgreSQL keeps that for itself, or would cut it off.
pub(crate) fn role(store: &str) -> String {
    const TAKEN: [&str; 7] = ["public", "none", "postgres", "template0", "template1", ADMIN, REPLICATION];
    let usable = !store.is_empty() && store.len() <= 63 && !store.contains('\0');
    if !usable {
        return format!("store-{}", text::digest(store));
    }
    if TAKEN.contains(&store) || store.starts_with("pg_") {
        return format!("store-{store}").chars().take(63).collect();
    }
    store.to_owned()
}

/// A name in SQL.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL, also where `standard_conforming_strings` is off.
pub(crate) fn literal(value: &str) -> String {
    format!("E'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// A value in a configuration file.
pub(crate) fn quote(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// An element of a comma-separated list of folders.
fn quote_list(value: &str) -> String {
    format!("\"{}\"", value.replace('"', "\"\""))
}

fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_postgres_keeps_are_told_apart() {
        assert_eq!(role("orders"), "orders");
        assert_eq!(role("postgres"), "store-postgres");
        assert_eq!(role("pg_stat"), "store-pg_stat");
        assert_eq!(role("a\"; DROP ROLE x; --"), "a\"; DROP ROLE x; --");
        assert_ne!(role(&"a".repeat(64)), role(&"a".repeat(65)));
        assert!(role(&format!("pg_{}", "a".repeat(60))).len() <= 63);
        assert!(role("").starts_with("store-"));
    }

    #[test]
    fn quoting_closes_nothing_early() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("a'b\\"), "E'a''b\\\\'");
        assert_eq!(quote("a'b\\"), "'a''b\\\\'");
    }

    #[test]
    fn our_own_settings_and_line_breaks_are_refused() {
        let one = |name: &str, value: &str| check_settings(&BTreeMap::from([(name.to_owned(), value.to_owned())]));
        assert_eq!(one("work_mem", "8MB"), Ok(()));
        assert_eq!(one("auto_explain.log_min_duration", "1s"), Ok(()));
        assert!(one("Port", "1").is_err());
        assert!(one("include", "/etc/passwd").is_err());
        assert!(one("work_mem", "8MB'\nport = 1").is_err());
        assert!(one("work mem", "8MB").is_err());
    }
}
