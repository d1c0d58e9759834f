//! What the API tells from the journal: events of former engines, and why something was decided.

use crate::explain::{self, Of};
use plimsoll_api::{Event, Explanation};
use plimsoll_journal::history::history;
use plimsoll_wire::place::Place;

/// Events with a number above `after` and below `before` that the journal still has, oldest first. Read beside the loop;
/// a read that fails gives none.
pub(crate) async fn events(place: Place, after: u64, before: u64) -> Vec<Event> {
    let read = move || {
        let told = history(&place.journal()).told;
        told.into_iter().filter(|told| told.number > after && told.number < before).collect()
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

/// Why something was decided. Read beside the loop.
pub(crate) async fn explained(place: Place, of: Of) -> Explanation {
    tokio::task::spawn_blocking(move || explain::explain(&place, &of)).await.unwrap_or_default()
}
