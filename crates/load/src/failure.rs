//! A request that got no right answer, and why.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use serde::Serialize;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Cause {
    /// Nobody listens there.
    Refused,
    /// No connection could be made, for another reason.
    Connect {
        /// The system's words.
        why: String,
    },
    /// The TLS handshake failed.
    Tls {
        /// The library's words.
        why: String,
    },
    /// It was not answered in time.
    TimedOut,
    /// No connection became free in time: it was never sent.
    NotSent,
    /// The connection was closed before the answer was whole.
    Closed,
    /// The connection was reset before the answer was whole.
    Reset,
    /// The answer was none that was expected.
    Status {
        /// What was answered.
        status: u16,
    },
    /// The answer was no HTTP, or HTTP/2 reported an error.
    Protocol {
        /// The library's words.
        why: String,
    },
}

impl Cause {
    /// The cause of a failed exchange.
    pub(crate) fn of_exchange(error: &hyper::Error) -> Cause {
        let mut source: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(inner) = source {
            if let Some(io) = inner.downcast_ref::<io::Error>() {
                return match io.kind() {
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Cause::Reset,
                    io::ErrorKind::UnexpectedEof => Cause::Closed,
                    _ => Cause::Protocol { why: words(error) },
                };
            }
            source = inner.source();
        }
        if error.is_incomplete_message() || error.is_canceled() || error.is_closed() || error.is_body_write_aborted() {
            return Cause::Closed;
        }
        Cause::Protocol { why: words(error) }
    }

    /// The cause of a connection that could not be made.
    pub(crate) fn of_connect(error: &io::Error) -> Cause {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Cause::Refused,
            _ => Cause::Connect { why: error.to_string() },
        }
    }
}

/// An error with its sources, on one line.
pub(crate) fn words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Refused => f.write_str("connection refused"),
            Cause::Connect { why } => write!(f, "no connection: {why}"),
            Cause::Tls { why } => write!(f, "TLS: {why}"),
            Cause::TimedOut => f.write_str("timed out"),
            Cause::NotSent => f.write_str("not sent: no connection was free in time"),
            Cause::Closed => f.write_str("connection closed before the answer was whole"),
            Cause::Reset => f.write_str("connection reset"),
            Cause::Status { status } => write!(f, "status {status}"),
            Cause::Protocol { why } => write!(f, "protocol: {why}"),
        }
    }
}

/// One failed request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its intended start, counted from the end of the warm-up.
    #[serde(rename = "at_s", serialize_with = "crate::latencies::as_seconds")]
    pub at: Duration,
    /// How long after its intended start it had failed.
    #[serde(rename = "after_ms", serialize_with = "crate::latencies::as_milliseconds")]
    pub after: Duration,
    /// Its number in the run.
    pub number: u64,
    /// Its method and path, filled in.
    pub request: String,
    /// Why.
    pub cause: Cause,
}
