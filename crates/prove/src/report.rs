//! The proofs of one session, and as JSON.

use serde::Serialize;

use crate::proof::{Proof, Verdict};

/// The proofs of one session.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version of this form of JSON; grows when a field changes its meaning or goes away.
    pub version: u32,
    /// The system's name.
    pub system: String,
    /// Its environment.
    pub environment: Option<String>,
    /// When the session began (RFC 3339, UTC).
    pub at: String,
    /// The machine's cores, shared by the system and the load generator.
    pub cores: usize,
    /// The seed of everything that was drawn at random.
    pub seed: u64,
    /// One for each tested promise, in the order of their names.
    pub proofs: Vec<Proof>,
}

impl Report {
    pub(crate) fn begin(system: &str, environment: Option<String>, seed: u64) -> Report {
        Report {
            version: 1,
            system: system.to_owned(),
            environment,
            at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            seed,
            proofs: Vec::new(),
        }
    }

    /// How many promises have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.proofs.iter().filter(|proof| proof.verdict == verdict).count()
    }

    /// The worst verdict: *broken*, then *unproven*, then *held*; `None` when no promise was tested.
    pub fn worst(&self) -> Option<Verdict> {
        self.proofs.iter().map(|proof| proof.verdict).max()
    }

    /// "3 held, 1 broken, 2 unproven".
    pub fn summary(&self) -> String {
        if self.proofs.is_empty() {
            return "no promise was tested: the file makes none (`promises:`)".to_owned();
        }
        let each = [Verdict::Held, Verdict::Broken, Verdict::Unproven];
        each.map(|verdict| format!("{} {}", self.count(verdict), verdict.word())).join(", ")
    }

    /// All of it as JSON, with every run's figures and listed failures.
    ///
    /// # Panics
    /// Never: all keys are strings and numbers are finite.
    pub fn json(&self) -> String {
        #[expect(clippy::expect_used, reason = "only non-string keys and failing writers make it fail")]
        serde_json::to_string_pretty(self).expect("a report is JSON")
    }
}
