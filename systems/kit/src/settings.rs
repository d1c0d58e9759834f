//! Settings from the environment, all mistakes reported at once.
//!
//! Invariant: a value made up for a missing or malformed variable never leaves [`read`].

use crate::fault::Fault;
use std::{fmt, net::IpAddr, net::Ipv4Addr, path::Path, str::FromStr, time::Duration};

/// One variable that is missing or cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Name of the environment variable.
    pub variable: String,
    /// What is wrong with it and what is expected.
    pub what: String,
}

/// Every mistake found; fix the environment and start again.
#[derive(Debug, thiserror::Error)]
pub struct SettingsError {
    /// At least one mistake, in the order the variables were read.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start: {} mistake(s) in the environment", self.mistakes.len())?;
        self.mistakes.iter().try_for_each(|m| write!(f, "; {}: {}", m.variable, m.what))
    }
}

type Lookup<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

/// Where variables come from; collects mistakes while it is read.
pub struct Environment<'a> {
    lookup: Lookup<'a>,
    mistakes: Vec<Mistake>,
}

/// Reads settings from the environment of this process.
///
/// # Errors
/// Every missing or malformed variable that `build` asked for.
pub fn read<T>(build: impl FnOnce(&mut Environment<'_>) -> T) -> Result<T, SettingsError> {
    read_from(|name| std::env::var(name).ok(), build)
}

/// Reads settings through `lookup`; tests use this.
///
/// # Errors
/// As [`read`].
pub fn read_from<'a, T>(
    lookup: impl Fn(&str) -> Option<String> + 'a,
    build: impl FnOnce(&mut Environment<'_>) -> T,
) -> Result<T, SettingsError> {
    let mut environment = Environment { lookup: Box::new(lookup), mistakes: Vec::new() };
    let settings = build(&mut environment);
    if environment.mistakes.is_empty() { Ok(settings) } else { Err(SettingsError { mistakes: environment.mistakes }) }
}

/// A secret for a role that does one thing: what the file holds (without the end of its line), or without a file the
/// variable `name`.
///
/// # Errors
/// The file cannot be read, or the variable is not set.
pub fn text_or_file(name: &str, file: Option<&Path>) -> Result<String, SettingsError> {
    let Some(path) = file else { return read(|env| env.text(name)) };
    let text = std::fs::read_to_string(path).map_err(|why| {
        let what = format!("cannot be read from {}: {why}", path.display());
        SettingsError { mistakes: vec![Mistake { variable: name.to_owned(), what }] }
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

impl Environment<'_> {
    /// The variable's text; an empty value counts as absent.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// The variable's text; absent is a mistake.
    pub fn text(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.mistake(name, "is required and not set");
            String::new()
        })
    }

    /// The variable parsed as `T`, or `default` when absent.
    pub fn parsed<T: FromStr>(&mut self, name: &str, default: T) -> T
    where
        T::Err: fmt::Display,
    {
        let Some(text) = self.optional(name) else { return default };
        text.parse().unwrap_or_else(|why| {
            self.mistake(name, &format!("{text:?} is not understood: {why}"));
            default
        })
    }

    /// A duration in whole milliseconds, or `default` when absent; the variable's name ends in `_MS`.
    pub fn millis(&mut self, name: &str, default: Duration) -> Duration {
        let default_ms = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.parsed(name, default_ms))
    }

    /// The URL of a store or service as Plimsoll tells it: `orders` is told in `ORDERS_URL`.
    pub fn url_of(&mut self, name: &str) -> String {
        self.text(&url_variable(name))
    }

    /// Records a mistake found by the caller.
    pub fn mistake(&mut self, variable: &str, what: &str) {
        self.mistakes.push(Mistake { variable: variable.into(), what: what.into() });
    }
}

/// The variable that tells the address of the store or service `name`.
pub fn url_variable(name: &str) -> String {
    format!("{}_URL", name.to_uppercase().replace(['-', '.'], "_"))
}

/// What every server needs to know.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Name of the service in logs, metrics and traces.
    pub name: &'static str,
    /// Address to bind (`HOST`, default 127.0.0.1).
    pub host: IpAddr,
    /// Port to bind (`PORT`); 0 lets the kernel choose, and the log line `listening` tells which.
    pub port: u16,
    /// How long to keep accepting after SIGTERM, so that a balancer without death notices can look away
    /// (`DRAIN_DELAY_MS`, default 0).
    pub drain_delay: Duration,
    /// How long requests in flight may take to end after that (`DRAIN_MAX_MS`, default 30 s).
    pub drain_max: Duration,
    /// Longest a request may take before it is answered 503 (`REQUEST_MAX_MS`, default 60 s).
    pub request_max: Duration,
    /// How it fails on purpose (`FAULT_ERRORS`, `FAULT_DELAY_MS`, default not at all).
    pub fault: Option<Fault>,
}

impl ServerSettings {
    /// Reads the settings of the server called `name`; `PORT` is required.
    pub fn read(name: &'static str, environment: &mut Environment<'_>) -> Self {
        if environment.optional("PORT").is_none() {
            environment.mistake("PORT", "is required and not set");
        }
        Self {
            name,
            host: environment.parsed("HOST", IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: environment.parsed("PORT", 0),
            drain_delay: environment.millis("DRAIN_DELAY_MS", Duration::ZERO),
            drain_max: environment.millis("DRAIN_MAX_MS", Duration::from_secs(30)),
            request_max: environment.millis("REQUEST_MAX_MS", Duration::from_secs(60)),
            fault: Fault::read(environment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_all_mistakes_at_once() {
        let error = read_from(
            |name| (name == "POOL").then(|| "many".to_owned()),
            |env| (ServerSettings::read("x", env), env.url_of("user-orders"), env.parsed("POOL", 1_u32)),
        )
        .unwrap_err();
        let variables: Vec<_> = error.mistakes.iter().map(|m| m.variable.as_str()).collect();
        assert_eq!(variables, ["PORT", "USER_ORDERS_URL", "POOL"]);
    }

    #[test]
    fn defaults_bind_to_loopback() {
        let settings =
            read_from(|n| (n == "PORT").then(|| "0".to_owned()), |env| ServerSettings::read("x", env)).unwrap();
        assert_eq!(settings.host, IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
