//! The ledger in PostgreSQL.
//!
//! Invariant: what is booked is booked once for what it is about (a unique key), its entries sum to zero (a trigger over
//! all that a statement wrote), and it is never changed. Corrections are bookings of their own.

use crate::month::Month;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Row};
use utoipa::ToSchema;
use uuid::Uuid;

/// Why something is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An organization paid in for a month.
    Contribution,
    /// The interest of a year.
    Interest,
    /// A claim was granted: it is owed to the member now.
    Claim,
    /// A claim was paid out.
    Payment,
    /// A claim could not be paid out: the member has it again.
    Return,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Contribution => "contribution",
            Self::Interest => "interest",
            Self::Claim => "claim",
            Self::Payment => "payment",
            Self::Return => "return",
        }
    }
}

/// An account: of a member, or of the organization as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// What came in from the organization (below zero).
    Received,
    /// What the fund credited (below zero).
    Interest,
    /// What is granted and not yet paid out.
    Payable,
    /// What was paid out.
    Paid,
    /// A member's own share.
    Employee(Uuid),
    /// What the employer paid for a member.
    Employer(Uuid),
    /// A member's pension.
    Pension(Uuid),
}

impl Account {
    fn split(self) -> (&'static str, Option<Uuid>) {
        match self {
            Self::Received => ("received", None),
            Self::Interest => ("interest", None),
            Self::Payable => ("payable", None),
            Self::Paid => ("paid", None),
            Self::Employee(member) => ("employee", Some(member)),
            Self::Employer(member) => ("employer", Some(member)),
            Self::Pension(member) => ("pension", Some(member)),
        }
    }
}

/// What an account receives in paise; below zero, what it gives.
pub type Entry = (Account, i64);

/// Something to be booked.
#[derive(Debug, Clone, Copy)]
pub struct Posting<'a> {
    /// Whose books.
    pub organization: Uuid,
    /// Why.
    pub kind: Kind,
    /// What it is about: a month, a year, a claim.
    pub reference: &'a str,
    /// The month it counts in.
    pub month: Month,
    /// They sum to zero; those of nothing are left out.
    pub entries: &'a [Entry],
}

/// Books it within the caller's transaction under this id; `false`: it was booked before.
///
/// # Errors
/// The database failed, or the entries do not balance.
pub async fn book(transaction: &mut PgConnection, id: Uuid, posting: &Posting<'_>) -> Result<bool, sqlx::Error> {
    let booked = sqlx::query(
        "INSERT INTO transactions (organization_id, id, kind, reference, month) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (organization_id, kind, reference) DO NOTHING",
    )
    .bind(posting.organization)
    .bind(id)
    .bind(posting.kind.word())
    .bind(posting.reference)
    .bind(posting.month.0)
    .execute(&mut *transaction)
    .await?;
    if booked.rows_affected() == 0 {
        return Ok(false);
    }
    let entries: Vec<_> = posting.entries.iter().filter(|(_, paise)| *paise != 0).collect();
    let (accounts, members): (Vec<&str>, Vec<Option<Uuid>>) =
        entries.iter().map(|(account, _)| account.split()).unzip();
    let paise: Vec<i64> = entries.iter().map(|(_, paise)| *paise).collect();
    sqlx::query(
        "INSERT INTO entries (organization_id, transaction_id, account, member_id, paise) \
         SELECT $1, $2, account, member, paise FROM unnest($3::text[], $4::uuid[], $5::bigint[]) AS e (account, member, paise)",
    )
    .bind(posting.organization)
    .bind(id)
    .bind(accounts)
    .bind(members)
    .bind(paise)
    .execute(transaction)
    .await?;
    Ok(true)
}

/// What a member has, in paise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Balance {
    /// Their own share, with interest.
    pub employee_paise: i64,
    /// The employer's share, with interest.
    pub employer_paise: i64,
    /// The pension, which bears none.
    pub pension_paise: i64,
}

/// What a member has.
///
/// # Errors
/// The database failed.
pub async fn balance(connection: &mut PgConnection, organization: Uuid, member: Uuid) -> Result<Balance, sqlx::Error> {
    let sql = "SELECT coalesce(sum(paise) FILTER (WHERE account = 'employee'), 0)::bigint AS employee, \
                 coalesce(sum(paise) FILTER (WHERE account = 'employer'), 0)::bigint AS employer, \
                 coalesce(sum(paise) FILTER (WHERE account = 'pension'), 0)::bigint AS pension \
               FROM entries WHERE organization_id = $1 AND member_id = $2";
    let row = sqlx::query(sql).bind(organization).bind(member).fetch_one(connection).await?;
    Ok(Balance {
        employee_paise: row.try_get("employee")?,
        employer_paise: row.try_get("employer")?,
        pension_paise: row.try_get("pension")?,
    })
}

/// A line of a member's statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Moved {
    /// The month it counts in.
    pub month: String,
    /// `contribution`, `interest`, `claim` or `return`.
    pub kind: String,
    /// What it was about.
    pub reference: String,
    /// What each account received, in paise; below zero, what it gave.
    #[serde(flatten)]
    pub change: Balance,
}

/// What moved on a member's accounts, the latest first; at most `limit`.
///
/// # Errors
/// The database failed.
pub async fn statement(
    connection: &mut PgConnection,
    (organization, member): (Uuid, Uuid),
    limit: i64,
) -> Result<Vec<Moved>, sqlx::Error> {
    let sql = "SELECT t.month, t.kind, t.reference, \
                 coalesce(sum(e.paise) FILTER (WHERE e.account = 'employee'), 0)::bigint AS employee, \
                 coalesce(sum(e.paise) FILTER (WHERE e.account = 'employer'), 0)::bigint AS employer, \
                 coalesce(sum(e.paise) FILTER (WHERE e.account = 'pension'), 0)::bigint AS pension \
               FROM entries e JOIN transactions t ON t.organization_id = e.organization_id AND t.id = e.transaction_id \
               WHERE e.organization_id = $1 AND e.member_id = $2 GROUP BY t.month, t.kind, t.reference, t.at, t.id \
               ORDER BY t.month DESC, t.at DESC, t.id DESC LIMIT $3";
    let rows = sqlx::query(sql).bind(organization).bind(member).bind(limit).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            Ok(Moved {
                month: Month(row.try_get("month")?).to_string(),
                kind: row.try_get("kind")?,
                reference: row.try_get("reference")?,
                change: Balance {
                    employee_paise: row.try_get("employee")?,
                    employer_paise: row.try_get("employer")?,
                    pension_paise: row.try_get("pension")?,
                },
            })
        })
        .collect()
}
