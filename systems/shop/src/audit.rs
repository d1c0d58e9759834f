//! `shop audit`: do money and stock agree, across the databases of order, payment and inventory?
//!
//! It may run while the shop is open. Orders are read before and after the rest; one that changed meanwhile, or is not
//! settled, is on its way and left out, and counted.
//!
//! Invariant: it reads, and writes nothing.

mod books;
mod read;

pub use books::{Books, Entry, Order, Payment, Reservation, Stock, compare, totals};

use crate::{inventory, order, payment};
use anyhow::bail;
use plimsoll_kit::postgres::PostgresSettings;
use plimsoll_kit::settings;
use std::collections::BTreeMap;

/// How strictly it looks.
#[derive(Debug, Clone, clap::Args)]
pub struct Audit {
    /// Orders that are on their way are differences, too: for when nobody buys any more.
    #[arg(long)]
    pub settled: bool,
}

/// Compares, and prints what it found.
///
/// # Errors
/// Settings, a database, or any difference.
pub async fn audit(audit: &Audit) -> anyhow::Result<()> {
    let (orders, payments, stock) = settings::read(|env| {
        let mut read = |role: plimsoll_kit::backend::Role| PostgresSettings::read(role.store, env);
        (read(order::ROLE), read(payment::ROLE), read(inventory::ROLE))
    })?;
    let [orders, payments, stock] = [orders, payments, stock].map(|settings| settings.bulk_pool("shop-audit"));
    let before = read::orders(&orders).await?;
    let payments = read::payments(&payments).await?;
    let (reservations, stock) = read::stock(&stock).await?;
    let after = read::orders(&orders).await?;
    let books =
        Books { payments, reservations, stock, known: after.keys().copied().collect(), orders: BTreeMap::new() };
    let unchanged = |(id, order): (uuid::Uuid, Order)| {
        let same = after.get(&id).is_some_and(|later| later.version == order.version);
        (same && order.is_settled()).then_some((id, order))
    };
    let all = before.len();
    let books = Books { orders: before.into_iter().filter_map(unchanged).collect(), ..books };
    let on_their_way = all - books.orders.len();
    let mut differences = compare(&books);
    if audit.settled && on_their_way > 0 {
        differences.push(format!("{on_their_way} orders are not settled"));
    }
    print(&books, on_their_way, &differences);
    if differences.is_empty() { Ok(()) } else { bail!("{} differences", differences.len()) }
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn print(books: &Books, on_their_way: usize, differences: &[String]) {
    println!("{:<16} {:>16} {:>16} {:>12}", "", "orders say", "books say", "difference");
    for (what, orders, booked) in totals(books) {
        println!("{what:<16} {orders:>16} {booked:>16} {:>12}", orders - booked);
    }
    for difference in differences {
        println!("DIFFERENCE: {difference}");
    }
    println!(
        "{} differences among {} settled orders ({on_their_way} on their way), {} payments, {} reservations, {} products",
        differences.len(),
        books.orders.len(),
        books.payments.len(),
        books.reservations.len(),
        books.stock.len()
    );
}
