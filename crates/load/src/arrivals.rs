//! When requests are due: arrival processes as pure sequences of instants.
//!
//! Invariant: the sequence depends only on the process, its seed, the lengths of time and the worker's share; no clock is
//! read here. Instants of an open process never decrease.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::draw::Draw;

/// How requests arrive.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrivals {
    /// Open: one request each `1 / rate_per_s` seconds, whatever the server does (0 < rate ≤ 1,000,000).
    Constant {
        /// Requests a second.
        rate_per_s: f64,
    },
    /// Open: the rate changes evenly from `from_per_s` to `to_per_s` in the time `over` (counted from the end of the
    /// warm-up, which has the first rate), and stays there.
    Ramp {
        /// Requests a second at the beginning.
        from_per_s: f64,
        /// Requests a second at the end.
        to_per_s: f64,
        /// How long the change takes; more than 0.
        over: Duration,
    },
    /// Open: independent arrivals, the gaps drawn from an exponential distribution (as from many unrelated users).
    Poisson {
        /// Requests a second, on average.
        rate_per_s: f64,
        /// The seed of the gaps.
        seed: u64,
    },
    /// Closed: `users` who each ask, wait for the answer, think, and ask again. A closed loop slows down with the server
    /// and hides its stalls: use it to hold a number of users, not to measure latency. Users start spread over `think`.
    Closed {
        /// How many users (1..=100,000).
        users: u32,
        /// The pause between an answer and the next request; 0 is allowed.
        think: Duration,
    },
    /// All of them at the same instant, once.
    AtOnce {
        /// How many requests (1..=100,000).
        requests: u32,
    },
}

/// A request that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Its number in the whole run.
    pub(crate) number: u64,
    /// When it should start, counted from the beginning of the run (warm-up included).
    pub(crate) at: Duration,
}

/// One worker's part of a run's arrivals.
#[derive(Debug)]
pub(crate) struct Schedule {
    process: Process,
    share: Share,
    warm_up: Duration,
    end: Duration,
    stopped: bool,
}

/// Worker `index` of `workers` takes every `workers`-th request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) index: u64,
    pub(crate) workers: u64,
}

impl Share {
    /// The part of `all` that falls to this worker.
    pub(crate) fn of(self, all: u64) -> u64 {
        all / self.workers + u64::from(self.index < all % self.workers)
    }
}

#[derive(Debug)]
enum Process {
    /// `next` is the number of the next arrival of this worker.
    Rate {
        arrivals: Arrivals,
        next: u64,
    },
    Poisson {
        rate_per_s: f64,
        draw: Draw,
        at_s: f64,
        number: u64,
    },
    Closed {
        think: Duration,
        due: BinaryHeap<Reverse<Duration>>,
        asked: u64,
    },
    AtOnce {
        left: u64,
        asked: u64,
    },
}

impl Schedule {
    /// The part of `arrivals` that falls to `share`, over a warm-up and then `duration`.
    pub(crate) fn new(arrivals: &Arrivals, warm_up: Duration, duration: Duration, share: Share) -> Schedule {
        let process = match arrivals {
            Arrivals::Constant { .. } | Arrivals::Ramp { .. } => {
                Process::Rate { arrivals: arrivals.clone(), next: share.index }
            }
            Arrivals::Poisson { rate_per_s, seed } => {
                let mut draw = Draw::new(*seed);
                let at_s = gap_s(&mut draw, *rate_per_s);
                Process::Poisson { rate_per_s: *rate_per_s, draw, at_s, number: 0 }
            }
            Arrivals::Closed { users, think } => {
                let start = |user: u64| think.mul_f64(user as f64 / f64::from(*users));
                let due = (share.index..u64::from(*users)).step_by(step(share)).map(start).map(Reverse).collect();
                Process::Closed { think: *think, due, asked: 0 }
            }
            Arrivals::AtOnce { requests } => Process::AtOnce { left: share.of(u64::from(*requests)), asked: 0 },
        };
        let mut schedule = Schedule { process, share, warm_up, end: warm_up + duration, stopped: false };
        schedule.skip_others();
        schedule
    }

    /// When the next request is due; `None`: nothing is due unless an answer brings a user back.
    pub(crate) fn peek(&self) -> Option<Duration> {
        if self.stopped {
            return None;
        }
        let at = match &self.process {
            Process::Rate { arrivals, next } => self.rate_instant(arrivals, *next),
            Process::Poisson { at_s, .. } => Duration::try_from_secs_f64(*at_s).unwrap_or(Duration::MAX),
            Process::Closed { due, .. } => due.peek()?.0,
            Process::AtOnce { left, .. } => return (*left > 0).then_some(self.warm_up),
        };
        (at < self.end).then_some(at)
    }

    /// Takes the next request.
    pub(crate) fn pop(&mut self) -> Option<Arrival> {
        let at = self.peek()?;
        let share = self.share;
        let number = match &mut self.process {
            Process::Rate { next, .. } => {
                *next += share.workers;
                *next - share.workers
            }
            Process::Poisson { rate_per_s, draw, at_s, number } => {
                *at_s += gap_s(draw, *rate_per_s);
                *number += 1;
                *number - 1
            }
            Process::Closed { due, asked, .. } => {
                due.pop();
                take_number(asked, share)
            }
            Process::AtOnce { left, asked } => {
                *left -= 1;
                take_number(asked, share)
            }
        };
        self.skip_others();
        Some(Arrival { number, at })
    }

    /// An answer came (or was given up) at `at`: in a closed loop, its user thinks and then asks again.
    pub(crate) fn returned(&mut self, at: Duration) {
        if let Process::Closed { think, due, .. } = &mut self.process {
            due.push(Reverse(at + *think));
        }
    }

    /// Whether answers bring more requests.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.process, Process::Closed { .. })
    }

    /// Nothing more is due.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }

    /// Poisson gaps must be drawn in order by everyone; the arrivals of other workers are passed over.
    fn skip_others(&mut self) {
        let (share, end_s) = (self.share, self.end.as_secs_f64());
        if let Process::Poisson { rate_per_s, draw, at_s, number } = &mut self.process {
            while *number % share.workers != share.index && *at_s < end_s {
                *at_s += gap_s(draw, *rate_per_s);
                *number += 1;
            }
        }
    }

    /// When arrival `number` of a constant or changing rate is due.
    fn rate_instant(&self, arrivals: &Arrivals, number: u64) -> Duration {
        let number = number as f64;
        let at_s = match arrivals {
            Arrivals::Constant { rate_per_s } => number / rate_per_s,
            Arrivals::Ramp { from_per_s, to_per_s, over } => {
                let warm_s = self.warm_up.as_secs_f64();
                let warm = from_per_s * warm_s;
                if number < warm {
                    number / from_per_s
                } else {
                    warm_s + ramp_instant_s(number - warm, *from_per_s, *to_per_s, over.as_secs_f64())
                }
            }
            _ => f64::INFINITY,
        };
        Duration::try_from_secs_f64(at_s).unwrap_or(Duration::MAX)
    }
}

fn step(share: Share) -> usize {
    usize::try_from(share.workers).unwrap_or(usize::MAX)
}

fn take_number(asked: &mut u64, share: Share) -> u64 {
    *asked += 1;
    (*asked - 1) * share.workers + share.index
}

/// An exponential gap with mean `1 / rate_per_s`.
fn gap_s(draw: &mut Draw, rate_per_s: f64) -> f64 {
    -(1.0 - draw.unit()).ln() / rate_per_s
}

/// Solves `from·t + (to − from)/(2·over)·t² = number` for t; after `over`, the rate is `to`.
fn ramp_instant_s(number: f64, from: f64, to: f64, over: f64) -> f64 {
    if number == 0.0 {
        return 0.0;
    }
    let in_ramp = (from + to) / 2.0 * over;
    if number >= in_ramp {
        return over + (number - in_ramp) / to;
    }
    let slope = (to - from) / over;
    if slope == 0.0 {
        return number / from;
    }
    // The form with the root in the divisor is stable for small slopes.
    2.0 * number / (from + (from * from + 2.0 * slope * number).max(0.0).sqrt())
}

#[cfg(test)]
#[path = "arrivals/tests.rs"]
mod tests;
