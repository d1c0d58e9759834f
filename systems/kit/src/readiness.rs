//! `/ready`: do the stores answer?
//!
//! A *required* store that does not answer makes the service unready (503, named). An *optional* one, without which
//! the service still answers rightly, is named as degraded and leaves it ready: else a breaker's fallback would never
//! be used, because every replica would leave the balancer at once.

use crate::Problem;
use axum::response::{IntoResponse, Response};
use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

/// Longest a store may take to answer; below the 1 s that probes commonly allow.
const ANSWER_MAX: Duration = Duration::from_millis(800);

type Ask = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

#[derive(Clone)]
struct Check {
    name: &'static str,
    required: bool,
    ask: Ask,
}

/// The stores to be asked, and whether the service is stopping.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Vec<Check>,
    stopping: Arc<AtomicBool>,
}

impl Readiness {
    /// Adds a store without which the service cannot work.
    #[must_use]
    pub fn requires<F>(self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.with(name, true, ask)
    }

    /// Adds a store without which the service still answers rightly, though slower.
    #[must_use]
    pub fn wants<F>(self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.with(name, false, ask)
    }

    fn with<F>(mut self, name: &'static str, required: bool, ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push(Check { name, required, ask: Arc::new(move || Box::pin(ask())) });
        self
    }

    /// From now on the answer is "not ready": no new work, please.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// The answer of `/ready`.
    pub(crate) async fn answer(&self) -> Response {
        if self.stopping.load(Ordering::Acquire) {
            return Problem::unavailable("stopping", "This instance is stopping.").into_response();
        }
        let asked = self.checks.iter().map(|check| async move {
            let answer = tokio::time::timeout(ANSWER_MAX, (check.ask)()).await;
            (check, answer.unwrap_or_else(|_| Err("no answer in time".into())))
        });
        let mut missing = Vec::new();
        let mut degraded = Vec::new();
        for (check, answer) in join_all(asked).await {
            if let Err(why) = answer {
                let list = if check.required { &mut missing } else { &mut degraded };
                list.push(json!({ "store": check.name, "why": why }));
            }
        }
        if missing.is_empty() {
            return axum::Json(json!({ "status": "ready", "degraded": degraded })).into_response();
        }
        Problem::unavailable("not-ready", "Some stores do not answer.").with("missing", missing).into_response()
    }
}
