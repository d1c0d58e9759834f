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
pub mod sum;

/// The version of these messages; said by both sides in their first one.
///
/// 1: the first. 2: [`keeper::Ask::Upgrade`] names a program to go back to, [`keeper::Ask::Trust`]; what is handed
/// back replaces nothing newer; gateways tell whether
/// they drain and listen.
pub const VERSION: u32 = 2;

/// Whether one who speaks that version is understood: N and its neighbours.
#[must_use]
pub const fn understands(version: u32) -> bool {
    version.abs_diff(VERSION) <= 1
}
