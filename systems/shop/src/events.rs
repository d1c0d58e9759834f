//! What the services tell one another over the event bus.
//!
//! Invariant: to whoever hears it a second time a message says the same; a message that answers another names the order.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What order says.
pub const ORDERS: &str = "orders";
/// What inventory says.
pub const STOCK: &str = "stock";
/// What payment says.
pub const PAYMENTS: &str = "payments";
/// What product says.
pub const CATALOGUE: &str = "catalogue";
/// What user says.
pub const USERS: &str = "users";

/// So many of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantity {
    /// The product.
    pub product: Uuid,
    /// At least 1.
    pub quantity: i64,
}

/// What order asks of the others, and what became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum OrderEvent {
    /// To inventory: reserve all of it, or nothing.
    StockWanted {
        /// For this order.
        order: Uuid,
        /// What it is about.
        lines: Vec<Quantity>,
    },
    /// To payment: take it, once.
    PaymentWanted {
        /// For this order.
        order: Uuid,
        /// Who pays.
        user: Uuid,
        /// With this card of theirs.
        card: Uuid,
        /// In the currency's smallest unit.
        amount_minor: i64,
        /// ISO 4217.
        currency: String,
    },
    /// To inventory: what is reserved is sold.
    CommitWanted {
        /// For this order.
        order: Uuid,
    },
    /// To payment: give it back.
    RefundWanted {
        /// For this order.
        order: Uuid,
    },
    /// To inventory: what is reserved or sold is not wanted any more.
    ReleaseWanted {
        /// For this order.
        order: Uuid,
    },
    /// It is paid and theirs.
    Confirmed {
        /// The order.
        order: Uuid,
        /// Whose it is.
        user: Uuid,
        /// In the currency's smallest unit.
        amount_minor: i64,
        /// ISO 4217.
        currency: String,
    },
    /// Nothing came of it; nothing was taken, or all of it was given back.
    Cancelled {
        /// The order.
        order: Uuid,
        /// Whose it was.
        user: Uuid,
        /// Why.
        why: String,
    },
}

/// What inventory answers, and what is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum StockEvent {
    /// All of it is kept for the order, for a while.
    Reserved {
        /// The order.
        order: Uuid,
    },
    /// There is not enough of something; nothing is kept.
    Refused {
        /// The order.
        order: Uuid,
    },
    /// It is sold.
    Committed {
        /// The order.
        order: Uuid,
    },
    /// The reservation had expired, and there is not enough any more.
    Gone {
        /// The order.
        order: Uuid,
    },
    /// Nothing is kept for the order, and nothing will be.
    Released {
        /// The order.
        order: Uuid,
    },
    /// What is left of a product.
    Level {
        /// The product.
        product: Uuid,
        /// A later one has a higher number.
        version: i64,
        /// What nobody has reserved.
        available: i64,
    },
}

/// What payment answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum PaymentEvent {
    /// It is taken.
    Taken {
        /// For this order.
        order: Uuid,
    },
    /// The card does not pay.
    Declined {
        /// For this order.
        order: Uuid,
        /// Why.
        why: String,
    },
    /// It is given back.
    Refunded {
        /// For this order.
        order: Uuid,
    },
}

/// What is in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum CatalogueEvent {
    /// A product is new or another.
    Changed {
        /// The product.
        product: Uuid,
        /// A later one has a higher number.
        version: i64,
        /// Its name.
        name: String,
        /// What is said of it.
        description: String,
        /// Its category, if it has one.
        category: Option<String>,
        /// In the currency's smallest unit.
        price_minor: i64,
        /// ISO 4217.
        currency: String,
    },
    /// A product is not sold any more.
    Removed {
        /// The product.
        product: Uuid,
        /// A later one has a higher number.
        version: i64,
    },
}

/// Who there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum UserEvent {
    /// Somebody signed up, or is called something else now.
    Changed {
        /// Who.
        user: Uuid,
        /// A later one has a higher number.
        version: i64,
        /// Where mail goes.
        email: String,
        /// Their name.
        name: String,
    },
}
