//! What hangs on tasks, in PostgreSQL; the bytes are in [`plimsoll_kit::files`].

use plimsoll_kit::sessions::hex;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

/// So many can hang on one task.
pub const ATTACHMENTS_MAX: i64 = 50;

/// An attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Attachment {
    /// Never reused.
    pub id: Uuid,
    /// As whoever brought it called it.
    pub name: String,
    /// As whoever brought it said.
    pub media_type: String,
    /// How long it is.
    pub bytes: i64,
    /// Hexadecimal.
    pub sha256: String,
}

impl Attachment {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            media_type: row.try_get("media_type")?,
            bytes: row.try_get("bytes")?,
            sha256: hex(row.try_get("sha256")?),
        })
    }
}

/// What is to hang on a task.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// Its id, under which the file lies already.
    pub id: Uuid,
    /// The task.
    pub task: Uuid,
    /// Who brings it.
    pub by: Uuid,
    /// What it is called, and of what kind it is.
    pub named: (&'a str, &'a str),
    /// How long it is, and the hash of it.
    pub content: (i64, &'a [u8]),
}

/// Hangs one on a task that the caller holds; `None`: too many hang there.
///
/// # Errors
/// The database failed.
pub async fn create(transaction: &mut PgConnection, new: &New<'_>) -> Result<Option<Attachment>, sqlx::Error> {
    let sql = "INSERT INTO attachments (id, task_id, name, media_type, bytes, sha256, created_by) \
               SELECT $1, $2, $3, $4, $5, $6, $7 WHERE (SELECT count(*) FROM attachments WHERE task_id = $2) < $8 \
               RETURNING id, name, media_type, bytes, sha256";
    let row = sqlx::query(sql)
        .bind(new.id)
        .bind(new.task)
        .bind(new.named.0)
        .bind(new.named.1)
        .bind(new.content.0)
        .bind(new.content.1)
        .bind(new.by)
        .bind(ATTACHMENTS_MAX)
        .fetch_optional(transaction)
        .await?;
    row.as_ref().map(Attachment::read).transpose()
}

/// What hangs on a task, the oldest first.
///
/// # Errors
/// The database failed.
pub async fn of_task(pool: &PgPool, task: Uuid) -> Result<Vec<Attachment>, sqlx::Error> {
    let sql = "SELECT id, name, media_type, bytes, sha256 FROM attachments WHERE task_id = $1 ORDER BY id";
    sqlx::query(sql).bind(task).fetch_all(pool).await?.iter().map(Attachment::read).collect()
}

/// The attachment of this id.
///
/// # Errors
/// The database failed.
pub async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<Attachment>, sqlx::Error> {
    let sql = "SELECT id, name, media_type, bytes, sha256 FROM attachments WHERE id = $1";
    sqlx::query(sql).bind(id).fetch_optional(pool).await?.as_ref().map(Attachment::read).transpose()
}

/// Takes one from a task; `false`: it does not hang there. Its file goes with the next sweep.
///
/// # Errors
/// The database failed.
pub async fn delete(pool: &PgPool, task: Uuid, id: Uuid) -> Result<bool, sqlx::Error> {
    let sql = "DELETE FROM attachments WHERE id = $2 AND task_id = $1";
    Ok(sqlx::query(sql).bind(task).bind(id).execute(pool).await?.rows_affected() == 1)
}

/// Which of these ids an attachment has.
///
/// # Errors
/// The database failed.
pub async fn known(pool: &PgPool, ids: Vec<Uuid>) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM attachments WHERE id = ANY($1)").bind(ids).fetch_all(pool).await
}
