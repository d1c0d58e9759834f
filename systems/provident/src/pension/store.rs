//! Claims in PostgreSQL.
//!
//! Invariant: what becomes of a claim and what is booked for it are one transaction, and each is booked once: a claim leaves
//! a state once, whatever is heard how often.

use crate::claims::{self, Kind};
use crate::events::{CLAIMS, ClaimEvent, Decided, Transferred};
use crate::ledger::{self, Account, Balance, Entry, Posting};
use crate::month::Month;
use plimsoll_kit::outbox;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

/// A claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    /// Never reused.
    pub id: Uuid,
    /// Whose.
    pub organization: Uuid,
    /// Whose.
    pub member: Uuid,
    /// `advance`, `settlement` or `pension`.
    pub kind: String,
    /// In paise.
    pub amount_paise: i64,
    /// Where to.
    pub account: String,
    /// Its bank's branch.
    pub ifsc: String,
    /// `open`, `refused`, `owed`, `paid` or `returned`.
    pub state: String,
    /// Why it is refused or was returned.
    pub why: Option<String>,
}

fn read(row: &PgRow) -> Result<Claim, sqlx::Error> {
    Ok(Claim {
        id: row.try_get("id")?,
        organization: row.try_get("organization_id")?,
        member: row.try_get("member_id")?,
        kind: row.try_get("kind")?,
        amount_paise: row.try_get("amount_paise")?,
        account: row.try_get("account")?,
        ifsc: row.try_get("ifsc")?,
        state: row.try_get("state")?,
        why: row.try_get("why")?,
    })
}

/// Holds a member, so that of two who take from their accounts one comes after the other. `false`: there is no such member.
async fn hold(transaction: &mut PgConnection, organization: Uuid, member: Uuid) -> Result<bool, sqlx::Error> {
    let sql = "SELECT id FROM members WHERE organization_id = $1 AND id = $2 FOR NO KEY UPDATE";
    let held = sqlx::query(sql).bind(organization).bind(member).fetch_optional(transaction).await?;
    Ok(held.is_some())
}

/// What a member asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Whose.
    pub organization: Uuid,
    /// Whose.
    pub member: Uuid,
    /// Who asks.
    pub by: Uuid,
    /// What kind.
    pub kind: Kind,
    /// How much, of an advance.
    pub amount: Option<i64>,
    /// Where to.
    pub account: String,
    /// Its bank's branch.
    pub ifsc: String,
}

/// How asking ended.
#[derive(Debug)]
pub enum Answered {
    /// It is open.
    Open(Claim),
    /// Another one is.
    Another,
    /// A sentence: it can't be claimed.
    Not(String),
}

/// Opens a claim within the caller's transaction.
///
/// # Errors
/// The database failed.
pub async fn open(transaction: &mut PgConnection, asked: &Asked) -> Result<Answered, sqlx::Error> {
    if !hold(transaction, asked.organization, asked.member).await? {
        return Ok(Answered::Not("There is no such member.".to_owned()));
    }
    let has = ledger::balance(transaction, asked.organization, asked.member).await?;
    let amount_paise = match claims::amount(asked.kind, asked.amount, has) {
        Ok(amount) => amount,
        Err(why) => return Ok(Answered::Not(why)),
    };
    let sql = "INSERT INTO claims (organization_id, id, member_id, kind, amount_paise, account, ifsc) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING *";
    let row = sqlx::query(sql)
        .bind(asked.organization)
        .bind(Uuid::now_v7())
        .bind(asked.member)
        .bind(asked.kind.word())
        .bind(amount_paise)
        .bind(&asked.account)
        .bind(&asked.ifsc)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(claim) = row.as_ref().map(read).transpose()? else { return Ok(Answered::Another) };
    let opened = ClaimEvent::Opened {
        claim: claim.id,
        organization: claim.organization,
        member: claim.member,
        by: asked.by,
        kind: claim.kind.clone(),
        amount_paise,
    };
    outbox::write(transaction, CLAIMS, &opened).await?;
    Ok(Answered::Open(claim))
}

/// The claim that nobody else can change until the transaction ends, if it is in this state.
async fn hold_claim(
    transaction: &mut PgConnection,
    (organization, id): (Uuid, Uuid),
    state: &str,
) -> Result<Option<Claim>, sqlx::Error> {
    let sql = "SELECT * FROM claims WHERE organization_id = $1 AND id = $2 AND state = $3 FOR UPDATE";
    let row = sqlx::query(sql).bind(organization).bind(id).bind(state).fetch_optional(transaction).await?;
    row.as_ref().map(read).transpose()
}

async fn enter(
    transaction: &mut PgConnection,
    claim: &Claim,
    (state, why): (&str, Option<&str>),
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE claims SET state = $3, why = $4, changed_at = now() WHERE organization_id = $1 AND id = $2";
    sqlx::query(sql).bind(claim.organization).bind(claim.id).bind(state).bind(why).execute(transaction).await.map(drop)
}

async fn book(
    transaction: &mut PgConnection,
    claim: &Claim,
    kind: ledger::Kind,
    entries: &[Entry],
) -> Result<(), sqlx::Error> {
    let (organization, reference) = (claim.organization, claim.id.to_string());
    let month = Month::current(transaction).await?;
    let posting = Posting { organization, kind, reference: &reference, month, entries };
    ledger::book(transaction, Uuid::now_v7(), &posting).await.map(drop)
}

/// What the parts of a claim are booked on.
fn entries(member: Uuid, parts: Balance, sign: i64) -> [Entry; 3] {
    [
        (Account::Employee(member), sign * parts.employee_paise),
        (Account::Employer(member), sign * parts.employer_paise),
        (Account::Pension(member), sign * parts.pension_paise),
    ]
}

/// People decided about an open claim: what is granted is taken from the member's accounts, is owed, and payment is asked for.
///
/// # Errors
/// The database failed.
pub async fn decided(transaction: &mut PgConnection, decided: &Decided) -> Result<(), sqlx::Error> {
    let key = (decided.organization, decided.claim);
    let Some(claim) = hold_claim(transaction, key, "open").await? else { return Ok(()) };
    if !decided.granted {
        return enter(transaction, &claim, ("refused", Some(&decided.why))).await;
    }
    hold(transaction, claim.organization, claim.member).await?;
    let has = ledger::balance(transaction, claim.organization, claim.member).await?;
    let parts = Kind::parse(&claim.kind).and_then(|kind| claims::parts(kind, claim.amount_paise, has));
    let Some(parts) = parts else {
        return enter(transaction, &claim, ("refused", Some("it is not there any more"))).await;
    };
    let [employee, employer, pension] = entries(claim.member, parts, -1);
    let payable = (Account::Payable, claim.amount_paise);
    book(transaction, &claim, ledger::Kind::Claim, &[employee, employer, pension, payable]).await?;
    enter(transaction, &claim, ("owed", None)).await?;
    let Claim { id, organization, member, amount_paise, account, ifsc, .. } = claim;
    let wanted = ClaimEvent::PaymentWanted { claim: id, organization, member, amount_paise, account, ifsc };
    outbox::write(transaction, CLAIMS, &wanted).await
}

/// A claim that is owed was paid out, or could not be: then the member has it again.
///
/// # Errors
/// The database failed.
pub async fn transferred(transaction: &mut PgConnection, transferred: &Transferred) -> Result<(), sqlx::Error> {
    let key = (transferred.organization, transferred.claim);
    let Some(claim) = hold_claim(transaction, key, "owed").await? else { return Ok(()) };
    let payable = (Account::Payable, -claim.amount_paise);
    if transferred.paid {
        let paid = (Account::Paid, claim.amount_paise);
        book(transaction, &claim, ledger::Kind::Payment, &[payable, paid]).await?;
        return enter(transaction, &claim, ("paid", None)).await;
    }
    let parts = taken(transaction, &claim).await?;
    let [employee, employer, pension] = entries(claim.member, parts, 1);
    book(transaction, &claim, ledger::Kind::Return, &[payable, employee, employer, pension]).await?;
    enter(transaction, &claim, ("returned", transferred.why.as_deref())).await
}

/// What was taken from each account for a claim.
async fn taken(transaction: &mut PgConnection, claim: &Claim) -> Result<Balance, sqlx::Error> {
    let sql = "SELECT coalesce(-sum(e.paise) FILTER (WHERE e.account = 'employee'), 0)::bigint AS employee, \
                 coalesce(-sum(e.paise) FILTER (WHERE e.account = 'employer'), 0)::bigint AS employer, \
                 coalesce(-sum(e.paise) FILTER (WHERE e.account = 'pension'), 0)::bigint AS pension \
               FROM transactions t JOIN entries e ON e.organization_id = t.organization_id AND e.transaction_id = t.id \
               WHERE t.organization_id = $1 AND t.kind = 'claim' AND t.reference = $2";
    let row = sqlx::query(sql).bind(claim.organization).bind(claim.id.to_string()).fetch_one(transaction).await?;
    Ok(Balance {
        employee_paise: row.try_get("employee")?,
        employer_paise: row.try_get("employer")?,
        pension_paise: row.try_get("pension")?,
    })
}

/// The claim of this id.
///
/// # Errors
/// The database failed.
pub async fn by_id(pool: &PgPool, organization: Uuid, id: Uuid) -> Result<Option<Claim>, sqlx::Error> {
    let sql = "SELECT * FROM claims WHERE organization_id = $1 AND id = $2";
    sqlx::query(sql).bind(organization).bind(id).fetch_optional(pool).await?.as_ref().map(read).transpose()
}

/// A member's claims, the latest first; a hundred at most.
///
/// # Errors
/// The database failed.
pub async fn of_member(pool: &PgPool, organization: Uuid, member: Uuid) -> Result<Vec<Claim>, sqlx::Error> {
    let sql = "SELECT * FROM claims WHERE organization_id = $1 AND member_id = $2 ORDER BY id DESC LIMIT 100";
    sqlx::query(sql).bind(organization).bind(member).fetch_all(pool).await?.iter().map(read).collect()
}
