//! Addresses of files that are good for a while for whoever has them.
//!
//! Invariant: a link names one path and one moment, and is signed over both; nobody makes one without the secret.

use crate::problem::Problem;
use crate::sessions::hex;
use crate::settings::Environment;
use crate::signature;
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use utoipa::IntoParams;

/// Signs links, and knows its own; cheap to clone.
#[derive(Clone)]
pub struct Links {
    secret: Arc<[u8]>,
    good_for_s: u64,
}

/// What a link carries.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Signed {
    /// Seconds since 1970.
    expires: u64,
    /// Hexadecimal.
    signature: String,
}

/// Why a link isn't followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It was good once.
    Expired,
    /// We didn't make it.
    Forged,
}

impl From<Refused> for Problem {
    fn from(why: Refused) -> Self {
        match why {
            Refused::Expired => {
                Self::new(StatusCode::FORBIDDEN, "link-expired", "This link was good once; get another.")
            }
            Refused::Forged => Self::new(StatusCode::FORBIDDEN, "link-not-valid", "This is no link of ours."),
        }
    }
}

impl Links {
    /// Reads `TOKEN_SECRET`, and `FILE_LINK_S`: how long a link is good (default 300 s).
    pub fn read(environment: &mut Environment<'_>) -> Self {
        let secret = environment.optional("TOKEN_SECRET").unwrap_or_default();
        let good_for_s = environment.parsed("FILE_LINK_S", 300_u64);
        // A key of its own, so that no other use of the secret signs anything that is a link.
        Self { secret: signature::sign(secret.as_bytes(), b"links of files").into(), good_for_s }
    }

    /// A link to the file at this path, which needs no encoding, from now on.
    pub fn to(&self, path: &str) -> String {
        let expires = now_s() + self.good_for_s;
        format!("{path}?expires={expires}&signature={}", self.signature(path, expires))
    }

    /// Is the link good now?
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, path: &str, link: &Signed) -> Result<(), Refused> {
        let given: Option<Vec<u8>> = (0..link.signature.len())
            .step_by(2)
            .map(|at| link.signature.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        if !given.is_some_and(|given| signature::is_signed(&self.secret, &message(path, link.expires), &given)) {
            return Err(Refused::Forged);
        }
        if now_s() >= link.expires { Err(Refused::Expired) } else { Ok(()) }
    }

    fn signature(&self, path: &str, expires: u64) -> String {
        hex(&signature::sign(&self.secret, &message(path, expires)))
    }
}

fn message(path: &str, expires: u64) -> Vec<u8> {
    format!("GET {path} {expires}").into_bytes()
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_for_its_file_and_its_time_only() {
        let links = |secret: &[u8], good_for_s| Links { secret: secret.into(), good_for_s };
        let ours = links(b"secret", 60);
        let id = "/files/1";
        let signed = |links: &Links, expires| Signed { expires, signature: links.signature(id, expires) };
        let later = now_s() + 60;
        assert_eq!(ours.check(id, &signed(&ours, later)), Ok(()));
        assert_eq!(ours.check(id, &signed(&ours, 1)), Err(Refused::Expired));
        assert_eq!(ours.check("/files/2", &signed(&ours, later)), Err(Refused::Forged));
        assert_eq!(ours.check(id, &Signed { expires: later + 1, ..signed(&ours, later) }), Err(Refused::Forged));
        assert_eq!(ours.check(id, &signed(&links(b"another", 60), later)), Err(Refused::Forged));
        for nonsense in ["", "zz", "é", "a"] {
            assert_eq!(ours.check(id, &Signed { expires: later, signature: nonsense.into() }), Err(Refused::Forged));
        }
    }
}
