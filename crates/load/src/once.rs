//! One request with its answer: a sign-in before a run, or a look whether the target answers at all.

use std::time::Duration;

use bytes::Bytes;

use crate::connector::Connector;
use crate::failure::Cause;
use crate::link;
use crate::plan::{PlanError, RequestTemplate};
use crate::prepared::Prepared;
use crate::target::{Protocol, Target};
use crate::text::Fill;

/// The longest body that is read.
const BODY_BYTES_MAX: usize = 1 << 20;

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: http::HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// There was no answer.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// The request can't be made: fix it.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It was not answered; nothing was retried.
    #[error("{0}")]
    Failed(Cause),
}

/// Sends `request` once, over HTTP/1.1 on a connection of its own, and reads the whole answer (1 MiB at most). Placeholders
/// are filled as those of request `number` of a run seeded with `seed`; its weight and expected statuses play no part.
///
/// # Errors
/// `Plan` for what the author must fix; `Failed` when there was no whole answer within `timeout`.
pub async fn once(
    target: &Target,
    request: &RequestTemplate,
    (seed, number): (u64, u64),
    timeout: Duration,
) -> Result<Answer, OnceError> {
    let target = Target { protocol: Protocol::Http1, ..target.clone() };
    let prepared = Prepared::new(request, &target)?;
    let connector = Connector::new(&target, 0)?;
    let whole = prepared.request(Fill::new(seed, number));
    let whole = whole.ok_or_else(|| PlanError::Request { part: "request", text: request.name() })?;
    match tokio::time::timeout(timeout, link::fetch(&connector, whole, BODY_BYTES_MAX)).await {
        Ok(Ok(answer)) => {
            let (head, body) = answer.into_parts();
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        }
        Ok(Err(cause)) => Err(OnceError::Failed(cause)),
        Err(_) => Err(OnceError::Failed(Cause::TimedOut)),
    }
}
