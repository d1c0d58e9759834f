//! Failing on purpose, for drills: a version of a service that is bad, so that it can be seen that nobody keeps it.
//!
//! `FAULT_ERRORS=5%` answers that share of the requests with 500, and `FAULT_DELAY_MS=50` has each wait before it is answered.
//! Probes and `/metrics` are spared: a version that they find out needs no drill. A service that fails on purpose says so in
//! its log when it starts. Without these variables nothing of this is there.

use crate::problem::Problem;
use crate::settings::Environment;
use axum::{body::Body, response::IntoResponse};
use http::{Response, StatusCode};
use std::{fmt, str::FromStr, time::Duration};

/// How a service fails on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The share of requests that is answered with 500.
    pub errors: Share,
    /// What each request waits.
    pub delay: Duration,
}

/// A share in hundredths of a percent, 0..=10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share(u32);

/// Not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no share: write 5% or 0.5%")]
pub struct NoShare;

impl FromStr for Share {
    type Err = NoShare;

    fn from_str(text: &str) -> Result<Self, NoShare> {
        let number = text.strip_suffix('%').ok_or(NoShare)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let is_number =
            |text: &str| !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || part.len() > 2 || !(part.is_empty() || is_number(part)) {
            return Err(NoShare);
        }
        let number = |text: &str| text.parse::<u32>().map_err(|_| NoShare);
        let hundredths = number(whole)? * 100 + number(&format!("{part:0<2}"))?;
        if hundredths <= 10_000 { Ok(Self(hundredths)) } else { Err(NoShare) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} %", self.0 / 100, self.0 % 100)
    }
}

impl Fault {
    /// Reads `FAULT_ERRORS` and `FAULT_DELAY_MS`; `None` without either.
    pub(crate) fn read(environment: &mut Environment<'_>) -> Option<Self> {
        let fault = Self {
            errors: environment.parsed("FAULT_ERRORS", Share::default()),
            delay: environment.millis("FAULT_DELAY_MS", Duration::ZERO),
        };
        (fault.errors != Share::default() || !fault.delay.is_zero()).then_some(fault)
    }

    /// What befalls a request to `path`: it may wait, and it may be answered here.
    pub(crate) async fn befall(self, path: &str) -> Option<Response<Body>> {
        if matches!(path, "/health" | "/ready" | "/metrics") {
            return None;
        }
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        if rand::random_range(0..10_000) >= self.errors.0 {
            return None;
        }
        let detail = "This version fails on purpose (FAULT_ERRORS).";
        Some(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "fault", detail).into_response())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<u32>) {
        assert_eq!(text.parse::<Share>().ok(), want.map(Share), "{text}");
    }

    #[test]
    fn shares_are_percents() {
        check("5%", Some(500));
        check("0.5%", Some(50));
        check("0.05%", Some(5));
        check("100%", Some(10_000));
        for wrong in ["", "%", "5", "101%", "-1%", "5.%5", "0.005%", "5 %", ".5%", "é%", "1000%"] {
            check(wrong, None);
        }
    }
}
