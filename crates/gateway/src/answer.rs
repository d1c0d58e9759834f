//! The body of an answer on its way to the client. It carries what has to be known at its end.

use crate::{
    upstream::Answering,
    visit::{Flight, Visit},
};
use bytes::Bytes;
use http::Version;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// A body, and the request that it answers.
pub(crate) struct Answer {
    kind: Kind,
    visit: Option<Box<Visit>>,
    flight: Option<Flight>,
    /// Rings when all of it should have been sent.
    end: Option<Pin<Box<Sleep>>>,
}

/// Why a body ends before its end: the replica's connection, or time.
type Cut = Box<dyn std::error::Error + Send + Sync>;

enum Kind {
    Whole(Option<Bytes>),
    Upstream(Answering),
}

impl Answer {
    /// The gateway's own answer.
    pub(crate) fn own(bytes: Bytes, visit: Box<Visit>) -> Self {
        let kind = Kind::Whole((!bytes.is_empty()).then_some(bytes));
        Self { kind, visit: Some(visit), flight: None, end: None }.ended_if_empty()
    }

    /// A replica's answer.
    pub(crate) fn upstream(body: Answering, visit: Box<Visit>, flight: Flight) -> Self {
        let end = visit.end.map(|end| Box::pin(sleep_until(end)));
        Self { kind: Kind::Upstream(body), visit: Some(visit), flight: Some(flight), end }.ended_if_empty()
    }

    fn ended_if_empty(mut self) -> Self {
        if self.is_end_stream() {
            self.end();
        }
        self
    }

    fn end(&mut self) {
        if let Some(flight) = self.flight.take() {
            flight.ended(std::time::Instant::now());
        }
        if let Some(mut visit) = self.visit.take() {
            visit.complete = true;
        }
    }

    /// Whether the time for it is over; the task is woken when it is.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        // The timer alone would not do: where frames never end, the runtime lets none ring in this task.
        self.end.as_mut().is_some_and(|end| end.as_mut().poll(context).is_ready() || end.deadline() <= Instant::now())
    }

    /// The time for it is over: as [`Answer::cut`], but nobody is known to be at fault.
    fn late(&mut self) -> Cut {
        self.flight = None;
        if let Some(mut visit) = self.visit.take() {
            visit.reason = Some("total-timeout");
            if visit.version < Version::HTTP_2 {
                visit.connection.watch.reset_at_end();
            }
        }
        "the answer takes too long".into()
    }

    /// The replica did not send the rest. The client must not take what it has for the whole.
    fn cut(&mut self) {
        if let Some(flight) = self.flight.take() {
            flight.failed();
        }
        if let Some(mut visit) = self.visit.take() {
            visit.reason = Some("truncated");
            if visit.version == Version::HTTP_10 {
                // The end of the connection is the end of such a body, unless it is a reset.
                visit.connection.watch.reset_at_end();
            }
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.is_over(context) {
            return Poll::Ready(Some(Err(self.late())));
        }
        let polled = match &mut self.kind {
            Kind::Whole(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Kind::Upstream(answering) => ready!(answering.poll_frame(context)).map(|frame| frame.map_err(Cut::from)),
        };
        match &polled {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                if let Some(visit) = &mut self.visit {
                    visit.sent += length;
                }
                if self.is_end_stream() {
                    self.end();
                }
            }
            None => self.end(),
            Some(Err(_)) => self.cut(),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Upstream(answering) => answering.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Upstream(answering) => answering.size_hint(),
        }
    }
}
