//! Bounds that change with the hour: cron expressions, as KEDA's cron scaler has them.
//!
//! Invariant: what is in force at an instant depends on nothing but that instant.

use croner::Cron;
use jiff::{Timestamp, Zoned, tz::TimeZone};
use plimsoll_model::Instant;
use serde::{Deserialize, Serialize};

/// One time in which other bounds hold, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleSpec {
    /// When it begins: five fields, minute first.
    pub start: String,
    /// When it ends.
    pub end: String,
    /// IANA name; UTC when there is none.
    #[serde(default = "utc")]
    pub timezone: String,
    /// Not fewer meanwhile. None: the usual bound.
    #[serde(default)]
    pub min_replicas: Option<u32>,
    /// Not more meanwhile. None: the usual bound.
    #[serde(default)]
    pub max_replicas: Option<u32>,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A schedule ready to be asked.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// As written.
    pub spec: ScheduleSpec,
    start: Cron,
    end: Cron,
    zone: TimeZone,
}

/// A schedule that cannot be understood. Fix the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASchedule {
    /// Not a cron expression.
    #[error("`{0}` is not a cron expression: write minute, hour, day, month and weekday, such as `0 8 * * 1-5`")]
    Cron(String),
    /// Not a time zone of the IANA database.
    #[error("`{0}` is not a time zone: write an IANA name such as Asia/Kolkata")]
    Zone(String),
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// One of its expressions, or its time zone, is not one.
    pub fn try_new(spec: ScheduleSpec) -> Result<Self, NotASchedule> {
        let cron = |text: &str| text.parse::<Cron>().map_err(|_| NotASchedule::Cron(text.to_owned()));
        let zone = match spec.timezone.as_str() {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| NotASchedule::Zone(name.to_owned()))?,
        };
        Ok(Self { start: cron(&spec.start)?, end: cron(&spec.end)?, zone, spec })
    }

    /// Whether it is in force at `at`, and when that changes next (None: never again).
    #[must_use]
    pub fn at(&self, at: Instant) -> (bool, Option<Instant>) {
        let Some(now) = self.zoned(at) else { return (false, None) };
        let next = |cron: &Cron| cron.find_next_occurrence(&now, false).ok().and_then(|zoned| instant(&zoned));
        match (next(&self.start), next(&self.end)) {
            // In force when the end comes before the next beginning.
            (Some(start), Some(end)) => (end < start, Some(start.min(end))),
            (None, Some(end)) => (true, Some(end)),
            (Some(start), None) => (false, Some(start)),
            (None, None) => (false, None),
        }
    }

    fn zoned(&self, at: Instant) -> Option<Zoned> {
        let timestamp = Timestamp::from_microsecond(i64::try_from(at.0).ok()?).ok()?;
        Some(timestamp.to_zoned(self.zone.clone()))
    }
}

fn instant(zoned: &Zoned) -> Option<Instant> {
    u64::try_from(zoned.timestamp().as_microsecond()).ok().map(Instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-30 is a Monday.
    #[track_caller]
    fn check(zone: &str, at: &str, want: (bool, &str)) {
        let spec = ScheduleSpec {
            start: "0 8 * * 1-5".into(),
            end: "0 18 * * 1-5".into(),
            timezone: zone.into(),
            min_replicas: Some(4),
            max_replicas: None,
        };
        let moment = |text: &str| Instant(text.parse::<Timestamp>().unwrap().as_microsecond() as u64);
        let got = Schedule::try_new(spec).unwrap().at(moment(at));
        assert_eq!(got, (want.0, Some(moment(want.1))));
    }

    #[test]
    fn holds_from_its_start_to_its_end() {
        check("UTC", "2026-11-30T07:59:59Z", (false, "2026-11-30T08:00:00Z"));
        check("UTC", "2026-11-30T08:00:00Z", (true, "2026-11-30T18:00:00Z"));
        check("UTC", "2026-11-30T18:00:00Z", (false, "2026-12-01T08:00:00Z"));
        check("UTC", "2026-11-28T12:00:00Z", (false, "2026-11-30T08:00:00Z"));
    }

    #[test]
    fn a_mistake_is_named() {
        let spec = |start: &str, timezone: &str| ScheduleSpec {
            start: start.into(),
            end: "0 18 * * *".into(),
            timezone: timezone.into(),
            min_replicas: None,
            max_replicas: None,
        };
        assert_eq!(Schedule::try_new(spec("soon", "UTC")).unwrap_err(), NotASchedule::Cron("soon".into()));
        assert_eq!(
            Schedule::try_new(spec("0 8 * * *", "Moon/Base")).unwrap_err(),
            NotASchedule::Zone("Moon/Base".into())
        );
    }
}
