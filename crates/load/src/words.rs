//! A report in words, for a terminal.

use std::fmt;
use std::time::Duration;

use crate::report::Report;

/// Failures written one by one; the rest is in the report's list and in JSON.
const FAILURES_SHOWN: usize = 10;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.rate_per_s;
        writeln!(f, "asked {}, right {}, failed {} ({rate:.1} right answers/s)", self.asked, self.right, self.failed)?;
        if self.warm_up_asked > 0 {
            writeln!(f, "warm-up before: {} asked, {} failed", self.warm_up_asked, self.warm_up_failed)?;
        }
        if self.failed == 0 && self.asked > 0 {
            let bound = 3.0 / self.asked as f64;
            writeln!(f, "0 failed in {}: the failure rate is below {bound:.2e} at 95 %", self.asked)?;
        }
        if let Some(latency) = self.latency.summary() {
            let [p50, p95, p99] = [latency.p50, latency.p95, latency.p99].map(Shown);
            let (p999, max) = (Shown(latency.p999), Shown(latency.max));
            writeln!(f, "latency from the intended start: p50 {p50}, p95 {p95}, p99 {p99}, p99.9 {p999}, max {max}")?;
        }
        if let Some(service) = self.service.summary() {
            let [p50, p99, max] = [service.p50, service.p99, service.max].map(Shown);
            writeln!(f, "service time (hides stalls): p50 {p50}, p99 {p99}, max {max}")?;
        }
        for (status, count) in &self.by_status {
            writeln!(f, "status {status}: {count}")?;
        }
        for (cause, count) in &self.by_cause {
            writeln!(f, "failed, {cause}: {count}")?;
        }
        for failure in self.failures.iter().take(FAILURES_SHOWN) {
            let at_s = failure.at.as_secs_f64();
            writeln!(f, "  {at_s:.3} s  #{}  {}  {}", failure.number, failure.request, failure.cause)?;
        }
        let listed = self.failures.len().min(FAILURES_SHOWN) as u64;
        if self.failed > listed {
            writeln!(f, "  … and {} more", self.failed - listed)?;
        }
        self.write_generator(f)
    }
}

impl Report {
    fn write_generator(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generator = &self.generator;
        let (connections, reconnects) = (generator.connections, generator.reconnects);
        writeln!(f, "{connections} connections ({reconnects} reopened), CPU {:.2} s", generator.cpu.as_secs_f64())?;
        if generator.waited_for_connection > 0 {
            let waited = generator.waited_for_connection;
            writeln!(f, "{waited} requests waited because every connection was busy; the wait is in their latency")?;
        }
        if generator.late > 0 {
            let most = Shown(generator.late_most);
            writeln!(f, "{} requests were released late, by {most} at most", generator.late)?;
        }
        if generator.limited {
            writeln!(f, "LIMITED BY THE GENERATOR: these figures tell of it, not of the server")?;
        }
        Ok(())
    }
}

/// A duration with three digits and the unit that suits it.
struct Shown(Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_secs_f64() * 1e3;
        match ms {
            ms if ms < 10.0 => write!(f, "{ms:.2} ms"),
            ms if ms < 100.0 => write!(f, "{ms:.1} ms"),
            ms if ms < 10_000.0 => write!(f, "{ms:.0} ms"),
            ms => write!(f, "{:.1} s", ms / 1e3),
        }
    }
}
