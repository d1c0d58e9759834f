//! Releases: what is under way, what happened, and what a person may ask of them.

use plimsoll_model::{Instant, Ratio, RevisionId};
use serde::{Deserialize, Serialize};

/// The variable that `plimsoll prove` gives to versions that it makes to test with. A service that still has it when no
/// `prove` runs was left behind by one that was killed.
pub const DRILL: &str = "PLIMSOLL_DRILL";

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Counts up from 1 over the life of the system; `rollback --to` takes it.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// Of which service.
    pub service: String,
    /// The version that came in or went.
    pub revision: RevisionId,
    /// A word: `ReleaseBegan`, `ReleaseReached`, `ReleasePaused`, `ReleaseResumed`, `Promoted`, `RolledBack`,
    /// `ReleaseWithdrawn`, `Forgiven`, `ProgressDeadlineExceeded`, `Progressing`.
    pub what: String,
    /// A sentence.
    pub message: String,
    /// Who asked for it; empty: nobody, it was decided.
    pub by: String,
    /// Why, in their words; may be empty.
    pub why: String,
    /// That version can be gone back to.
    pub kept: bool,
}

/// The ledger, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    /// What is remembered of it; the last thousand lines.
    pub releases: Vec<Release>,
}

/// How the release of a service stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseStatus {
    /// What comes in, is on probation, or was sent back.
    pub revision: RevisionId,
    /// What runs beside it or instead of it.
    pub from: Option<RevisionId>,
    /// Something is coming in.
    pub under_way: bool,
    /// The stage: `replacing`, `canary step 2`, `switched, the old set kept warm` …
    pub stage: String,
    /// The share of traffic that the new version has; `None`: its share of the replicas.
    pub share: Option<Ratio>,
    /// `pass`, `fail` or `inconclusive`; `None`: nothing is measured.
    pub verdict: Option<String>,
    /// What is missing or doubtful, where the verdict is not `pass`.
    pub missing: Option<String>,
    /// Why it waits for a person, and who asked for it; `None`: it doesn't.
    pub paused: Option<String>,
    /// Why what the file asks for does not run; `None`: it does, or is coming in.
    pub held: Option<String>,
    /// Where it stands, as a sentence.
    pub reason: String,
}

/// What a person asks of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Of which service; `None`: of all that changed last (only with [`Wish::Rollback`]).
    #[serde(default)]
    pub service: Option<String>,
    /// What.
    pub wish: Wish,
    /// Who asks.
    #[serde(default)]
    pub by: String,
    /// Why, in their words; may be empty.
    #[serde(default)]
    pub why: String,
    /// With [`Wish::Rollback`]: to the version that this line of the ledger names, or for all services to what was
    /// promoted up to then. `None`: to what ran before.
    #[serde(default)]
    pub to: Option<u64>,
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wish {
    /// Skip what is left to wait for.
    Promote,
    /// Send it back.
    Abort,
    /// Hold it where it is.
    Pause,
    /// Go on.
    Resume,
    /// Let a version that was sent back, or gone back from, be tried again.
    Forgive,
    /// Go back to a former version.
    Rollback,
}
