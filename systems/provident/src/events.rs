//! What the services tell one another over the event bus.
//!
//! Invariant: to whoever hears it a second time a message says the same; each names the claim and its organization, so that
//! whoever hears it finds the shard.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What pension says.
pub const CLAIMS: &str = "claims";
/// What workflow says.
pub const CASES: &str = "cases";
/// What payment says.
pub const PAYMENTS: &str = "payments";

/// What became of a claim, and what is wanted for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ClaimEvent {
    /// To workflow: have people decide about it.
    Opened {
        /// The claim.
        claim: Uuid,
        /// Whose.
        organization: Uuid,
        /// Whose.
        member: Uuid,
        /// Who opened it.
        by: Uuid,
        /// What kind it is of.
        kind: String,
        /// How much.
        amount_paise: i64,
    },
    /// To payment: pay it out, once.
    PaymentWanted {
        /// The claim.
        claim: Uuid,
        /// Whose.
        organization: Uuid,
        /// Whose.
        member: Uuid,
        /// How much.
        amount_paise: i64,
        /// To this account …
        account: String,
        /// … of this branch.
        ifsc: String,
    },
}

/// What people decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The claim.
    pub claim: Uuid,
    /// Whose.
    pub organization: Uuid,
    /// Is it granted?
    pub granted: bool,
    /// In a word, if not.
    pub why: String,
}

/// What became of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    /// The claim.
    pub claim: Uuid,
    /// Whose.
    pub organization: Uuid,
    /// Did it reach the account?
    pub paid: bool,
    /// Why not.
    pub why: Option<String>,
}
