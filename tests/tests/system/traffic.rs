//! Requests to a system: single ones, and open-loop load that counts every failure.

use crate::world::{LONG, World};
use plimsoll_load::{Arrivals, Plan, Progress, Report, RequestTemplate, Running, Target, once};
use std::time::Duration;

/// Requests that go on until they are ended.
pub(crate) struct Traffic {
    running: Running,
}

impl World {
    /// Where the ingress is.
    #[track_caller]
    pub(crate) fn url(&self) -> String {
        let status = self.status();
        let ingress = status.ingress.first().unwrap();
        assert_eq!(ingress.problem, None);
        ingress.url.clone()
    }

    /// GETs `path` at a constant rate, until ended.
    pub(crate) fn traffic(&self, path: &str, rate_per_s: f64) -> Traffic {
        let target = Target::parse(&self.url()).unwrap();
        let arrivals = Arrivals::Constant { rate_per_s };
        let longest = Duration::from_secs(3600);
        let mut plan = Plan::new(target, arrivals, longest, vec![RequestTemplate::get(path)]);
        plan.timeout = LONG;
        plan.connections_max = 256;
        Traffic { running: plan.start().unwrap() }
    }

    /// One request at the ingress; no answer is status 0, with its cause.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.get_at(&self.url(), path)
    }

    pub(crate) fn get_at(&self, url: &str, path: &str) -> (u16, String) {
        let target = Target::parse(url).unwrap();
        let answer = self.runtime.block_on(once(&target, &RequestTemplate::get(path), (0, 0), LONG));
        match answer {
            Ok(answer) => (answer.status, String::from_utf8_lossy(&answer.body).into_owned()),
            Err(error) => (0, error.to_string()),
        }
    }
}

impl Traffic {
    /// How far it has come.
    pub(crate) fn progress(&self) -> Progress {
        self.running.progress()
    }

    /// Waits until so many more requests were answered rightly.
    #[track_caller]
    pub(crate) fn more(&self, world: &World, count: u64) {
        let wanted = self.running.progress().right + count;
        world.until(&format!("{count} more requests are answered"), || {
            (self.running.progress().right >= wanted).then_some(())
        });
    }

    /// Ends it; tells how it went.
    pub(crate) fn end(self, world: &World) -> Report {
        self.running.stop();
        world.runtime.block_on(self.running.finish()).unwrap()
    }

    /// Ends it; no request may have failed.
    #[track_caller]
    pub(crate) fn end_without_failure(self, world: &World, what: &str) {
        let report = self.end(world);
        eprintln!("{what}: {} of {} requests failed", report.failed, report.asked);
        assert!(report.asked > 0, "nothing was asked");
        assert_eq!(report.failed, 0, "of {}: {:?}\n{:?}", report.asked, report.by_cause, report.failures);
    }
}
