//! What an experiment has shown about one promise.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Whether a promise is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Measured, and kept.
    Held,
    /// It could not be measured, or not well enough. Neither good nor bad.
    Unproven,
    /// Measured, and not kept.
    Broken,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::Unproven => "unproven",
            Verdict::Broken => "broken",
        }
    }
}

/// Why a promise could not be tested, and what its author can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unproven {
    pub(crate) why: String,
    pub(crate) todo: String,
}

impl Unproven {
    pub(crate) fn new(why: impl Into<String>, todo: impl Into<String>) -> Unproven {
        Unproven { why: why.into(), todo: todo.into() }
    }
}

impl std::fmt::Display for Unproven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.why, self.todo)
    }
}

/// What figures mean for a promise.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    /// The figure that was compared with the target, as a person reads it.
    pub(crate) measured: String,
    /// How far on the good side of the target, as a share of it; negative on the bad side. `None`: there is no distance.
    pub(crate) margin: Option<f64>,
    /// Why it's not held; "" if it is.
    pub(crate) why: String,
    /// What to do about it; "" if there is nothing.
    pub(crate) todo: String,
}

/// A named figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// With its unit.
    pub value: String,
}

/// One stretch of load.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// What it was for.
    pub name: String,
    /// Rate, warm-up, duration, connections, clients, seed.
    pub conditions: String,
    /// All figures, failures and marked moments.
    pub report: plimsoll_load::Report,
}

/// What an experiment has shown about one promise.
#[derive(Debug, Clone, Serialize)]
pub struct Proof {
    /// The promise's name.
    pub promise: String,
    /// Its kind, as in the file.
    pub kind: String,
    /// Its line in the file.
    pub line: Option<u32>,
    /// What is promised, as a person reads it.
    pub target: String,
    /// What was measured; "" when nothing was.
    pub measured: String,
    /// How far on the good side of the target, as a share of it; negative on the bad side.
    pub margin: Option<f64>,
    /// Requests that the verdict rests on.
    pub requests: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Whether it's kept.
    pub verdict: Verdict,
    /// Why it's not held; "" if it is.
    pub why: String,
    /// What to do about it; "" if there is nothing.
    pub todo: String,
    /// What the experiment shows, and what it doesn't: one sentence.
    pub statement: String,
    /// Further figures.
    pub figures: Vec<Figure>,
    /// The load that was made.
    pub runs: Vec<Run>,
    /// How long it all took.
    #[serde(rename = "took_s", serialize_with = "seconds")]
    pub took: Duration,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e3).round() / 1e3)
}

/// What an experiment hands back; the promise's name, kind and target are added by the caller.
pub(crate) struct Shown {
    pub(crate) judgement: Judgement,
    pub(crate) statement: String,
    pub(crate) figures: Vec<Figure>,
    pub(crate) runs: Vec<Run>,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
}

/// A figure, short to write.
pub(crate) fn figure(name: &str, value: impl ToString) -> Figure {
    Figure { name: name.to_owned(), value: value.to_string() }
}

/// A time as a person reads it: three digits and the unit that suits.
pub(crate) fn time(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms if ms < 10_000.0 => format!("{:.2} s", ms / 1e3),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

/// Requests and failures of a run, and why they failed.
pub(crate) fn requests(name: &str, report: &plimsoll_load::Report) -> Figure {
    let mut value = failures_in_words(report.failed, report.asked);
    for (index, (cause, count)) in report.by_cause.iter().enumerate() {
        value.push_str(if index == 0 { ": " } else { ", " });
        value.push_str(&format!("{count} {cause}"));
    }
    if report.by_status.contains_key(&429) {
        value.push_str(" (429 is a rate limit's answer: this load is what the limit is there against)");
    }
    figure(name, value)
}

/// How the load generator itself did.
pub(crate) fn generator(report: &plimsoll_load::Report) -> Figure {
    let own = &report.generator;
    let mut value = format!("{} connections, {} requests released late", own.connections, own.late);
    if own.late > 0 {
        value.push_str(&format!(" (by {} at most)", time(own.late_most)));
    }
    if own.waited_for_connection > 0 {
        value.push_str(&format!(", {} waited because every connection was busy", own.waited_for_connection));
    }
    value.push_str(&format!(", CPU {}", time(own.cpu)));
    figure("load generator", value)
}

/// "0 failed in N" with what it's worth, or the count.
pub(crate) fn failures_in_words(failed: u64, asked: u64) -> String {
    if failed == 0 && asked > 0 {
        let bound = 3.0 / asked as f64 * 100.0;
        return format!("0 of {asked} failed (rate below 3/{asked} = {bound:.2} % at 95 %)");
    }
    format!("{failed} of {asked} failed")
}
