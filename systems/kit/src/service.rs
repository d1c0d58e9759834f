//! A service: its router and probes put together, served until SIGTERM.

use crate::metrics::Metrics;
use crate::observe::{Observer, observe};
use crate::problem::Problem;
use crate::readiness::Readiness;
use crate::serve::{App, Drain, bind, serve_until};
use crate::settings::ServerSettings;
use axum::{Router, body::Body, extract::DefaultBodyLimit, middleware, routing::get};
use futures_util::future::BoxFuture;
use http::{Request, Response, header};
use hyper::body::Incoming;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Largest request body, in bytes; nothing that our services take is larger.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Answers a request itself, before any layer, or returns `None` to leave it to the router.
///
/// For the one path of a service that must be lean: it gets no log line and counts itself.
pub type FastPath =
    Arc<dyn Fn(&Request<Incoming>) -> Option<BoxFuture<'static, Response<Body>>> + Send + Sync + 'static>;

/// The service could not listen, or could not be told to stop.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act}")]
pub struct ServeError {
    act: String,
    #[source]
    why: std::io::Error,
}

/// A service about to be served.
pub struct Service {
    settings: ServerSettings,
    router: Router,
    metrics: Metrics,
    readiness: Readiness,
    fast: Option<FastPath>,
}

impl Service {
    /// A service with these routes; `/health`, `/ready` and `/metrics` are added.
    pub fn new(settings: ServerSettings, router: Router) -> Self {
        Self { settings, router, metrics: Metrics::new(), readiness: Readiness::default(), fast: None }
    }

    /// Uses metrics that the service already counts into.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The stores that `/ready` asks.
    #[must_use]
    pub fn readiness(mut self, readiness: Readiness) -> Self {
        self.readiness = readiness;
        self
    }

    /// Publishes the description of the API at `/openapi.json`.
    #[must_use]
    pub fn openapi(mut self, description: &utoipa::openapi::OpenApi) -> Self {
        let text = description.to_json().unwrap_or_else(|why| {
            tracing::error!(error = %why, "the API description cannot be written");
            "{}".into()
        });
        let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], text) };
        self.router = self.router.route("/openapi.json", get(answer));
        self
    }

    /// Answers a hot path before all layers.
    #[must_use]
    pub fn fast(mut self, fast: FastPath) -> Self {
        self.fast = Some(fast);
        self
    }

    /// Serves until SIGTERM or SIGINT, then drains.
    ///
    /// # Errors
    /// The address cannot be bound or signals cannot be received; retrying helps only once that is fixed.
    pub async fn serve(self) -> Result<(), ServeError> {
        let stop = stop_signal().map_err(|why| ServeError { act: "receive signals".into(), why })?;
        self.serve_until(stop).await
    }

    /// Serves until `stop` ends, then drains.
    ///
    /// # Errors
    /// As [`Service::serve`].
    pub async fn serve_until(self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let address = SocketAddr::new(self.settings.host, self.settings.port);
        let fail = |why| ServeError { act: format!("listen on {address}"), why };
        let listener = bind(address).map_err(fail)?;
        self.serve_on(listener, stop).await
    }

    /// Serves on a listener that the caller made until `stop` ends, then drains.
    ///
    /// # Errors
    /// The listener has no address.
    pub async fn serve_on(self, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        let fail = |why| ServeError { act: "tell the address".into(), why };
        let address = listener.local_addr().map_err(fail)?;
        tracing::info!(service = self.settings.name, %address, pid = std::process::id(), "listening");
        if let Some(fault) = self.settings.fault {
            tracing::warn!(errors = %fault.errors, delay_ms = fault.delay.as_millis(), "this version fails on purpose");
        }
        let drain = Drain { delay: self.settings.drain_delay, max: self.settings.drain_max };
        let readiness = self.readiness.clone();
        serve_until(listener, self.app(), stop, move || readiness.stop(), drain).await;
        tracing::info!("stopped");
        Ok(())
    }

    fn app(self) -> App {
        let observer = Observer { metrics: self.metrics.clone(), request_max: self.settings.request_max };
        let (readiness, metrics) = (self.readiness, self.metrics);
        let ready = move || async move { readiness.answer().await };
        let scrape = move || async move {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], metrics.render())
        };
        let router = self
            .router
            .route("/health", get(|| async { axum::Json(serde_json::json!({ "status": "alive" })) }))
            .route("/ready", get(ready))
            .route("/metrics", get(scrape))
            .method_not_allowed_fallback(|| async {
                Problem::new(http::StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Not with this method.")
            })
            .fallback(|| async { Problem::not_found("There is nothing at this address.") })
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(middleware::from_fn_with_state(observer, observe));
        App { router, fast: self.fast, fault: self.settings.fault }
    }
}

fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Runs the `main` of a service: logs, a runtime of `WORKERS` threads (default: one per core), exit code.
///
/// With one worker everything runs on the thread that calls, and tasks wake each other without a system call: right for
/// a service that has as many replicas as there are cores.
///
/// 0 when `main` returns; 1, with the error and its causes in the log, when it fails.
pub fn run<F, E>(name: &'static str, main: impl FnOnce() -> F) -> ExitCode
where
    F: Future<Output = Result<(), E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let _guard = crate::logs::start(name);
    raise_descriptor_limit();
    let workers = crate::settings::read(|env| env.parsed("WORKERS", cores()));
    let outcome = match workers {
        Ok(workers) => runtime(workers).and_then(|runtime| runtime.block_on(main()).map_err(Into::into)),
        Err(mistakes) => Err(mistakes.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let mut causes = why.to_string();
            let mut next = why.source();
            while let Some(cause) = next {
                causes.push_str(": ");
                causes.push_str(&cause.to_string());
                next = cause.source();
            }
            tracing::error!(service = name, error = causes, "failed");
            ExitCode::FAILURE
        }
    }
}

fn runtime(workers: usize) -> Result<tokio::runtime::Runtime, Box<dyn std::error::Error + Send + Sync>> {
    use tokio::runtime::Builder;
    let mut builder = if workers <= 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    Ok(builder.worker_threads(workers.clamp(1, 1024)).enable_all().build()?)
}

/// Cores this process may use, at least 1.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Ten thousand connections need more than the customary 1,024 descriptors.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(why) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(error = %why, "cannot raise the limit of open files");
    }
}
