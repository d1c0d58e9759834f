//! JSON logs, one line an event, with the correlation id and trace of the request they belong to.

use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Keeps exporters alive; dropped at the end of `main`, it sends what is left.
#[derive(Default)]
pub struct LogGuard {
    #[cfg(feature = "otlp")]
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

/// Starts logging for the service `name`; `LOG` filters as `RUST_LOG` does (default `info`).
///
/// Traces are exported only if `OTEL_EXPORTER_OTLP_ENDPOINT` is set and the crate was built with `otlp`.
/// Calling it twice in a process leaves the first in place.
pub fn start(name: &'static str) -> LogGuard {
    let filter = std::env::var("LOG").ok().and_then(|text| EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new("info,sqlx=warn,redis=warn"));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(std::io::stdout);
    let registry = tracing_subscriber::registry().with(filter).with(lines);
    let wanted = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").is_ok_and(|endpoint| !endpoint.is_empty());
    #[cfg(feature = "otlp")]
    if wanted && let Some((layer, provider)) = crate::otlp::layer(name) {
        if registry.with(layer).try_init().is_err() {
            tracing::debug!(service = name, "logging was already started");
        }
        return LogGuard { provider: Some(provider) };
    }
    if registry.try_init().is_err() {
        tracing::debug!(service = name, "logging was already started");
    }
    if wanted {
        tracing::warn!(service = name, "OTEL_EXPORTER_OTLP_ENDPOINT is set, but traces cannot be exported from here");
    }
    LogGuard::default()
}

#[cfg(feature = "otlp")]
impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(provider) = self.provider.take()
            && let Err(why) = provider.shutdown()
        {
            tracing::warn!(error = %why, "some traces were not exported");
        }
    }
}
