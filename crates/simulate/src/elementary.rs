//! Logarithm and exponential by + − × ÷ alone, in a fixed order, so that they are the same bits on every machine (those of
//! the standard library need not be).

use std::f64::consts::{LN_2, LOG2_E};

/// The natural logarithm of a positive normal number, to about 1 in 10^15.
#[must_use]
pub fn ln(x: f64) -> f64 {
    debug_assert!(x.is_normal() && x > 0.0, "a logarithm of {x}");
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m − 1) ÷ (m + 1)), whose argument stays below 0.172.
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let mut sum = 0.0;
    for odd in (0..12).rev() {
        sum = sum * square + 1.0 / f64::from(2 * odd + 1);
    }
    exponent as f64 * LN_2 + 2.0 * t * sum
}

/// e to the power of `x`; 0 far below and the largest number far above.
#[must_use]
pub fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    if x > 700.0 {
        return f64::MAX;
    }
    let scaled = x * LOG2_E;
    let whole = if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 } as i64;
    let rest = x - whole as f64 * LN_2;
    let mut sum = 1.0;
    for n in (1..=18).rev() {
        sum = 1.0 + rest / f64::from(n) * sum;
    }
    #[expect(clippy::cast_sign_loss, reason = "|whole| is below 1,011, so that the exponent is positive")]
    let power = f64::from_bits(((1023 + whole) as u64) << 52);
    sum * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_agree_with_the_standard_library() {
        for x in [1e-12, 0.3, 0.999_999, 1.0, 1.000_001, 1.42, 2.0, 10.0, 12_345.678, 1e300] {
            assert!((ln(x) - x.ln()).abs() <= 2e-15 * x.ln().abs().max(1.0), "ln {x}");
        }
        for x in [-600.0, -20.5, -1.0, -1e-9, 0.0, 0.3, 0.5, 1.0, 33.3, 600.0] {
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-13, "exp {x}");
        }
        assert!(exp(-1e9) == 0.0 && exp(1e9).is_finite());
    }
}
