//! Kubernetes quantities (`500m`, `1Gi`, `10k`, `0.5`) as whole thousandths, the unit the autoscaler counts in.
//!
//! Invariant: reading rounds up to a whole thousandth, as `Quantity.MilliValue` does.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// Thousandths of whatever is counted: 1000 is one core, one request per second, one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Milli(pub i64);

/// The text is not a Kubernetes quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a quantity: write a number with an optional suffix such as m, k, M, G, Ki, Mi or Gi")]
pub struct NotAQuantity(pub String);

/// Suffix and its factor as (mantissa, power of ten).
const SUFFIXES: [(&str, i128, i32); 16] = [
    ("Ki", 1 << 10, 0),
    ("Mi", 1 << 20, 0),
    ("Gi", 1 << 30, 0),
    ("Ti", 1 << 40, 0),
    ("Pi", 1 << 50, 0),
    ("Ei", 1 << 60, 0),
    ("n", 1, -9),
    ("u", 1, -6),
    ("m", 1, -3),
    ("k", 1, 3),
    ("M", 1, 6),
    ("G", 1, 9),
    ("T", 1, 12),
    ("P", 1, 15),
    ("E", 1, 18),
    ("", 1, 0),
];

impl FromStr for Milli {
    type Err = NotAQuantity;
    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        let bad = || NotAQuantity(text.to_owned());
        let (number, factor, tens) = SUFFIXES
            .iter()
            .find_map(|(suffix, factor, tens)| text.strip_suffix(suffix).map(|number| (number, *factor, *tens)))
            .ok_or_else(bad)?;
        let (number, exponent) = match number.split_once(['e', 'E']) {
            Some((number, exponent)) if tens == 0 && factor == 1 => {
                (number, exponent.parse::<i32>().map_err(|_| bad())?)
            }
            Some(_) => return Err(bad()),
            None => (number, 0),
        };
        let (negative, number) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{part}");
        if digits.is_empty() || digits.len() > 20 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(bad());
        }
        let mantissa = digits.parse::<i128>().map_err(|_| bad())?.saturating_mul(factor);
        let tens = tens.saturating_add(exponent).saturating_add(3).saturating_sub(part.len() as i32);
        let magnitude = scaled_up(mantissa, tens);
        Ok(Self(if negative { -magnitude } else { magnitude }))
    }
}

/// `mantissa × 10^tens`, rounded away from zero and held within `i64`.
fn scaled_up(mantissa: i128, tens: i32) -> i64 {
    let power = 10_i128.pow(tens.unsigned_abs().min(30));
    let scaled = if tens >= 0 { mantissa.saturating_mul(power) } else { (mantissa + power - 1) / power };
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 1000 == 0 { write!(f, "{}", self.0 / 1000) } else { write!(f, "{}m", self.0) }
    }
}

impl Serialize for Milli {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A quantity is written as text or as a plain number.
struct Written;

impl de::Visitor<'_> for Written {
    type Value = Milli;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity such as 500m, 2 or 1Gi")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Milli, E> {
        text.parse().map_err(E::custom)
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Milli, E> {
        Ok(Milli(i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(1000)))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Milli, E> {
        Ok(Milli(number.saturating_mul(1000)))
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Milli, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Milli {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<i64>) {
        assert_eq!(text.parse::<Milli>().ok().map(|milli| milli.0), want, "{text}");
    }

    #[test]
    fn reads_what_kubernetes_reads() {
        check("500m", Some(500));
        check("2", Some(2000));
        check("0.5", Some(500));
        check(".5", Some(500));
        check("1Ki", Some(1_024_000));
        check("1.5Gi", Some(1_610_612_736_000));
        check("10k", Some(10_000_000));
        check("1e3", Some(1_000_000));
        check("-1", Some(-1000));
        check("9E", Some(i64::MAX));
    }

    #[test]
    fn rounds_up_to_a_whole_thousandth() {
        check("1u", Some(1));
        check("1500u", Some(2));
        check("0.0001", Some(1));
    }

    #[test]
    fn refuses_other_text() {
        for text in ["", "m", "1.2.3", "1 Gi", "1kk", "abc", "1e", "--1"] {
            check(text, None);
        }
    }
}
