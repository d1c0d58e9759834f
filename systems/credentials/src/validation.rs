//! May this name be had? Rules, then cache, then filter, then PostgreSQL; the first that knows answers.
//!
//! Invariant: "taken" is only said by PostgreSQL, or by the cache that heard it from there. When the filter cannot be
//! asked, PostgreSQL answers everything: slower, equally right.

use crate::accounts;
use crate::cache::{Cache, Owner};
use crate::coalesce::{Bounds, Coalescer};
use crate::filter::{Filter, Presence};
use crate::names::{Checked, Folded, Reason, check};
use prometheus_client::metrics::{counter::Counter, family::Family};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Filter look-ups are cheap and many: what comes within a millisecond of the last batch travels together.
const FILTER: Bounds = Bounds { batch_max: 256, in_flight_max: 2, pause: Duration::from_millis(1) };
/// A database question holds a connection: few, and large.
const DATABASE: Bounds = Bounds { batch_max: 500, in_flight_max: 4, pause: Duration::ZERO };

/// Can the name be had?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody has it.
    Available,
    /// Somebody has it, or one that looks like it.
    Taken,
    /// The rules forbid it.
    Invalid,
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The rules.
    Rules,
    /// The memory of this process.
    Cache,
    /// The Bloom filter.
    Filter,
    /// PostgreSQL.
    Database,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Can it be had?
    pub status: Status,
    /// Why not; empty when available.
    pub reasons: Vec<Reason>,
    /// Who says so.
    pub by: By,
}

/// Nobody could say: PostgreSQL does not answer.
#[derive(Debug, thiserror::Error)]
#[error("nobody can say whether the name is taken")]
pub struct Unanswered;

/// Answers counted by who gave them, with the label `by`.
pub type Counted = Family<[(&'static str, &'static str); 1], Counter>;

/// How many answers each source gave; a counter for each is kept at hand, so counting looks nothing up.
#[derive(Clone)]
struct Counts {
    family: Counted,
    by_rules: Counter,
    by_cache: Counter,
    by_filter: Counter,
    by_database: Counter,
}

impl Counts {
    fn new() -> Self {
        let family = Counted::default();
        let of = |by: By| family.get_or_create_owned(&[("by", by.word())]);
        Self {
            by_rules: of(By::Rules),
            by_cache: of(By::Cache),
            by_filter: of(By::Filter),
            by_database: of(By::Database),
            family,
        }
    }

    fn count(&self, by: By) {
        match by {
            By::Rules => self.by_rules.inc(),
            By::Cache => self.by_cache.inc(),
            By::Filter => self.by_filter.inc(),
            By::Database => self.by_database.inc(),
        };
    }
}

/// Answers; cheap to clone.
#[derive(Clone)]
pub struct Validation {
    cache: Arc<Cache>,
    filter: Coalescer<Presence>,
    database: Coalescer<Owner>,
    counts: Counts,
}

impl Validation {
    /// Starts the two tasks that form batches.
    pub fn start(filter: Filter, pool: PgPool) -> Self {
        let look_up = move |names: Vec<Folded>| {
            let filter = filter.clone();
            async move { filter.look_up(&names).await }
        };
        let ask_database = move |names: Vec<Folded>| {
            let pool = pool.clone();
            async move {
                let owners = accounts::owners(&pool, &names).await;
                let owners = owners.map_err(|why| tracing::warn!(error = %why, "PostgreSQL does not answer")).ok()?;
                Some(names.iter().map(|name| owners.get(name).copied()).collect())
            }
        };
        Self {
            cache: Arc::default(),
            filter: Coalescer::start(FILTER, look_up),
            database: Coalescer::start(DATABASE, ask_database),
            counts: Counts::new(),
        }
    }

    /// How many answers each source gave, for the registry.
    pub fn counted(&self) -> Counted {
        self.counts.family.clone()
    }

    /// May `name` be had?
    ///
    /// # Errors
    /// PostgreSQL was needed and does not answer; retry.
    pub async fn verdict(&self, name: &str) -> Result<Verdict, Unanswered> {
        let verdict = match check(name) {
            Checked::Invalid(reasons) => Verdict { status: Status::Invalid, reasons, by: By::Rules },
            Checked::WellFormed { name, folded } => {
                let (owner, by) = self.owner(folded).await?;
                verdict(name, owner, by)
            }
        };
        self.counts.count(verdict.by);
        Ok(verdict)
    }

    /// Somebody has registered `name` through this replica.
    pub fn registered(&self, name: Folded, folded: Folded) {
        self.cache.put(folded, Some(name), Instant::now());
    }

    async fn owner(&self, folded: Folded) -> Result<(Owner, By), Unanswered> {
        let asked_at = Instant::now();
        if let Some(owner) = self.cache.get(&folded, asked_at) {
            return Ok((owner, By::Cache));
        }
        let (owner, by) = match self.filter.ask(folded).await {
            Some(Presence::Absent) => (None, By::Filter),
            _ => (self.database.ask(folded).await.ok_or(Unanswered)?, By::Database),
        };
        self.cache.put(folded, owner, asked_at);
        Ok((owner, by))
    }
}

fn verdict(name: Folded, owner: Owner, by: By) -> Verdict {
    match owner {
        None => Verdict { status: Status::Available, reasons: Vec::new(), by },
        Some(owner) => {
            let reason = if owner == name { Reason::Taken } else { Reason::LooksTaken };
            Verdict { status: Status::Taken, reasons: vec![reason], by }
        }
    }
}

impl Status {
    /// The word used in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Taken => "taken",
            Self::Invalid => "invalid",
        }
    }
}

impl By {
    /// The word used in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Cache => "cache",
            Self::Filter => "filter",
            Self::Database => "database",
        }
    }
}
