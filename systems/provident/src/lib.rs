//! The provident fund: organizations pay in for their members every month, the fund keeps an exact ledger, and credits
//! interest once a year.
//!
//! One binary, a role for each service; `migrate`, `seed` and `audit` do one thing and end.
//!
//! Invariant: amounts are whole paise in integers; no float is near them. What moves is booked twice (`ledger`), once for
//! what it is about, and never changed: constraints of the database say so, and `provident audit` looks.

pub mod access;
pub mod audit;
pub mod crediting;
pub mod filing;
pub mod filings;
pub mod interest;
pub mod ledger;
pub mod members;
pub mod migrations;
pub mod money;
pub mod month;
pub mod organization;
pub mod organizations;
pub mod pf;
pub mod seed;
pub mod shards;
pub mod user;
