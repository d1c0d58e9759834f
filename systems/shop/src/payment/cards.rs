//! Cards: nobody is charged, so only numbers that are declared for tests are taken, and each does what it is declared to.

/// The numbers, and what each does.
const DECLARED: [(&str, &str); 3] =
    [("4242424242424242", "approves"), ("4000000000000002", "declines"), ("4000000000009995", "lacks-funds")];

/// What a card of this number (spaces do not matter) does; `None`: it is not declared.
pub fn behaviour(number: &str) -> Option<&'static str> {
    let digits: String = number.chars().filter(|c| *c != ' ').collect();
    DECLARED.iter().find(|(declared, _)| *declared == digits).map(|(_, behaviour)| *behaviour)
}

/// The last four digits: all that is kept of a number.
pub fn last_four(number: &str) -> String {
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    digits[digits.len().saturating_sub(4)..].iter().collect()
}

/// Is that a month and a year, `MM/YY`?
pub fn is_expiry(text: &str) -> bool {
    let Some((month, year)) = text.split_once('/') else { return false };
    let is_two = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_two(month) && is_two(year) && ("01"..="12").contains(&month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_numbers_are_cards() {
        assert_eq!(behaviour("4242 4242 4242 4242"), Some("approves"));
        assert_eq!(behaviour("4000000000000002"), Some("declines"));
        assert_eq!(behaviour("4111111111111111"), None);
        assert_eq!(last_four("4000 0000 0000 9995"), "9995");
        for (text, want) in [("12/30", true), ("13/30", false), ("00/30", false), ("1/30", false), ("12-30", false)] {
            assert_eq!(is_expiry(text), want, "{text}");
        }
    }
}
