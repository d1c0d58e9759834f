//! How much processor and memory a service's replicas should request.
//!
//! Source: the recommender of Kubernetes' Vertical Pod Autoscaler (kubernetes/autoscaler, `vertical-pod-autoscaler/pkg/
//! recommender`: `model/aggregations_config.go`, `model/container.go`, `util/histogram.go`, `logic/recommender.go`,
//! `logic/estimator.go`), with its percentiles, margin, half-life, confidence and bounds. Differences on purpose: the
//! least recommendation for memory is 32 MiB, not 250 (a replica here is a plain process); ages are rounded to 1/1024 of
//! a half-life, so that no logarithm is taken when a sample comes; what was killed for its memory is not seen yet.
//!
//! Invariant: lower bound ≤ target ≤ upper bound, all of them within what is allowed.
//! Invariant: what is remembered is bounded by the buckets, however long it runs.

mod histogram;

pub use histogram::{Buckets, Histogram};

use plimsoll_model::{Instant, Millis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How it is reckoned. The default is the Vertical Pod Autoscaler's, except for `memory_min`.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The share of the weight of samples that the target covers.
    pub target: f64,
    /// The same of the lower bound.
    pub lower: f64,
    /// The same of the upper bound.
    pub upper: f64,
    /// Added to each, as a share.
    pub margin: f64,
    /// Never less processor, in thousandths.
    pub cpu_min: u64,
    /// Never less memory, in bytes.
    pub memory_min: u64,
    /// Not outside of these, in thousandths of a processor; what a person allows.
    pub cpu_allowed: Allowed,
    /// Not outside of these, in bytes.
    pub memory_allowed: Allowed,
    /// After so long a sample counts half.
    pub half_life: Millis,
    /// Of memory the most within so long is one sample.
    pub memory_window: Millis,
}

/// Bounds that a person sets; `None`: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowed {
    /// At least.
    pub min: Option<u64>,
    /// At most.
    pub max: Option<u64>,
}

impl Allowed {
    /// The nearest amount that is allowed; a `max` below `min` gives `max`.
    fn hold(self, amount: u64) -> u64 {
        amount.max(self.min.unwrap_or(0)).min(self.max.unwrap_or(u64::MAX))
    }
}

impl Default for Policy {
    fn default() -> Self {
        let day = Millis::from_secs(24 * 3600);
        Self {
            target: 0.9,
            lower: 0.5,
            upper: 0.95,
            margin: 0.15,
            cpu_min: 25,
            memory_min: 32 << 20,
            cpu_allowed: Allowed::default(),
            memory_allowed: Allowed::default(),
            half_life: day,
            memory_window: day,
        }
    }
}

/// The version of [`Memory`] that this code writes.
pub const MEMORY_VERSION: u16 = 1;

/// What is carried from one look to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The shape of this value.
    pub version: u16,
    /// Processor, in thousandths.
    cpu: Histogram,
    /// Peaks of memory, in bytes.
    memory: Histogram,
    /// The peak of each replica in the window that is under way: its end, and the bytes.
    peaks: BTreeMap<String, (Instant, u64)>,
    /// The first and the last sample.
    span: Option<(Instant, Instant)>,
    /// How many samples there were.
    samples: u64,
}

impl Default for Memory {
    fn default() -> Self {
        let (cpu, memory) = (Histogram::default(), Histogram::default());
        Self { version: MEMORY_VERSION, cpu, memory, peaks: BTreeMap::new(), span: None, samples: 0 }
    }
}

/// What one replica used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The replica.
    pub replica: String,
    /// Processor over the time since the last look, in thousandths. `None`: not known.
    pub cpu: Option<u64>,
    /// Memory now, in bytes. `None`: not known.
    pub memory: Option<u64>,
}

/// What a world tells: once a minute, as the Vertical Pod Autoscaler looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Now.
    pub at: Instant,
    /// Each replica that runs.
    pub samples: Vec<Sample>,
    /// What a replica requests now, in thousandths of a processor: samples weigh as much as what they were measured
    /// under, as there.
    pub cpu_requested: u64,
}

/// One resource's recommendation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Fewer would be too few.
    pub lower: u64,
    /// To be requested.
    pub target: u64,
    /// More would be wasted.
    pub upper: u64,
}

impl Size {
    /// Whether a request should be changed: it lies outside of the bounds.
    #[must_use]
    pub fn is_off(&self, requested: u64) -> bool {
        requested < self.lower || requested > self.upper
    }
}

/// What is recommended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Thousandths of a processor; `None`: nothing is known yet.
    pub cpu: Option<Size>,
    /// Bytes; `None`: nothing is known yet.
    pub memory: Option<Size>,
    /// How many samples it rests on.
    pub samples: u64,
    /// How long a time they span.
    pub span: Millis,
}

/// Takes samples in, and recommends.
pub fn decide(policy: &Policy, memory: &mut Memory, seen: &Seen) -> Decision {
    let (cpu, bytes) = (Buckets::cpu(), Buckets::memory());
    for sample in &seen.samples {
        if let Some(used) = sample.cpu {
            // At least a tenth of a processor, as there: what requests nothing is still measured.
            let weight = seen.cpu_requested.max(100) as f64 / 1000.0;
            memory.cpu.add(&cpu, (used as f64 / 1000.0, weight), (seen.at, policy.half_life));
        }
        if let Some(used) = sample.memory {
            memory.add_peak(policy, &bytes, (&sample.replica, used), seen.at);
        }
        if sample.cpu.is_some() || sample.memory.is_some() {
            memory.samples += 1;
            let first = memory.span.map_or(seen.at, |(first, _)| first);
            memory.span = Some((first, seen.at));
        }
    }
    memory.peaks.retain(|_, (end, _)| seen.at < end.after(policy.memory_window));
    recommend(policy, memory)
}

/// Recommends by what is known already.
#[must_use]
pub fn recommend(policy: &Policy, memory: &Memory) -> Decision {
    let span = memory.span.map_or(Millis(0), |(first, last)| last.since(first));
    let days = span.0 as f64 / 86_400_000.0;
    let confidence = days.min(memory.samples as f64 / 1440.0);
    let size = |histogram: &Histogram, buckets: &Buckets, unit: f64, min: u64, allowed: Allowed| {
        let at = |share: f64, factor: f64| {
            let value = histogram.percentile(buckets, share)?;
            // Beyond what can be counted it saturates: without history the upper bound has no end.
            let amount = (value * unit * (1.0 + policy.margin) * factor) as u64;
            Some(allowed.hold(amount.max(min)))
        };
        let (up, down) = (upwards(confidence), downwards(confidence));
        let target = at(policy.target, 1.0)?;
        let (lower, upper) = (at(policy.lower, down)?.min(target), at(policy.upper, up)?.max(target));
        Some(Size { lower, target, upper })
    };
    Decision {
        cpu: size(&memory.cpu, &Buckets::cpu(), 1000.0, policy.cpu_min, policy.cpu_allowed),
        memory: size(&memory.memory, &Buckets::memory(), 1.0, policy.memory_min, policy.memory_allowed),
        samples: memory.samples,
        span,
    }
}

/// `1 + 1 / confidence`: with little history much may be right.
fn upwards(confidence: f64) -> f64 {
    if confidence > 0.0 { 1.0 + 1.0 / confidence } else { f64::MAX }
}

/// `(1 + 0.001 / confidence)⁻²`.
fn downwards(confidence: f64) -> f64 {
    if confidence <= 0.0 {
        return 0.0;
    }
    let factor = 1.0 + 0.001 / confidence;
    1.0 / (factor * factor)
}

impl Memory {
    /// Of each replica the peak of each window is one sample; a higher one takes the place of the one before.
    fn add_peak(&mut self, policy: &Policy, buckets: &Buckets, (replica, used): (&str, u64), at: Instant) {
        let known = self.peaks.get(replica).copied().filter(|(end, _)| at < *end);
        let end = match known {
            Some((_, peak)) if used <= peak => return,
            Some((end, peak)) => {
                self.memory.remove(buckets, (peak as f64, 1.0), (end, policy.half_life));
                end
            }
            None => at.after(policy.memory_window),
        };
        self.memory.add(buckets, (used as f64, 1.0), (end, policy.half_life));
        self.peaks.insert(replica.to_owned(), (end, used));
    }
}
