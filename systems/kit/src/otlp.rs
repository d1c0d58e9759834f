//! Export of traces over OTLP/HTTP; the only place that knows OpenTelemetry's crates.
//!
//! The blocking HTTP client is on purpose: the batch processor runs on its own thread, where the asynchronous one
//! panics (opentelemetry-rust issue 3125). Invariant: built before the async runtime starts.

use crate::trace::TraceContext;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};

/// The layer that turns spans into exported ones, and its provider; `None` (with a warning) if it cannot be made.
pub(crate) fn layer<S>(
    name: &'static str,
) -> Option<(OpenTelemetryLayer<S, opentelemetry_sdk::trace::SdkTracer>, SdkTracerProvider)>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build();
    let exporter = exporter.map_err(|why| eprintln!("cannot export traces: {why}")).ok()?;
    let resource = Resource::builder().with_service_name(name).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("plimsoll-kit"));
    Some((layer, provider))
}

/// Makes `span` a child of `parent` and answers the context under which it is exported; `None` when not exporting.
pub(crate) fn adopt(span: &tracing::Span, parent: Option<TraceContext>) -> Option<TraceContext> {
    if let Some(parent) = parent {
        let remote = SpanContext::new(
            TraceId::from(parent.trace_id),
            SpanId::from(parent.span_id),
            TraceFlags::new(parent.flags),
            true,
            TraceState::default(),
        );
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(remote));
    }
    let context = span.context();
    let exported = context.span().span_context().clone();
    exported.is_valid().then(|| TraceContext {
        trace_id: u128::from_be_bytes(exported.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(exported.span_id().to_bytes()),
        flags: exported.trace_flags().to_u8(),
    })
}
