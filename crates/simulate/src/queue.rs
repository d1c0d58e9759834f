//! What is known of a queue without simulating it: Erlang's formulas for M/M/c.

use crate::elementary::{exp, ln};

/// A queue with exponential times between arrivals and of work, and some equal workers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Queue {
    /// Arrivals a second.
    pub arrivals: f64,
    /// Mean time of work, in seconds.
    pub work: f64,
    /// Workers, at least 1.
    pub workers: u32,
}

impl Queue {
    /// Workers that are busy on average: the share of each, when it is stable.
    #[must_use]
    pub fn use_of_each(&self) -> f64 {
        self.arrivals * self.work / f64::from(self.workers)
    }

    /// The chance that one has to wait (Erlang C); 1 when it is not stable.
    #[must_use]
    pub fn waiting(&self) -> f64 {
        let load = self.arrivals * self.work;
        let busy = self.use_of_each();
        if busy >= 1.0 {
            return 1.0;
        }
        // Erlang B by its recursion, which never overflows; then C from it.
        let blocked = (1..=self.workers).fold(1.0, |blocked, n| load * blocked / (f64::from(n) + load * blocked));
        blocked / (1.0 - busy * (1.0 - blocked))
    }

    /// How long one waits on average, in seconds; infinite when it is not stable.
    #[must_use]
    pub fn mean_wait(&self) -> f64 {
        let free = f64::from(self.workers) / self.work - self.arrivals;
        if free <= 0.0 { f64::INFINITY } else { self.waiting() / free }
    }

    /// The time, waiting included, that the share `p` of all stays within, in seconds; infinite when it is not stable.
    #[must_use]
    pub fn percentile(&self, p: f64) -> f64 {
        let free = f64::from(self.workers) / self.work - self.arrivals;
        if free <= 0.0 {
            return f64::INFINITY;
        }
        // It falls with time: the place is found by halving.
        let (mut low, mut high) = (0.0, self.work + self.mean_wait());
        while self.longer_than(high) > 1.0 - p {
            high *= 2.0;
        }
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if self.longer_than(middle) > 1.0 - p { low = middle } else { high = middle }
        }
        high
    }

    /// The chance that waiting and work together take longer than `t` seconds.
    fn longer_than(&self, t: f64) -> f64 {
        let (rate, wait) = (1.0 / self.work, self.waiting());
        let free = f64::from(self.workers) * rate - self.arrivals;
        let own = exp(-rate * t);
        let apart = free - rate;
        if apart * apart < 1e-12 * rate * rate {
            return own * (1.0 + wait * rate * t);
        }
        own + wait * rate / apart * (own - exp(-free * t))
    }

    /// The share `p` of exponential times with that mean stays within.
    #[must_use]
    pub fn exponential(mean: f64, p: f64) -> f64 {
        -ln(1.0 - p) * mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_is_as_the_books_say() {
        let queue = Queue { arrivals: 80.0, work: 0.01, workers: 1 };
        assert!((queue.waiting() - 0.8).abs() < 1e-12);
        assert!((queue.mean_wait() - 0.04).abs() < 1e-12);
        // Time in an M/M/1 is exponential with mean work ÷ (1 − use).
        assert!((queue.percentile(0.95) - Queue::exponential(0.05, 0.95)).abs() < 1e-6);
    }

    #[test]
    fn erlang_c_of_the_tables() {
        // 10 workers, 8 Erlang: 0.40918 (Kleinrock's tables).
        let queue = Queue { arrivals: 8.0, work: 1.0, workers: 10 };
        assert!((queue.waiting() - 0.409_18).abs() < 1e-4, "{}", queue.waiting());
        let over = Queue { arrivals: 11.0, ..queue };
        assert!(over.percentile(0.5).is_infinite() && (over.waiting() - 1.0).abs() < 1e-12);
    }
}
