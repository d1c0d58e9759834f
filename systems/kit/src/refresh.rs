//! Refresh tokens: which session, and a secret that is good once. Only its hash is kept anywhere.

use crate::sessions::hex;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A refresh token: the session's id and a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// The session.
    pub session: Uuid,
    secret: String,
}

impl Refresh {
    /// A new one of that session.
    pub fn fresh(session: Uuid) -> Self {
        Self { session, secret: hex(&rand::random::<[u8; 32]>()) }
    }

    /// Reads one; `None`: it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (session, secret) = text.split_once('.')?;
        Some(Self { session: session.parse().ok()?, secret: secret.to_owned() })
    }

    /// As it is sent.
    pub fn text(&self) -> String {
        format!("{}.{}", self.session.simple(), self.secret)
    }

    /// What is kept of it (SHA-256 of the secret).
    pub fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.secret.as_bytes()).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_reads_what_it_writes() {
        let refresh = Refresh::fresh(Uuid::now_v7());
        assert_eq!(Refresh::parse(&refresh.text()), Some(refresh));
        assert_eq!(Refresh::parse("x.y"), None);
    }
}
