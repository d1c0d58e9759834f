//! Which status codes count as the right answer.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A set of status codes, written `2xx`, `200,404` or `200-299,3xx`. The default is 200–399.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Statuses {
    /// Exactly these codes.
    pub fn of(codes: &[u16]) -> Statuses {
        Statuses(codes.iter().map(|code| *code..=*code).collect())
    }

    /// Whether `code` is the right answer.
    pub fn has(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }
}

impl Default for Statuses {
    fn default() -> Statuses {
        Statuses(vec![200..=399])
    }
}

/// It was not a set of status codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a status code (write 200, 2xx or 200-299)")]
pub struct NoStatuses(String);

impl FromStr for Statuses {
    type Err = NoStatuses;

    fn from_str(text: &str) -> Result<Statuses, NoStatuses> {
        text.split(',')
            .map(|part| range(part.trim()).ok_or_else(|| NoStatuses(part.trim().to_owned())))
            .collect::<Result<_, _>>()
            .map(Statuses)
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
        return Some(class * 100..=class * 100 + 99);
    }
    let code = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code));
    match text.split_once('-') {
        Some((from, to)) => Some(code(from)?..=code(to)?).filter(|range| !range.is_empty()),
        None => code(text).map(|code| code..=code),
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match range.start() == range.end() {
                true => write!(f, "{comma}{}", range.start())?,
                false => write!(f, "{comma}{}-{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, right: &[u16], wrong: &[u16]) {
        let statuses: Statuses = text.parse().unwrap();
        assert!(right.iter().all(|code| statuses.has(*code)), "{text} has {right:?}");
        assert!(!wrong.iter().any(|code| statuses.has(*code)), "{text} has none of {wrong:?}");
        assert_eq!(statuses.to_string().parse::<Statuses>().unwrap(), statuses);
    }

    #[test]
    fn reads_codes_classes_and_ranges() {
        check("200", &[200], &[201]);
        check("2xx", &[200, 299], &[199, 300]);
        check("200-204, 4xx", &[200, 204, 404], &[205, 500]);
    }

    #[test]
    fn refuses_others() {
        for text in ["", "20", "600", "6xx", "299-200", "ok", "200,,201"] {
            assert!(text.parse::<Statuses>().is_err(), "{text}");
        }
    }
}
