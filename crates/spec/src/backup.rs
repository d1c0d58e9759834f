//! Backups of a store.

use crate::{
    diagnostic::shown,
    node::Node,
    reading::Reading,
    section::{
        Foreign::{Called, Later},
        Section, Shape, key,
    },
};
use plimsoll_model::store::{Backup, Schedule};

pub(crate) static BACKUP: Section = Section {
    name: "`backup`",
    keys: &[
        key("full", Shape::Map(&SCHEDULE), "When full backups are made."),
        key("incremental", Shape::Map(&SCHEDULE), "When incremental ones are made."),
        key("pointInTime", Shape::Duration, "Logs are archived, so that any moment in this window can be restored."),
        key("retain", Shape::Map(&RETAIN), "How long backups are kept."),
        key("to", Shape::Text, "Where to: file:FOLDER, s3://BUCKET/PREFIX."),
    ],
    foreign: &[
        ("schedule", Called("write `full: { at: \"02:00\" }` or `full: { every: 6h }`")),
        ("retention", Called("write `retain: { daily: 30d }`")),
        ("encryption", Later("use an encrypted file system until then")),
        ("verify", Later("restore one by hand until then")),
    ],
};

static SCHEDULE: Section = Section {
    name: "a schedule",
    keys: &[
        key("at", Shape::Text, "Daily, at that time: \"02:00\"."),
        key("every", Shape::Duration, "Every so often: 4h."),
    ],
    foreign: &[("cron", Later("write `at: \"02:00\"` or `every: 6h`"))],
};

static RETAIN: Section = Section {
    name: "`retain`",
    keys: &[
        key("daily", Shape::Duration, "The daily ones."),
        key("weekly", Shape::Duration, "One of each week."),
        key("monthly", Shape::Duration, "One of each month."),
        key("yearly", Shape::Duration, "One of each year."),
    ],
    foreign: &[],
};

impl Reading<'_, '_> {
    /// Reads `backup`.
    pub(crate) fn backup(&mut self, node: &Node, path: &str) -> Option<Backup> {
        let fields = self.fields(node, &BACKUP, path)?;
        let mut retain = Vec::new();
        if let Some(kept) = fields.get("retain").and_then(|node| self.fields(node, &RETAIN, &fields.path("retain"))) {
            for class in ["daily", "weekly", "monthly", "yearly"] {
                let time = kept.get(class).and_then(|node| self.some_duration(node));
                retain.extend(time.map(|time| (class.to_owned(), time)));
            }
        }
        let backup = Backup {
            full: fields.get("full").and_then(|node| self.schedule(node, &fields.path("full"))),
            incremental: fields.get("incremental").and_then(|node| self.schedule(node, &fields.path("incremental"))),
            point_in_time: fields.get("pointInTime").and_then(|node| self.some_duration(node)),
            retain,
            to: fields.get("to").and_then(|node| self.backup_target(node)),
        };
        if backup.full.is_none() && fields.entry("full").is_none() {
            for key in ["incremental", "pointInTime"].into_iter().filter(|key| fields.entry(key).is_some()) {
                let headline = format!("`{key}` needs full backups to build on");
                self.refuse("missing-key", fields.at(key), headline, "write `full: { at: \"02:00\" }`");
            }
        }
        Some(backup)
    }

    fn schedule(&mut self, node: &Node, path: &str) -> Option<Schedule> {
        let fields = self.fields(node, &SCHEDULE, path)?;
        match (fields.get("at"), fields.entry("every")) {
            (Some(at), None) => self.time_of_day(at).map(Schedule::At),
            (None, Some(every)) => self.some_duration(&every.node).map(Schedule::Every),
            (None, None) => {
                let help = "write `{ at: \"02:00\" }` or `{ every: 6h }`";
                self.refuse("missing-key", node.at, "this schedule says no time", help);
                None
            }
            (Some(_), Some(every)) => {
                self.refuse("two-owners", every.key_at, "both `at` and `every` say when", "keep one of them");
                None
            }
        }
    }

    fn backup_target(&mut self, node: &Node) -> Option<String> {
        let to = self.some_text(node)?;
        let is_known =
            ["file:", "s3://"].iter().any(|scheme| to.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        if !is_known {
            let headline = format!("`{}` is no place for backups", shown(&to));
            self.refuse("wrong-type", node.at, headline, "write `file:FOLDER` or `s3://BUCKET/PREFIX`");
            return None;
        }
        Some(to)
    }
}
