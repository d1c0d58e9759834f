//! `/metrics`: rate, errors and duration of each route, and what the process uses.
//!
//! Invariant: labels come from route patterns and known methods, never from what a client sent.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicU64};
use std::time::Duration;

/// Bounds in seconds: from a cache hit to a slow password hash.
const BOUNDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

/// All metrics of this process; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    process: ProcessMetrics,
}

/// Prepared figures of one route, for paths too hot for a label look-up.
#[derive(Clone)]
pub struct RouteMetrics {
    metrics: Metrics,
    method: &'static str,
    route: String,
    ok: Counter,
    duration: Histogram,
}

impl RouteMetrics {
    /// Counts one request answered with `status` that took `took`; 200 needs no look-up.
    pub fn record(&self, status: u16, took: Duration) {
        if status == 200 {
            self.ok.inc();
            self.duration.observe(took.as_secs_f64());
        } else {
            self.metrics.record(self.method, &self.route, status, took);
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics with nothing counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Family::<RequestLabels, Counter>::default();
        let new_histogram: fn() -> Histogram = || Histogram::new(BOUNDS);
        let durations = Family::new_with_constructor(new_histogram);
        let in_flight = Gauge::default();
        registry.register("http_requests", "Requests answered, by route and status", requests.clone());
        registry.register("http_request_duration_seconds", "Time to answer, by route", durations.clone());
        registry.register("http_requests_in_flight", "Requests being served", in_flight.clone());
        let process = ProcessMetrics::register(&mut registry);
        Self { registry: Arc::new(Mutex::new(registry)), requests, durations, in_flight, process }
    }

    /// Lets a service register figures of its own.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Prepares the figures of `route` for answers to `method`.
    pub fn route(&self, method: &'static str, route: &str) -> RouteMetrics {
        let route = route.to_owned();
        RouteMetrics {
            ok: self.requests.get_or_create_owned(&RequestLabels { method, route: route.clone(), status: 200 }),
            duration: self.durations.get_or_create_owned(&RouteLabels { method, route: route.clone() }),
            metrics: self.clone(),
            method,
            route,
        }
    }

    /// Counts one request.
    pub fn record(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let route = route.to_owned();
        self.requests.get_or_create(&RequestLabels { method, route: route.clone(), status }).inc();
        self.durations.get_or_create(&RouteLabels { method, route }).observe(took.as_secs_f64());
    }

    pub(crate) fn entered(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// The text of `/metrics` (OpenMetrics).
    pub(crate) fn render(&self) -> String {
        self.process.refresh();
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if encode(&mut text, &registry).is_err() {
            tracing::error!("a metric could not be written");
        }
        text
    }
}

/// Counts a request as in flight until dropped, also when it is cancelled.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What `/proc/self` says of this process.
#[derive(Clone)]
struct ProcessMetrics {
    cpu_seconds: Gauge<f64, AtomicU64>,
    resident_bytes: Gauge,
    open_fds: Gauge,
}

impl ProcessMetrics {
    fn register(registry: &mut Registry) -> Self {
        let this = Self { cpu_seconds: Gauge::default(), resident_bytes: Gauge::default(), open_fds: Gauge::default() };
        registry.register("process_cpu_seconds", "User and system time", this.cpu_seconds.clone());
        registry.register("process_resident_memory_bytes", "Memory in RAM", this.resident_bytes.clone());
        registry.register("process_open_fds", "Open descriptors", this.open_fds.clone());
        this
    }

    fn refresh(&self) {
        if let Some(seconds) = cpu_seconds() {
            self.cpu_seconds.set(seconds);
        }
        if let Some(pages) = resident_pages() {
            let page = i64::try_from(rustix::param::page_size()).unwrap_or(4096);
            self.resident_bytes.set(pages.saturating_mul(page));
        }
        if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
            self.open_fds.set(i64::try_from(entries.count()).unwrap_or(i64::MAX));
        }
    }
}

/// User and system time from `/proc/self/stat`; the command name before `)` may hold spaces.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    let ticks = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    Some((f64::from(user) + f64::from(system)) / f64::from(ticks))
}

fn resident_pages() -> Option<i64> {
    std::fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()
}
