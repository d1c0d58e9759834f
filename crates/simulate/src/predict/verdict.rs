//! What figures mean for a promise.

use crate::{
    plan::{MS, ns as in_ns},
    world::SourceFigures,
};
use plimsoll_model::{Millis, Ratio};
use serde::Serialize;
use std::collections::BTreeMap;

/// Whether a promise would be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It would.
    Held,
    /// Nothing was imagined that says so or the contrary.
    #[default]
    Unpredicted,
    /// It would not.
    Broken,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Unpredicted => "unpredicted",
            Self::Broken => "broken",
        }
    }

    pub(super) fn of(held: bool) -> Self {
        if held { Self::Held } else { Self::Broken }
    }
}

/// What would become of one promise.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Prediction {
    /// Its name.
    pub promise: String,
    /// Its kind, as in the file.
    pub kind: String,
    /// What is promised.
    pub target: String,
    /// What came of it; "" when nothing was imagined.
    pub predicted: String,
    /// How far on the good side, as a share of the target; negative on the bad side. `None`: there is no distance.
    pub margin: Option<f64>,
    /// Requests that it rests on.
    pub requests: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Whether it would be kept.
    pub verdict: Verdict,
    /// Why not, or why nothing is known; "" if there is nothing to say.
    pub why: String,
}

impl Prediction {
    pub(super) fn unpredicted(why: String) -> Self {
        Self { why, ..Self::default() }
    }

    /// What is held only while another promise holds, which is not imagined.
    pub(super) fn unless_hurt(self, other: &str) -> Self {
        if self.verdict != Verdict::Held {
            return self;
        }
        let why = format!("whether `{other}` stays unhurt meanwhile is not imagined");
        Self { verdict: Verdict::Unpredicted, why, ..self }
    }
}

/// Every percentile within its bound; the tightest one tells the margin.
pub(super) fn by_latency(bounds: &BTreeMap<u16, Millis>, own: &SourceFigures, rate: Option<f64>) -> Prediction {
    let mut worst: Option<(f64, u16, u64, Millis)> = None;
    for (percentile, most) in bounds {
        let Some(ns) = own.latency.percentile_ns(u64::from(*percentile)) else { continue };
        let margin = 1.0 - ns as f64 / in_ns(*most).max(1) as f64;
        if worst.is_none_or(|known| margin < known.0) {
            worst = Some((margin, *percentile, ns, *most));
        }
    }
    let target = bounds.iter().map(|(percentile, most)| format!("{} {most}", words(*percentile)));
    let at = rate.map_or(String::new(), |rate| format!(" at {rate:.0}/s"));
    let target = target.collect::<Vec<_>>().join(", ") + &at;
    let Some((margin, percentile, ns, _)) = worst else {
        return Prediction { target, ..Prediction::unpredicted("nothing was answered rightly".into()) };
    };
    // A share of failures as large as the tail that is promised breaks the promise too.
    let enough = own.failed() * 1000 <= own.ended() * u64::from(1000 - percentile.min(999));
    let held = margin >= 0.0 && enough;
    Prediction {
        target,
        predicted: format!("{} {:.2} ms", words(percentile), ns as f64 / MS as f64),
        margin: Some(margin),
        requests: own.ended(),
        failed: own.failed(),
        verdict: Verdict::of(held),
        why: if enough { String::new() } else { "more requests fail than the percentile leaves over".into() },
        ..Prediction::default()
    }
}

/// The share of right answers.
pub(super) fn by_share(own: &SourceFigures, ratio: Ratio, conditions: &str, causes: &str) -> Prediction {
    let (ended, failed) = (own.ended(), own.failed());
    if ended == 0 {
        return Prediction::unpredicted("nothing was answered".into());
    }
    let share = (ended - failed) as f64 / ended as f64;
    let allowed = (1.0 - ratio.fraction()) * ended as f64;
    let held = share >= ratio.fraction();
    Prediction {
        target: format!("{ratio}"),
        predicted: format!("{:.4} % ({conditions})", share * 100.0),
        margin: (allowed > 0.0).then(|| 1.0 - failed as f64 / allowed),
        requests: ended,
        failed,
        verdict: Verdict::of(held),
        why: if held { String::new() } else { causes.to_owned() },
        ..Prediction::default()
    }
}

/// 950 is p95, 999 is p99.9.
pub(crate) fn words(percentile: u16) -> String {
    match percentile % 10 {
        0 => format!("p{}", percentile / 10),
        tenth => format!("p{}.{tenth}", percentile / 10),
    }
}
