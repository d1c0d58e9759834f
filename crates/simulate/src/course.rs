//! The course of traffic over time: a base, the hours of the day, and spikes. It is constant from step to step, so that
//! arrivals can be drawn exactly.

use crate::plan::{SECOND, ns as ns_of};
use plimsoll_model::{
    Millis,
    simulation::{Daily, Spike},
};

/// Steps of the hours of the day.
const MINUTE: u64 = 60 * SECOND;
const DAY_MIN: u64 = 24 * 60;

/// How much traffic there is at a time.
#[derive(Debug, Clone)]
pub struct Course {
    /// From which second on, how many a second; at least one, the first at 0.
    base: Vec<(u64, f64)>,
    daily: Option<Daily>,
    spikes: Vec<Spike>,
    /// Everything is multiplied by this.
    scale: f64,
}

impl Course {
    /// A course over a base of `second, requests a second` in order; nothing before its first second.
    #[must_use]
    pub fn new(mut base: Vec<(u64, f64)>, daily: Option<Daily>, spikes: Vec<Spike>) -> Self {
        if base.first().is_none_or(|first| first.0 > 0) {
            base.insert(0, (0, 0.0));
        }
        Self { base, daily, spikes, scale: 1.0 }
    }

    /// The same course, so many times as much.
    #[must_use]
    pub fn scaled(mut self, scale: f64) -> Self {
        self.scale *= scale;
        self
    }

    /// Requests a second (or, for people, how many times their usual pace) at that nanosecond, and until when that holds.
    #[must_use]
    pub fn at(&self, ns: u64) -> (f64, u64) {
        let second = ns / SECOND;
        let place = self.base.partition_point(|(from, _)| *from <= second).saturating_sub(1);
        let mut rate = self.base[place].1 * self.scale;
        let mut until = self.base.get(place + 1).map_or(u64::MAX, |next| next.0.saturating_mul(SECOND));
        if let Some(daily) = self.daily {
            rate *= hour(daily, ns / MINUTE);
            until = until.min((ns / MINUTE + 1) * MINUTE);
        }
        for spike in &self.spikes {
            let (from, to) = (ns_of(spike.at), ns_of(Millis(spike.at.0.saturating_add(spike.lasts.0))));
            if ns >= from && ns < to {
                rate *= spike.times_milli as f64 / 1e3;
                until = until.min(to);
            } else if ns < from {
                until = until.min(from);
            }
        }
        (rate, until)
    }

    /// The most that its base comes to, all the time: without the hours of the day and without spikes.
    #[must_use]
    pub fn steady(&self) -> Self {
        let most = self.base.iter().fold(0.0_f64, |most, (_, rate)| most.max(*rate));
        Self { base: vec![(0, most)], daily: None, spikes: Vec::new(), scale: self.scale }
    }

    /// Nothing ever comes.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.base.iter().all(|(_, rate)| *rate * self.scale <= 0.0)
    }
}

/// The share of a minute of the day: 1 at the peak, `low` twelve hours from it, a half turn of a cosine between.
fn hour(daily: Daily, minute: u64) -> f64 {
    let apart = (minute % DAY_MIN).abs_diff(u64::from(daily.peak_min) % DAY_MIN);
    let apart = apart.min(DAY_MIN - apart) as f64 / (DAY_MIN as f64 / 2.0);
    let low = daily.low.fraction();
    low + (1.0 - low) * (1.0 + half_turn(apart)) / 2.0
}

/// cos(πx) for x in 0..=1, by its series: + − × ÷ alone.
fn half_turn(x: f64) -> f64 {
    // Around the middle it is odd: cos(πx) = −sin(π(x − ½)).
    let angle = std::f64::consts::PI * (x - 0.5);
    let square = angle * angle;
    let mut sum = 1.0;
    for n in (1..=9).rev() {
        sum = 1.0 - square / f64::from(2 * n * (2 * n + 1)) * sum;
    }
    -angle * sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::MS;
    use plimsoll_model::Ratio;

    #[test]
    fn a_day_has_its_peak_and_its_low() {
        let daily = Daily { low: Ratio::percent(20), peak_min: 20 * 60 };
        let course = Course::new(vec![(0, 100.0)], Some(daily), vec![]);
        let hour = |hour: u64| course.at(hour * 60 * MINUTE).0;
        assert!((hour(20) - 100.0).abs() < 1e-6, "{}", hour(20));
        assert!((hour(8) - 20.0).abs() < 1e-6);
        assert!((hour(14) - 60.0).abs() < 1e-6 && (hour(2) - 60.0).abs() < 1e-6);
    }

    #[test]
    fn spikes_begin_and_end_in_time() {
        let spike = Spike { at: Millis(1500), lasts: Millis(500), times_milli: 3000 };
        let course = Course::new(vec![(0, 10.0), (5, 20.0)], None, vec![spike]);
        assert_eq!(course.at(0), (10.0, 1500 * MS));
        assert_eq!(course.at(1500 * MS), (30.0, 2000 * MS));
        assert_eq!(course.at(2000 * MS), (10.0, 5 * SECOND));
        assert_eq!(course.at(6 * SECOND), (20.0, u64::MAX));
        let steady = course.steady();
        assert_eq!(steady.at(1500 * MS), (20.0, u64::MAX));
        assert!(!steady.is_silent() && Course::new(vec![(0, 0.0)], None, vec![]).is_silent());
    }
}
