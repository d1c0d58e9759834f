//! The body of a replica's answer: it drives the connection that it comes from, and gives it back at its end.

use super::{Link, pool};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// A body that is on its way.
pub(crate) struct Answering {
    body: Incoming,
    /// `None` for HTTP/2, for one that ended, and after the end.
    link: Option<Box<Link>>,
    /// Others drive the connection (HTTP/2).
    driven: bool,
    pool: u64,
}

impl Answering {
    /// A body whose connection is `link`, which goes to that pool at its end.
    pub(crate) fn on_link(body: Incoming, link: Option<Box<Link>>, pool: u64) -> Self {
        let mut this = Self { body, link, driven: false, pool };
        this.give_back_at_end();
        this
    }

    /// A body on a connection that is driven elsewhere.
    pub(crate) fn driven(body: Incoming) -> Self {
        Self { body, link: None, driven: true, pool: 0 }
    }

    /// Once nothing more comes, others can use the connection.
    fn give_back_at_end(&mut self) {
        if self.body.is_end_stream()
            && let Some(link) = self.link.take()
        {
            pool::put(self.pool, link);
        }
    }

    pub(crate) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.driven {
            return Pin::new(&mut self.body).poll_frame(context);
        }
        // What comes comes only from driving the connection, so nobody else has to wake us for it.
        let mut nobody = Context::from_waker(Waker::noop());
        let mut is_driven = false;
        loop {
            match Pin::new(&mut self.body).poll_frame(&mut nobody) {
                Poll::Pending => {}
                Poll::Ready(None) => {
                    if let Some(link) = self.link.take() {
                        pool::put(self.pool, link);
                    }
                    return Poll::Ready(None);
                }
                ready => {
                    self.give_back_at_end();
                    return ready;
                }
            }
            if is_driven {
                return Poll::Pending;
            }
            match &mut self.link {
                Some(link) => {
                    if Pin::new(&mut link.connection).poll(context).is_ready() {
                        self.link = None;
                    }
                    is_driven = true;
                }
                // The connection is gone, and has said all that there is to say.
                None => return Pin::new(&mut self.body).poll_frame(context),
            }
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
