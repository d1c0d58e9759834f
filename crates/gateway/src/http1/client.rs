//! A client's side of a connection: reads heads, and tells what the gateway itself has to say.

use super::{
    alarm::Alarm,
    buffer::{Buffer, SIZE},
    request::too_large,
};
use crate::{
    connection::{Verdict, Watch},
    entrance::{HEAD_MAX, PREFACE},
    problem::Problem,
};
use http::StatusCode;
use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time,
};

/// What of a request is not wanted any more is read for so long, so that its client can read why.
const LINGER: Duration = Duration::from_secs(2);
/// And not more of it than this.
const LINGER_BYTES: usize = 1 << 20;

/// A connection of a client that speaks HTTP/1.1.
#[derive(Debug)]
pub(super) struct Client<S> {
    pub(super) stream: S,
    pub(super) buffer: Buffer,
    pub(super) watch: Arc<Watch>,
    pub(super) alarm: Alarm,
}

/// How a connection goes on.
pub(super) enum Start {
    /// With a head of so many bytes, which are in the buffer.
    Head(usize),
    /// With an answer that ends it.
    Refused(Problem),
    /// With HTTP/2.
    Http2,
    /// Not.
    Over,
}

/// How far the buffer was looked through for the end of a head.
#[derive(Debug, Default)]
struct Scan {
    at: usize,
    /// Where the line begins.
    line: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(super) fn new(stream: S, watch: Arc<Watch>) -> Self {
        Self { stream, buffer: Buffer::default(), watch, alarm: Alarm::default() }
    }

    /// Waits for the next request. `first`: it may be one of HTTP/2.
    pub(super) async fn next(&mut self, first: bool) -> Start {
        let mut scan = Scan::default();
        poll_fn(|context| self.poll_next(context, first, &mut scan)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>, first: bool, scan: &mut Scan) -> Poll<Start> {
        loop {
            let bytes = self.buffer.filled();
            let is_preface = first && !bytes.is_empty() && bytes.iter().zip(PREFACE).all(|(byte, known)| byte == known);
            if is_preface && bytes.len() >= PREFACE.len() {
                return Poll::Ready(Start::Http2);
            }
            if !is_preface && !bytes.is_empty() && bytes != b"\r" {
                // One empty line before a request is allowed: old clients send one behind a body.
                if scan.at == 0 && bytes.starts_with(b"\r\n") {
                    self.buffer.consume(2);
                    continue;
                }
                match scan.go(bytes) {
                    Ok(Some(length)) => return Poll::Ready(Start::Head(length)),
                    Err(problem) => return Poll::Ready(Start::Refused(problem)),
                    Ok(None) => {}
                }
            }
            if self.watch.is_late() {
                return Poll::Ready(if self.buffer.is_empty() { Start::Over } else { Start::Refused(late()) });
            }
            if self.buffer.is_empty() && self.watch.verdict() != Verdict::Go {
                return Poll::Ready(Start::Over);
            }
            match ready!(self.buffer.poll_fill(context, &mut self.stream, HEAD_MAX)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(Start::Over),
            }
        }
    }

    /// Ready when the client is not there any more. What it sends meanwhile is kept, up to one buffer.
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.buffer.len() < SIZE {
            match ready!(self.buffer.poll_fill(context, &mut self.stream, SIZE)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// Writes an answer of the gateway's own. `fields`: more lines of its head.
    pub(super) async fn tell(&mut self, problem: &Problem, instance: &str, more: &More<'_>) -> io::Result<u64> {
        let response = problem.response(instance);
        let mut out = Vec::with_capacity(1024);
        let status = response.status();
        out.extend_from_slice(format!("HTTP/1.1 {status}\r\n").as_bytes());
        for (name, value) in response.headers() {
            super::field::write(&mut out, name.as_str(), value.as_bytes());
        }
        super::field::write(&mut out, "x-request-id", instance.as_bytes());
        super::field::write_number(&mut out, "content-length", response.body().len() as u64);
        super::date::write(&mut out, more.second);
        out.extend_from_slice(more.fields);
        if more.close && !problem.close {
            super::field::write(&mut out, "connection", b"close");
        }
        out.extend_from_slice(b"\r\n");
        let body = if more.to_head { &b""[..] } else { response.body() };
        out.extend_from_slice(body);
        self.stream.write_all(&out).await?;
        self.stream.flush().await?;
        Ok(body.len() as u64)
    }

    /// Ends the connection so that the client can read what it was told last. `unread`: it may be sending still, and a close
    /// would then destroy that.
    pub(super) async fn end(&mut self, unread: bool) {
        let end = async {
            self.stream.shutdown().await?;
            let mut left = if unread { LINGER_BYTES } else { 0 };
            let mut bytes = [0; 1024];
            while left > 0 {
                let count = self.stream.read(&mut bytes).await?;
                left = if count == 0 { 0 } else { left.saturating_sub(count) };
            }
            io::Result::Ok(())
        };
        // Boxed: it happens once. A client that went away has nothing to read.
        let _ = Box::pin(time::timeout(LINGER, end)).await;
    }
}

/// What belongs to an answer of the gateway's own.
pub(super) struct More<'a> {
    /// More lines of its head.
    pub(super) fields: &'a [u8],
    /// Its body is not wanted.
    pub(super) to_head: bool,
    /// The connection ends with it.
    pub(super) close: bool,
    /// Now, in seconds since 1970.
    pub(super) second: u64,
}

fn late() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-head", "the request's head did not come in time").closing()
}

impl Scan {
    /// Looks for the empty line that ends a head; how long the head is.
    ///
    /// # Errors
    /// It will never be one.
    fn go(&mut self, bytes: &[u8]) -> Result<Option<usize>, Problem> {
        if self.at == 0 && !bytes[0].is_ascii_alphabetic() {
            return Err(Problem::bad_request("head", "this is not HTTP/1.1"));
        }
        while let Some(feed) = memchr::memchr(b'\n', &bytes[self.at..]).map(|feed| self.at + feed) {
            if feed == 0 || bytes[feed - 1] != b'\r' {
                return Err(Problem::bad_request("head", "a line of the request's head does not end with CR LF"));
            }
            if feed - 1 == self.line {
                return Ok(Some(feed + 1));
            }
            self.at = feed + 1;
            self.line = self.at;
        }
        self.at = bytes.len();
        if bytes.len() < HEAD_MAX {
            return Ok(None);
        }
        if self.line == 0 {
            let detail = "the request's path is too long";
            return Err(Problem::new(StatusCode::URI_TOO_LONG, "uri-too-long", detail).closing());
        }
        Err(too_large("the request's head is too large"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<Option<usize>, u16>) {
        for piece in [text.len(), 1, 3] {
            let mut scan = Scan::default();
            let mut end = 0;
            let got = loop {
                end = (end + piece).min(text.len());
                match scan.go(&text.as_bytes()[..end]) {
                    Ok(None) if end < text.len() => {}
                    got => break got,
                }
            };
            assert_eq!(got.map_err(|problem| problem.status.as_u16()), want, "{text:?} in pieces of {piece}");
        }
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest", Ok(Some(27)));
        check("GET / HTTP/1.1\r\nHost: a\r\n", Ok(None));
        check("GET / HTTP/1.1\r\n\r\n", Ok(Some(18)));
    }

    #[test]
    fn lines_that_end_otherwise_are_refused_at_once() {
        check("GET / HTTP/1.1\nHost: a\n\n", Err(400));
        check("GET / HTTP/1.1\r\nHost: a\n\r\n", Err(400));
        check("\nGET / HTTP/1.1\r\n", Err(400));
        check("\x16\x03\x01", Err(400));
    }
}
