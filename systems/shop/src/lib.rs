//! The shop: nine services around a catalogue, carts and orders, each but the gateway with a store of its own.
//!
//! One binary, a role for each service; `migrate`, `seed`, `reindex` and `audit` do one thing and end.
//!
//! Invariant: services share no table. What one does because of another it hears over the event bus, written by the other
//! in the transaction of what it tells of (`outbox`), and takes in once (`inbox`). Stock is never oversold and a payment
//! never taken twice: constraints of the databases say so, and `shop audit` looks.

pub mod access;
pub mod audit;
pub mod cart;
pub mod events;
pub mod gateway;
pub mod inventory;
pub mod migrations;
pub mod notification;
pub mod order;
pub mod payment;
mod prices;
pub mod product;
pub mod search;
pub mod seed;
pub mod user;
