//! Latencies of both versions, window by window, and what the windows say.
//!
//! Requests are no independent samples: whoever waits in a queue waits for the same slow one before it, and the next one
//! does so too. So windows of time are compared and not requests: each says once which version was slower in it, whether
//! it held ten requests or ten thousand. A window is long enough for queues to drain, and evidence over them is
//! sequential ([`super::evidence`]), as that of errors is.
//!
//! Source: batch means (Law, Simulation Modeling and Analysis, 9.5.3), and within a window the Mann-Whitney test with
//! Kayenta's tolerance ([`super::latency`]), of which only the direction is used.
//!
//! Invariant: a window in which the new version's replicas have been busier than the old one's says nothing of slower.
//! Invariant: if each window is as likely slower as faster, evidence grows above 1/α with a chance of at most α.

use super::{Counts, Sample, evidence::Evidence, latency, latency::Latencies};
use plimsoll_model::{Instant, Millis};
use serde::{Deserialize, Serialize};

/// A window lasts for so long at least.
const SHORTEST: Millis = Millis(500);
/// A window lasts for so many times what all but 5 in 100 answers take: what is in a queue when it begins is then a small
/// part of it.
const TIMES_P95: u64 = 10;
/// It never has to last for longer than this, however long answers take.
const LONGEST: Millis = Millis::from_secs(60);
/// Both versions give so many answers in it at least: with fewer, chance says which was slower.
const ANSWERS_MIN: u64 = 10;
/// The new version's replicas may be so much busier than those of the old one, in percent, and still be compared: a queue
/// grows faster than its load.
const BUSIER_MOST: u64 = 110;
/// How often a window would say it if it were so, by alternative; by chance it does in half of them at most.
const SAYS: [f64; 3] = [0.7, 0.85, 0.97];

/// The window that is open.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Window {
    /// Since when; `None`: nothing was seen yet.
    since: Option<Instant>,
    /// Answers of the new version.
    new: Latencies,
    /// Answers of the old one.
    old: Latencies,
    /// They are answers to synthetic requests.
    #[serde(default)]
    synthetic: bool,
}

/// Those of its latencies that are compared.
fn compared(counts: &Counts, synthetic: bool) -> &Latencies {
    if synthetic { &counts.synthetic.latencies } else { &counts.latencies }
}

/// What a window that is over has seen.
pub(super) struct Closed {
    new: Latencies,
    old: Latencies,
}

impl Window {
    /// Takes in a span, of which `whole` is the sum since the step began; gives the window if it is over.
    pub(super) fn take(&mut self, sample: &Sample, whole: &Sample) -> Option<Closed> {
        // While they are made, only answers to synthetic requests are compared: both versions are asked the same. Those of
        // the step before, which come late, are no reason not to look at what users wait for.
        let synthetic = sample.asked && whole.is_synthetic();
        if synthetic != self.synthetic {
            *self = Self { synthetic, ..Self::default() };
        }
        self.new.merge(compared(&sample.new, synthetic));
        self.old.merge(compared(&sample.old, synthetic));
        let since = *self.since.get_or_insert(sample.at);
        // Where the old version has gone the new one still has a limit to keep.
        let alone = whole.is_alone();
        let usual = compared(if alone { &whole.new } else { &whole.old }, synthetic);
        let usual_ms = usual.percentile(95).map_or(0, |us| us.saturating_mul(TIMES_P95) / 1000);
        let lasts = Millis(usual_ms.clamp(SHORTEST.0, LONGEST.0));
        let answers = |one: &Latencies| one.count() >= ANSWERS_MIN;
        let over = sample.at >= since.after(lasts) && answers(&self.new) && (alone || answers(&self.old));
        over.then(|| {
            let window = std::mem::replace(self, Self { since: Some(sample.at), synthetic, ..Self::default() });
            Closed { new: window.new, old: window.old }
        })
    }
}

impl Closed {
    /// Whether most of the new version's answers took longer than those of the old one would if they took `percent` of
    /// their time; `None`: it can't be said.
    fn is_slower(&self, percent: u64, whole: &Sample) -> Option<bool> {
        let compared = self.old.count() >= ANSWERS_MIN && !is_busier(whole);
        compared.then(|| latency::slower(&self.new, &self.old, percent)).map(|by| by.is_some_and(|by| by > 0.0))
    }

    /// Whether more than 5 in 100 answers took longer than `us` microseconds, and more than chance would have in half of
    /// all windows if 5 in 100 did.
    fn is_slow(&self, us: u64) -> bool {
        self.new.longer_than(us) > self.new.count().div_ceil(20)
    }

    /// Takes in whether the new version was slower in it.
    pub(super) fn compare(&self, evidence: &mut Evidence, percent: u64, whole: &Sample) {
        if let Some(is) = self.is_slower(percent, whole) {
            say(evidence, is);
        }
    }

    /// Takes in whether the new version took longer in it than it may.
    pub(super) fn exceed(&self, evidence: &mut Evidence, us: u64) {
        say(evidence, self.is_slow(us));
    }
}

fn say(evidence: &mut Evidence, is: bool) {
    evidence.take(0.5, SAYS, (u64::from(is), u64::from(!is)));
}

/// Whether each replica of the new version has more to do than one of the old one, so that it may be slower for that. What
/// users ask is spread over all replicas of a version, what is synthetic over as many of each.
pub(super) fn is_busier(whole: &Sample) -> bool {
    let Sample { new, old, serving, .. } = whole;
    let [mine, theirs] = [serving.0, serving.1].map(u128::from);
    let asked = mine.min(theirs);
    // For each replica, times the number of both and of those that are asked: nothing is divided.
    let load = |counts: &Counts, others: u128| {
        let synthetic = u128::from(counts.synthetic.requests);
        let users = u128::from(counts.of_users().0);
        if asked == 0 {
            u128::from(counts.requests) * others
        } else {
            users * others * asked + synthetic * mine * theirs
        }
    };
    mine > 0 && load(new, theirs) * 100 > load(old, mine) * u128::from(BUSIER_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(ms: u64, requests: u64) -> Counts {
        let mut counts = Counts { requests, ..Counts::default() };
        counts.latencies.add(ms * 1000, requests);
        counts
    }

    /// What the evidence comes to after so many seconds in which each version answers twenty requests.
    fn after(seconds: u64, (new_ms, old_ms): (u64, u64), serving: (u64, u64)) -> f64 {
        let (mut window, mut whole, mut evidence) = (Window::default(), Sample::default(), Evidence::default());
        for tenth in 0..=seconds * 10 {
            let (new, old) = (counts(new_ms, 2), counts(old_ms, 2));
            let sample = Sample { at: Instant(1).after(Millis(tenth * 100)), new, old, serving, asked: false };
            whole.merge(&sample);
            if let Some(closed) = window.take(&sample, &whole) {
                closed.compare(&mut evidence, 125, &whole);
            }
        }
        evidence.ratio()
    }

    #[test]
    fn every_window_speaks_once_however_much_it_holds() {
        assert!(after(4, (20, 10), (2, 2)) < 100.0 && after(5, (20, 10), (2, 2)) > 100.0);
        assert!(after(5, (12, 10), (2, 2)) < 1.0, "within the tolerance");
    }

    #[test]
    fn what_takes_long_is_looked_at_for_longer() {
        assert!(after(30, (800, 400), (2, 2)) < 100.0 && after(50, (800, 400), (2, 2)) > 100.0);
    }

    #[test]
    fn a_version_with_fewer_replicas_for_the_same_traffic_is_not_compared() {
        assert!((after(60, (20, 10), (1, 2)) - 1.0).abs() < f64::EPSILON);
        assert!(after(60, (20, 10), (2, 1)) > 1000.0, "with more of them it should be faster");
    }

    #[test]
    fn what_is_synthetic_makes_no_replica_busier_than_another() {
        let made = |users: u64, synthetic: u64| {
            let synthetic = crate::analysis::Synthetic { requests: synthetic, ..Default::default() };
            Counts { requests: users + synthetic.requests, synthetic, ..Counts::default() }
        };
        let busier = |new, old| is_busier(&Sample { new, old, serving: (1, 3), ..Sample::default() });
        assert!(!busier(made(0, 50), made(0, 50)), "one of three is asked as much as the one");
        assert!(!busier(made(10, 50), made(30, 50)));
        assert!(busier(made(20, 50), made(30, 50)), "users ask it twice as much");
        assert!(busier(made(50, 0), made(50, 0)));
    }

    #[test]
    fn answers_beyond_a_limit_in_few_of_many_are_chance() {
        let of = |slow: u64, fast: u64| {
            let (mut new, old) = (Latencies::default(), Latencies::default());
            new.add(2_000_000, slow);
            new.add(1000, fast);
            Closed { new, old }.is_slow(1_000_000)
        };
        assert_eq!([of(1, 9), of(2, 8), of(5, 95), of(6, 94)], [false, true, false, true]);
    }
}
