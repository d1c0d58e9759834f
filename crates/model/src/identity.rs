//! Identities that are journaled and used by keeper, gateway, metrics and journal alike.
//!
//! Invariant: a pid or a port is an attribute, never an identity.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{fmt, str::FromStr};

/// One replica of a service or one member of a store: `web-3`. Serials start at 1 and are never used twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId {
    /// The service or store that it belongs to.
    pub service: String,
    /// Counts up from 1 for each service, over its whole life.
    pub serial: u64,
}

impl ReplicaId {
    /// The replica number `serial` of `service`.
    pub fn new(service: impl Into<String>, serial: u64) -> Self {
        Self { service: service.into(), serial }
    }

    /// The service or store in the name of a replica, without making anything of the rest; `None`: it is no such name.
    #[must_use]
    pub fn owner_in(name: &str) -> Option<&str> {
        name.rsplit_once('-').map(|(owner, _)| owner)
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.service, self.serial)
    }
}

/// The text is not an identity of this kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnIdentity(pub String);

impl fmt::Display for NotAnIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` does not name a replica: write NAME-NUMBER", self.0)
    }
}

impl std::error::Error for NotAnIdentity {}

impl FromStr for ReplicaId {
    type Err = NotAnIdentity;
    fn from_str(text: &str) -> Result<Self, NotAnIdentity> {
        let (service, serial) = text.rsplit_once('-').ok_or_else(|| NotAnIdentity(text.into()))?;
        let serial = serial.parse().map_err(|_| NotAnIdentity(text.into()))?;
        if service.is_empty() {
            return Err(NotAnIdentity(text.into()));
        }
        Ok(Self { service: service.into(), serial })
    }
}

impl Serialize for ReplicaId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ReplicaId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// One version of a service: a hash of everything that makes its processes what they are. Shown by its first 10 digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionId(pub String);

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The way of calls from one service to another; each has a loopback port of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EdgeId {
    /// The caller.
    pub from: String,
    /// The one that is called.
    pub to: String,
}

impl EdgeId {
    /// Whether that is the name of an edge, and not of a route of the ingress (host and path, in which an arrow may stand).
    #[must_use]
    pub fn is_named(text: &str) -> bool {
        text.contains("->") && !text.contains('/')
    }
}

impl fmt::Display for EdgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", self.from, self.to)
    }
}

/// One act that the engine asked for, counted from 1 over the life of a system; makes acting idempotent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<(&str, u64)>) {
        let read = text.parse::<ReplicaId>().ok();
        assert_eq!(read, want.map(|(service, serial)| ReplicaId::new(service, serial)));
        if let Some(id) = read {
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn edges_are_told_from_routes() {
        assert!(EdgeId::is_named(&EdgeId { from: "web".into(), to: "api".into() }.to_string()));
        assert!(!EdgeId::is_named("*/") && !EdgeId::is_named("shop.localhost/a->b"));
    }

    #[test]
    fn replica_ids_read_back_as_written() {
        check("web-3", Some(("web", 3)));
        check("user-service-12", Some(("user-service", 12)));
    }

    #[test]
    fn other_text_is_no_replica_id() {
        check("web", None);
        check("-3", None);
        check("web-x", None);
    }
}
