//! The `shop` binary: a role for each service; `migrate`, `seed`, `reindex` and `audit` do one thing and end.

use clap::{Parser, Subcommand};
use shop::{audit, cart, gateway, inventory, notification, order, payment, product, search, seed, user};
use std::process::ExitCode;

/// A shop; settings come from the environment.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Forward requests to the other roles (PORT, USER_URL, PRODUCT_URL, INVENTORY_URL, CART_URL, ORDER_URL, PAYMENT_URL, SEARCH_URL).
    Gateway,
    /// Serve signing up and in, addresses, and the keys of tokens (PORT, USERS_URL, EVENTS_URL, TOKEN_SECRET).
    User,
    /// Serve the catalogue (PORT, PRODUCTS_URL, EVENTS_URL, USER_URL).
    Product,
    /// Serve what there is of each product, and keep it for orders (PORT, STOCK_URL, EVENTS_URL, USER_URL).
    Inventory,
    /// Serve carts (PORT, CARTS_URL, USER_URL, PRODUCT_URL).
    Cart,
    /// Serve orders, and lead each to its end (PORT, ORDERS_URL, EVENTS_URL, USER_URL, PRODUCT_URL, CART_URL).
    Order,
    /// Serve cards, take and give back money (PORT, PAYMENTS_URL, EVENTS_URL, USER_URL).
    Payment,
    /// Find products (PORT, INDEX_URL, EVENTS_URL).
    Search,
    /// Tell people by mail what became of their orders (PORT, NOTICES_URL, EVENTS_URL, SMTP_ADDRESS, MAIL_FROM).
    Notification,
    /// Bring every schema up to date (the URL of each database).
    Migrate,
    /// Create people, products and stock (USERS_URL, PRODUCTS_URL, STOCK_URL).
    Seed(seed::Seed),
    /// Tell of every product again, for a search index that was lost (PRODUCTS_URL).
    Reindex,
    /// Compare money and stock across the databases; exit code 1 with any difference (ORDERS_URL, PAYMENTS_URL, STOCK_URL).
    Audit(audit::Audit),
}

fn main() -> ExitCode {
    match Arguments::parse().role {
        Role::Gateway => plimsoll_kit::run("shop-gateway", gateway::serve),
        Role::User => plimsoll_kit::run("shop-user", user::serve),
        Role::Product => plimsoll_kit::run("shop-product", product::serve),
        Role::Inventory => plimsoll_kit::run("shop-inventory", inventory::serve),
        Role::Cart => plimsoll_kit::run("shop-cart", cart::serve),
        Role::Order => plimsoll_kit::run("shop-order", order::serve),
        Role::Payment => plimsoll_kit::run("shop-payment", payment::serve),
        Role::Search => plimsoll_kit::run("shop-search", search::serve),
        Role::Notification => plimsoll_kit::run("shop-notification", notification::serve),
        Role::Migrate => plimsoll_kit::run("shop-migrate", seed::migrate),
        Role::Seed(wanted) => plimsoll_kit::run("shop-seed", || async move { seed::seed(&wanted).await }),
        Role::Reindex => plimsoll_kit::run("shop-reindex", seed::reindex),
        Role::Audit(how) => plimsoll_kit::run("shop-audit", || async move { audit::audit(&how).await }),
    }
}
