//! Recorded traffic: `second,requests a second` lines, or a gateway's access log.

use std::collections::BTreeMap;

/// Reads a trace. Lines of an access log (JSON with `at` in microseconds) are counted by second, from the first one on.
///
/// # Errors
/// A line is neither; the text names it.
pub fn read_trace(text: &str) -> Result<Vec<(u64, f64)>, String> {
    let lines = || text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    if lines().next().is_some_and(|(_, line)| line.trim_start().starts_with('{')) {
        return access_log(lines());
    }
    let mut rates = Vec::new();
    for (number, line) in lines() {
        let is_heading = number == 0 && line.chars().any(char::is_alphabetic);
        if line.starts_with('#') || is_heading {
            continue;
        }
        let read = line.split_once(',').and_then(|(second, rate)| {
            let rate: f64 = rate.trim().parse().ok()?;
            Some((second.trim().parse::<u64>().ok()?, rate)).filter(|_| rate.is_finite() && rate >= 0.0)
        });
        let Some(read) = read else {
            return Err(format!("line {}: `{line}` is not of the form SECOND,REQUESTS_A_SECOND", number + 1));
        };
        if rates.last().is_some_and(|(before, _): &(u64, f64)| *before >= read.0) {
            return Err(format!("line {}: seconds must grow", number + 1));
        }
        rates.push(read);
    }
    Ok(rates)
}

fn access_log<'t>(lines: impl Iterator<Item = (usize, &'t str)>) -> Result<Vec<(u64, f64)>, String> {
    let mut seconds: BTreeMap<u64, u64> = BTreeMap::new();
    for (number, line) in lines {
        let read: serde_json::Value =
            serde_json::from_str(line).map_err(|why| format!("line {}: {why}", number + 1))?;
        // A line that tells of skipped ones counts for all of them.
        let count = read["skipped"].as_u64().unwrap_or(1);
        let Some(at) = moment(&read) else { continue };
        let own = seconds.entry(at).or_default();
        *own = own.saturating_add(count);
    }
    let Some((first, last)) = seconds.keys().next().copied().zip(seconds.keys().next_back().copied()) else {
        return Err("no line of this log tells when it was written".into());
    };
    // Only where it changes: between two lines of a log may lie years.
    let mut rates: Vec<(u64, f64)> = Vec::new();
    for (second, count) in &seconds {
        let since = second - first;
        if rates.last().is_some_and(|(before, _)| before + 1 < since) {
            rates.extend(rates.last().map(|(before, _)| (before + 1, 0.0)));
        }
        rates.push((since, *count as f64));
    }
    rates.push((last - first + 1, 0.0));
    Ok(rates)
}

/// The second of a line: `at` as RFC 3339 (its time of day and day are enough) or as a number of microseconds.
fn moment(line: &serde_json::Value) -> Option<u64> {
    if let Some(us) = line["at"].as_u64() {
        return Some(us / 1_000_000);
    }
    let text = line["at"].as_str().or_else(|| line["time"].as_str())?;
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // Days since a March, so that leap days come last (H. Hinnant's days_from_civil).
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_seconds_and_rates_are_read() {
        assert_eq!(read_trace("second,rate\n0,10\n60,25.5\n"), Ok(vec![(0, 10.0), (60, 25.5)]));
        assert!(read_trace("0,10\n0,11\n").is_err());
        assert!(read_trace("0;10\n").is_err());
    }

    #[test]
    fn an_access_log_is_counted_by_second() {
        let log = "{\"at\":\"2026-02-28T23:59:59.5Z\"}\n{\"at\":\"2026-03-01T00:00:00.1Z\"}\n{\"at\":\"2026-03-01T00:00:00.9Z\"}\n";
        assert_eq!(read_trace(log), Ok(vec![(0, 1.0), (1, 2.0), (2, 0.0)]));
    }

    #[test]
    fn years_between_two_lines_take_no_room() {
        let log = "{\"at\":\"1970-01-01T00:00:00Z\"}\n{\"at\":\"9999-01-01T00:00:00Z\"}\n";
        let read = read_trace(log).unwrap();
        assert_eq!((read.len(), read[1]), (4, (1, 0.0)));
        assert_eq!(read_trace("{\"at\":0}\n{\"at\":18446744073709551615}\n").unwrap().len(), 4);
    }

    #[test]
    fn a_year_before_all_others_is_no_moment() {
        assert!(read_trace("{\"at\":\"0000-01-01T00:00:00Z\"}\n").is_err());
    }
}
