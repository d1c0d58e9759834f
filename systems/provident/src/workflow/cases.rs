//! Cases in PostgreSQL.
//!
//! Invariant: a step and what it makes known are one transaction; that no step is taken twice, and no two by one person, the
//! database says, too.

use super::steps::{Act, Case, Refusal, State, step};
use crate::access::SignedIn;
use crate::events::{CASES, Decided};
use plimsoll_kit::outbox;
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

/// A case to be opened.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) id: Uuid,
    pub(super) organization: Uuid,
    pub(super) member: Uuid,
    pub(super) by: Uuid,
    pub(super) kind: String,
    pub(super) amount_paise: i64,
}

/// A case as it is shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Shown {
    /// The claim's.
    pub(super) id: Uuid,
    pub(super) organization: Uuid,
    pub(super) member: Uuid,
    /// `advance`, `settlement` or `pension`.
    pub(super) kind: String,
    pub(super) amount_paise: i64,
    /// `opened`, `verified`, `approved`, `granted`, `rejected` or `withdrawn`.
    pub(super) state: String,
}

/// Something that was done.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Done {
    /// `verify`, `approve`, `sanction`, `reject` or `withdraw`.
    act: String,
    by: Uuid,
    note: String,
    /// UTC, RFC 3339.
    at: String,
}

/// Opens a case, once.
pub(super) async fn open(transaction: &mut PgConnection, opened: &Opened) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO cases (id, organization_id, member_id, opened_by, kind, amount_paise) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let opening = sqlx::query(sql).bind(opened.id).bind(opened.organization).bind(opened.member).bind(opened.by);
    opening.bind(&opened.kind).bind(opened.amount_paise).execute(transaction).await.map(drop)
}

/// Does something with a case; `None`: there is no such case.
pub(super) async fn act(
    transaction: &mut PgConnection,
    id: Uuid,
    act: Act,
    (who, note): (&SignedIn, &str),
) -> Result<Option<Result<State, Refusal>>, sqlx::Error> {
    let sql = "SELECT state, organization_id, opened_by, \
                 ARRAY(SELECT by FROM acts WHERE case_id = cases.id) AS acted FROM cases WHERE id = $1 FOR UPDATE";
    let Some(row) = sqlx::query(sql).bind(id).fetch_optional(&mut *transaction).await? else { return Ok(None) };
    let case = Case {
        state: State::parse(row.try_get("state")?).ok_or(sqlx::Error::RowNotFound)?,
        organization: row.try_get("organization_id")?,
        opened_by: row.try_get("opened_by")?,
        acted: row.try_get("acted")?,
    };
    let next = match step(&case, act, who) {
        Ok(next) => next,
        Err(refusal) => return Ok(Some(Err(refusal))),
    };
    let sql = "INSERT INTO acts (case_id, act, by, note) VALUES ($1, $2, $3, $4)";
    sqlx::query(sql).bind(id).bind(act.word()).bind(who.user).bind(note).execute(&mut *transaction).await?;
    let sql = "UPDATE cases SET state = $2 WHERE id = $1";
    sqlx::query(sql).bind(id).bind(next.word()).execute(&mut *transaction).await?;
    if next.is_last() {
        let why = if next == State::Granted { String::new() } else { next.word().to_owned() };
        let decided = Decided { claim: id, organization: case.organization, granted: next == State::Granted, why };
        outbox::write(transaction, CASES, &decided).await?;
    }
    Ok(Some(Ok(next)))
}

fn read(row: &PgRow) -> Result<Shown, sqlx::Error> {
    Ok(Shown {
        id: row.try_get("id")?,
        organization: row.try_get("organization_id")?,
        member: row.try_get("member_id")?,
        kind: row.try_get("kind")?,
        amount_paise: row.try_get("amount_paise")?,
        state: row.try_get("state")?,
    })
}

/// The case of this id.
pub(super) async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<Shown>, sqlx::Error> {
    sqlx::query("SELECT * FROM cases WHERE id = $1").bind(id).fetch_optional(pool).await?.as_ref().map(read).transpose()
}

/// What was done with a case, in order.
pub(super) async fn history(pool: &PgPool, id: Uuid) -> Result<Vec<Done>, sqlx::Error> {
    let sql = "SELECT act, by, note, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS at \
               FROM acts WHERE case_id = $1 ORDER BY seq";
    let rows = sqlx::query(sql).bind(id).fetch_all(pool).await?;
    let done = |row: &PgRow| {
        let (act, by) = (row.try_get("act")?, row.try_get("by")?);
        Ok(Done { act, by, note: row.try_get("note")?, at: row.try_get("at")? })
    };
    rows.iter().map(done).collect()
}

/// Cases in a state (`None`: in any) of an organization (`None`: of all) and a member (`None`: of all), the oldest first,
/// from after `after` on; at most `limit`.
pub(super) async fn list(
    pool: &PgPool,
    state: Option<&str>,
    (organization, member): (Option<Uuid>, Option<Uuid>),
    (after, limit): (Uuid, i64),
) -> Result<Vec<Shown>, sqlx::Error> {
    let sql = "SELECT * FROM cases WHERE ($1::text IS NULL OR state = $1) AND ($2::uuid IS NULL OR organization_id = $2) \
                 AND ($3::uuid IS NULL OR member_id = $3) AND id > $4 ORDER BY id LIMIT $5";
    let listed = sqlx::query(sql).bind(state).bind(organization).bind(member).bind(after).bind(limit);
    listed.fetch_all(pool).await?.iter().map(read).collect()
}
