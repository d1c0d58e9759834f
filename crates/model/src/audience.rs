//! Who sees a canary, where that is not left to chance alone: people with a header, the same people again and again, or
//! nobody, with copies of requests.

use crate::{Millis, Ratio, RevisionId};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Who sees a canary. The default: a request is the canary's with the chance of its share.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Audience {
    /// The same version for the same client, step after step, as long as shares only grow.
    pub stickiness: Option<Stickiness>,
    /// Requests that match go to the canary, whatever its share, and no others do (A/B). Never beside `stickiness`.
    pub matches: Option<Match>,
    /// So many of the GET and HEAD requests that the old version answers are sent to the canary as well; its answers are
    /// judged and thrown away. 0: none.
    pub mirror: Ratio,
}

/// By what a client is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stickiness {
    /// By a cookie that the gateway gives it.
    Cookie {
        /// The cookie's name.
        name: String,
        /// How long the client keeps it, at least a second.
        max_age: Millis,
    },
    /// By a header that it sends; a request without it is anybody's.
    Header(String),
}

/// What a request has to have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Match {
    /// Headers with exactly these values, all of them. Names in lower case; never empty.
    pub header: BTreeMap<String, String>,
}

/// A canary as gateways see it: its version is one of a service's two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The version that comes in.
    pub revision: RevisionId,
    /// Its share of the traffic.
    pub share: Ratio,
    /// Who sees it.
    pub audience: Audience,
}

impl Audience {
    /// Somebody sees the canary although its share is nothing.
    #[must_use]
    pub fn is_beside_shares(&self) -> bool {
        self.matches.is_some() || self.mirror > Ratio(0)
    }
}

/// Who, for a person; nothing for the default.
impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matches = self.matches.as_ref().map(|matches| format!("requests with {matches} alone"));
        let sticky = self.stickiness.as_ref().map(|by| match by {
            Stickiness::Cookie { name, max_age } => {
                format!("the same clients again (by the cookie `{name}`, kept for {max_age})")
            }
            Stickiness::Header(name) => format!("the same clients again (by the header `{name}`)"),
        });
        let mirror = self.mirror;
        let copies = (mirror > Ratio(0)).then(|| format!("copies of {mirror} of what is only read"));
        let parts: Vec<String> = [matches, sticky, copies].into_iter().flatten().collect();
        f.write_str(&parts.join(", and "))
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<String> = self.header.iter().map(|(name, value)| format!("`{name}: {value}`")).collect();
        f.write_str(&headers.join(" and "))
    }
}
