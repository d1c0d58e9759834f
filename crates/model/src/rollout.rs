//! How a new version of a service comes in.

use crate::{Amount, Millis, Ratio, audience::Audience, synthetic::Synthetic};
use serde::{Deserialize, Serialize};

/// Strategy, and the analysis that judges the new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// How.
    pub strategy: Strategy,
    /// What the new version must keep; `None`: only its probes.
    pub analysis: Option<Analysis>,
    /// Ready for so long before it counts as available. Default 0.
    pub min_ready: Millis,
    /// Without progress for so long it is told. Default 600 s.
    pub progress_deadline: Option<Millis>,
    /// For so long after it was promoted, a version that breaks its limits is still sent back. Default 5 min; it means
    /// nothing without an analysis.
    pub bake: Millis,
    /// A command of the shell that is run once before the new version starts (a migration).
    pub before: Option<String>,
    /// The command takes something away that the old version needs: nobody goes back across it but a person.
    pub contract: bool,
}

/// Where nothing else is said, a promoted version is on probation for so long.
const BAKE: Millis = Millis::from_secs(300);

impl Default for Rollout {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            analysis: None,
            min_ready: Millis(0),
            progress_deadline: None,
            bake: BAKE,
            before: None,
            contract: false,
        }
    }
}

/// The ways of bringing a version in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Strategy {
    /// New replicas come as old ones go (`maxSurge` rounds up, `maxUnavailable` down).
    Rolling {
        /// How many more than wanted; default 25 %.
        max_surge: Amount,
        /// How many fewer than wanted; default 25 %.
        max_unavailable: Amount,
    },
    /// All old ones go before the new ones come.
    Recreate,
    /// All new ones come, then all traffic moves at once; the old set is kept warm.
    BlueGreen {
        /// How long the old set is kept after the move. Default 30 s.
        keep: Millis,
    },
    /// A growing share of traffic goes to the new version.
    Canary {
        /// Shares, growing; then all. Only the first can be 0, where others than by its share see the canary.
        steps: Vec<Ratio>,
        /// The least time at each step.
        interval: Millis,
        /// Who sees it.
        #[serde(default)]
        audience: Audience,
    },
}

impl Default for Strategy {
    fn default() -> Self {
        let quarter = Amount::Share(Ratio::percent(25));
        Self::Rolling { max_surge: quarter, max_unavailable: quarter }
    }
}

/// What the new version must keep.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Analysis {
    /// Share of failed requests, at most.
    pub error_rate_max: Option<Ratio>,
    /// 95th percentile of latency, at most.
    pub latency_p95_max: Option<Millis>,
    /// What to do when there is too little traffic to tell. Default: pause.
    pub inconclusive: Inconclusive,
    /// What both versions are asked where users ask too little for a verdict; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<Synthetic>,
}

/// What to do when an analysis can't tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Inconclusive {
    /// Wait for a person.
    #[default]
    Pause,
    /// Go back.
    Rollback,
    /// Go on.
    Promote,
}
