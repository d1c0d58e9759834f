//! How reports about promises look, whoever makes them: tables for a terminal, pages that need nothing else.
//!
//! Invariant: nothing here knows what was measured or imagined; a verdict is told by a word, never by colour alone.

mod page;
mod table;

pub use page::{escape, page, promises, verdict};
pub use table::{margin, table};
