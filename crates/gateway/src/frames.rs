//! Frames of HTTP/2 that ask for nothing: SETTINGS, PING, PRIORITY, empty DATA, and kinds that nobody knows. A client sends few
//! of them; a flood costs it little and the gateway an answer each. Floods of requests that are taken back, and of heads that
//! do not end, are the engine's to find.
//!
//! Invariant: no more of them are passed on than [`allowance`] says; then the connection ends.

use crate::{connection::Connection, shared::say};
use plimsoll_control::route::limit::{Memory, limit};
use plimsoll_model::{
    Millis,
    route::{LimitBy, RateLimit},
};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, ReadBuf};

/// The whole of what comes before the first frame.
const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
/// A frame's length, kind, flags and stream.
const HEAD: usize = 9;

/// So many such frames of one connection: a hundred a second for as long as it likes, and ten times as many at once.
const fn allowance() -> RateLimit {
    RateLimit { requests: 1000, per: Millis::from_secs(10), by: LimitBy::Everyone }
}

/// Follows the frames of a connection as their bytes come, however they are cut.
#[derive(Debug)]
struct Frames {
    /// Bytes that are no frame's head: of the preface, or of a frame behind its head.
    skip: usize,
    head: [u8; HEAD],
    /// How much of a head is there.
    known: usize,
}

impl Frames {
    const fn new() -> Self {
        Self { skip: PREFACE, head: [0; HEAD], known: 0 }
    }

    /// How many frames that ask for nothing begin in these bytes, the next ones of the connection.
    fn idle(&mut self, mut bytes: &[u8]) -> u32 {
        let mut idle = 0;
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return idle;
            }
            let taken = (HEAD - self.known).min(bytes.len());
            self.head[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
            self.known += taken;
            bytes = &bytes[taken..];
            if self.known == HEAD {
                self.known = 0;
                let [high, middle, low, kind, flags, ..] = self.head;
                self.skip = u32::from_be_bytes([0, high, middle, low]) as usize;
                idle += u32::from(asks_for_nothing(kind, flags, self.skip));
            }
        }
    }
}

/// By kind, flags and length: RFC 9113 §6.
const fn asks_for_nothing(kind: u8, flags: u8, length: usize) -> bool {
    const END_STREAM: u8 = 1;
    match kind {
        // DATA.
        0 => length == 0 && flags & END_STREAM == 0,
        // HEADERS, RST_STREAM, WINDOW_UPDATE, CONTINUATION.
        1 | 3 | 8 | 9 => false,
        _ => true,
    }
}

/// A connection that speaks HTTP/2, and ends when its client floods it.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    inner: S,
    frames: Frames,
    memory: Memory,
    connection: Arc<Connection>,
}

impl<S> Guarded<S> {
    pub(crate) fn new(inner: S, connection: Arc<Connection>) -> Self {
        Self { inner, frames: Frames::new(), memory: Memory::default(), connection }
    }

    fn note(&mut self, bytes: &[u8]) -> io::Result<()> {
        let idle = self.frames.idle(bytes);
        if idle == 0 {
            return Ok(());
        }
        let now = self.connection.shared.instant(std::time::Instant::now());
        let is_flood = (0..idle).any(|_| !limit(&allowance(), &mut self.memory, now).allowed);
        if is_flood {
            say("flood", format!("{} sends frames of HTTP/2 that ask for nothing", self.connection.peer));
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        Poll::Ready(self.note(&buffer.filled()[before..]))
    }
}

writes_through!(Guarded);

#[cfg(test)]
mod tests {
    use super::*;

    /// Kind, flags and length of frames behind a preface; how many of them ask for nothing, however the bytes are cut.
    #[track_caller]
    fn check(frames: &[(u8, u8, usize)], want: u32) {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for (kind, flags, length) in frames {
            let [_, high, middle, low] = u32::try_from(*length).unwrap().to_be_bytes();
            bytes.extend([high, middle, low, *kind, *flags, 0, 0, 0, 1]);
            // As if it were all heads of SETTINGS.
            bytes.extend(std::iter::repeat_n(4, *length));
        }
        for piece in [1, 3, 10, bytes.len()] {
            let mut frames = Frames::new();
            let got: u32 = bytes.chunks(piece).map(|piece| frames.idle(piece)).sum();
            assert_eq!(got, want, "in pieces of {piece}");
        }
    }

    #[test]
    fn only_what_asks_for_nothing_is_counted() {
        check(&[], 0);
        check(&[(4, 0, 18), (4, 1, 0), (6, 0, 8), (2, 0, 5), (200, 0, 70_000)], 5);
        check(&[(1, 5, 300), (0, 0, 10), (0, 1, 0), (3, 0, 4), (8, 0, 4), (9, 4, 20)], 0);
        check(&[(0, 0, 0), (0, 8, 0), (1, 4, 0)], 2);
    }
}
