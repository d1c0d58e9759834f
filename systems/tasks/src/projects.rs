//! Projects in PostgreSQL, and who works in them.
//!
//! Invariant: a project's owner is one of its members; whoever is none of them does not learn that it is there.

use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Project {
    /// Never reused.
    pub id: Uuid,
    /// 1 to 100 characters.
    pub name: String,
    /// Who may add and remove members.
    pub owner: Uuid,
}

impl Project {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { id: row.try_get("id")?, name: row.try_get("name")?, owner: row.try_get("owner")? })
    }
}

/// Creates a project, whose owner is its first member.
///
/// # Errors
/// The database failed.
pub async fn create(transaction: &mut PgConnection, name: &str, owner: Uuid) -> Result<Project, sqlx::Error> {
    let project = Project { id: Uuid::now_v7(), name: name.to_owned(), owner };
    sqlx::query("INSERT INTO projects (id, name, owner) VALUES ($1, $2, $3)")
        .bind(project.id)
        .bind(name)
        .bind(owner)
        .execute(&mut *transaction)
        .await?;
    add(transaction, project.id, owner).await?;
    Ok(project)
}

/// Somebody's project; `None`: there is none, or they are no member.
///
/// # Errors
/// The database failed.
pub async fn of(connection: &mut PgConnection, id: Uuid, member: Uuid) -> Result<Option<Project>, sqlx::Error> {
    let sql = "SELECT p.id, p.name, p.owner FROM projects p JOIN members m ON m.project_id = p.id \
               WHERE p.id = $1 AND m.user_id = $2";
    let row = sqlx::query(sql).bind(id).bind(member).fetch_optional(connection).await?;
    row.as_ref().map(Project::read).transpose()
}

/// All projects of somebody, the newest first; at most `limit`.
///
/// # Errors
/// The database failed.
pub async fn all_of(pool: &PgPool, member: Uuid, limit: i64) -> Result<Vec<Project>, sqlx::Error> {
    let sql = "SELECT p.id, p.name, p.owner FROM projects p JOIN members m ON m.project_id = p.id \
               WHERE m.user_id = $1 ORDER BY p.id DESC LIMIT $2";
    sqlx::query(sql).bind(member).bind(limit).fetch_all(pool).await?.iter().map(Project::read).collect()
}

/// The members of a project.
///
/// # Errors
/// The database failed.
pub async fn members(pool: &PgPool, id: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar("SELECT user_id FROM members WHERE project_id = $1 ORDER BY user_id")
        .bind(id)
        .fetch_all(pool)
        .await
}

/// Is somebody a member?
///
/// # Errors
/// The database failed.
pub async fn has(connection: &mut PgConnection, id: Uuid, user: Uuid) -> Result<bool, sqlx::Error> {
    // Held, so that whoever gets a task is a member when it is committed.
    let sql = "SELECT 1 FROM members WHERE project_id = $1 AND user_id = $2 FOR SHARE";
    Ok(sqlx::query(sql).bind(id).bind(user).fetch_optional(connection).await?.is_some())
}

/// Adds a member; one that is there already stays. `false`: there is no such person.
///
/// # Errors
/// The database failed.
pub async fn add(connection: &mut PgConnection, id: Uuid, user: Uuid) -> Result<bool, sqlx::Error> {
    let sql = "INSERT INTO members (project_id, user_id) SELECT $1, id FROM users WHERE id = $2 \
               ON CONFLICT (project_id, user_id) DO UPDATE SET user_id = excluded.user_id";
    Ok(sqlx::query(sql).bind(id).bind(user).execute(connection).await?.rows_affected() == 1)
}

/// Removes a member, whose tasks are nobody's from then on.
///
/// # Errors
/// The database failed.
pub async fn remove(transaction: &mut PgConnection, id: Uuid, user: Uuid) -> Result<bool, sqlx::Error> {
    let sql = "DELETE FROM members WHERE project_id = $1 AND user_id = $2";
    let removed = sqlx::query(sql).bind(id).bind(user).execute(&mut *transaction).await?.rows_affected() == 1;
    let sql = "UPDATE tasks SET assignee = NULL, version = version + 1, updated_at = now() \
               WHERE project_id = $1 AND assignee = $2";
    sqlx::query(sql).bind(id).bind(user).execute(transaction).await?;
    Ok(removed)
}
