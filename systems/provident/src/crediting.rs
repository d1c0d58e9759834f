//! Crediting the interest of a year: the rate is declared once, and each organization's books get it once.
//!
//! Whoever is interrupted asks again: organizations that have it are passed over.
//!
//! Invariant: from the moment the rate is declared nothing is filed for that year or one before it ([`crate::filings`]
//! takes the same lock), so the products on which interest is credited are final.

use crate::filings::CLOSING;
use crate::interest;
use crate::ledger::{self, Account, Entry, Kind, Posting};
use crate::month::Month;
use crate::organizations;
use serde::Serialize;
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

/// So many organizations are looked up at once.
const PAGE: i64 = 500;

/// What a year brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Credited {
    /// Organizations whose members got interest now.
    pub organizations: u64,
    /// Those that have it already, or of which nobody had anything.
    pub passed_over: u64,
    /// Accounts that got some now.
    pub accounts: u64,
    /// What was credited now, in paise.
    pub total_paise: i64,
}

/// How the declaration of a rate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// It is the year's rate, now or before.
    Yes,
    /// The year has another, in hundredths of a percent.
    Another(i32),
    /// The year is not over.
    Early,
    /// A later year is closed already.
    Late,
}

/// Declares the rate of a year, in hundredths of a percent (1 to 10,000), and closes it.
///
/// # Errors
/// The database failed.
pub async fn declare(pool: &PgPool, (year, rate_bp): (i32, u32), by: Uuid) -> Result<Declared, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(CLOSING).execute(&mut *transaction).await?;
    let rate_bp = i32::try_from(rate_bp).unwrap_or(i32::MAX);
    let known: Option<i32> = sqlx::query_scalar("SELECT rate_bp FROM interest_years WHERE year = $1")
        .bind(year)
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some(known) = known {
        return Ok(if known == rate_bp { Declared::Yes } else { Declared::Another(known) });
    }
    if Month::current(&mut transaction).await? <= Month::last_of(year) {
        return Ok(Declared::Early);
    }
    let later = "SELECT EXISTS (SELECT FROM interest_years WHERE year > $1)";
    if sqlx::query_scalar(later).bind(year).fetch_one(&mut *transaction).await? {
        return Ok(Declared::Late);
    }
    let sql = "INSERT INTO interest_years (year, rate_bp, declared_by) VALUES ($1, $2, $3)";
    sqlx::query(sql).bind(year).bind(rate_bp).bind(by).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Declared::Yes)
}

/// Credits the interest of a declared year to every organization that has none of it, each in a transaction of its own.
///
/// # Errors
/// The database failed; those before it have theirs.
pub async fn credit_all(pool: &PgPool, year: i32, rate_bp: u32) -> Result<Credited, sqlx::Error> {
    let (mut credited, mut after) = (Credited::default(), Uuid::nil());
    loop {
        let page = organizations::list(pool, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(credited) };
        after = last.id;
        for organization in &page {
            let mut transaction = pool.begin().await?;
            let given = credit(&mut transaction, organization.id, (year, rate_bp)).await?;
            transaction.commit().await?;
            match given {
                Some((accounts, total)) => {
                    credited.organizations += 1;
                    credited.accounts += accounts;
                    credited.total_paise += total;
                }
                None => credited.passed_over += 1,
            }
        }
    }
}

/// What is held in a year by one account: the member, whether it is the employer's share, and the product.
type Product = (Uuid, bool, i128);

async fn products(connection: &mut PgConnection, organization: Uuid, year: i32) -> Result<Vec<Product>, sqlx::Error> {
    // As `Month::months_held_in` has it.
    let sql = "SELECT e.member_id, e.account = 'employer' AS employers, \
                 sum(e.paise * greatest(0, least(12, 11 - (t.month - $2))))::text AS product \
               FROM entries e JOIN transactions t ON t.organization_id = e.organization_id AND t.id = e.transaction_id \
               WHERE e.organization_id = $1 AND e.account IN ('employee', 'employer') AND t.month < $2 + 11 \
               GROUP BY 1, 2 HAVING sum(e.paise * greatest(0, least(12, 11 - (t.month - $2)))) > 0 ORDER BY 1, 2";
    let rows = sqlx::query(sql).bind(organization).bind(Month::first_of(year).0).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let product: String = row.try_get("product")?;
            let product = product.parse().map_err(|why: std::num::ParseIntError| sqlx::Error::Decode(why.into()))?;
            Ok((row.try_get("member_id")?, row.try_get("employers")?, product))
        })
        .collect()
}

/// Credits one organization; `None`: it has it, or there is nothing to credit.
async fn credit(
    transaction: &mut PgConnection,
    organization: Uuid,
    (year, rate_bp): (i32, u32),
) -> Result<Option<(u64, i64)>, sqlx::Error> {
    let reference = year.to_string();
    let known = "SELECT EXISTS (SELECT FROM transactions \
                 WHERE organization_id = $1 AND kind = 'interest' AND reference = $2)";
    if sqlx::query_scalar(known).bind(organization).bind(&reference).fetch_one(&mut *transaction).await? {
        return Ok(None);
    }
    let products = products(transaction, organization, year).await?;
    let held: Vec<i128> = products.iter().map(|(_, _, product)| *product).collect();
    let mut entries: Vec<Entry> = Vec::with_capacity(held.len() + 1);
    let mut total = 0;
    for ((member, employers, _), part) in products.iter().zip(interest::parts(&held, rate_bp)) {
        let part = i64::try_from(part).map_err(|why| sqlx::Error::Encode(why.into()))?;
        let account = if *employers { Account::Employer(*member) } else { Account::Employee(*member) };
        entries.push((account, part));
        total += part;
    }
    let accounts = u64::try_from(entries.iter().filter(|(_, part)| *part != 0).count()).unwrap_or(u64::MAX);
    if total == 0 {
        return Ok(None);
    }
    entries.push((Account::Interest, -total));
    let month = Month::last_of(year);
    let posting = Posting { organization, kind: Kind::Interest, reference: &reference, month, entries: &entries };
    let booked = ledger::book(transaction, Uuid::now_v7(), &posting).await?;
    Ok(booked.then_some((accounts, total)))
}
