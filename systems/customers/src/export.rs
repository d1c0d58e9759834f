//! All customers that a filter finds, as CSV or JSON lines, sent as they are read.
//!
//! Invariant: an export is one moment's state (one snapshot), needs memory for `BATCH` customers, and whoever reads too
//! slowly loses its connection rather than holding the database up. An export that breaks off ends without its last chunk,
//! so that a client sees that it is not whole.

use crate::customers::{COLUMNS, Customer};
use crate::search::Filter;
use bytes::Bytes;
use sqlx::{PgPool, Postgres, QueryBuilder};
use std::io;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use uuid::Uuid;

const BATCH: i64 = 1_000;
/// Longest that a reader may take for a batch; shorter than the database allows a transaction to idle (30 s).
const READER_MAX: Duration = Duration::from_secs(20);
const COLUMNS_CSV: &str =
    "id,version,name,email,phone,company,street,postcode,city,country,status,notes,created_at,updated_at\r\n";

/// How customers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a line of names first.
    Csv,
    /// One JSON object in each line.
    JsonLines,
}

impl Format {
    /// `csv` or `jsonl`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "csv" => Some(Self::Csv),
            "jsonl" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::JsonLines => "application/jsonl",
        }
    }

    fn write(self, customer: &Customer, text: &mut String) {
        match self {
            Self::Csv => write_csv(customer, text),
            Self::JsonLines => {
                text.push_str(&serde_json::to_string(customer).unwrap_or_default());
                text.push('\n');
            }
        }
    }
}

/// Begins an export; what comes out of the channel are its parts, the last of which may be an error. `turn` is held until
/// the end.
pub fn start(
    pool: PgPool,
    filter: Filter,
    format: Format,
    turn: OwnedSemaphorePermit,
) -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        if let Err(why) = write_all(&pool, &filter, format, &sender).await {
            tracing::warn!(error = %why, "an export broke off");
            let _ = tokio::time::timeout(READER_MAX, sender.send(Err(why))).await;
        }
        drop(turn);
    });
    receiver
}

async fn write_all(
    pool: &PgPool,
    filter: &Filter,
    format: Format,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let mut snapshot =
        pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(io::Error::other)?;
    let mut text = if format == Format::Csv { COLUMNS_CSV.to_owned() } else { String::new() };
    let mut after = Uuid::nil();
    loop {
        let mut sql = QueryBuilder::<Postgres>::new(format!("SELECT {COLUMNS} FROM customers WHERE id > "));
        sql.push_bind(after);
        filter.narrow(&mut sql);
        sql.push(" ORDER BY id LIMIT ").push_bind(BATCH);
        let rows = sql.build().fetch_all(&mut *snapshot).await.map_err(io::Error::other)?;
        for row in &rows {
            let customer = Customer::read(row).map_err(io::Error::other)?;
            format.write(&customer, &mut text);
            after = customer.id;
        }
        if !text.is_empty() {
            let part = Bytes::from(std::mem::take(&mut text));
            match tokio::time::timeout(READER_MAX, sender.send(Ok(part))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(()), // The reader has gone away.
                Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the reader is too slow")),
            }
        }
        if i64::try_from(rows.len()).is_ok_and(|count| count < BATCH) {
            return Ok(());
        }
    }
}

fn write_csv(customer: &Customer, text: &mut String) {
    let draft = &customer.draft;
    let (id, version) = (customer.id.to_string(), customer.version.to_string());
    let fields = [
        &id,
        &version,
        &draft.name,
        &draft.email,
        &draft.phone,
        &draft.company,
        &draft.street,
        &draft.postcode,
        &draft.city,
        &draft.country,
        &draft.status,
        &draft.notes,
        &customer.created_at,
        &customer.updated_at,
    ];
    for (index, field) in fields.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_field(field, text);
    }
    text.push_str("\r\n");
}

/// A field that a spreadsheet would take for a formula gets an apostrophe before it; a number of a telephone does not.
fn write_field(field: &str, text: &mut String) {
    let is_number = field.len() > 1 && field.chars().all(|c| c.is_ascii_digit() || " +-()/.".contains(c));
    let is_formula = match field.chars().next() {
        Some('=' | '@' | '\t' | '\r') => true,
        Some('+' | '-') => !is_number,
        _ => false,
    };
    if !is_formula && !field.contains([',', '"', '\r', '\n']) {
        text.push_str(field);
        return;
    }
    text.push('"');
    if is_formula {
        text.push('\'');
    }
    text.push_str(&field.replace('"', "\"\""));
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        for (field, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"so\"", "\"say \"\"so\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "\"'=1+1\""),
            ("-cmd", "\"'-cmd\""),
            ("+49 30 1234", "+49 30 1234"),
            ("-7", "-7"),
            ("+1+cmd", "\"'+1+cmd\""),
            ("+", "\"'+\""),
            ("é", "é"),
            ("", ""),
        ] {
            let mut text = String::new();
            write_field(field, &mut text);
            assert_eq!(text, written);
        }
    }
}
