//! The body of a request on its way to a replica: nothing, the whole of it (so that it can be sent again), or a stream with a
//! limit.

use crate::{forward::REPEATABLE_MAX, pace::Pace, upstream::Failure};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use plimsoll_control::route::upload;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

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
    pace: Pace,
    meter: Arc<Meter>,
}

/// How a stream is doing, for who waits for the answer.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// More came than is allowed.
    pub(crate) over: AtomicBool,
    /// The client did not send all of it.
    pub(crate) broken: AtomicBool,
    /// It came too slowly.
    pub(crate) slow: AtomicBool,
    /// All of it came.
    pub(crate) ended: AtomicBool,
}

impl Payload {
    /// A stream of at most `bytes_max` bytes, whose client keeps to that pace.
    pub(crate) fn stream(body: Incoming, bytes_max: u64, pace: upload::Policy) -> Self {
        Self::Stream(Stream { body, left: bytes_max, pace: Pace::new(pace), meter: Arc::default() })
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
    /// The client did not send all of it, or too slowly.
    pub(crate) async fn read_whole(self) -> Result<Self, Failure> {
        let Some(meter) = self.meter() else { return Ok(self) };
        match self.collect().await {
            Ok(whole) => Ok(Self::Whole(Some(whole.to_bytes()))),
            Err(_) => Err(meter.failure().unwrap_or(Failure::Body)),
        }
    }
}

impl Meter {
    /// Why the stream broke off, if it did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        match () {
            () if self.slow.load(Relaxed) => Some(Failure::Slow),
            () if self.over.load(Relaxed) || self.broken.load(Relaxed) => Some(Failure::Body),
            () => None,
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
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            ready!(self.pace.poll_late(context));
            self.meter.slow.store(true, Relaxed);
            return Poll::Ready(Some(Err(io::Error::other("the body comes too slowly"))));
        };
        match frame {
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
                self.pace.came(length);
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.meter.broken.store(true, Relaxed);
                Poll::Ready(Some(Err(io::Error::other(error))))
            }
        }
    }
}
