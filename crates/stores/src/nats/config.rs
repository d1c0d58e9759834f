//! A NATS server's configuration file.

use crate::secret::Secret;
use plimsoll_model::store::Store;
use std::{fmt::Write, path::Path};

/// Where a server is; goes into its configuration.
pub(crate) struct Place<'a> {
    /// Its port.
    pub port: u16,
    /// The port of its figures.
    pub figures: u16,
    /// Its data folder.
    pub dir: &'a Path,
}

/// Who may connect.
pub(crate) struct Login<'a> {
    /// Its name: letters, digits, `-` and `_`.
    pub user: &'a str,
    /// Its password.
    pub password: &'a Secret,
}

/// Settings of JetStream, which stand in a block of their own.
const JETSTREAM: [&str; 2] = ["max_memory_store", "max_file_store"];

/// Further settings of the file that a single server can have: none of them opens a port, lets somebody in, or says where
/// something lies.
const ALLOWED: [&str; 15] = [
    "max_connections",
    "max_control_line",
    "max_payload",
    "max_pending",
    "max_subscriptions",
    "ping_interval",
    "ping_max",
    "write_deadline",
    "lame_duck_duration",
    "lame_duck_grace_period",
    "connect_error_reports",
    "disable_sublist_cache",
    "no_header_support",
    "debug",
    "trace",
];

/// How much memory streams in memory may take where the file says nothing: a quarter of its limit, or of 1 GiB.
const MEMORY: u64 = 1 << 30;

/// How much streams on disk may take where the file says nothing. JetStream would take three quarters of what is free, and
/// leave none for others.
const DISK: u64 = 10 << 30;

/// Checks what the file asks for.
pub(crate) fn check(store: &Store) -> Result<(), String> {
    if store.instances > 1 {
        return Err("one NATS server is run; clusters are not made here".to_owned());
    }
    for (name, value) in &store.settings {
        let jetstream = JETSTREAM.contains(&name.as_str());
        if !jetstream && !ALLOWED.contains(&name.as_str()) {
            let known = [&JETSTREAM[..], &ALLOWED[..]].concat().join(", ");
            return Err(format!("setting `{name}` can't be given to a NATS server here; those that can: {known}"));
        }
        if jetstream && !store.persistent {
            return Err(format!("setting `{name}` means nothing without JetStream; write `persistent: true`"));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.';
        if value.is_empty() || !value.bytes().all(plain) {
            return Err(format!(
                "the value of setting `{name}` is a number, a size such as 8MB, a time such as 10s, or a word"
            ));
        }
    }
    Ok(())
}

/// The file. NATS refuses a file that it does not understand, and two lines of one name.
pub(crate) fn server(store: &Store, place: &Place<'_>, login: &Login<'_>) -> String {
    let mut out = "# Written by Plimsoll before each start; changes made here are lost.\n".to_owned();
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    line(format!("server_name: {}", quote(login.user)));
    line("host: \"127.0.0.1\"".to_owned());
    line(format!("port: {}", place.port));
    line(format!("http: \"127.0.0.1:{}\"", place.figures));
    let login = (quote(login.user), quote(login.password.expose()));
    line(format!("authorization {{ user: {}, password: {} }}", login.0, login.1));
    if store.persistent {
        let memory =
            store.resources.memory_limit.or(store.resources.memory_request).map_or(MEMORY, |bytes| bytes.0) / 4;
        let given =
            |name: &str, otherwise: u64| store.settings.get(name).map_or_else(|| otherwise.to_string(), Clone::clone);
        line("jetstream {".to_owned());
        line(format!("  store_dir: {}", quote(&place.dir.display().to_string())));
        line(format!("  max_memory_store: {}", given("max_memory_store", memory)));
        line(format!("  max_file_store: {}", given("max_file_store", DISK)));
        line("}".to_owned());
    }
    for (name, value) in store.settings.iter().filter(|(name, _)| !JETSTREAM.contains(&name.as_str())) {
        line(format!("{name}: {value}"));
    }
    out
}

/// A text in double quotes, in which nothing is a variable.
fn quote(value: &str) -> String {
    let escaped = value.chars().fold(String::new(), |mut out, c| {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push(c),
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
        assert_eq!(quote("/a b$c"), "\"/a b$c\"");
        assert_eq!(quote("a\"b\\c\nd"), "\"a\\\"b\\\\c\\nd\"");
    }
}
