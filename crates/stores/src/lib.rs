//! How each kind of store is started, made ready and formed.
//!
//! A [`Driver`] describes the processes of one store (which program, which configuration, which signal ends it) and speaks
//! to them once they run. The engine starts and ends them; nothing here has a child.
//!
//! For each member, in this order: [`Driver::before_start`], each of [`Member::prepare`] to its successful end,
//! [`Member::serve`], [`Driver::ready`] until it is; then, when all members are ready, [`Driver::provision`]. Every step may
//! be cut short at any point and done again from the first.
//!
//! Invariant: a secret is never in the arguments or the environment of a process, and never in a message.
//! Invariant: what holds data is never removed.

pub mod doctor;
pub mod driver;
pub mod error;
pub mod external;
mod files;
mod login;
pub mod member;
pub mod nats;
pub mod postgres;
mod processes;
mod program;
pub mod redis;
mod secret;
pub mod seen;
pub mod site;
mod stamp;
mod text;

pub use doctor::{Finding, doctor};
pub use driver::{Driver, driver, member_count, recorded};
pub use error::{NotReady, StoreError};
pub use external::external;
pub use files::ConfigFile;
pub use login::service_url;
pub use member::{Command, Member};
pub use postgres::pooler::{self, Pooler};
pub use processes::works_below;
pub use seen::{Inspection, MemberSeen, Provisioned};
pub use site::{Front, Site, User};
