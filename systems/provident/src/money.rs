//! Amounts as people write them, in rupees, and as we keep them: whole paise in an `i64`.

/// Paise in a rupee.
pub const RUPEE: i64 = 100;
/// Largest amount that is read, in paise: a thousand crore rupees. Sums of millions of them still fit.
pub const PAISE_MAX: i64 = 1_000_000_000_000;

/// Reads an amount in rupees with at most two decimals, such as `1800` or `1800.50`; `None`: it is none, or too large.
pub fn parse(text: &str) -> Option<i64> {
    let (rupees, decimals) = text.split_once('.').map_or((text, None), |(rupees, decimals)| (rupees, Some(decimals)));
    let digits = |text: &str| !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(rupees) || decimals.is_some_and(|decimals| decimals.len() > 2 || !digits(decimals)) {
        return None;
    }
    let paise: i64 = format!("{:0<2}", decimals.unwrap_or("")).parse().ok()?;
    let total = rupees.parse::<i64>().ok()?.checked_mul(RUPEE)?.checked_add(paise)?;
    (total <= PAISE_MAX).then_some(total)
}

/// Writes paise as rupees with two decimals.
pub fn written(paise: i64) -> String {
    let sign = if paise < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", paise.unsigned_abs() / 100, paise.unsigned_abs() % 100)
}

/// `paise` × `numerator` ÷ `denominator`, rounded to the next whole rupee, halves up. Of amounts that are not negative.
pub fn share_in_rupees(paise: i64, numerator: i64, denominator: i64) -> i64 {
    let (amount, unit) = (i128::from(paise) * i128::from(numerator), i128::from(denominator) * i128::from(RUPEE));
    let rupees = (2 * amount + unit) / (2 * unit);
    i64::try_from(rupees).unwrap_or(i64::MAX / RUPEE).saturating_mul(RUPEE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written_exactly() {
        for (text, paise, again) in [
            ("1800", 180_000, "1800.00"),
            ("0.5", 50, "0.50"),
            ("0.05", 5, "0.05"),
            ("15000.99", 1_500_099, "15000.99"),
        ] {
            assert_eq!(parse(text), Some(paise), "{text}");
            assert_eq!(written(paise), again);
        }
        for wrong in ["", ".", "1.", ".5", "-1", "+1", "1.234", "1,000", "1e3", " 1", "9999999999999", "100000000000"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        assert_eq!(written(-5), "-0.05");
    }

    #[test]
    fn shares_are_rounded_to_the_rupee_halves_up() {
        for (wage, twelve, pension) in
            [("15000", "1800.00", "1250.00"), ("10004", "1200.00", "833.00"), ("0", "0.00", "0.00")]
        {
            let wage = parse(wage).unwrap();
            assert_eq!(written(share_in_rupees(wage, 12, 100)), twelve);
            assert_eq!(written(share_in_rupees(wage, 833, 10_000)), pension);
        }
        assert_eq!(share_in_rupees(50, 1, 1), 100, "half a rupee goes up");
        assert_eq!(share_in_rupees(49, 1, 1), 0);
    }
}
