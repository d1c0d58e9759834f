//! The body of a request on its way to a replica: nothing, the whole of it (so that it can be sent again), or a stream with a
//! limit.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

/// Bodies of idempotent requests up to this are read first, so that they can be sent again.
const REPEATABLE_MAX: u64 = 64 * 1024;

/// A request's body.
#[derive(Debug)]
pub(crate) enum Payload {
    /// None.
    Empty,
    /// All of it; `None` once it is sent.
    Whole(Option<Bytes>),
    /// As it comes from the client.
    Stream(Stream),
}

/// A body as it comes from the client.
#[derive(Debug)]
pub(crate) struct Stream {
    body: Incoming,
    left: u64,
    meter: Arc<Meter>,
}

/// How a stream is doing, for who waits for the answer.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// More came than is allowed.
    pub(crate) over: AtomicBool,
    /// The client did not send all of it.
    pub(crate) broken: AtomicBool,
    /// All of it came.
    pub(crate) ended: AtomicBool,
}

impl Payload {
    /// A stream of at most `bytes_max` bytes.
    pub(crate) fn stream(body: Incoming, bytes_max: u64) -> Self {
        Self::Stream(Stream { body, left: bytes_max, meter: Arc::default() })
    }

    pub(crate) fn meter(&self) -> Option<Arc<Meter>> {
        match self {
            Self::Stream(stream) => Some(Arc::clone(&stream.meter)),
            _ => None,
        }
    }

    /// A stream that is known to be short enough to be kept for another try.
    pub(crate) fn is_small(&self) -> bool {
        matches!(self, Self::Stream(stream) if stream.body.size_hint().exact().is_some_and(|n| n <= REPEATABLE_MAX))
    }

    /// Reads all of it, so that it can be sent more than once.
    ///
    /// # Errors
    /// The client did not send all of it.
    pub(crate) async fn read_whole(self) -> Result<Self, hyper::Error> {
        match self {
            Self::Stream(stream) => Ok(Self::Whole(Some(stream.body.collect().await?.to_bytes()))),
            other => Ok(other),
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                Poll::Ready(bytes.take().filter(|bytes| !bytes.is_empty()).map(|b| Ok(Frame::data(b))))
            }
            Self::Stream(stream) => stream.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(stream) => {
                let ended = stream.body.is_end_stream();
                if ended {
                    stream.meter.ended.store(true, Relaxed);
                }
                ended
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(stream) => stream.body.size_hint(),
        }
    }
}

impl Stream {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => {
                self.meter.ended.store(true, Relaxed);
                Poll::Ready(None)
            }
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(left) = self.left.checked_sub(length) else {
                    self.meter.over.store(true, Relaxed);
                    return Poll::Ready(Some(Err(io::Error::other("the body is longer than allowed"))));
                };
                self.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.meter.broken.store(true, Relaxed);
                Poll::Ready(Some(Err(io::Error::other(error))))
            }
        }
    }
}
