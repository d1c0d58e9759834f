//! What the databases say, and where they do not agree.
//!
//! Invariant: [`compare`] is a function of the books; every sentence names what it is about.

use crate::order::saga::State;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// To see whether it changed.
    pub version: i64,
    /// `confirmed`, `cancelled`, or on its way.
    pub state: String,
    /// In the currency's smallest unit.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// So many of each product.
    pub lines: BTreeMap<Uuid, i64>,
    /// The sum of its lines at their prices.
    pub lines_minor: i64,
}

impl Order {
    /// Does nothing more happen to it by itself?
    pub fn is_settled(&self) -> bool {
        State::parse(&self.state).is_some_and(State::is_settled)
    }
}

/// One side of a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `authorise`, `capture` or `refund`.
    pub step: String,
    /// `card`, `held` or `shop`.
    pub account: String,
    /// What it gained; negative: lost.
    pub amount_minor: i64,
}

/// A payment and its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// `captured`, `declined` or `refunded`.
    pub state: String,
    /// In the currency's smallest unit.
    pub amount_minor: i64,
    /// ISO 4217.
    pub currency: String,
    /// In the order in which they were booked.
    pub entries: Vec<Entry>,
}

impl Payment {
    fn on(&self, account: &str) -> i64 {
        self.entries.iter().filter(|entry| entry.account == account).map(|entry| entry.amount_minor).sum()
    }
}

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// `held`, `refused`, `committed`, `expired` or `released`.
    pub state: String,
    /// So many of each product.
    pub lines: BTreeMap<Uuid, i64>,
}

/// A product's numbers, and what its movements sum to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// In the store.
    pub on_hand: i64,
    /// Of that, kept for orders.
    pub reserved: i64,
    /// The sum of what changed on hand.
    pub moved_on_hand: i64,
    /// The sum of what changed of what is reserved.
    pub moved_reserved: i64,
}

/// All of it; the keys of payments and reservations are orders.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// Settled orders that did not change while the rest was read.
    pub orders: BTreeMap<Uuid, Order>,
    /// Every order that there is, in whatever state.
    pub known: BTreeSet<Uuid>,
    /// Payments.
    pub payments: BTreeMap<Uuid, Payment>,
    /// Reservations.
    pub reservations: BTreeMap<Uuid, Reservation>,
    /// Stock, by product.
    pub stock: BTreeMap<Uuid, Stock>,
}

/// Every disagreement, as a sentence.
pub fn compare(books: &Books) -> Vec<String> {
    let mut found = Vec::new();
    for (id, payment) in &books.payments {
        found.extend(of_payment(payment).map(|what| format!("payment of order {id}: {what}")));
        if !books.known.contains(id) {
            found.push(format!("payment of order {id}: there is no such order"));
        }
    }
    for (id, reservation) in &books.reservations {
        let keeps = reservation.state == "held" || reservation.state == "committed";
        if keeps && !books.known.contains(id) {
            found.push(format!("reservation of order {id}: there is no such order"));
        }
    }
    for (id, order) in &books.orders {
        let (payment, reservation) = (books.payments.get(id), books.reservations.get(id));
        found.extend(of_order(order, payment, reservation).into_iter().map(|what| format!("order {id}: {what}")));
    }
    let mut held = BTreeMap::<Uuid, i64>::new();
    for reservation in books.reservations.values().filter(|reservation| reservation.state == "held") {
        for (product, quantity) in &reservation.lines {
            *held.entry(*product).or_default() += quantity;
        }
    }
    for (id, stock) in &books.stock {
        let held = held.remove(id).unwrap_or(0);
        found.extend(of_stock(*stock, held).into_iter().map(|what| format!("product {id}: {what}")));
    }
    found
}

fn of_payment(payment: &Payment) -> Option<String> {
    let mut steps = BTreeMap::<&str, i64>::new();
    for entry in &payment.entries {
        *steps.entry(&entry.step).or_default() += entry.amount_minor;
    }
    if let Some((step, sum)) = steps.into_iter().find(|(_, sum)| *sum != 0) {
        return Some(format!("its {step} sums to {sum}, not to zero"));
    }
    let taken = if payment.state == "captured" { payment.amount_minor } else { 0 };
    let balances = [("card", -taken), ("held", 0), ("shop", taken)];
    let wrong = balances.into_iter().find(|(account, want)| payment.on(account) != *want);
    wrong.map(|(account, want)| {
        format!("it is {}, and {account} has {} of it instead of {want}", payment.state, payment.on(account))
    })
}

fn of_order(order: &Order, payment: Option<&Payment>, reservation: Option<&Reservation>) -> Vec<String> {
    let mut found = Vec::new();
    if order.amount_minor != order.lines_minor {
        found.push(format!("it costs {}, and its lines {}", order.amount_minor, order.lines_minor));
    }
    let is_confirmed = order.state == "confirmed";
    let paid = payment.filter(|payment| payment.state == "captured");
    match paid {
        Some(paid) if is_confirmed && (paid.amount_minor, &paid.currency) != (order.amount_minor, &order.currency) => {
            let (amount, currency) = (paid.amount_minor, &paid.currency);
            found.push(format!("{amount} {currency} were taken instead of {} {}", order.amount_minor, order.currency));
        }
        Some(_) if is_confirmed => {}
        Some(_) => found.push("it is cancelled, and paid".into()),
        None if is_confirmed => found.push("it is confirmed, and not paid".into()),
        None => {}
    }
    let sold = reservation.filter(|reservation| reservation.state == "committed");
    match (sold, reservation.map(|reservation| reservation.state.as_str())) {
        (Some(sold), _) if is_confirmed && sold.lines == order.lines => {}
        (Some(_), _) if is_confirmed => found.push("what was sold is not what was ordered".into()),
        (Some(_), _) => found.push("it is cancelled, and its goods are sold".into()),
        (None, state) if is_confirmed => {
            found.push(format!("it is confirmed, and its reservation is {}", state.unwrap_or("missing")));
        }
        (None, Some("held")) => found.push("it is cancelled, and its goods are kept".into()),
        (None, _) => {}
    }
    found
}

fn of_stock(stock: Stock, held: i64) -> Vec<String> {
    let mut found = Vec::new();
    for (what, have, want) in [
        ("on hand", stock.on_hand, stock.moved_on_hand),
        ("reserved", stock.reserved, stock.moved_reserved),
        ("reserved for orders", stock.reserved, held),
    ] {
        if have != want {
            found.push(format!("{what}: {have}, and it should be {want}"));
        }
    }
    if stock.reserved < 0 || stock.on_hand < stock.reserved {
        found.push(format!("{} of {} are reserved: oversold", stock.reserved, stock.on_hand));
    }
    found
}

/// What confirmed orders add up to, and what the books of payment and inventory say of the same orders: money by currency,
/// then goods.
pub fn totals(books: &Books) -> Vec<(String, i64, i64)> {
    let mut money = BTreeMap::<&str, (i64, i64)>::new();
    let mut goods = (0, 0);
    for (id, order) in &books.orders {
        let sums = money.entry(&order.currency).or_default();
        if order.state == "confirmed" {
            sums.0 += order.amount_minor;
            goods.0 += order.lines.values().sum::<i64>();
        }
        sums.1 += books.payments.get(id).map_or(0, |payment| payment.on("shop"));
        let sold = books.reservations.get(id).filter(|reservation| reservation.state == "committed");
        goods.1 += sold.map_or(0, |reservation| reservation.lines.values().sum());
    }
    let money = money.into_iter().map(|(currency, (orders, booked))| (format!("money, {currency}"), orders, booked));
    money.chain([("goods, pieces".to_owned(), goods.0, goods.1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Uuid = Uuid::from_u128(1);
    const PRODUCT: Uuid = Uuid::from_u128(2);

    fn entry(step: &str, account: &str, amount_minor: i64) -> Entry {
        Entry { step: step.into(), account: account.into(), amount_minor }
    }

    /// A shop that sold one thing for 5.00, and has nine.
    fn books() -> Books {
        let lines = BTreeMap::from([(PRODUCT, 1)]);
        let order = Order {
            version: 4,
            state: "confirmed".into(),
            amount_minor: 500,
            currency: "EUR".into(),
            lines: lines.clone(),
            lines_minor: 500,
        };
        let entries = vec![
            entry("authorise", "card", -500),
            entry("authorise", "held", 500),
            entry("capture", "held", -500),
            entry("capture", "shop", 500),
        ];
        let payment = Payment { state: "captured".into(), amount_minor: 500, currency: "EUR".into(), entries };
        Books {
            orders: BTreeMap::from([(ORDER, order)]),
            known: BTreeSet::from([ORDER]),
            payments: BTreeMap::from([(ORDER, payment)]),
            reservations: BTreeMap::from([(ORDER, Reservation { state: "committed".into(), lines })]),
            stock: BTreeMap::from([(PRODUCT, Stock { on_hand: 9, reserved: 0, moved_on_hand: 9, moved_reserved: 0 })]),
        }
    }

    #[track_caller]
    fn check(spoil: impl FnOnce(&mut Books), want: &str) {
        let mut books = books();
        spoil(&mut books);
        let found = compare(&books);
        assert!(found.iter().any(|what| what.contains(want)), "{want:?} is not in {found:?}");
    }

    #[test]
    fn what_agrees_has_no_difference() {
        assert_eq!(compare(&books()), Vec::<String>::new());
        assert_eq!(totals(&books()), [("money, EUR".into(), 500, 500), ("goods, pieces".into(), 1, 1)]);
    }

    #[test]
    fn money_that_is_missing_or_too_much_is_found() {
        let payment = |books: &mut Books| books.payments.remove(&ORDER).unwrap();
        check(|books| drop(payment(books)), "confirmed, and not paid");
        check(|books| books.orders.get_mut(&ORDER).unwrap().state = "cancelled".into(), "cancelled, and paid");
        check(|books| books.payments.get_mut(&ORDER).unwrap().amount_minor = 400, "it is captured");
        check(|books| books.payments.get_mut(&ORDER).unwrap().currency = "USD".into(), "500 USD were taken");
        check(|books| drop(books.payments.get_mut(&ORDER).unwrap().entries.pop()), "its capture sums to -500");
        check(|books| books.payments.get_mut(&ORDER).unwrap().state = "refunded".into(), "it is refunded");
        check(|books| books.known.clear(), "there is no such order");
    }

    #[test]
    fn goods_that_are_missing_or_sold_twice_are_found() {
        let stock = |books: &mut Books, change: fn(&mut Stock)| change(books.stock.get_mut(&PRODUCT).unwrap());
        check(|books| stock(books, |stock| stock.on_hand = 8), "on hand: 8, and it should be 9");
        check(|books| stock(books, |stock| stock.reserved = 10), "oversold");
        check(
            |books| books.reservations.get_mut(&ORDER).unwrap().state = "expired".into(),
            "its reservation is expired",
        );
        check(|books| drop(books.reservations.remove(&ORDER)), "its reservation is missing");
        check(
            |books| *books.reservations.get_mut(&ORDER).unwrap().lines.get_mut(&PRODUCT).unwrap() = 2,
            "what was sold is not what was ordered",
        );
    }
}
