//! Random times, drawn from a table of quantiles: one draw, one look, one multiplication, all in whole nanoseconds.
//!
//! Invariant: no floating point where times are drawn; tables are built by + − × ÷ alone.

use crate::{draws::Draws, elementary::ln};
use plimsoll_model::simulation::Times;

/// How many cells a table has.
const CELLS: usize = 1024;

/// A distribution of times.
#[derive(Debug, Clone)]
pub struct TimeTable {
    /// Quantiles of 0 to 1, evenly spaced; nanoseconds.
    body: Box<[u64]>,
    /// The same of the last cell, where tails are: quantiles of 1 − 1 ÷ CELLS to 1.
    tail: Box<[u64]>,
    mean_ns: f64,
}

impl TimeTable {
    /// The table of what a scenario says.
    #[must_use]
    pub fn of(times: &Times) -> Self {
        match times {
            Times::Always { us } => Self::by(|_| *us as f64 * 1e3),
            Times::Exponential { mean_us } => Self::exponential(*mean_us as f64 * 1e3),
            Times::Points(points) => Self::by(|from_end| between(points, 1.0 - from_end)),
        }
    }

    /// Exponential with that mean in nanoseconds.
    #[must_use]
    pub fn exponential(mean_ns: f64) -> Self {
        Self::by(|from_end| -ln(from_end) * mean_ns)
    }

    /// By the inverse of the distribution, told how far from the end (1 − p, above 0).
    fn by(quantile: impl Fn(f64) -> f64) -> Self {
        let cells = CELLS as f64;
        let whole = |time: f64| if time >= 1e18 { 1_000_000_000_000_000_000 } else { (time.max(0.0) + 0.5) as u64 };
        // The very end lies at infinity for some: half a cell before it stands for it.
        let at = |from_end: f64, least: f64| whole(quantile(if from_end > least { from_end } else { least }));
        let body = (0..=CELLS).map(|cell| at(1.0 - cell as f64 / cells, 0.5 / cells)).collect();
        let end = 0.5 / (cells * cells);
        let tail = (0..=CELLS).map(|cell| at((1.0 - cell as f64 / cells) / cells, end)).collect();
        let mut table = Self { body, tail, mean_ns: 0.0 };
        table.mean_ns = table.mean();
        table
    }

    fn mean(&self) -> f64 {
        let area = |part: &[u64]| part.windows(2).map(|pair| (pair[0] + pair[1]) as f64 / 2.0).sum::<f64>();
        let body = area(&self.body[..CELLS]);
        (body + area(&self.tail) / CELLS as f64) / CELLS as f64
    }

    /// The mean of what is drawn, in nanoseconds.
    #[must_use]
    pub fn mean_ns(&self) -> f64 {
        self.mean_ns
    }

    /// The time that `percent` (0 to 100) of the draws stay within, in nanoseconds.
    #[must_use]
    pub fn percentile_ns(&self, percent: f64) -> u64 {
        let cell = percent / 100.0 * CELLS as f64;
        let place = (cell as usize).min(CELLS);
        if place + 1 < CELLS {
            let (low, high) = (self.body[place] as f64, self.body[place + 1] as f64);
            return (low + (high - low) * (cell - place as f64)) as u64;
        }
        let within = ((cell - (CELLS - 1) as f64) * CELLS as f64).clamp(0.0, CELLS as f64);
        self.tail[within as usize]
    }

    /// Draws a time in nanoseconds.
    #[inline]
    pub fn draw(&self, draws: &mut Draws) -> u64 {
        let bits = draws.bits();
        let cell = (bits >> 54) as usize;
        if cell < CELLS - 1 {
            return straight(&self.body, cell, (bits >> 22) & 0xffff_ffff);
        }
        straight(&self.tail, ((bits >> 44) & 1023) as usize, (bits >> 12) & 0xffff_ffff)
    }
}

/// Between two neighbours, `part` of 2^32 of the way.
#[inline]
fn straight(table: &[u64], cell: usize, part: u64) -> u64 {
    let (low, high) = (table[cell], table[cell + 1].max(table[cell]));
    let step = high - low;
    if step <= u64::from(u32::MAX) { low + ((step * part) >> 32) } else { low + (step >> 32) * part }
}

/// The time at the share `p` of the points, in nanoseconds.
fn between(points: &[(u32, u64)], p: f64) -> f64 {
    let mut before = (0.0, 0.0);
    for (percentile, us) in points {
        let here = (f64::from(*percentile) / 1e5, *us as f64 * 1e3);
        if p <= here.0 && here.0 > before.0 {
            return before.1 + (here.1 - before.1) * (p - before.0) / (here.0 - before.0);
        }
        before = here;
    }
    before.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_of(table: &TimeTable, count: u32) -> f64 {
        let mut draws = Draws::of(3, "times");
        (0..count).map(|_| table.draw(&mut draws) as f64).sum::<f64>() / f64::from(count)
    }

    #[test]
    fn exponential_times_have_their_mean_and_their_tail() {
        let table = TimeTable::exponential(2e6);
        assert!((table.mean_ns() / 2e6 - 1.0).abs() < 1e-3, "{}", table.mean_ns());
        assert!((mean_of(&table, 1_000_000) / 2e6 - 1.0).abs() < 5e-3);
        let (p99, p9999) = (table.percentile_ns(99.0) as f64, table.percentile_ns(99.99) as f64);
        assert!((p99 / (2e6 * 4.605_170) - 1.0).abs() < 5e-3, "{p99}");
        assert!((p9999 / (2e6 * 9.210_340) - 1.0).abs() < 5e-3, "{p9999}");
    }

    #[test]
    fn points_are_met() {
        let table = TimeTable::of(&Times::Points(vec![(50_000, 1000), (95_000, 3000), (100_000, 10_000)]));
        let mut draws = Draws::of(5, "points");
        let mut times: Vec<u64> = (0..100_000).map(|_| table.draw(&mut draws)).collect();
        times.sort_unstable();
        for (place, want) in [(50_000, 1e6), (95_000, 3e6)] {
            assert!((times[place] as f64 / want - 1.0).abs() < 0.02, "{}", times[place]);
        }
        assert!(times[99_999] <= 10_000_000);
    }

    #[test]
    fn always_is_always() {
        let table = TimeTable::of(&Times::Always { us: 44 });
        let mut draws = Draws::of(5, "always");
        assert!((0..1000).all(|_| table.draw(&mut draws) == 44_000));
    }
}
