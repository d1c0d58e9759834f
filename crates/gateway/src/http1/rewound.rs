//! A connection that was read from, for an engine that begins at its begin.

use super::buffer::Buffer;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, ReadBuf};

/// First the bytes that were read, then the connection.
#[derive(Debug)]
pub(crate) struct Rewound<S> {
    read: Buffer,
    inner: S,
}

impl<S> Rewound<S> {
    pub(super) fn new(read: Buffer, inner: S) -> Self {
        Self { read, inner }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.inner).poll_read(context, buffer);
        }
        let count = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read.filled()[..count]);
        self.read.consume(count);
        self.read.release();
        Poll::Ready(Ok(()))
    }
}

writes_through!(Rewound);
