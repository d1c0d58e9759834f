//! Filings in PostgreSQL: taken as a whole, once.
//!
//! Invariant: a filing, its lines and what it books are one transaction; an organization has one filing a month, and the
//! same one sent again changes nothing.

use crate::filing::{self, Line, Mistake};
use crate::ledger::{self, Account, Entry, Kind, Posting};
use crate::members;
use crate::month::Month;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

/// Whoever files holds it shared, and whoever closes a year alone: nothing is filed for a year while it is closed.
pub(crate) const CLOSING: i64 = 0x636c_6f73;

/// A filing that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Filing {
    /// Whose.
    pub organization: Uuid,
    /// For this month.
    pub month: String,
    /// So many members.
    pub lines: i32,
    /// What is paid in, in paise.
    pub total_paise: i64,
    /// What it is booked as.
    pub transaction: Uuid,
}

/// What became of a filing.
#[derive(Debug)]
pub enum Filed {
    /// It is taken.
    New(Filing),
    /// It was taken before.
    Known(Filing),
    /// Another one was taken for this month.
    Another(Filing),
    /// It is not right.
    Wrong(Vec<Mistake>),
    /// The year's interest is credited, so that nothing can be filed for it any more.
    Closed,
    /// The month has not come yet.
    Early,
}

/// A filing as it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// Whose.
    pub organization: Uuid,
    /// For this month.
    pub month: Month,
    /// Who sends it.
    pub by: Uuid,
    /// What it says.
    pub text: &'a str,
    /// The total that it says it has, in paise.
    pub total: i64,
}

/// Takes a filing, or says why not.
///
/// # Errors
/// The database failed; nothing is taken.
pub async fn file(pool: &PgPool, sent: &Sent<'_>) -> Result<Filed, sqlx::Error> {
    let sha256 = Sha256::digest(sent.text).to_vec();
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(CLOSING).execute(&mut *transaction).await?;
    if let Some((known, hash)) = find(&mut transaction, sent.organization, sent.month).await? {
        return Ok(if hash == sha256 { Filed::Known(known) } else { Filed::Another(known) });
    }
    if sent.month > Month::current(&mut transaction).await? {
        return Ok(Filed::Early);
    }
    let closed = "SELECT EXISTS (SELECT FROM interest_years WHERE year >= $1)";
    if sqlx::query_scalar(closed).bind(sent.month.year()).fetch_one(&mut *transaction).await? {
        return Ok(Filed::Closed);
    }
    let members = members::by_number(&mut transaction, sent.organization).await?;
    let lines = match filing::check(sent.text, &members, sent.total) {
        Ok(lines) => lines,
        Err(mistakes) => return Ok(Filed::Wrong(mistakes)),
    };
    let Some(filing) = write(&mut transaction, sent, &sha256, &lines).await? else {
        // Somebody else was quicker; what they filed can be seen now.
        drop(transaction);
        let found = find(&mut *pool.acquire().await?, sent.organization, sent.month).await?;
        let (known, hash) = found.ok_or(sqlx::Error::RowNotFound)?;
        return Ok(if hash == sha256 { Filed::Known(known) } else { Filed::Another(known) });
    };
    transaction.commit().await?;
    Ok(Filed::New(filing))
}

/// Writes filing, lines and entries; `None`: there is one for this month.
async fn write(
    transaction: &mut PgConnection,
    sent: &Sent<'_>,
    sha256: &[u8],
    lines: &[Line],
) -> Result<Option<Filing>, sqlx::Error> {
    let id = Uuid::now_v7();
    let total: i64 = lines.iter().map(|line| line.due.total()).sum();
    let count = i32::try_from(lines.len()).unwrap_or(i32::MAX);
    let created = sqlx::query(
        "INSERT INTO filings (organization_id, month, sha256, lines, total_paise, transaction_id, filed_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(sent.organization)
    .bind(sent.month.0)
    .bind(sha256)
    .bind(count)
    .bind(total)
    .bind(id)
    .bind(sent.by)
    .execute(&mut *transaction)
    .await?;
    if created.rows_affected() == 0 {
        return Ok(None);
    }
    write_lines(transaction, sent, lines).await?;
    let mut entries: Vec<Entry> = Vec::with_capacity(3 * lines.len() + 1);
    for Line { member, due, .. } in lines {
        entries.push((Account::Employee(*member), due.employee));
        entries.push((Account::Employer(*member), due.employer));
        entries.push((Account::Pension(*member), due.pension));
    }
    entries.push((Account::Received, -total));
    let (organization, reference) = (sent.organization, sent.month.to_string());
    let kind = Kind::Contribution;
    let posting = Posting { organization, kind, reference: &reference, month: sent.month, entries: &entries };
    ledger::book(transaction, id, &posting).await?;
    let month = reference.clone();
    Ok(Some(Filing { organization, month, lines: count, total_paise: total, transaction: id }))
}

async fn write_lines(transaction: &mut PgConnection, sent: &Sent<'_>, lines: &[Line]) -> Result<(), sqlx::Error> {
    let each = |part: fn(&Line) -> i64| lines.iter().map(part).collect::<Vec<i64>>();
    let numbers: Vec<i32> = lines.iter().map(|line| i32::try_from(line.line).unwrap_or(i32::MAX)).collect();
    let members: Vec<Uuid> = lines.iter().map(|line| line.member).collect();
    sqlx::query(
        "INSERT INTO filing_lines (organization_id, month, line, member_id, wage_paise, employee_paise, employer_paise, \
           pension_paise) \
         SELECT $1, $2, * FROM unnest($3::integer[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])",
    )
    .bind(sent.organization)
    .bind(sent.month.0)
    .bind(numbers)
    .bind(members)
    .bind(each(|line| line.wage))
    .bind(each(|line| line.due.employee))
    .bind(each(|line| line.due.employer))
    .bind(each(|line| line.due.pension))
    .execute(transaction)
    .await
    .map(drop)
}

const COLUMNS: &str = "organization_id, month, lines, total_paise, transaction_id, sha256";

fn read(row: &sqlx::postgres::PgRow) -> Result<(Filing, Vec<u8>), sqlx::Error> {
    let filing = Filing {
        organization: row.try_get("organization_id")?,
        month: Month(row.try_get("month")?).to_string(),
        lines: row.try_get("lines")?,
        total_paise: row.try_get("total_paise")?,
        transaction: row.try_get("transaction_id")?,
    };
    Ok((filing, row.try_get("sha256")?))
}

async fn find(
    connection: &mut PgConnection,
    organization: Uuid,
    month: Month,
) -> Result<Option<(Filing, Vec<u8>)>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM filings WHERE organization_id = $1 AND month = $2");
    let found = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(organization).bind(month.0);
    found.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// What an organization filed, the latest month first; at most `limit`.
///
/// # Errors
/// The database failed.
pub async fn list(pool: &PgPool, organization: Uuid, limit: i64) -> Result<Vec<Filing>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM filings WHERE organization_id = $1 ORDER BY month DESC LIMIT $2");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(organization).bind(limit).fetch_all(pool).await?;
    rows.iter().map(|row| read(row).map(|(filing, _)| filing)).collect()
}
