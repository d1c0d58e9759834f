//! What Plimsoll's own processes say to each other. Versioned: version N understands N and N−1.
//!
//! Messages are JSON, one a datagram of a `SOCK_SEQPACKET` Unix socket; descriptors travel beside them (`SCM_RIGHTS`).
//! A message of an unknown kind is answered with an error and never ends the connection; unknown fields are ignored.
//!
//! Invariant: nothing here decides anything.

pub mod channel;
pub mod gateway;
pub mod keeper;
pub mod place;

/// The version of these messages; said by both sides in their first one.
pub const VERSION: u32 = 1;
