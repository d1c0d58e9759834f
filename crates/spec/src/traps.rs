//! Plain scalars that different YAML readers take for different things: `NO`, `0777`, `1e3`, `15.10`.
//!
//! Invariant: a value is kept as written or refused, never reinterpreted.

/// Whether YAML 1.1 or 1.2 would read it as a number.
pub(crate) fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(rest) = digits.strip_prefix("0x") {
        return !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit() || b == b'_');
    }
    if let Some(rest) = digits.strip_prefix("0o").or_else(|| digits.strip_prefix("0b")) {
        return !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    }
    let starts = digits.starts_with(|c: char| c.is_ascii_digit())
        || digits.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let is_sexagesimal = |text: &str| {
        let mut parts = text.split(':');
        parts.next().is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
            && text.contains(':')
            && parts.all(|p| !p.is_empty() && p.len() <= 2 && p.parse::<u8>().is_ok_and(|n| n < 60))
    };
    let plain = digits.replace('_', "");
    let special = matches!(digits.to_ascii_lowercase().as_str(), ".inf" | ".nan");
    special || (starts && (plain.parse::<f64>().is_ok() || is_sexagesimal(digits)))
}

/// Why another reader may understand this plain text differently; `None` when every one agrees or nothing is lost.
pub(crate) fn ambiguity(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "yes" | "no" | "on" | "off" | "y" | "n") {
        return Some("YAML 1.1 reads it as a boolean, YAML 1.2 as text".into());
    }
    if matches!(text, "True" | "False" | "TRUE" | "FALSE") {
        return Some("YAML reads it as a boolean, whose text is lower case".into());
    }
    if !is_number(text) {
        return None;
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_whole = digits.bytes().all(|b| b.is_ascii_digit());
    if is_whole && (digits == "0" || !digits.starts_with('0')) {
        return None;
    }
    if is_whole {
        return Some("YAML 1.1 reads it as an octal number, YAML 1.2 as a decimal one".into());
    }
    if digits.contains(':') {
        return Some("YAML 1.1 reads it as a number to the base 60".into());
    }
    let same = text.parse::<f64>().is_ok_and(|number| number.to_string() == text);
    (!same).then(|| match text.parse::<f64>() {
        Ok(number) => format!("YAML reads it as the number {number}"),
        Err(_) => "YAML reads it as a number".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, is_ambiguous: bool) {
        assert_eq!(ambiguity(text).is_some(), is_ambiguous, "{text}: {:?}", ambiguity(text));
    }

    #[test]
    fn what_readers_disagree_about_is_ambiguous() {
        for text in ["NO", "on", "y", "0777", "1e3", "15.10", "1_000", "0x1F", "12:30", ".inf", "+5", "TRUE"] {
            check(text, true);
        }
    }

    #[test]
    fn what_every_reader_keeps_is_not() {
        for text in ["8080", "-5", "0", "1.5", "true", "web", "1.2.3", "30s", "node", "10.0.0.1", "a:b", "-m"] {
            check(text, false);
        }
    }
}
