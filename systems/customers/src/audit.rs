//! Who did what: a chain of rows, each of which holds the hash of the one before.
//!
//! The database appends ([`append`] calls its function `audit_append`) and refuses to change or delete; [`follow`]
//! reckons every hash anew, in code of its own. Whoever may drop the triggers can still write a whole new chain: a head
//! that was noted elsewhere ([`Head`], which every append also logs) finds that out.
//!
//! Invariant: a change and its row are committed together, and the append is the last statement of its transaction.

use anyhow::bail;
use plimsoll_kit::postgres::PostgresSettings;
use plimsoll_kit::sessions::hex;
use plimsoll_kit::settings;
use plimsoll_kit::trace::RequestContext;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// Rows that are read at a time while the chain is followed.
const BATCH: i64 = 5_000;

/// Something worth remembering.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// Name of who did it; for a sign-in, the name that was typed.
    pub actor: &'a str,
    /// `sign-in`, `refresh`, `sign-out`, `create`, `update`, `delete`, `export`, `create-user`, `change-user`, `seed` …
    pub act: &'a str,
    /// What it was done to: `customer ID`, `user NAME`, `customers`.
    pub subject: String,
    /// `done`, `refused`, `locked-out`, `disabled`, `reused`.
    pub outcome: &'a str,
    /// What else is worth knowing: names of changed fields and versions, never what customers told of themselves.
    pub detail: Value,
}

/// A row of the audit.
#[derive(Debug, Serialize, ToSchema)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: i64,
    /// When, UTC, RFC 3339.
    pub at: String,
    /// Who.
    pub actor: String,
    /// What.
    pub act: String,
    /// To what.
    pub subject: String,
    /// How it ended.
    pub outcome: String,
    /// What else is known.
    pub detail: Value,
    /// The request's correlation id.
    pub correlation: String,
    /// SHA-256 of this row and the hash before, in hexadecimal.
    pub hash: String,
}

/// Where a chain ends: the number and hash of its last row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// 0: the chain is empty.
    pub seq: i64,
    /// 32 bytes.
    pub hash: Vec<u8>,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, hex(&self.hash))
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (seq, hash) = text.split_once(':').ok_or("write it as SEQ:HASH")?;
        let seq = seq.parse().ok().filter(|seq| *seq > 0).ok_or_else(|| format!("{seq:?} is no number of a row"))?;
        let byte = |index: usize| hash.get(index..index + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let hash: Option<Vec<u8>> = (0..hash.len()).step_by(2).map(byte).collect();
        let hash = hash.filter(|hash| hash.len() == 32).ok_or("a hash has 64 hexadecimal digits")?;
        Ok(Self { seq, hash })
    }
}

/// Appends a row within the caller's transaction, as its last statement.
///
/// # Errors
/// The database failed; then the act must not be reported as done.
pub async fn append(transaction: &mut PgConnection, event: &Event<'_>) -> Result<(), sqlx::Error> {
    let correlation = RequestContext::current().map_or_else(|| "-".into(), |context| context.correlation);
    let row = sqlx::query("SELECT new_seq, new_hash FROM audit_append($1, $2, $3, $4, $5, $6)")
        .bind(event.actor)
        .bind(event.act)
        .bind(&event.subject)
        .bind(event.outcome)
        .bind(&event.detail)
        .bind(&*correlation)
        .fetch_one(transaction)
        .await?;
    let head = Head { seq: row.try_get("new_seq")?, hash: row.try_get("new_hash")? };
    tracing::info!(actor = event.actor, act = event.act, outcome = event.outcome, %head, "audit");
    Ok(())
}

/// Appends a row in a transaction of its own: for what changes nothing else.
///
/// # Errors
/// As [`append`].
pub async fn append_alone(pool: &PgPool, event: &Event<'_>) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    append(&mut transaction, event).await?;
    transaction.commit().await
}

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct Part<'a> {
    /// Only rows before this number (exclusive; `None`: from the newest).
    pub before: Option<i64>,
    /// Only of this actor; empty: of all.
    pub actor: &'a str,
    /// Only about this subject; empty: about all.
    pub subject: &'a str,
    /// At most so many.
    pub limit: i64,
}

/// The newest rows.
///
/// # Errors
/// The database failed.
pub async fn list(pool: &PgPool, part: &Part<'_>) -> Result<Vec<Entry>, sqlx::Error> {
    let rows = sqlx::query(
        r#"SELECT seq, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, actor, act, subject,
                  outcome, detail, correlation, hash
           FROM audit WHERE seq < $1 AND ($2 = '' OR actor = $2) AND ($3 = '' OR subject = $3)
           ORDER BY seq DESC LIMIT $4"#,
    )
    .bind(part.before.unwrap_or(i64::MAX))
    .bind(part.actor)
    .bind(part.subject)
    .bind(part.limit)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Entry {
                seq: row.try_get("seq")?,
                at: row.try_get("at")?,
                actor: row.try_get("actor")?,
                act: row.try_get("act")?,
                subject: row.try_get("subject")?,
                outcome: row.try_get("outcome")?,
                detail: row.try_get("detail")?,
                correlation: row.try_get("correlation")?,
                hash: hex(row.try_get("hash")?),
            })
        })
        .collect()
}

/// The chain does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// Somebody rewrote, removed or put in a row.
    #[error("the audit is broken at row {seq}: {what}")]
    Broken {
        /// The first row that does not fit.
        seq: i64,
        /// How.
        what: &'static str,
    },
    /// Nothing is known; try again.
    #[error("cannot read the audit")]
    Database(#[from] sqlx::Error),
}

/// Follows the chain from its first row to the head, and through `expected` if that is given. Answers the head.
///
/// # Errors
/// The chain is broken, or the database failed.
pub async fn follow(pool: &PgPool, expected: Option<&Head>) -> Result<Head, ChainError> {
    // One snapshot for head and rows; those that are appended meanwhile are not looked at.
    let mut snapshot = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let row = sqlx::query("SELECT seq, hash FROM audit_head").fetch_one(&mut *snapshot).await?;
    let told = Head { seq: row.try_get("seq")?, hash: row.try_get("hash")? };
    let mut reached = Head { seq: 0, hash: vec![0; 32] };
    loop {
        let rows = sqlx::query(
            "SELECT seq, (extract(epoch FROM at) * 1000000)::bigint AS at_us, actor, act, subject, outcome, \
             detail::text AS detail, correlation, previous, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(reached.seq)
        .bind(BATCH)
        .fetch_all(&mut *snapshot)
        .await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            reached = step(&reached, row)?;
            if expected.is_some_and(|head| head.seq == reached.seq && *head != reached) {
                return Err(ChainError::Broken { seq: reached.seq, what: "it is not the row that was noted" });
            }
        }
    }
    if reached != told {
        return Err(ChainError::Broken { seq: reached.seq + 1, what: "the chain does not end at its head" });
    }
    match expected {
        Some(head) if head.seq > reached.seq => {
            Err(ChainError::Broken { seq: head.seq, what: "the row that was noted is gone" })
        }
        _ => Ok(reached),
    }
}

fn step(before: &Head, row: &PgRow) -> Result<Head, ChainError> {
    let seq: i64 = row.try_get("seq")?;
    let broken = |what| ChainError::Broken { seq, what };
    if seq != before.seq + 1 {
        return Err(ChainError::Broken { seq: before.seq + 1, what: "it is missing" });
    }
    if row.try_get::<&[u8], _>("previous")? != before.hash {
        return Err(broken("it does not follow the row before"));
    }
    let mut hash = Sha256::new();
    hash.update(&before.hash);
    hash.update(seq.to_be_bytes());
    hash.update(row.try_get::<i64, _>("at_us")?.to_be_bytes());
    for column in ["actor", "act", "subject", "outcome", "detail", "correlation"] {
        let text: &str = row.try_get(column)?;
        let length = u32::try_from(text.len()).map_err(|_| broken("a field is too long"))?;
        hash.update(length.to_be_bytes());
        hash.update(text.as_bytes());
    }
    let reckoned = hash.finalize().to_vec();
    if row.try_get::<&[u8], _>("hash")? != reckoned {
        return Err(broken("its content was changed"));
    }
    Ok(Head { seq, hash: reckoned })
}

/// The role `audit`: follows the chain and logs its head.
///
/// # Errors
/// Settings, the database, or a broken chain.
pub async fn check(expected: Option<Head>) -> anyhow::Result<()> {
    let pool = settings::read(|env| PostgresSettings::read("customers", env))?.bulk_pool("customers-audit");
    match follow(&pool, expected.as_ref()).await {
        Ok(head) => tracing::info!(rows = head.seq, %head, "the audit holds"),
        Err(broken) => bail!(broken),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_what_it_writes() {
        let head = Head { seq: 7, hash: (0..32).collect() };
        assert_eq!(head.to_string().parse(), Ok(head));
        for wrong in ["", "7", "7:abcd", "x:00", "7:zz", &format!("0:{}", "0".repeat(64))] {
            assert!(wrong.parse::<Head>().is_err(), "{wrong}");
        }
    }
}
