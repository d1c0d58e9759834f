//! The schemas: a database for each service that has one.

use sqlx::migrate::Migrator;

/// Of the user service.
pub static USERS: Migrator = sqlx::migrate!("./migrations/users");
/// Of the product service.
pub static PRODUCTS: Migrator = sqlx::migrate!("./migrations/products");
/// Of the inventory service.
pub static STOCK: Migrator = sqlx::migrate!("./migrations/stock");
/// Of the order service.
pub static ORDERS: Migrator = sqlx::migrate!("./migrations/orders");
/// Of the payment service.
pub static PAYMENTS: Migrator = sqlx::migrate!("./migrations/payments");
/// Of the search service.
pub static INDEX: Migrator = sqlx::migrate!("./migrations/index");
/// Of the notification service.
pub static NOTICES: Migrator = sqlx::migrate!("./migrations/notices");
