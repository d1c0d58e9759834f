//! Months, as people write them (`2026-04`) and as they are counted, and the fund's years, which begin in April.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use sqlx::PgConnection;
use std::{fmt, str::FromStr};

/// A month: year × 12 + month − 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(pub i32);

/// Not a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a month is written 2026-04")]
pub struct NoMonth;

impl FromStr for Month {
    type Err = NoMonth;

    fn from_str(text: &str) -> Result<Self, NoMonth> {
        let (year, month) = text.split_once('-').ok_or(NoMonth)?;
        let number = |text: &str, len: usize| {
            let right = text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
            if right { text.parse::<i32>().map_err(|_| NoMonth) } else { Err(NoMonth) }
        };
        let (year, month) = (number(year, 4)?, number(month, 2)?);
        if (1..=12).contains(&month) && year >= 1950 { Ok(Self(year * 12 + month - 1)) } else { Err(NoMonth) }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Month {
    /// The first month of the year that is named by its April.
    pub fn first_of(year: i32) -> Self {
        Self(year * 12 + 3)
    }

    /// The last month of that year: March of the next.
    pub fn last_of(year: i32) -> Self {
        Self(year * 12 + 14)
    }

    /// The year it belongs to, named by its April.
    pub fn year(self) -> i32 {
        (self.0 - 3).div_euclid(12)
    }

    /// For how many months of the year's twelve what was booked in this one is there at their beginning.
    pub fn months_held_in(self, year: i32) -> i32 {
        (11 - (self.0 - Self::first_of(year).0)).clamp(0, 12)
    }

    /// The month it is in India, by the database's clock: the one that all replicas share.
    ///
    /// # Errors
    /// The database failed.
    pub async fn current(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let sql = "SELECT (extract(year FROM t) * 12 + extract(month FROM t) - 1)::integer \
                   FROM (SELECT now() AT TIME ZONE 'Asia/Kolkata' AS t) AS here";
        sqlx::query_scalar(sql).fetch_one(connection).await.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_read_what_they_write() {
        for text in ["2026-04", "1999-12", "2026-01"] {
            assert_eq!(text.parse::<Month>().unwrap().to_string(), text);
        }
        for wrong in ["", "2026", "2026-13", "2026-00", "26-04", "2026-4", "2026-04-01", "-026-04"] {
            assert_eq!(wrong.parse::<Month>(), Err(NoMonth), "{wrong}");
        }
    }

    #[test]
    fn a_year_goes_from_april_to_march() {
        let month = |text: &str| text.parse::<Month>().unwrap();
        assert_eq!((month("2026-03").year(), month("2026-04").year(), month("2027-03").year()), (2025, 2026, 2026));
        assert_eq!((Month::first_of(2026), Month::last_of(2026)), (month("2026-04"), month("2027-03")));
    }

    #[test]
    fn what_is_booked_in_a_month_is_held_from_the_next_one_on() {
        let held = |text: &str| text.parse::<Month>().unwrap().months_held_in(2026);
        assert_eq!(["2020-01", "2026-03", "2026-04", "2027-02", "2027-03", "2027-04"].map(held), [12, 12, 11, 1, 0, 0]);
    }
}
