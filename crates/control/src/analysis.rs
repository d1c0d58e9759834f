//! Whether a new version is as good as the old one, by what both did in the same minutes.
//!
//! Ends: a version whose replicas end by themselves (a crash, or killed for want of memory) while those of the old one do
//! not is worse, though every request is answered: the gateway tries what was in flight again elsewhere.
//! Errors: a sequential test ([`evidence`]), which may be looked at after every sample and still aborts a good version
//! with a chance of at most 1 − confidence. Latency: the same test over windows of time, each of which says once which
//! version was slower in it (`windows`), by more than a tolerance ([`latency`]).
//!
//! Synthetic requests count as others do, but are compared only with synthetic ones: the versions have both kinds in other
//! parts, and one kind may fail, or take longer, on both. Those that still come in after their step are no reason to leave
//! out what users wait for.
//!
//! Invariant: without enough requests the answer is never `Pass`.
//! Invariant: what also happens to the old version is never held against the new one: then it waits.

pub mod evidence;
pub mod latency;
mod windows;

use evidence::Evidence;
use latency::Latencies;
use plimsoll_model::Instant;
use plimsoll_model::rollout::Analysis;
use serde::{Deserialize, Serialize};

/// What a new version must keep, and how sure to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// The limits of the file.
    pub limits: Analysis,
    /// A new version that is not at least so much worse, in errors for each request, is not aborted by comparison.
    pub error_margin: f64,
    /// Only times that exceed so many percent of the old version's count as slower. Kayenta speaks of a tolerance.
    pub latency_percent: u64,
    /// How much likelier "worse" must be than "the same" to abort: 1000 is a false abort in a thousand releases.
    pub certainty: f64,
    /// The same for latency, for a version that is slower by just the tolerance: one that is not is aborted much more
    /// seldom.
    pub latency_certainty: f64,
    /// Fewer requests of the new version than this say nothing.
    pub requests_min: u64,
    /// So many replicas of the new version that end by themselves, and more than of the old one, abort it. One alone may
    /// be chance.
    pub ends: u64,
}

impl Policy {
    /// The usual certainty, with the limits of a file.
    #[must_use]
    pub fn of(limits: Analysis) -> Self {
        Self {
            limits,
            error_margin: 0.002,
            latency_percent: 125,
            certainty: 1000.0,
            latency_certainty: 100.0,
            requests_min: 100,
            ends: 2,
        }
    }

    /// How many requests it takes to say anything good: with none failed of `3 ÷ limit`, the true rate is below the limit
    /// with 95 % certainty.
    #[must_use]
    pub fn enough(&self) -> u64 {
        let most = self.limits.error_rate_max.map_or(0, |ratio| ratio.0);
        self.requests_min.max(if most == 0 { 0 } else { 3_000_000_u64.div_ceil(most) })
    }
}

/// What one version did in a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Answers, failed ones included.
    pub requests: u64,
    /// Failed ones; not more than `requests`.
    pub errors: u64,
    /// How long the answers took.
    pub latencies: Latencies,
    /// Replicas that ended by themselves ([`crate::restart::ended_by_itself`]), although they were to serve.
    #[serde(default)]
    pub ends: u64,
    /// What was synthetic of all this; empty where nothing was.
    #[serde(default, skip_serializing_if = "Synthetic::is_empty")]
    pub synthetic: Synthetic,
}

/// What one version did with synthetic requests ([`plimsoll_model::synthetic`]).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Synthetic {
    /// Answers, failed ones included.
    pub requests: u64,
    /// Failed ones; not more than `requests`.
    pub errors: u64,
    /// How long the answers took.
    pub latencies: Latencies,
}

impl Synthetic {
    fn is_empty(&self) -> bool {
        self.requests == 0
    }
}

impl Counts {
    fn rate(&self) -> f64 {
        rate(self.errors, self.requests)
    }

    /// Requests of users, and errors of theirs.
    fn of_users(&self) -> (u64, u64) {
        let Synthetic { requests, errors, .. } = self.synthetic;
        (self.requests.saturating_sub(requests), self.errors.saturating_sub(errors))
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.ends += other.ends;
        self.latencies.merge(&other.latencies);
        self.synthetic.requests += other.synthetic.requests;
        self.synthetic.errors += other.synthetic.errors;
        self.synthetic.latencies.merge(&other.synthetic.latencies);
    }
}

fn rate(errors: u64, requests: u64) -> f64 {
    if requests == 0 { 0.0 } else { errors as f64 / requests as f64 }
}

/// What both versions did in the same span.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// When it was seen.
    #[serde(default)]
    pub at: Instant,
    /// The new version.
    pub new: Counts,
    /// The old version; empty when nothing went there.
    pub old: Counts,
    /// How many replicas gave the answers: of the new version, of the old one. What is summed up over several spans is
    /// summed up here too; 0 of the new one: it is not known.
    #[serde(default)]
    pub serving: (u64, u64),
    /// Whether both versions are asked synthetic requests now. Of a sum of spans: not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
}

impl Sample {
    fn merge(&mut self, other: &Self) {
        self.at = self.at.max(other.at);
        self.new.merge(&other.new);
        self.old.merge(&other.old);
        self.serving = (self.serving.0 + other.serving.0, self.serving.1 + other.serving.1);
    }

    /// With less than a hundredth of the requests of users the old version has gone, or as good as: the few that it had at
    /// its end say nothing about what came after them.
    fn is_alone(&self) -> bool {
        self.old.of_users().0 * 100 < self.new.of_users().0
    }

    /// Whether both versions were asked synthetic requests.
    fn is_synthetic(&self) -> bool {
        !self.new.synthetic.is_empty() && !self.old.synthetic.is_empty()
    }

    /// Whether the new version fails more often than the old one by that much, in what users ask or in what is synthetic.
    /// The two are never added up: the versions have them in other parts.
    fn is_worse_by(&self, margin: f64) -> bool {
        let made = |counts: &Counts| (counts.synthetic.requests, counts.synthetic.errors);
        let pairs = [(self.new.of_users(), self.old.of_users()), (made(&self.new), made(&self.old))];
        let worse = |((new, failed), (old, their)): ((u64, u64), (u64, u64))| {
            new > 0 && rate(failed, new) >= rate(their, old) + margin
        };
        pairs.into_iter().any(worse)
    }
}

/// What is carried from one look to the next.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// All that was seen since the last [`Memory::turn`].
    seen: Sample,
    /// The new version fails more often than the old one.
    worse: Evidence,
    /// The new version fails more often than it may.
    failing: Evidence,
    /// More than 5 in 100 answers take longer than they may, window by window.
    slow: Evidence,
    /// The new version is slower than the old one, window by window.
    #[serde(default)]
    slower: Evidence,
    /// The window that is open.
    #[serde(default)]
    window: windows::Window,
    /// Replicas that ended by themselves: of the new version, of the old one.
    #[serde(default)]
    ends: (u64, u64),
}

impl Memory {
    /// Takes in a span.
    pub fn take(&mut self, policy: &Policy, sample: &Sample) {
        let Sample { new, old, .. } = sample;
        let ((mine, failed), (theirs, their)) = (new.of_users(), old.of_users());
        evidence::compare(&mut self.worse, (mine, theirs), (failed, their));
        let (made, also) = (&new.synthetic, &old.synthetic);
        evidence::compare(&mut self.worse, (made.requests, also.requests), (made.errors, also.errors));
        if let Some(most) = policy.limits.error_rate_max {
            let fine = new.requests.saturating_sub(new.errors);
            evidence::exceed(&mut self.failing, most.0 as f64 / 1e6, (new.errors, fine));
        }
        self.ends = (self.ends.0 + new.ends, self.ends.1 + old.ends);
        self.seen.merge(sample);
        if let Some(window) = self.window.take(sample, &self.seen) {
            window.compare(&mut self.slower, policy.latency_percent, &self.seen);
            if let Some(most) = policy.limits.latency_p95_max {
                window.exceed(&mut self.slow, most.0 * 1000);
            }
        }
    }

    /// Begins a new step: its own requests decide whether it passes. What speaks against the version is kept.
    pub fn turn(&mut self) {
        self.seen = Sample::default();
        self.window = windows::Window::default();
    }

    /// Requests that went to the new version since the last turn.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.seen.new.requests
    }
}

/// What can be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It is as good, and keeps its limits.
    Pass,
    /// It is not, for this reason.
    Fail(String),
    /// It can't be told yet; this is missing or doubtful.
    Inconclusive(String),
}

/// Says what can be said now.
#[must_use]
pub fn judge(policy: &Policy, memory: &Memory) -> Verdict {
    let Sample { new, old, .. } = &memory.seen;
    if memory.ends.0 >= policy.ends && memory.ends.0 > memory.ends.1 {
        let (mine, theirs) = memory.ends;
        return Verdict::Fail(format!(
            "its replicas ended by themselves {mine} times, those of the old version {theirs}"
        ));
    }
    let compared = format!(
        "{} of {} requests failed, {} of {} on the old version{}",
        new.errors,
        new.requests,
        old.errors,
        old.requests,
        synthetic_part(&memory.seen)
    );
    if memory.worse.ratio() >= policy.certainty && memory.seen.is_worse_by(policy.error_margin) {
        let times = memory.worse.ratio();
        return Verdict::Fail(format!("it fails more often than the old version: {compared} (odds {times:.0} to 1)"));
    }
    let alone = memory.seen.is_alone();
    if memory.failing.ratio() >= policy.certainty {
        // That it is above the limit is certain; that it alone is, need only be likely.
        if alone || memory.worse.ratio() >= policy.certainty / 10.0 {
            return Verdict::Fail(format!("it fails more often than it may: {compared}"));
        }
        return Verdict::Inconclusive(format!("both versions fail more often than they may: {compared}"));
    }
    if memory.slower.ratio() >= policy.latency_certainty {
        let (tolerance, times) = (policy.latency_percent, memory.slower.ratio());
        return Verdict::Fail(format!("it is slower than {tolerance} % of the old version (odds {times:.0} to 1)"));
    }
    if memory.slow.ratio() >= policy.latency_certainty {
        let limit = policy.limits.latency_p95_max.unwrap_or_default();
        let old_slow = old.latencies.longer_than(limit.0 * 1000) * 20 > old.latencies.count();
        if alone || !old_slow {
            return Verdict::Fail(format!("more than 5 in 100 answers take longer than {limit}"));
        }
        return Verdict::Inconclusive(format!("on both versions more than 5 in 100 answers take longer than {limit}"));
    }
    doubts(policy, memory, &compared).map_or(Verdict::Pass, Verdict::Inconclusive)
}

/// The figures behind [`judge`], line by line.
#[must_use]
pub fn steps(policy: &Policy, memory: &Memory) -> Vec<String> {
    let Sample { new, old, .. } = &memory.seen;
    let counted = |name: &str, counts: &Counts| {
        let p95 = counts.latencies.percentile(95).map(|us| format!(", p95 at most {} ms", us.div_ceil(1000)));
        let percent = counts.rate() * 100.0;
        format!(
            "{name}: {} of {} requests failed ({percent:.2} %){}",
            counts.errors,
            counts.requests,
            p95.unwrap_or_default()
        )
    };
    let certainty = policy.certainty;
    let mut steps = vec![counted("new version", new), counted("old version", old)];
    if memory.seen.is_synthetic() {
        let made = |counts: &Counts| format!("{} of {}", counts.synthetic.requests, counts.requests);
        let (mine, theirs) = (made(new), made(old));
        steps.push(format!(
            "synthetic: {mine} requests to the new version, {theirs} to the old; each kind is compared with its own"
        ));
    }
    if memory.ends != (0, 0) {
        let ((mine, theirs), most) = (memory.ends, policy.ends);
        steps.push(format!(
            "replicas ended by themselves: {mine} of the new version, {theirs} of the old; {most} decide"
        ));
    }
    steps.push(format!(
        "fails more often than the old version: odds {:.2} to 1, {certainty} decide",
        memory.worse.ratio()
    ));
    if let Some(most) = policy.limits.error_rate_max {
        steps
            .push(format!("fails more often than {most}: odds {:.2} to 1, {certainty} decide", memory.failing.ratio()));
    }
    if let Some(most) = policy.limits.latency_p95_max {
        let odds = memory.slow.ratio();
        steps.push(format!(
            "more than 5 in 100 answers take longer than {most}: odds {odds:.2} to 1, {} decide",
            policy.latency_certainty
        ));
    }
    let (tolerance, odds) = (policy.latency_percent, memory.slower.ratio());
    let busier = if windows::is_busier(&memory.seen) { "; not compared now: its replicas are busier" } else { "" };
    steps.push(format!(
        "slower than {tolerance} % of the old version: odds {odds:.2} to 1, {} decide{busier}",
        policy.latency_certainty
    ));
    steps.push(format!("{} of {} requests that it takes to pass", new.requests, policy.enough()));
    steps
}

/// How much of what is compared users never asked; empty where nothing was synthetic.
fn synthetic_part(seen: &Sample) -> String {
    if !seen.is_synthetic() {
        return String::new();
    }
    format!(" ({} and {} of them synthetic)", seen.new.synthetic.requests, seen.old.synthetic.requests)
}

/// Why it does not pass although nothing is proven against it.
fn doubts(policy: &Policy, memory: &Memory, compared: &str) -> Option<String> {
    let Sample { new, old, .. } = &memory.seen;
    let enough = policy.enough();
    if new.requests < enough {
        return Some(format!("too little traffic: {} of {enough} requests", new.requests));
    }
    let limit = policy.limits.error_rate_max.map(|most| most.0 as f64 / 1e6);
    if limit.is_some_and(|most| new.rate() > most) {
        return Some(format!("more errors than it may have, but not surely: {compared}"));
    }
    // With 2 % or more of chance left for "worse" (odds of 50), it is not called as good.
    if old.requests > 0 && memory.worse.ratio() >= 50.0 && memory.seen.is_worse_by(policy.error_margin) {
        return Some(format!("probably more errors than the old version: {compared}"));
    }
    // The same chance is not left here, for a version that has not had enough windows yet to be found.
    if memory.slower.ratio() >= policy.latency_certainty / 5.0 {
        return Some(format!("probably slower than {} % of the old version, but not surely", policy.latency_percent));
    }
    let p95 = new.latencies.percentile(95);
    if let Some(most) = policy.limits.latency_p95_max
        && p95.is_none_or(|p95| p95 > most.0.saturating_mul(1000).saturating_mul(9) / 8)
    {
        return Some(format!("p95 is above {most} or not known, but not surely"));
    }
    None
}
