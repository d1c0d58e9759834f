//! Is a name well-formed? Every reason against it at once.

use super::fold::{Folded, coarse, fold, homoglyph};
use super::{LENGTH_MAX, LENGTH_MIN};
use std::collections::HashSet;
use std::sync::LazyLock;

/// Names nobody may register: those that seem to speak for the operator, and those that software trips over.
const RESERVED: [&str; 47] = [
    "abuse",
    "account",
    "accounts",
    "admin",
    "administrator",
    "anonymous",
    "api",
    "billing",
    "contact",
    "daemon",
    "everyone",
    "ftp",
    "guest",
    "help",
    "helpdesk",
    "hostmaster",
    "info",
    "login",
    "logout",
    "mail",
    "me",
    "moderator",
    "nobody",
    "noreply",
    "null",
    "official",
    "operator",
    "owner",
    "postmaster",
    "register",
    "root",
    "security",
    "self",
    "service",
    "settings",
    "signin",
    "signup",
    "staff",
    "status",
    "superuser",
    "support",
    "sysadmin",
    "system",
    "undefined",
    "user",
    "webmaster",
    "www",
];

static RESERVED_COARSE: LazyLock<HashSet<Folded>> = LazyLock::new(|| RESERVED.iter().map(|n| coarse(n)).collect());

/// Why a name cannot be had; kebab-case in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Fewer than 3 characters.
    TooShort,
    /// More than 32 characters.
    TooLong,
    /// A character that is not a Latin letter, a digit or one of `.`, `_`, `-`.
    Alphabet,
    /// A letter of another script that looks Latin.
    LookAlikeLetter,
    /// Does not begin with a letter.
    Start,
    /// A separator at the end, or two side by side.
    Separator,
    /// Reserved for the operator.
    Reserved,
    /// Looks like a reserved name.
    LooksReserved,
    /// Somebody has it.
    Taken,
    /// Somebody has a name that looks like it.
    LooksTaken,
}

impl Reason {
    /// The word used in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::TooShort => "too-short",
            Self::TooLong => "too-long",
            Self::Alphabet => "alphabet",
            Self::LookAlikeLetter => "look-alike-letter",
            Self::Start => "start",
            Self::Separator => "separator",
            Self::Reserved => "reserved",
            Self::LooksReserved => "looks-reserved",
            Self::Taken => "taken",
            Self::LooksTaken => "looks-taken",
        }
    }

    /// A sentence for people, by the word used in answers.
    pub fn sentence(word: &str) -> &'static str {
        match word {
            "too-short" => "Use at least 3 characters.",
            "too-long" => "Use at most 32 characters.",
            "alphabet" => "Use only the letters a–z, digits, and . _ -",
            "look-alike-letter" => "It holds a letter of another alphabet that looks like a Latin one.",
            "start" => "Begin with a letter.",
            "separator" => "Separators . _ - stand alone, between other characters.",
            "reserved" => "This name is reserved.",
            "looks-reserved" => "This name looks like a reserved one.",
            "taken" => "Somebody already has this name.",
            "looks-taken" => "Somebody has a name that looks the same.",
            _ => "This name cannot be used.",
        }
    }
}

/// The outcome of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Well-formed: the name in lower case, and what it folds to.
    WellFormed {
        /// As it would be stored.
        name: Folded,
        /// What decides uniqueness.
        folded: Folded,
    },
    /// Not well-formed; at least one reason.
    Invalid(Vec<Reason>),
}

/// Applies the rules to what somebody typed.
pub fn check(name: &str) -> Checked {
    let reasons = shape_reasons(name);
    if !reasons.is_empty() {
        return Checked::Invalid(with_reserved(reasons, name));
    }
    match Folded::plain(name) {
        Some(_) if is_reserved(name) => Checked::Invalid(with_reserved(Vec::new(), name)),
        Some(plain) => Checked::WellFormed { name: plain, folded: fold(name) },
        None => Checked::Invalid(vec![Reason::Alphabet]),
    }
}

fn shape_reasons(name: &str) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let length = if name.is_ascii() { name.len() } else { name.chars().count() };
    if length < LENGTH_MIN {
        reasons.push(Reason::TooShort);
    }
    if length > LENGTH_MAX {
        reasons.push(Reason::TooLong);
    }
    let is_separator = |byte: u8| matches!(byte, b'.' | b'_' | b'-');
    if name.bytes().any(|byte| !byte.is_ascii_alphanumeric() && !is_separator(byte)) {
        reasons.push(Reason::Alphabet);
        if name.chars().any(|character| homoglyph(character).is_some()) {
            reasons.push(Reason::LookAlikeLetter);
        }
    }
    if name.bytes().next().is_some_and(|byte| byte.is_ascii() && !byte.is_ascii_alphabetic()) {
        reasons.push(Reason::Start);
    }
    let doubled = name.as_bytes().windows(2).any(|pair| is_separator(pair[0]) && is_separator(pair[1]));
    if doubled || name.bytes().next_back().is_some_and(is_separator) {
        reasons.push(Reason::Separator);
    }
    reasons
}

fn is_reserved(name: &str) -> bool {
    RESERVED_COARSE.contains(&coarse(name))
}

fn with_reserved(mut reasons: Vec<Reason>, name: &str) -> Vec<Reason> {
    if name.chars().count() <= LENGTH_MAX && is_reserved(name) {
        let exactly = RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name));
        reasons.push(if exactly { Reason::Reserved } else { Reason::LooksReserved });
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(name: &str, reasons: &[Reason]) {
        assert_eq!(check(name), Checked::Invalid(reasons.to_vec()), "{name}");
    }

    #[test]
    fn accepts_ordinary_names() {
        for name in ["anna", "Anna.Smith", "x-1_y.2", "abc"] {
            assert!(matches!(check(name), Checked::WellFormed { .. }), "{name}");
        }
    }

    #[test]
    fn gives_every_reason_at_once() {
        refuses("", &[Reason::TooShort]);
        refuses("1.", &[Reason::TooShort, Reason::Start, Reason::Separator]);
        refuses("a..b", &[Reason::Separator]);
        refuses("anna smith", &[Reason::Alphabet]);
        refuses(&"a".repeat(33), &[Reason::TooLong]);
    }

    #[test]
    fn sees_reserved_names_and_their_doubles() {
        refuses("Admin", &[Reason::Reserved]);
        refuses("adm1n", &[Reason::LooksReserved]);
        refuses("r00t", &[Reason::LooksReserved]);
        refuses("\u{430}dmin", &[Reason::Alphabet, Reason::LookAlikeLetter, Reason::LooksReserved]);
    }

    #[test]
    fn stores_names_in_lower_case() {
        let Checked::WellFormed { name, folded } = check("B0b.Vance") else { panic!("well-formed") };
        assert_eq!((name.as_str(), folded.as_str()), ("b0b.vance", "bob-vance"));
    }
}
