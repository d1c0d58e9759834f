//! Tasks in PostgreSQL.
//!
//! Invariant: every change raises `version` by one, and happens only to the version that the caller has seen. A task is
//! somebody's only while they are a member of its project.

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) const COLUMNS: &str = "t.id, t.version, t.project_id, t.title, t.description, t.status, t.assignee, \
    to_char(t.due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS due_at, t.created_by, \
    to_char(t.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS updated_at";
const TITLE_CHARS_MAX: usize = 200;
const DESCRIPTION_CHARS_MAX: usize = 10_000;

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nobody has begun.
    Open,
    /// Somebody is at it.
    Doing,
    /// Nobody is reminded of it any more.
    Done,
}

impl Status {
    /// As it is stored.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Doing => "doing",
            Self::Done => "done",
        }
    }

    /// `None`: there is no such status.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Open, Self::Doing, Self::Done].into_iter().find(|status| status.word() == word)
    }
}

/// What can be said of a task, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// 1 to 200 characters.
    pub title: String,
    /// At most 10,000 characters.
    #[serde(default)]
    pub description: String,
    /// How far it is.
    #[serde(default = "open")]
    pub status: Status,
    /// Whose it is: a member of the project, or nobody's.
    #[serde(default)]
    pub assignee: Option<Uuid>,
    /// When it is to be done, RFC 3339.
    #[serde(default)]
    pub due_at: Option<String>,
}

fn open() -> Status {
    Status::Open
}

impl Draft {
    /// The draft in the form in which it is kept.
    ///
    /// # Errors
    /// A sentence: a field cannot be taken.
    pub fn checked(self) -> Result<Self, &'static str> {
        let title = self.title.trim().to_owned();
        if !(1..=TITLE_CHARS_MAX).contains(&title.chars().count()) || title.chars().any(char::is_control) {
            return Err("title has 1 to 200 characters, on one line.");
        }
        if self.description.chars().count() > DESCRIPTION_CHARS_MAX || self.description.contains('\0') {
            return Err("description has at most 10,000 characters.");
        }
        let due_at = match &self.due_at {
            None => None,
            Some(text) => Some(moment(text).ok_or("due_at is a moment as in RFC 3339.")?),
        };
        Ok(Self { title, due_at, ..self })
    }
}

/// A moment as we write it, in UTC; `None`: it is none.
pub(crate) fn moment(text: &str) -> Option<String> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    // PostgreSQL knows no more of a second than its millionth part.
    Some(format!("{moment:.6}"))
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Never reused.
    pub id: Uuid,
    /// Grows by one with every change; the number in its entity tag.
    pub version: i64,
    /// The project that it is of.
    pub project: Uuid,
    /// What was said of it.
    #[serde(flatten)]
    pub draft: Draft,
    /// Who created it.
    pub created_by: Option<Uuid>,
    /// UTC, RFC 3339.
    pub updated_at: String,
}

impl Task {
    pub(crate) fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let status: &str = row.try_get("status")?;
        Ok(Self {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            project: row.try_get("project_id")?,
            draft: Draft {
                title: row.try_get("title")?,
                description: row.try_get("description")?,
                status: Status::parse(status)
                    .ok_or_else(|| sqlx::Error::Decode(format!("no status {status}").into()))?,
                assignee: row.try_get("assignee")?,
                due_at: row.try_get("due_at")?,
            },
            created_by: row.try_get("created_by")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// Creates a task.
///
/// # Errors
/// The database failed.
pub async fn create(
    transaction: &mut PgConnection,
    project: Uuid,
    draft: &Draft,
    by: Uuid,
) -> Result<Task, sqlx::Error> {
    let sql = format!(
        "INSERT INTO tasks AS t (id, project_id, title, description, status, assignee, due_at, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7::text::timestamptz, $8) RETURNING {COLUMNS}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(Uuid::now_v7())
        .bind(project)
        .bind(&draft.title)
        .bind(&draft.description)
        .bind(draft.status.word())
        .bind(draft.assignee)
        .bind(&draft.due_at)
        .bind(by)
        .fetch_one(transaction)
        .await?;
    Task::read(&row)
}

/// A task that a member may see; `None`: there is none, or they are no member.
///
/// # Errors
/// The database failed.
pub async fn of(pool: &PgPool, id: Uuid, member: Uuid) -> Result<Option<Task>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tasks t JOIN members m ON m.project_id = t.project_id WHERE t.id = $1 AND m.user_id = $2"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).bind(member).fetch_optional(pool).await?;
    row.as_ref().map(Task::read).transpose()
}

/// As [`of`], and nobody else can change it until the transaction ends.
///
/// # Errors
/// The database failed.
pub async fn hold(transaction: &mut PgConnection, id: Uuid, member: Uuid) -> Result<Option<Task>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM tasks t JOIN members m ON m.project_id = t.project_id \
         WHERE t.id = $1 AND m.user_id = $2 FOR UPDATE OF t"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).bind(member).fetch_optional(transaction).await?;
    row.as_ref().map(Task::read).transpose()
}

/// Replaces what is said of a task that the caller holds.
///
/// # Errors
/// The database failed.
pub async fn replace(transaction: &mut PgConnection, id: Uuid, draft: &Draft) -> Result<Task, sqlx::Error> {
    let sql = format!(
        "UPDATE tasks AS t SET version = version + 1, title = $2, description = $3, status = $4, assignee = $5, \
           due_at = $6::text::timestamptz, updated_at = now() WHERE id = $1 RETURNING {COLUMNS}"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(&draft.title)
        .bind(&draft.description)
        .bind(draft.status.word())
        .bind(draft.assignee)
        .bind(&draft.due_at)
        .fetch_one(transaction)
        .await?;
    Task::read(&row)
}

/// Deletes a task that the caller holds.
///
/// # Errors
/// The database failed.
pub async fn delete(transaction: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM tasks WHERE id = $1").bind(id).execute(transaction).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(draft: serde_json::Value, taken: bool) {
        let read = serde_json::from_value::<Draft>(draft.clone()).map_err(|why| why.to_string());
        assert_eq!(read.is_ok_and(|read| read.checked().is_ok()), taken, "{draft}");
    }

    #[test]
    fn drafts_that_cannot_be_kept_are_refused() {
        check(json!({ "title": " Caulk the hull " }), true);
        check(json!({ "title": "x", "due_at": "2026-12-24T18:00:00+01:00", "status": "doing" }), true);
        check(json!({ "title": "  " }), false);
        check(json!({ "title": "two\nlines" }), false);
        check(json!({ "title": "x", "due_at": "tomorrow" }), false);
        check(json!({ "title": "x", "status": "gone" }), false);
        check(json!({ "title": "x", "colour": "red" }), false);
        assert_eq!(moment("2026-12-24T18:00:00+01:00").as_deref(), Some("2026-12-24T17:00:00.000000Z"));
    }
}
