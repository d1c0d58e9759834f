//! Quantities as a person writes them: `30s`, `256Mi`, `250m`, `99.9%`, `100/s`.
//!
//! Everything is integer arithmetic; what doesn't come out whole is rounded as Kubernetes rounds (up).

use plimsoll_model::{Bytes, MilliCpu, Millis, Rate, Ratio};

/// A decimal number as digits and a power of ten: `1.25` is 125 and 2.
#[derive(Debug, Clone, Copy)]
struct Decimal {
    digits: u128,
    places: u32,
}

impl Decimal {
    /// The number that a text begins with, and the rest of it.
    fn leading(text: &str) -> Option<(Self, &str)> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let ends_in_point = number.ends_with('.');
        let is_number = !whole.is_empty() && !ends_in_point && !part.contains('.');
        if !is_number || whole.len() > 18 || part.len() > 9 {
            return None;
        }
        let digits = format!("{whole}{part}").parse().ok()?;
        Some((Self { digits, places: u32::try_from(part.len()).ok()? }, unit))
    }

    /// So many times as much, rounded up to a whole number.
    fn times(self, factor: u128) -> Option<u64> {
        let scaled = self.digits.checked_mul(factor)?.div_ceil(10u128.pow(self.places));
        u64::try_from(scaled).ok()
    }

    /// So many times as much, if that is a whole number.
    fn exactly(self, factor: u128) -> Option<u64> {
        let scaled = self.digits.checked_mul(factor)?;
        let scale = 10u128.pow(self.places);
        (scaled % scale == 0).then_some(scaled / scale).and_then(|whole| u64::try_from(whole).ok())
    }
}

/// The longest time there is: a thousand years.
const MILLIS_MAX: u64 = 1000 * 365 * 86_400_000;

/// `30s`, `1h30m`, `250ms`, `7d`, `2w`, `1y` (365 days).
pub(crate) fn duration(text: &str) -> Option<Millis> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut last = u128::MAX;
    while !rest.is_empty() {
        let (number, after) = Decimal::leading(rest)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let unit = match &after[..end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return None,
        };
        if unit >= last {
            return None;
        }
        last = unit;
        total = total.checked_add(number.exactly(unit)?)?;
        rest = &after[end..];
    }
    (!text.is_empty() && total <= MILLIS_MAX).then_some(Millis(total))
}

/// `44us`, `1.5ms`, `2s`: microseconds.
pub(crate) fn micros(text: &str) -> Option<u64> {
    let (number, unit) = Decimal::leading(text)?;
    match unit {
        "us" => number.exactly(1),
        "ms" => number.exactly(1000),
        "s" => number.exactly(1_000_000),
        _ => None,
    }
}

/// `1.5`: thousandths.
pub(crate) fn thousandths(text: &str) -> Option<u64> {
    let (number, rest) = Decimal::leading(text)?;
    rest.is_empty().then(|| number.exactly(1000)).flatten()
}

/// A quantity of Kubernetes in bytes: `512Mi`, `1.2Gi`, `1G`, `128974848`, `129e6`. Thousandths (`m`) are told apart.
pub(crate) fn bytes(text: &str) -> Option<Bytes> {
    const POWERS: [(&str, u128); 12] = [
        ("", 1),
        ("k", 1000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("Ei", 1 << 60),
    ];
    let (number, unit) = Decimal::leading(text)?;
    if let Some(exponent) = unit.strip_prefix(['e', 'E']).filter(|e| !e.is_empty() && *e != "i") {
        let exponent: u32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok().filter(|e| *e <= 18)?;
        return number.times(10u128.pow(exponent)).map(Bytes);
    }
    let (_, factor) = POWERS.iter().find(|(name, _)| *name == unit)?;
    number.times(*factor).map(Bytes)
}

/// `250m`, `1`, `0.5`: thousandths of a processor, rounded up.
pub(crate) fn cpu(text: &str) -> Option<MilliCpu> {
    let (number, unit) = Decimal::leading(text)?;
    match unit {
        "" => number.times(1000).map(MilliCpu),
        "m" => number.times(1).map(MilliCpu),
        _ => None,
    }
}

/// `70%`, `99.9%`: millionths, at most four places.
pub(crate) fn percent(text: &str) -> Option<Ratio> {
    let (number, unit) = Decimal::leading(text)?;
    (unit == "%").then(|| number.exactly(10_000)).flatten().map(Ratio)
}

/// `100/s`, `6000/m`, `360000/h`: thousandths a second, rounded up.
pub(crate) fn rate(text: &str) -> Option<Rate> {
    let (number, unit) = Decimal::leading(text)?;
    let thousandths = number.exactly(1000)?;
    match unit {
        "/s" => Some(Rate(thousandths)),
        "/m" => Some(Rate(thousandths.div_ceil(60))),
        "/h" => Some(Rate(thousandths.div_ceil(3600))),
        _ => None,
    }
}

/// A quantity of Kubernetes in thousandths: `100`, `500m`, `1k`, `512Mi`.
pub(crate) fn milli(text: &str) -> Option<i64> {
    let thousandths = cpu(text).map(|cpu| cpu.0).or_else(|| bytes(text)?.0.checked_mul(1000))?;
    i64::try_from(thousandths).ok()
}

/// `1475 USD`, `9.99 EUR`: hundredths and the currency.
pub(crate) fn money(text: &str) -> Option<(u64, String)> {
    let (number, currency) = text.split_once(' ')?;
    let (number, rest) = Decimal::leading(number)?;
    let is_currency = currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase());
    (rest.is_empty() && is_currency).then(|| number.exactly(100)).flatten().map(|cents| (cents, currency.into()))
}

/// `02:00`: minutes since midnight.
pub(crate) fn time_of_day(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let two =
        |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten();
    let (hour, minute): (u32, u32) = (two(hour)?, two(minute)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug>(read: fn(&str) -> Option<T>, text: &str, want: Option<T>) {
        assert_eq!(read(text), want, "{text}");
    }

    #[test]
    fn durations() {
        check(duration, "30s", Some(Millis(30_000)));
        check(duration, "1h30m", Some(Millis(5_400_000)));
        check(duration, "1.5s", Some(Millis(1500)));
        check(duration, "1y", Some(Millis(31_536_000_000)));
        for text in ["", "30", "s", "30 s", "-1s", "1m1h", "1.5ms", "99999999999y", "1s1s"] {
            check(duration, text, None);
        }
    }

    #[test]
    fn bytes_are_those_of_kubernetes() {
        check(bytes, "512Mi", Some(Bytes(512 << 20)));
        check(bytes, "1.2Gi", Some(Bytes(1_288_490_189)));
        check(bytes, "129e6", Some(Bytes(129_000_000)));
        check(bytes, "128974848", Some(Bytes(128_974_848)));
        for text in ["512m", "512MB", "1 Gi", "-1", "1gi", "", "99999999999Pi"] {
            check(bytes, text, None);
        }
    }

    #[test]
    fn shares_and_rates_and_processors() {
        check(percent, "99.9%", Some(Ratio(999_000)));
        check(percent, "70", None);
        check(percent, "99.99999%", None);
        check(rate, "100/s", Some(Rate(100_000)));
        check(rate, "6000/m", Some(Rate(100_000)));
        check(cpu, "0.5", Some(MilliCpu(500)));
        check(cpu, "2000m", Some(MilliCpu(2000)));
        check(cpu, "1 core", None);
    }

    #[test]
    fn other_quantities() {
        check(milli, "100", Some(100_000));
        check(milli, "500m", Some(500));
        check(money, "1475 USD", Some((147_500, "USD".into())));
        check(money, "1475", None);
        check(time_of_day, "02:00", Some(120));
        check(time_of_day, "24:00", None);
    }
}
