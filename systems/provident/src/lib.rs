//! The provident fund: organizations pay in for their members every month, the fund keeps an exact ledger, credits interest
//! once a year, and pays out what members claim and three people grant.
//!
//! One binary, a role for each service; `migrate`, `seed` and `audit` do one thing and end.
//!
//! Invariant: amounts are whole paise in integers; no float is near them. What moves is booked twice (`ledger`), once for
//! what it is about, and never changed: constraints of the database say so, and `provident audit` looks. What one service
//! does because of another it hears over the event bus, written by the other in the transaction of what it tells of
//! (`outbox`), and takes in once (`inbox`).

pub mod access;
pub mod audit;
pub mod claims;
pub mod crediting;
pub mod document;
pub mod events;
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
pub mod payment;
pub mod pension;
pub mod pf;
pub mod portal;
pub mod seed;
pub mod shards;
pub mod user;
pub mod workflow;
