//! Documents in PostgreSQL; the bytes are in [`plimsoll_kit::files`].

use plimsoll_kit::sessions::hex;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

/// So many can hang on one claim.
const DOCUMENTS_MAX: i64 = 20;

/// A document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Document {
    /// Never reused.
    pub(super) id: Uuid,
    /// As whoever brought it called it.
    pub(super) name: String,
    /// As whoever brought it said.
    pub(super) media_type: String,
    /// How long it is.
    pub(super) bytes: i64,
    /// Hexadecimal.
    pub(super) sha256: String,
}

/// A document to be.
#[derive(Debug, Clone)]
pub(super) struct New<'a> {
    /// Whose, and on which claim.
    pub(super) on: (Uuid, Uuid),
    /// Its id, under which the file lies already.
    pub(super) id: Uuid,
    /// Who brings it.
    pub(super) by: Uuid,
    /// What it is called, and of what kind it is.
    pub(super) named: (&'a str, &'a str),
    /// How long it is, and the hash of it.
    pub(super) content: (i64, &'a [u8]),
}

fn read(row: &PgRow) -> Result<Document, sqlx::Error> {
    Ok(Document {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        media_type: row.try_get("media_type")?,
        bytes: row.try_get("bytes")?,
        sha256: hex(row.try_get("sha256")?),
    })
}

/// Hangs one on a claim; `None`: too many hang there.
pub(super) async fn create(pool: &PgPool, new: &New<'_>) -> Result<Option<Document>, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    // Held, so that of two who bring the last one at once one comes too late.
    let sql = "SELECT id FROM claims WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE";
    sqlx::query(sql).bind(new.on.0).bind(new.on.1).fetch_optional(&mut *transaction).await?;
    let sql = "INSERT INTO documents (organization_id, claim_id, id, name, media_type, bytes, sha256, brought_by) \
               SELECT $1, $2, $3, $4, $5, $6, $7, $8 \
               WHERE (SELECT count(*) FROM documents WHERE organization_id = $1 AND claim_id = $2) < $9 RETURNING *";
    let row = sqlx::query(sql)
        .bind(new.on.0)
        .bind(new.on.1)
        .bind(new.id)
        .bind(new.named.0)
        .bind(new.named.1)
        .bind(new.content.0)
        .bind(new.content.1)
        .bind(new.by)
        .bind(DOCUMENTS_MAX)
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    row.as_ref().map(read).transpose()
}

/// The member whose claim it is; `None`: there is no such claim.
pub(super) async fn member_of(pool: &PgPool, organization: Uuid, claim: Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    let sql = "SELECT member_id FROM claims WHERE organization_id = $1 AND id = $2";
    sqlx::query_scalar(sql).bind(organization).bind(claim).fetch_optional(pool).await
}

/// What hangs on a claim, the oldest first.
pub(super) async fn of_claim(pool: &PgPool, organization: Uuid, claim: Uuid) -> Result<Vec<Document>, sqlx::Error> {
    let sql = "SELECT * FROM documents WHERE organization_id = $1 AND claim_id = $2 ORDER BY id";
    sqlx::query(sql).bind(organization).bind(claim).fetch_all(pool).await?.iter().map(read).collect()
}

/// The document of this id.
pub(super) async fn by_id(pool: &PgPool, organization: Uuid, id: Uuid) -> Result<Option<Document>, sqlx::Error> {
    let sql = "SELECT * FROM documents WHERE organization_id = $1 AND id = $2";
    sqlx::query(sql).bind(organization).bind(id).fetch_optional(pool).await?.as_ref().map(read).transpose()
}

/// Which of these ids a document has, in any shard.
pub(super) async fn known(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM documents WHERE id = ANY($1)").bind(ids).fetch_all(pool).await
}
