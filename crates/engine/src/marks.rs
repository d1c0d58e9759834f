//! What replicas used over the last seconds: marks of a counter, from which a rate is read.
//!
//! Invariant: no rate is read over a moment at which the counter began anew.

use plimsoll_control::autoscale::seen::{Sample, Usage};
use plimsoll_model::{Instant, Millis};
use std::collections::{BTreeMap, VecDeque};

/// A rate is read over so long, where there are marks: the resolution of Kubernetes' metrics server.
const WINDOW: Millis = Millis::from_secs(15);
/// How often a mark is made.
pub(crate) const MARK_EVERY: Millis = Millis::from_secs(5);
/// Over less than this nothing is read.
const SPAN_MIN: Millis = Millis::from_secs(1);

/// Processor time of processes (or another counter of theirs), marked from time to time.
#[derive(Default)]
pub(crate) struct Marks {
    by_process: BTreeMap<String, VecDeque<(Instant, u64)>>,
    /// When the next marks are due.
    pub(crate) due: Instant,
}

impl Marks {
    /// Marks how much each process has used, in microseconds (or millionths of what is counted); processes that are not
    /// named are forgotten.
    pub(crate) fn mark(&mut self, at: Instant, used: &BTreeMap<String, u64>) {
        self.due = at.after(MARK_EVERY);
        self.by_process.retain(|process, _| used.contains_key(process));
        for (process, used) in used {
            let marks = self.by_process.entry(process.clone()).or_default();
            // A counter that fell began anew (a gateway that was replaced): a rate over that would be a lie.
            if marks.back().is_some_and(|(_, former)| used < former) {
                marks.clear();
            }
            marks.push_back((at, *used));
            // The oldest mark that still spans the window stays.
            while marks.get(1).is_some_and(|(second, _)| second.after(WINDOW) <= at) {
                marks.pop_front();
            }
        }
    }

    /// The use of a process in thousandths of a processor; `None`: not known yet.
    pub(crate) fn milli(&self, process: &str) -> Option<u64> {
        match self.sample(process, process)?.usage {
            Usage::Whole(milli) => u64::try_from(milli).ok(),
            Usage::Containers(_) => None,
        }
    }

    /// The use of a process in thousandths of a processor (or of what is counted, a second), told as that of the pod; `None`: not known yet.
    pub(crate) fn sample(&self, process: &str, pod: &str) -> Option<Sample> {
        let marks = self.by_process.get(process)?;
        let ((from, before), (at, after)) = (marks.front()?, marks.back()?);
        let window = at.since(*from);
        if window < SPAN_MIN {
            return None;
        }
        let milli = after.saturating_sub(*before) / window.0;
        let usage = Usage::Whole(i64::try_from(milli).unwrap_or(i64::MAX));
        Some(Sample { pod: pod.into(), at: *at, window, usage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant(0).after(Millis::from_secs(seconds))
    }

    fn used(us: u64) -> BTreeMap<String, u64> {
        [("web-1.1".to_owned(), us)].into()
    }

    #[test]
    fn a_rate_is_read_over_the_window_and_not_from_one_mark() {
        let mut marks = Marks::default();
        marks.mark(at(0), &used(0));
        assert_eq!(marks.sample("web-1.1", "web-1"), None);
        marks.mark(at(5), &used(2_500_000));
        let sample = marks.sample("web-1.1", "web-1").unwrap();
        assert_eq!((sample.usage, sample.window), (Usage::Whole(500), Millis::from_secs(5)));
        for second in 6..60 {
            marks.mark(at(second), &used(2_500_000));
        }
        let sample = marks.sample("web-1.1", "web-1").unwrap();
        assert_eq!((sample.usage, sample.window), (Usage::Whole(0), WINDOW));
    }

    #[test]
    fn a_counter_that_began_anew_tells_nothing_until_there_are_two_marks_again() {
        let mut marks = Marks::default();
        marks.mark(at(0), &used(9_000_000));
        marks.mark(at(5), &used(1_000));
        assert_eq!(marks.sample("web-1.1", "web-1"), None);
        marks.mark(at(10), &used(501_000));
        assert_eq!(marks.sample("web-1.1", "web-1").unwrap().usage, Usage::Whole(100));
    }

    #[test]
    fn a_process_that_is_gone_is_forgotten() {
        let mut marks = Marks::default();
        marks.mark(at(0), &used(0));
        marks.mark(at(5), &used(1));
        marks.mark(at(10), &BTreeMap::new());
        assert_eq!(marks.sample("web-1.1", "web-1"), None);
    }
}
