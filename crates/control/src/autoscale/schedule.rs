//! Bounds that change with the hour: a cron expression says when they begin, a length of time how long they hold.
//!
//! Invariant: what is in force at an instant depends on nothing but that instant.

use croner::Cron;
use jiff::{Timestamp, Zoned, tz::TimeZone};
use plimsoll_model::{Instant, autoscaling::Schedule as ScheduleSpec};

/// A schedule ready to be asked.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// As written.
    pub spec: ScheduleSpec,
    start: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// Reads a schedule; `None`: its expression or its time zone is none, or such a moment never comes. `spec` has refused
    /// those, and says why; what is left is a zone that this machine does not know any more.
    #[must_use]
    pub fn read(spec: ScheduleSpec) -> Option<Self> {
        let is_five = spec.start.split_whitespace().count() == 5;
        let start = spec.start.parse::<Cron>().ok().filter(|_| is_five)?;
        let zone = match spec.timezone.as_str() {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).ok()?,
        };
        let schedule = Self { start, zone, spec };
        // What never begins would be looked for to the end of time, at every decision.
        schedule.zoned(Instant(0)).and_then(|at| schedule.start.find_next_occurrence(&at, false).ok())?;
        Some(schedule)
    }

    /// Whether it is in force at `at`, and when that may change next (None: never again).
    #[must_use]
    pub fn at(&self, at: Instant) -> (bool, Option<Instant>) {
        let Some(now) = self.zoned(at) else { return (false, None) };
        let last = self.start.find_previous_occurrence(&now, true).ok().and_then(|zoned| instant(&zoned));
        let end = last.map(|start| start.after(self.spec.hold));
        match end.filter(|end| at < *end) {
            // Another beginning before this end prolongs it; that is seen when the end has come.
            Some(end) => (true, Some(end)),
            None => (false, self.start.find_next_occurrence(&now, false).ok().and_then(|zoned| instant(&zoned))),
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
    use plimsoll_model::Millis;

    fn spec(start: &str, hold_s: u64, zone: &str) -> ScheduleSpec {
        ScheduleSpec {
            start: start.into(),
            hold: Millis::from_secs(hold_s),
            timezone: zone.into(),
            min_replicas: Some(4),
            max_replicas: None,
        }
    }

    /// Ten hours from eight o'clock on working days; 2026-11-30 is a Monday.
    #[track_caller]
    fn check(zone: &str, at: &str, want: (bool, &str)) {
        let moment = |text: &str| Instant(text.parse::<Timestamp>().unwrap().as_microsecond() as u64);
        let got = Schedule::read(spec("0 8 * * 1-5", 36_000, zone)).unwrap().at(moment(at));
        assert_eq!(got, (want.0, Some(moment(want.1))));
    }

    #[test]
    fn holds_from_its_start_for_its_time() {
        check("UTC", "2026-11-30T07:59:59Z", (false, "2026-11-30T08:00:00Z"));
        check("UTC", "2026-11-30T08:00:00Z", (true, "2026-11-30T18:00:00Z"));
        check("UTC", "2026-11-30T17:59:59.999Z", (true, "2026-11-30T18:00:00Z"));
        check("UTC", "2026-11-30T18:00:00Z", (false, "2026-12-01T08:00:00Z"));
        check("UTC", "2026-11-28T12:00:00Z", (false, "2026-11-30T08:00:00Z"));
    }

    #[test]
    fn a_longer_time_than_between_two_beginnings_is_always_in_force() {
        let schedule = Schedule::read(spec("0 * * * *", 7200, "UTC")).unwrap();
        for minute in 0..300 {
            let at = Instant(1_800_000_000_000_000 + minute * 60_000_000);
            let (holds, until) = schedule.at(at);
            assert!(holds && until.is_some_and(|until| until > at));
        }
    }

    #[test]
    fn a_mistake_is_no_schedule() {
        let wrong = |start: &str, zone: &str| Schedule::read(spec(start, 60, zone)).is_none();
        assert!(wrong("soon", "UTC"));
        assert!(wrong("0 0 8 * * *", "UTC"));
        assert!(wrong("0 8 30 2 *", "UTC"));
        assert!(wrong("0 8 * * *", "Moon/Base"));
    }
}
