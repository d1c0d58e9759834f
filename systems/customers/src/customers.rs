//! Customers in PostgreSQL: the truth.
//!
//! Invariant: every change raises `version` by one, and happens only to the version that the caller has seen.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) const COLUMNS: &str = "id, version, name, email, phone, company, street, postcode, city, country, status, \
    notes, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS created_at, \
    to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS updated_at";

/// What is known of a customer, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// 1 to 200 characters.
    pub name: String,
    /// At most 254 characters; no two customers have the same, whatever its case.
    pub email: String,
    /// Digits, spaces and `+-()/.`, at most 40 characters.
    #[serde(default)]
    pub phone: String,
    /// At most 200 characters.
    #[serde(default)]
    pub company: String,
    /// At most 200 characters.
    #[serde(default)]
    pub street: String,
    /// At most 20 characters.
    #[serde(default)]
    pub postcode: String,
    /// At most 100 characters.
    #[serde(default)]
    pub city: String,
    /// Two capital letters (ISO 3166), or empty.
    #[serde(default)]
    pub country: String,
    /// `lead`, `active` or `inactive`.
    #[serde(default = "active")]
    pub status: String,
    /// At most 4,000 characters.
    #[serde(default)]
    pub notes: String,
}

fn active() -> String {
    "active".into()
}

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Customer {
    /// Never reused.
    pub id: Uuid,
    /// Grows by one with every change; the number in its entity tag.
    pub version: i64,
    /// What is known.
    #[serde(flatten)]
    pub draft: Draft,
    /// UTC, RFC 3339.
    pub created_at: String,
    /// UTC, RFC 3339.
    pub updated_at: String,
}

/// A field that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// Its name.
    pub field: &'static str,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Draft {
    /// The same without spaces around each field; every mistake at once.
    ///
    /// # Errors
    /// What is wrong, at least one.
    pub fn checked(self) -> Result<Self, Vec<Mistake>> {
        let this = self.trimmed();
        let mut mistakes = Vec::new();
        let mut expect = |field, right: bool, what| {
            if !right {
                mistakes.push(Mistake { field, what });
            }
        };
        let fits = |text: &str, most: usize| text.chars().count() <= most && !text.contains('\0');
        let one_line = |text: &str, most| fits(text, most) && !text.chars().any(char::is_control);
        expect("name", !this.name.is_empty() && one_line(&this.name, 200), "needs 1 to 200 characters on one line");
        expect("email", is_email(&this.email), "is no address, or has more than 254 characters");
        let dials = |c: char| c.is_ascii_digit() || " +-()/.".contains(c);
        expect("phone", one_line(&this.phone, 40) && this.phone.chars().all(dials), "has digits, spaces and +-()/.");
        for (field, text, most) in [
            ("company", &this.company, 200),
            ("street", &this.street, 200),
            ("postcode", &this.postcode, 20),
            ("city", &this.city, 100),
        ] {
            expect(field, one_line(text, most), "is too long, or more than one line");
        }
        expect("country", this.country.is_empty() || is_country(&this.country), "has two capital letters (ISO 3166)");
        expect("status", is_status(&this.status), "is lead, active or inactive");
        expect("notes", fits(&this.notes, 4_000), "has at most 4,000 characters");
        if mistakes.is_empty() { Ok(this) } else { Err(mistakes) }
    }

    fn trimmed(mut self) -> Self {
        for text in [
            &mut self.name,
            &mut self.email,
            &mut self.phone,
            &mut self.company,
            &mut self.street,
            &mut self.postcode,
            &mut self.city,
            &mut self.country,
            &mut self.notes,
        ] {
            *text = text.trim().to_owned();
        }
        self
    }

    /// With these fields instead (RFC 7396: `null` empties one).
    ///
    /// # Errors
    /// A sentence: a field is unknown or is no text.
    pub fn patched(&self, patch: Map<String, Value>) -> Result<Self, String> {
        let mut fields = match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) | Err(_) => return Err("this customer cannot be written as JSON".into()),
        };
        for (name, value) in patch {
            let value = if value.is_null() { Value::String(String::new()) } else { value };
            fields.insert(name, value);
        }
        serde_json::from_value(Value::Object(fields)).map_err(|why| why.to_string())
    }

    /// Names of the fields in which the two differ.
    pub fn differing(&self, other: &Self) -> Vec<&'static str> {
        [
            ("name", self.name == other.name),
            ("email", self.email == other.email),
            ("phone", self.phone == other.phone),
            ("company", self.company == other.company),
            ("street", self.street == other.street),
            ("postcode", self.postcode == other.postcode),
            ("city", self.city == other.city),
            ("country", self.country == other.country),
            ("status", self.status == other.status),
            ("notes", self.notes == other.notes),
        ]
        .into_iter()
        .filter_map(|(name, same)| (!same).then_some(name))
        .collect()
    }
}

/// Is that a country's code, two capital letters?
pub fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// Is that a customer's status?
pub fn is_status(text: &str) -> bool {
    matches!(text, "lead" | "active" | "inactive")
}

/// One `@` with something on both sides, a dot in the domain, no spaces: what a form should ask for, not all that RFC 5321
/// allows.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let clean =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control());
    text.len() <= 254 && clean(local) && clean(domain) && domain.trim_matches('.').contains('.')
}

impl Customer {
    pub(crate) fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            draft: Draft {
                name: row.try_get("name")?,
                email: row.try_get("email")?,
                phone: row.try_get("phone")?,
                company: row.try_get("company")?,
                street: row.try_get("street")?,
                postcode: row.try_get("postcode")?,
                city: row.try_get("city")?,
                country: row.try_get("country")?,
                status: row.try_get("status")?,
                notes: row.try_get("notes")?,
            },
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// Another customer has this address.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Choose another address.
    #[error("another customer has this e-mail address")]
    EmailTaken,
    /// Try again.
    #[error("cannot write a customer")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error.as_database_error().and_then(sqlx::error::DatabaseError::constraint);
        if constraint == Some("customers_email") { Self::EmailTaken } else { Self::Database(error) }
    }
}

/// The customer of this id.
///
/// # Errors
/// The database failed.
pub async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<Customer>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM customers WHERE id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await?;
    row.as_ref().map(Customer::read).transpose()
}

/// The customer of this id, which nobody else can change until the transaction ends.
///
/// # Errors
/// The database failed.
pub async fn hold(transaction: &mut PgConnection, id: Uuid) -> Result<Option<Customer>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM customers WHERE id = $1 FOR UPDATE");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(transaction).await?;
    row.as_ref().map(Customer::read).transpose()
}

/// Creates a customer.
///
/// # Errors
/// The address is taken, or the database failed.
pub async fn create(transaction: &mut PgConnection, draft: &Draft) -> Result<Customer, WriteError> {
    let sql = format!(
        "INSERT INTO customers (id, name, email, phone, company, street, postcode, city, country, status, notes) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING {COLUMNS}"
    );
    write(transaction, sql, Uuid::now_v7(), draft).await
}

/// Replaces what is known of a customer that the caller holds.
///
/// # Errors
/// As [`create`].
pub async fn replace(transaction: &mut PgConnection, id: Uuid, draft: &Draft) -> Result<Customer, WriteError> {
    let sql = format!(
        "UPDATE customers SET version = version + 1, updated_at = now(), name = $2, email = $3, phone = $4, \
         company = $5, street = $6, postcode = $7, city = $8, country = $9, status = $10, notes = $11 \
         WHERE id = $1 RETURNING {COLUMNS}"
    );
    write(transaction, sql, id, draft).await
}

async fn write(connection: &mut PgConnection, sql: String, id: Uuid, draft: &Draft) -> Result<Customer, WriteError> {
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(&draft.name)
        .bind(&draft.email)
        .bind(&draft.phone)
        .bind(&draft.company)
        .bind(&draft.street)
        .bind(&draft.postcode)
        .bind(&draft.city)
        .bind(&draft.country)
        .bind(&draft.status)
        .bind(&draft.notes)
        .fetch_one(connection)
        .await?;
    Ok(Customer::read(&row)?)
}

/// Deletes a customer that the caller holds.
///
/// # Errors
/// The database failed.
pub async fn delete(transaction: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM customers WHERE id = $1").bind(id).execute(transaction).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn draft(more: Value) -> Draft {
        let mut fields = json!({ "name": "Emilia Galotti", "email": "emilia@example.com" });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(fields).unwrap()
    }

    #[track_caller]
    fn check(more: Value, wrong: &[&str]) {
        let mistakes = draft(more).checked().err().unwrap_or_default();
        assert_eq!(mistakes.iter().map(|mistake| mistake.field).collect::<Vec<_>>(), wrong);
    }

    #[test]
    fn takes_what_is_usual_and_names_every_mistake() {
        check(json!({}), &[]);
        check(json!({ "phone": "+49 (30) 12-34", "country": "DE", "status": "lead" }), &[]);
        check(
            json!({ "name": "  ", "email": "x", "country": "de", "status": "gone" }),
            &["name", "email", "country", "status"],
        );
        check(json!({ "email": "a@b" }), &["email"]);
        check(json!({ "email": "a b@c.de" }), &["email"]);
        check(json!({ "phone": "none", "notes": "x".repeat(4_001) }), &["phone", "notes"]);
        check(json!({ "name": "two\nlines" }), &["name"]);
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_empties() {
        let before = draft(json!({ "phone": "1", "city": "Guastalla" }));
        let patch = json!({ "phone": null, "city": "Sabbioneta" }).as_object().unwrap().clone();
        let after = before.patched(patch).unwrap();
        assert_eq!((after.phone.as_str(), after.city.as_str()), ("", "Sabbioneta"));
        assert_eq!(before.differing(&after), ["phone", "city"]);
        assert!(before.patched(json!({ "version": 7 }).as_object().unwrap().clone()).is_err());
    }
}
