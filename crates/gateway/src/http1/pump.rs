//! Carries one message from one connection to another: its head, which is there already, and its body as it comes.
//!
//! Head and as much of the body as is there go out in one write. Nothing is read before what was read is written, so a slow
//! reader slows its sender down, and a message in flight holds one buffer.

use super::{
    body::{Decoder, Framing, Malformed},
    buffer::{Buffer, SIZE},
};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite};

/// Why a message did not get across.
#[derive(Debug)]
pub(super) enum Stuck {
    /// Its sender closed before the end of it.
    Cut,
    /// Its framing is wrong.
    Malformed(Malformed),
    /// It is longer than allowed.
    TooLong,
    /// Its receiver takes no more.
    Unwanted,
    /// The time for it is over.
    Late,
}

/// One message on its way.
#[derive(Debug)]
pub(super) struct Pump {
    /// Bytes that go out before the data: the message's head, the head of a chunk.
    before: Vec<u8>,
    before_at: usize,
    /// Bytes at the front of the source's buffer that go out as they are.
    data: usize,
    /// Framing behind them, which is skipped.
    skip: usize,
    /// Bytes that go out behind the data.
    after: Vec<u8>,
    after_at: usize,
    decoder: Decoder,
    /// The body goes out in chunks.
    chunked: bool,
    /// Whether trailers go on.
    trailers: bool,
    /// Bytes of the body that may still come.
    allowance: u64,
    /// Bytes of the body so far.
    pub(super) carried: u64,
    /// Something was written.
    touched: bool,
    /// Everything is in `before` and `after`, or out.
    framed: bool,
}

impl Pump {
    /// `head`: with the empty line behind it. `chunked`: as the head says.
    pub(super) fn new(head: Vec<u8>, framing: Framing, chunked: bool) -> Self {
        let decoder = Decoder::new(framing);
        let framed = decoder.is_done() && !chunked;
        Self {
            before: head,
            before_at: 0,
            data: 0,
            skip: 0,
            after: Vec::new(),
            after_at: 0,
            decoder,
            chunked,
            trailers: false,
            allowance: u64::MAX,
            carried: 0,
            touched: false,
            framed,
        }
    }

    /// A body that is longer gets stuck.
    pub(super) fn at_most(self, allowance: u64) -> Self {
        Self { allowance, ..self }
    }

    /// Passes trailers on.
    pub(super) fn with_trailers(self, trailers: bool) -> Self {
        Self { trailers, ..self }
    }

    /// Nothing of it is out.
    pub(super) fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// What goes out first: the head of a message, and behind it a body that was collected.
    pub(super) fn head(&self) -> &[u8] {
        &self.before
    }

    /// Begins anew: only for one that is as a whole in its head.
    pub(super) fn rewind(&mut self) {
        self.before_at = 0;
        self.touched = false;
    }

    /// It waits for its sender.
    pub(super) fn is_waiting(&self) -> bool {
        !self.is_loaded() && !self.framed
    }

    /// Reads all of a body with a length behind its head, so that it can be sent again and again.
    pub(super) fn poll_collect(
        &mut self,
        context: &mut Context<'_>,
        source: &mut (impl AsyncRead + Unpin),
        buffer: &mut Buffer,
    ) -> Poll<Result<(), Stuck>> {
        debug_assert!(!self.chunked, "what has no length is not collected");
        while !self.framed {
            if buffer.is_empty() {
                let read = ready!(buffer.poll_fill(context, source, SIZE)).map_err(|_| Stuck::Cut)?;
                if read == 0 {
                    return Poll::Ready(Err(Stuck::Cut));
                }
            }
            self.take(buffer)?;
            let count = std::mem::take(&mut self.data);
            self.before.extend_from_slice(&buffer.filled()[..count]);
            buffer.consume(count);
        }
        Poll::Ready(Ok(()))
    }

    /// All of it came from its sender.
    pub(super) fn has_come(&self) -> bool {
        self.decoder.is_done()
    }

    /// Goes on until all of it is out.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        source: &mut (impl AsyncRead + Unpin),
        buffer: &mut Buffer,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Stuck>> {
        loop {
            if self.data == 0 && !self.framed && (!buffer.is_empty() || self.decoder.is_done()) {
                self.take(buffer)?;
            }
            while self.is_loaded() {
                ready!(self.poll_write(context, buffer, sink))?;
            }
            if self.framed {
                return Pin::new(sink).poll_flush(context).map_err(|_| Stuck::Unwanted);
            }
            if !buffer.is_empty() {
                continue;
            }
            ready!(Pin::new(&mut *sink).poll_flush(context)).map_err(|_| Stuck::Unwanted)?;
            let read = ready!(buffer.poll_fill(context, source, SIZE)).map_err(|_| Stuck::Cut)?;
            if read == 0 && !self.decoder.close() {
                return Poll::Ready(Err(Stuck::Cut));
            }
        }
    }

    fn is_loaded(&self) -> bool {
        self.before_at < self.before.len() || self.data > 0 || self.after_at < self.after.len()
    }

    /// Takes the framing off what is in the buffer, and gives it the sink's.
    fn take(&mut self, buffer: &mut Buffer) -> Result<(), Stuck> {
        let decoded = self.decoder.decode(buffer.filled_mut()).map_err(Stuck::Malformed)?;
        buffer.consume(decoded.data.start);
        self.data = decoded.data.len();
        self.skip = decoded.used - decoded.data.end;
        if self.data == 0 {
            buffer.consume(std::mem::take(&mut self.skip));
        }
        self.carried += self.data as u64;
        self.allowance = self.allowance.checked_sub(self.data as u64).ok_or(Stuck::TooLong)?;
        self.framed = self.decoder.is_done();
        if self.chunked {
            self.frame();
        }
        Ok(())
    }

    fn frame(&mut self) {
        if self.before_at == self.before.len() {
            self.before.clear();
            self.before_at = 0;
        }
        self.after.clear();
        self.after_at = 0;
        if self.data > 0 {
            write_hex(&mut self.before, self.data);
            self.before.extend_from_slice(b"\r\n");
            self.after.extend_from_slice(b"\r\n");
        }
        if self.framed {
            self.after.extend_from_slice(b"0\r\n");
            if self.trailers {
                self.after.extend_from_slice(self.decoder.trailers());
            }
            self.after.extend_from_slice(b"\r\n");
        }
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Buffer,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Stuck>> {
        let parts = [&self.before[self.before_at..], &buffer.filled()[..self.data], &self.after[self.after_at..]];
        let mut slices = [IoSlice::new(&[]); 3];
        let mut count = 0;
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            slices[count] = IoSlice::new(part);
            count += 1;
        }
        let written = match &slices[..count] {
            [one] => Pin::new(sink).poll_write(context, one),
            several => Pin::new(sink).poll_write_vectored(context, several),
        };
        let mut left = match ready!(written) {
            Ok(0) | Err(_) => return Poll::Ready(Err(Stuck::Unwanted)),
            Ok(written) => written,
        };
        self.touched = true;
        let part = left.min(self.before.len() - self.before_at);
        self.before_at += part;
        left -= part;
        let part = left.min(self.data);
        if part > 0 {
            self.data -= part;
            buffer.consume(part);
            if self.data == 0 {
                buffer.consume(std::mem::take(&mut self.skip));
            }
        }
        self.after_at += left - part;
        Poll::Ready(Ok(()))
    }
}

impl From<io::Error> for Stuck {
    fn from(_: io::Error) -> Self {
        Self::Unwanted
    }
}

fn write_hex(out: &mut Vec<u8>, number: usize) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().map(|digit| DIGITS[(number >> (digit * 4)) & 15]));
}
