//! Typed quantities. How they are written in a file is the business of `spec`; here are only their values.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// So many whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds * 1000)
    }

    /// The same length for the standard library.
    #[must_use]
    pub const fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0s"),
            ms if ms.is_multiple_of(86_400_000) => write!(f, "{}d", ms / 86_400_000),
            ms if ms.is_multiple_of(3_600_000) => write!(f, "{}h", ms / 3_600_000),
            ms if ms.is_multiple_of(60_000) => write!(f, "{}m", ms / 60_000),
            ms if ms.is_multiple_of(1000) => write!(f, "{}s", ms / 1000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

/// Bytes of memory or disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
        for (size, unit) in UNITS {
            if self.0 >= size && self.0.is_multiple_of(size) {
                return write!(f, "{}{unit}", self.0 / size);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// Thousandths of a processor: `250m` is 250.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MilliCpu(pub u64);

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) { write!(f, "{}", self.0 / 1000) } else { write!(f, "{}m", self.0) }
    }
}

/// A share of a whole in millionths: 99.9 % is 999,000. May exceed the whole (150 % of a target).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ratio(pub u64);

impl Ratio {
    /// The whole: 100 %.
    pub const ONE: Self = Self(1_000_000);

    /// So many percent, in whole numbers.
    #[must_use]
    pub const fn percent(percent: u64) -> Self {
        Self(percent * 10_000)
    }

    /// As a fraction: 1.0 is the whole.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio in millionths is far below 2^53")]
    pub fn fraction(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        if rest == 0 {
            return write!(f, "{whole}%");
        }
        let digits = format!("{rest:04}");
        write!(f, "{whole}.{}%", digits.trim_end_matches('0'))
    }
}

/// Events per second, in thousandths: `100/s` is 100,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(pub u64);

impl Rate {
    /// Events per second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rates are far below 2^53 thousandths")]
    pub fn per_second(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.per_second())
    }
}

/// Either a count or a share, as Kubernetes' IntOrString in `maxSurge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Amount {
    /// So many.
    Count(u32),
    /// A share of the whole.
    Share(Ratio),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_show_as_a_person_writes_them() {
        assert_eq!(Ratio(999_000).to_string(), "99.9%");
        assert_eq!(Ratio::percent(70).to_string(), "70%");
        assert_eq!(Ratio(500).to_string(), "0.05%");
    }

    #[test]
    fn times_show_in_their_largest_whole_unit() {
        assert_eq!(Millis(90_000).to_string(), "90s");
        assert_eq!(Millis(1_800_000).to_string(), "30m");
        assert_eq!(Millis(250).to_string(), "250ms");
    }
}
