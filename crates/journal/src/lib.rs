//! What is remembered: an append-only, checked record.
//!
//! A journal is a folder. Each *generation* `N` is a log `N.log` of records and, but for the first, a snapshot
//! `N.snapshot` of everything before it. A record holds its length, its number, a CRC32C and a hash chained to the record
//! before it; so does the beginning of each log and snapshot. The former generation is kept until the next one is made, and
//! older ones while [`Journal::keep_bytes`] allows.
//!
//! Two classes of durability: [`Durability::OurDeath`] is a plain write (the kernel keeps it when we die),
//! [`Durability::PowerLoss`] is synced to disk before the answer.
//!
//! Invariant: what is read back is a gapless beginning of what was appended, never anything else.
//! Invariant: whatever is cut or lost is told ([`Opened::damage`]), and what was damaged is set aside, not destroyed. One
//! thing no log can tell: whether it once went on after its last whole record.
//! Invariant: after a failed sync nothing is appended until a new generation stands: a second sync of the same file can
//! report success for data that the kernel has thrown away.
//! Invariant: two writers are impossible; readers need no writer and no lock.

mod damage;
pub mod decided;
pub mod entry;
mod error;
mod files;
pub mod flight;
mod frame;
pub mod history;
mod journal;
mod layout;
mod log;
mod open;
mod read;
pub mod replay;
mod snapshot;

pub use damage::{Damage, What};
pub use error::{JournalError, chain};
pub use files::{Disk, Files, WritableFile};
pub use frame::{Record, Sequence};
pub use journal::{Durability, Journal};
pub use open::Opened;
pub use read::{Item, Reader, read};
