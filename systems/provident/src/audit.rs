//! `provident audit`: do the books balance, do they say what was filed, and was what they say is paid paid, once?
//!
//! It may run while the fund is open: the books are seen at one moment.
//!
//! Invariant: it reads, and writes nothing.

mod paid;

use crate::money;
use crate::{payment, pf};
use anyhow::bail;
use plimsoll_kit::postgres::PostgresSettings;
use plimsoll_kit::settings;
use sqlx::{PgConnection, Row};

/// How strictly it looks.
#[derive(Debug, Clone, clap::Args)]
pub struct Audit {
    /// Claims that are on their way are differences, too: for when nobody claims anything any more.
    #[arg(long)]
    pub settled: bool,
}

/// What must hold: a name, and a question that answers a line for each difference.
const CHECKS: &[(&str, &str)] = &[
    (
        "transactions balance",
        "SELECT format('transaction %s is off by %s paise', t.id, coalesce(sum(e.paise), 0)) \
         FROM transactions t LEFT JOIN entries e ON e.organization_id = t.organization_id AND e.transaction_id = t.id \
         GROUP BY t.organization_id, t.id HAVING coalesce(sum(e.paise), 1) <> 0",
    ),
    (
        "nobody has less than nothing",
        "SELECT format('member %s has %s paise in %s', member_id, sum(paise), account) FROM entries \
         WHERE member_id IS NOT NULL GROUP BY organization_id, member_id, account HAVING sum(paise) < 0",
    ),
    (
        "filings are booked",
        "SELECT format('filing %s of %s: %s lines of %s paise filed, %s lines of %s paise kept, %s paise booked', \
             f.month, f.organization_id, f.lines, f.total_paise, l.lines, l.total, b.total) FROM filings f \
         LEFT JOIN (SELECT organization_id, month, count(*) AS lines, \
             sum(employee_paise + employer_paise + pension_paise)::bigint AS total \
             FROM filing_lines GROUP BY 1, 2) l ON l.organization_id = f.organization_id AND l.month = f.month \
         LEFT JOIN (SELECT organization_id, transaction_id, -sum(paise)::bigint AS total FROM entries \
             WHERE account = 'received' GROUP BY 1, 2) b \
             ON b.organization_id = f.organization_id AND b.transaction_id = f.transaction_id \
         WHERE (f.lines, f.total_paise, f.total_paise) IS DISTINCT FROM (l.lines, l.total, b.total)",
    ),
    (
        "each line is booked",
        "WITH booked AS (SELECT f.organization_id, f.month, e.member_id, \
             coalesce(sum(e.paise) FILTER (WHERE e.account = 'employee'), 0)::bigint AS employee, \
             coalesce(sum(e.paise) FILTER (WHERE e.account = 'employer'), 0)::bigint AS employer, \
             coalesce(sum(e.paise) FILTER (WHERE e.account = 'pension'), 0)::bigint AS pension \
             FROM filings f JOIN entries e ON e.organization_id = f.organization_id AND e.transaction_id = f.transaction_id \
             WHERE e.member_id IS NOT NULL GROUP BY 1, 2, 3) \
         SELECT format('member %s in %s: %s filed, %s booked', coalesce(l.member_id, b.member_id), \
             coalesce(l.month, b.month), (l.employee_paise, l.employer_paise, l.pension_paise), \
             (b.employee, b.employer, b.pension)) \
         FROM filing_lines l FULL JOIN booked b ON b.organization_id = l.organization_id AND b.month = l.month \
             AND b.member_id = l.member_id \
         WHERE (coalesce(l.employee_paise, 0), coalesce(l.employer_paise, 0), coalesce(l.pension_paise, 0)) \
             IS DISTINCT FROM (coalesce(b.employee, 0), coalesce(b.employer, 0), coalesce(b.pension, 0))",
    ),
    (
        "contributions are filed",
        "SELECT format('contribution %s is of no filing', t.id) FROM transactions t WHERE t.kind = 'contribution' \
         AND NOT EXISTS (SELECT FROM filings f WHERE f.organization_id = t.organization_id AND f.transaction_id = t.id)",
    ),
    (
        "claims are booked",
        "SELECT format('claim %s is %s of %s paise; booked as owed %s, paid %s, given back %s', c.id, c.state, c.amount_paise, \
             b.owed, b.paid, b.returned) FROM claims c CROSS JOIN LATERAL ( \
             SELECT coalesce(sum(e.paise) FILTER (WHERE t.kind = 'claim'), 0) AS owed, \
                 coalesce(-sum(e.paise) FILTER (WHERE t.kind = 'payment'), 0) AS paid, \
                 coalesce(-sum(e.paise) FILTER (WHERE t.kind = 'return'), 0) AS returned \
             FROM transactions t JOIN entries e ON e.organization_id = t.organization_id AND e.transaction_id = t.id \
             WHERE t.organization_id = c.organization_id AND t.reference = c.id::text AND e.account = 'payable') b \
         WHERE (b.owed, b.paid, b.returned) IS DISTINCT FROM ( \
             CASE WHEN c.state IN ('owed', 'paid', 'returned') THEN c.amount_paise ELSE 0 END, \
             CASE WHEN c.state = 'paid' THEN c.amount_paise ELSE 0 END, \
             CASE WHEN c.state = 'returned' THEN c.amount_paise ELSE 0 END)",
    ),
];

/// Compares, and prints what it found.
///
/// # Errors
/// Settings, a database, or any difference.
pub async fn audit(audit: &Audit) -> anyhow::Result<()> {
    let (fund, payments) = settings::read(|env| {
        let mut read = |store: &str| PostgresSettings::read(store, env);
        (read(pf::ROLE.store), read(payment::ROLE.store))
    })?;
    let [fund, payments] = [fund, payments].map(|settings| settings.bulk_pool("provident-audit"));
    let before = paid::claims(&fund).await?;
    let payments = paid::payments(&payments).await?;
    let after = paid::claims(&fund).await?;
    let found = paid::compare(&before, &payments, &after);
    let mut moment = fund.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    // Compiling a query over so many partitions takes longer than asking it.
    sqlx::query("SET LOCAL jit = off").execute(&mut *moment).await?;
    let mut differences = found.differences.clone();
    for (_, question) in CHECKS {
        differences.extend(sqlx::query_scalar::<_, String>(*question).fetch_all(&mut *moment).await?);
    }
    if audit.settled && found.on_their_way > 0 {
        differences.push(format!("{} claims are not settled", found.on_their_way));
    }
    let totals = totals(&mut moment).await?;
    print(&totals, &found, &differences);
    if differences.is_empty() { Ok(()) } else { bail!("{} differences", differences.len()) }
}

/// What is in the books.
struct Totals {
    /// Each account's name and what is in it, in paise.
    accounts: Vec<(String, i64)>,
    filings: i64,
    transactions: i64,
    entries: i64,
}

async fn totals(moment: &mut PgConnection) -> Result<Totals, sqlx::Error> {
    let sql = "SELECT account, sum(paise)::bigint FROM entries GROUP BY account ORDER BY account";
    let accounts = sqlx::query_as(sql).fetch_all(&mut *moment).await?;
    let sql = "SELECT (SELECT count(*) FROM filings) AS filings, (SELECT count(*) FROM transactions) AS transactions, \
                 (SELECT count(*) FROM entries) AS entries";
    let row = sqlx::query(sql).fetch_one(moment).await?;
    let (filings, transactions) = (row.try_get("filings")?, row.try_get("transactions")?);
    Ok(Totals { accounts, filings, transactions, entries: row.try_get("entries")? })
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn print(totals: &Totals, found: &paid::Found, differences: &[String]) {
    for (account, paise) in &totals.accounts {
        println!("{account:<16} {:>24}", money::written(*paise));
    }
    let sum = totals.accounts.iter().map(|(_, paise)| paise).sum();
    println!("{:<16} {:>24}", "sum", money::written(sum));
    let (claimed, paid) = (money::written(found.claimed_paise), money::written(found.paid_paise));
    println!("{:<16} {claimed:>24} {paid:>24} by payment", "paid by claims");
    for difference in differences {
        println!("DIFFERENCE: {difference}");
    }
    let (filings, transactions, entries) = (totals.filings, totals.transactions, totals.entries);
    let (settled, on_their_way) = (found.settled, found.on_their_way);
    println!(
        "{} differences among {filings} filings, {transactions} transactions, {entries} entries, \
         {settled} settled claims ({on_their_way} on their way)",
        differences.len()
    );
}
