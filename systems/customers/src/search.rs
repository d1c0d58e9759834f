//! Finding customers: by words, status and country, in pages that stay right while others write.
//!
//! A page begins after the last row of the one before, not at a number of rows: nothing is shown twice or left out because
//! a customer was put in or taken away above.

use crate::customers::{COLUMNS, Customer, is_country, is_status};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Postgres, QueryBuilder};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const PAGE_DEFAULT: i64 = 50;
const PAGE_MAX: i64 = 200;
/// Each word is a look into the index.
const WORDS_MAX: usize = 8;

/// Which customers.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Words, each of which stands in the name, e-mail address, company, city or phone.
    #[serde(default)]
    pub query: String,
    /// `lead`, `active` or `inactive`.
    #[serde(default)]
    pub status: String,
    /// Two capital letters.
    #[serde(default)]
    pub country: String,
}

impl Filter {
    /// A sentence if it makes no sense.
    pub fn mistake(&self) -> Option<&'static str> {
        if !self.status.is_empty() && !is_status(&self.status) {
            return Some("status is lead, active or inactive.");
        }
        if !self.country.is_empty() && !is_country(&self.country) {
            return Some("country has two capital letters.");
        }
        (self.query.split_whitespace().count() > WORDS_MAX).then_some("query has at most eight words.")
    }

    /// Adds ` AND …` for each part that is given.
    pub fn narrow(&self, sql: &mut QueryBuilder<Postgres>) {
        for word in self.query.to_lowercase().split_whitespace() {
            let pattern = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            sql.push(" AND search LIKE ").push_bind(format!("%{pattern}%"));
        }
        if !self.status.is_empty() {
            sql.push(" AND status = ").push_bind(self.status.clone());
        }
        if !self.country.is_empty() {
            sql.push(" AND country = ").push_bind(self.country.clone());
        }
    }
}

/// Which page.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Place {
    /// `name` (default), `created` or `updated`; with `-` before it, the other way round.
    #[serde(default)]
    pub sort: String,
    /// `next` of the page before.
    #[serde(default)]
    pub after: String,
    /// 1 to 200; default 50.
    pub limit: Option<i64>,
    /// Also say how many there are in all; costs more.
    #[serde(default)]
    pub count: bool,
}

/// A page of customers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page {
    /// In the order that was asked for.
    pub customers: Vec<Customer>,
    /// `after` of the next page; null on the last.
    pub next: Option<String>,
    /// How many there are in all, if that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
}

/// A page was not found.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// A sentence for whoever asked.
    #[error("{0}")]
    Mistake(&'static str),
    /// Try again.
    #[error("cannot read customers")]
    Database(#[from] sqlx::Error),
}

/// An order: column, type to compare with, and whether it goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Order {
    column: &'static str,
    down: bool,
}

impl Order {
    fn parse(text: &str) -> Option<Self> {
        let (down, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        let column = match name {
            "" | "name" => "name",
            "created" => "created_at",
            "updated" => "updated_at",
            _ => return None,
        };
        Some(Self { column, down })
    }

    fn key(self, customer: &Customer) -> String {
        let key = match self.column {
            "created_at" => &customer.created_at,
            "updated_at" => &customer.updated_at,
            _ => &customer.draft.name,
        };
        format!("{key}~{}", customer.id)
    }
}

/// The customers of a page.
///
/// # Errors
/// `sort`, `after` or a filter makes no sense, or the database failed.
pub async fn page(pool: &PgPool, filter: &Filter, place: &Place) -> Result<Page, SearchError> {
    if let Some(mistake) = filter.mistake() {
        return Err(SearchError::Mistake(mistake));
    }
    let order = Order::parse(&place.sort).ok_or(SearchError::Mistake("sort is name, created or updated."))?;
    let limit = place.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let mut sql = QueryBuilder::<Postgres>::new(format!("SELECT {COLUMNS} FROM customers WHERE true"));
    filter.narrow(&mut sql);
    if !place.after.is_empty() {
        begin_after(&mut sql, order, &place.after)?;
    }
    let direction = if order.down { "DESC" } else { "ASC" };
    sql.push(format!(" ORDER BY customers.{} {direction}, id {direction} LIMIT ", order.column)).push_bind(limit + 1);
    let rows = sql.build().fetch_all(pool).await?;
    let mut customers = rows.iter().map(Customer::read).collect::<Result<Vec<_>, _>>()?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = customers.len() > shown;
    customers.truncate(shown);
    let next = customers.last().filter(|_| more).map(|customer| order.key(customer));
    let total = if place.count { Some(count(pool, filter).await?) } else { None };
    Ok(Page { customers, next, total })
}

fn begin_after(sql: &mut QueryBuilder<Postgres>, order: Order, after: &str) -> Result<(), SearchError> {
    let wrong = SearchError::Mistake("after is what `next` of the page before said.");
    let Some((key, id)) = after.rsplit_once('~') else { return Err(wrong) };
    let Ok(id) = id.parse::<Uuid>() else { return Err(wrong) };
    let sign = if order.down { '<' } else { '>' };
    sql.push(format!(" AND (customers.{}, id) {sign} (", order.column));
    if order.column == "name" {
        sql.push_bind(key.to_owned());
    } else {
        // Bound as text and read by the database, so it has to be a moment before it gets there.
        let moment: jiff::Timestamp = key.parse().map_err(|_| wrong)?;
        sql.push_bind(moment.to_string()).push("::text::timestamptz");
    }
    sql.push(", ").push_bind(id).push(")");
    Ok(())
}

async fn count(pool: &PgPool, filter: &Filter) -> Result<i64, sqlx::Error> {
    let mut sql = QueryBuilder::<Postgres>::new("SELECT count(*) FROM customers WHERE true");
    filter.narrow(&mut sql);
    sql.build_query_scalar().fetch_one(pool).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_read_both_ways() {
        assert_eq!(Order::parse(""), Some(Order { column: "name", down: false }));
        assert_eq!(Order::parse("-created"), Some(Order { column: "created_at", down: true }));
        assert_eq!(Order::parse("notes"), None);
    }

    #[test]
    fn patterns_in_a_word_stand_for_themselves() {
        let mut sql = QueryBuilder::<Postgres>::new("x");
        let filter = Filter { query: "50% Off".into(), status: "lead".into(), ..Filter::default() };
        filter.narrow(&mut sql);
        assert_eq!(sql.sql().as_str(), "x AND search LIKE $1 AND search LIKE $2 AND status = $3");
    }
}
