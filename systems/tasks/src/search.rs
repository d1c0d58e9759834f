//! Finding tasks: by project, words, status, whose they are, and when they are due; in pages that stay right while others
//! write, the newest first.

use crate::tasks::{COLUMNS, Status, Task, moment};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Postgres, QueryBuilder};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const PAGE_DEFAULT: i64 = 50;
const PAGE_MAX: i64 = 200;
/// Each word is a look into the index.
const WORDS_MAX: usize = 8;

/// Which tasks, of all that one may see.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this project.
    pub project: Option<Uuid>,
    /// Words, at most eight, each of which stands in the title or the description.
    #[serde(default)]
    pub query: String,
    /// `open`, `doing` or `done`.
    #[serde(default)]
    pub status: String,
    /// Somebody's id, or `me`.
    #[serde(default)]
    pub assignee: String,
    /// Only due before this moment, RFC 3339.
    #[serde(default)]
    pub due_before: String,
    /// `next` of the page before.
    pub after: Option<Uuid>,
    /// 1 to 200; default 50.
    pub limit: Option<i64>,
}

/// A page of tasks.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page {
    /// The newest first.
    pub tasks: Vec<Task>,
    /// `after` of the next page; null on the last.
    pub next: Option<Uuid>,
}

/// A page was not found.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// A sentence for whoever asked.
    #[error("{0}")]
    Mistake(&'static str),
    /// Try again.
    #[error("cannot read tasks")]
    Database(#[from] sqlx::Error),
}

impl Filter {
    /// Adds ` AND …` for each part that is given.
    fn narrow(&self, me: Uuid, sql: &mut QueryBuilder<Postgres>) -> Result<(), &'static str> {
        if self.query.split_whitespace().count() > WORDS_MAX {
            return Err("query has at most eight words.");
        }
        if let Some(project) = self.project {
            sql.push(" AND t.project_id = ").push_bind(project);
        }
        for word in self.query.to_lowercase().split_whitespace() {
            let pattern = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            sql.push(" AND t.search LIKE ").push_bind(format!("%{pattern}%"));
        }
        if !self.status.is_empty() {
            let status = Status::parse(&self.status).ok_or("status is open, doing or done.")?;
            sql.push(" AND t.status = ").push_bind(status.word());
        }
        if !self.assignee.is_empty() {
            let assignee = if self.assignee == "me" { Some(me) } else { self.assignee.parse().ok() };
            sql.push(" AND t.assignee = ").push_bind(assignee.ok_or("assignee is an id or me.")?);
        }
        if !self.due_before.is_empty() {
            let before = moment(&self.due_before).ok_or("due_before is a moment as in RFC 3339.")?;
            sql.push(" AND t.due_at < ").push_bind(before).push("::text::timestamptz");
        }
        if let Some(after) = self.after {
            sql.push(" AND t.id < ").push_bind(after);
        }
        Ok(())
    }
}

/// The tasks of a page, of those that `me` may see.
///
/// # Errors
/// A filter makes no sense, or the database failed.
pub async fn page(pool: &PgPool, me: Uuid, filter: &Filter) -> Result<Page, SearchError> {
    let limit = filter.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let mut sql = QueryBuilder::<Postgres>::new(format!(
        "SELECT {COLUMNS} FROM tasks t WHERE t.project_id IN (SELECT project_id FROM members WHERE user_id = "
    ));
    sql.push_bind(me).push(")");
    filter.narrow(me, &mut sql).map_err(SearchError::Mistake)?;
    sql.push(" ORDER BY t.id DESC LIMIT ").push_bind(limit + 1);
    let rows = sql.build().fetch_all(pool).await?;
    let mut tasks = rows.iter().map(Task::read).collect::<Result<Vec<_>, _>>()?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = tasks.len() > shown;
    tasks.truncate(shown);
    let next = tasks.last().filter(|_| more).map(|task| task.id);
    Ok(Page { tasks, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_in_a_word_stand_for_themselves() {
        let mut sql = QueryBuilder::<Postgres>::new("x");
        let filter = Filter { query: "50% Off".into(), status: "open".into(), ..Filter::default() };
        assert_eq!(filter.narrow(Uuid::nil(), &mut sql), Ok(()));
        assert_eq!(sql.sql().as_str(), "x AND t.search LIKE $1 AND t.search LIKE $2 AND t.status = $3");
    }
}
