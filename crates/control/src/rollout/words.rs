//! What happened in a release, in words.

use super::{Event, Memory, Stage, steps};
use plimsoll_model::RevisionId;

impl Event {
    /// A word, in Kubernetes' manner.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Began { .. } => "ReleaseBegan",
            Self::Prepared { .. } => "ReleasePrepared",
            Self::Reached { .. } => "ReleaseReached",
            Self::Asked { .. } => "SyntheticRequests",
            Self::Paused { .. } => "ReleasePaused",
            Self::Resumed { .. } => "ReleaseResumed",
            Self::Promoted { .. } => "Promoted",
            Self::RolledBack { .. } => "RolledBack",
            Self::Withdrawn { .. } => "ReleaseWithdrawn",
            Self::Forgiven { .. } => "Forgiven",
            Self::DeadlineExceeded => "ProgressDeadlineExceeded",
            Self::Progressing => "Progressing",
        }
    }

    /// A sentence.
    #[must_use]
    pub fn said(&self) -> String {
        match self {
            Self::Began { revision } => format!("{revision} comes in"),
            Self::Prepared { revision } => format!("the `before` command of {revision} has ended well"),
            Self::Reached { whom: Some(whom), .. } => format!("the new version has {whom}"),
            Self::Reached { share, .. } => format!("the new version has {share} of the traffic"),
            Self::Asked { per_second, why } => {
                format!("each version is asked {per_second} synthetic requests a second, since {why}")
            }
            Self::Paused { why } => format!("it waits for a person: {why}"),
            Self::Resumed { by } => format!("{by} lets it go on"),
            Self::Promoted { revision } => format!("{revision} is the version now"),
            Self::RolledBack { revision, why } => format!("{revision} was sent back: {why}"),
            Self::Withdrawn { revision } => format!("{revision} is no longer asked for"),
            Self::Forgiven { revision, by } => format!("{by} lets {revision} be tried again"),
            Self::DeadlineExceeded => "no progress for as long as its deadline allows".into(),
            Self::Progressing => "there is progress again".into(),
        }
    }

    /// Whether a person should look.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Paused { .. } | Self::RolledBack { .. } | Self::DeadlineExceeded)
    }

    /// The revision that it names.
    #[must_use]
    pub fn revision(&self) -> Option<&RevisionId> {
        match self {
            Self::Began { revision }
            | Self::Prepared { revision }
            | Self::Promoted { revision }
            | Self::RolledBack { revision, .. }
            | Self::Withdrawn { revision }
            | Self::Forgiven { revision, .. } => Some(revision),
            _ => None,
        }
    }
}

impl Memory {
    /// The name of its stage, for a person.
    #[must_use]
    pub fn stage_name(&self) -> String {
        steps::stage(self.stage)
    }

    /// A release is under way: something is coming in.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.target.is_some()
    }

    /// What gateways see is waited for.
    #[must_use]
    pub fn is_judging(&self) -> bool {
        self.stage != Stage::Settled && !self.at_once
    }
}
