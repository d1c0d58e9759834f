//! What autoscaling knows beforehand: `schedules` (other bounds at certain hours) and `prediction`.

use crate::{
    diagnostic::shown,
    node::{Node, Value},
    reading::{Fields, Reading},
    section::{Foreign::Called, Section, Shape, key},
    suggest::nearest,
};
use plimsoll_model::{
    Millis,
    autoscaling::{Prediction, Schedule},
};

pub(crate) static SCHEDULE: Section = Section {
    name: "a schedule of autoscaling",
    keys: &[
        key("at", Shape::Text, "Daily, from that time on: \"08:00\"."),
        key("cron", Shape::Text, "From each of these moments on: minute, hour, day, month, weekday."),
        key("for", Shape::Duration, "How long it holds from then on."),
        key("timezone", Shape::Text, "A name of the IANA database. Default UTC."),
        key("minReplicas", Shape::Integer, "At least so many meanwhile. Default: as otherwise."),
        key("maxReplicas", Shape::Integer, "At most so many meanwhile. Default: as otherwise."),
    ],
    foreign: &[
        ("start", Called("write `cron: \"0 8 * * 1-5\"` or `at: \"08:00\"`")),
        ("end", Called("write how long it holds: `for: 10h`")),
        ("desiredReplicas", Called("write `minReplicas`")),
        ("replicas", Called("write `minReplicas`, and `maxReplicas` where it is to be exactly so many")),
    ],
};

pub(crate) static PREDICTION: Section = Section {
    name: "`prediction`",
    keys: &[
        key("weeks", Shape::Integer, "So many weeks back are looked at: 2 to 8. Default 4."),
        key("ahead", Shape::Duration, "Replicas are there so long before the need; at most 6h. Default 10m."),
    ],
    foreign: &[],
};

/// The time zone that is probably meant: one with nearly that name, or one of that place.
fn nearest_zone(name: &str) -> Option<String> {
    let zones = jiff::tz::db();
    let zones: Vec<String> = zones.available().map(|zone| zone.to_string()).collect();
    let same = |zone: &&String| zone.rsplit('/').next().is_some_and(|place| place.eq_ignore_ascii_case(name));
    let near = || nearest(name, zones.iter().map(String::as_str)).map(str::to_owned);
    zones.iter().find(same).cloned().or_else(near)
}

/// Longer than this nobody needs replicas beforehand.
const AHEAD_MAX: Millis = Millis::from_secs(6 * 3600);

impl Reading<'_, '_> {
    /// Reads `schedules`; `bounds` are the usual ones.
    pub(crate) fn schedules(&mut self, node: &Node, bounds: (u32, u32), autoscaling: &Fields<'_>) -> Vec<Schedule> {
        let path = autoscaling.path("schedules");
        let items = self.list(node, "[{ at: \"08:00\", for: 10h, minReplicas: 4 }]");
        items.iter().filter_map(|item| self.schedule_of_bounds(item, bounds, &path)).collect()
    }

    fn schedule_of_bounds(&mut self, node: &Node, (usual_min, usual_max): (u32, u32), path: &str) -> Option<Schedule> {
        let fields = self.fields(node, &SCHEDULE, path)?;
        let start = self.beginning(&fields);
        let hold = self.required(&fields, "for", "10h").and_then(|node| self.some_duration(node));
        let timezone = match fields.get("timezone") {
            Some(node) => self.timezone(node),
            None => Some("UTC".to_owned()),
        };
        let min = fields.get("minReplicas").and_then(|node| self.count(node, 0..=10_000));
        let max = fields.get("maxReplicas").and_then(|node| self.count(node, 1..=10_000));
        if fields.entry("minReplicas").or(fields.entry("maxReplicas")).is_none() {
            let help = "write `minReplicas`, `maxReplicas` or both";
            self.refuse("missing-key", fields.at, "this schedule changes no bound", help);
        }
        let (least, most) = (min.unwrap_or(usual_min), max.unwrap_or(usual_max));
        if least > most {
            let headline = format!("meanwhile `minReplicas` ({least}) is above `maxReplicas` ({most})");
            let (key, help) = match min {
                Some(_) => ("minReplicas", format!("write at least `maxReplicas: {least}` beside it")),
                None => ("maxReplicas", format!("write at most `minReplicas: {most}` beside it")),
            };
            self.refuse("min-over-max", fields.at(key), headline, help);
        }
        Some(Schedule { start: start?, hold: hold?, timezone: timezone?, min_replicas: min, max_replicas: max })
    }

    /// `at` or `cron`, as a cron expression.
    fn beginning(&mut self, fields: &Fields<'_>) -> Option<String> {
        match (fields.get("at"), fields.entry("cron")) {
            (Some(at), None) => {
                let minutes = self.time_of_day(at)?;
                Some(format!("{} {} * * *", minutes % 60, minutes / 60))
            }
            (None, Some(cron)) => self.cron(&cron.node),
            (Some(_), Some(cron)) => {
                self.refuse("two-owners", cron.key_at, "both `at` and `cron` say when", "keep one of them");
                None
            }
            (None, None) => {
                let help = "write `at: \"08:00\"` or `cron: \"0 8 * * 1-5\"`";
                self.refuse("missing-key", fields.at, "this schedule says no time", help);
                None
            }
        }
    }

    fn cron(&mut self, node: &Node) -> Option<String> {
        let text = self.some_text(node)?;
        let fields = text.split_whitespace().count();
        let why = match text.parse::<croner::Cron>() {
            Ok(cron) if fields == 5 => {
                let epoch = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
                if cron.find_next_occurrence(&epoch, false).is_ok() {
                    return Some(text);
                }
                "such a day never comes".to_owned()
            }
            Ok(_) => format!("it has {fields} fields, and five are wanted"),
            Err(error) => error.to_string(),
        };
        let found = self
            .error_at("schedule", node.at, format!("`{}` is not a cron expression", shown(&text)))
            .note(why)
            .help("write minute, hour, day, month and weekday, such as \"0 8 * * 1-5\"");
        self.push(found);
        None
    }

    fn timezone(&mut self, node: &Node) -> Option<String> {
        let name = self.some_text(node)?;
        if name != "UTC" && jiff::tz::TimeZone::get(&name).is_err() {
            let headline = format!("`{}` is not a time zone that this machine knows", shown(&name));
            let help = match nearest_zone(&name) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write an IANA name such as Asia/Kolkata, or leave it out for UTC".to_owned(),
            };
            self.refuse("schedule", node.at, headline, help);
            return None;
        }
        Some(name)
    }

    /// Reads `prediction`: `true`, or how it is done.
    pub(crate) fn prediction(&mut self, node: &Node, path: &str) -> Option<Prediction> {
        let usual = Prediction::default();
        if let Value::Scalar(_) = node.value {
            return self.boolean(node)?.then_some(usual);
        }
        let fields = self.fields(node, &PREDICTION, path)?;
        let weeks = fields.get("weeks").and_then(|node| self.count(node, 2..=8));
        let ahead = fields.get("ahead").and_then(|node| self.duration(node)).unwrap_or(usual.ahead);
        if ahead > AHEAD_MAX {
            let headline = format!("{ahead} ahead is out of range");
            self.refuse("out-of-range", fields.at("ahead"), headline, format!("write at most {AHEAD_MAX}"));
        }
        let weeks = weeks.and_then(|weeks| u8::try_from(weeks).ok()).unwrap_or(usual.weeks);
        Some(Prediction { weeks, ahead: ahead.min(AHEAD_MAX) })
    }
}
