//! HTTP/1.1 with clients, and with replicas for them: an engine of our own, which knows only what a gateway needs.
//!
//! A request's head is read once, checked, and written anew into one buffer; the body follows as it comes, framed anew. Nothing
//! is built of a message but the bytes that go out. Where it stops: HTTP/2, and requests for services that speak it, go on with
//! another engine, with the bytes that were read.
//!
//! Invariant: what passes can be read in one way only; a doubt is an answer 400 and the end of the connection.
//! Invariant: a connection without a request holds no buffer; one with a request holds at most two, of one size each once the
//! heads have passed.

mod alarm;
mod body;
mod buffer;
mod client;
mod connection;
mod date;
mod delivery;
mod exchange;
pub(crate) mod field;
mod link;
mod prepare;
mod pump;
mod reply;
mod request;
mod rewound;
mod tunnel;

pub(crate) use connection::{Onward, serve};
pub(crate) use link::{close_idle, sweep};
