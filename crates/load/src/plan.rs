//! What a run is to do, as its author writes it, and the check that it can be done.

use std::path::PathBuf;
use std::time::Duration;

use crate::arrivals::Arrivals;
use crate::statuses::Statuses;
use crate::target::{Protocol, Target};

/// Why a plan can't be run. All of them are for the author to fix, except `Resolve` (retry) and `Workers`.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Not a URL that requests can go to.
    #[error("`{url}` is no target: {why}")]
    Target {
        /// As written.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Several clients were asked for, and the target is not at an IPv4 loopback address.
    #[error("several client addresses need a target at an IPv4 loopback address, and {host} is none")]
    Clients {
        /// The target's host.
        host: String,
    },
    /// The host's name has no address.
    #[error("cannot resolve `{host}`")]
    Resolve {
        /// The name.
        host: String,
    },
    /// The authority's file can't be used.
    #[error("cannot use the certificates in {path}: {why}")]
    Trust {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no request, or none with a weight above 0.
    #[error("a plan needs at least one request with a weight above 0")]
    NoRequest,
    /// A quantity is out of its range.
    #[error("`{what}` must be {range}")]
    Range {
        /// Which quantity.
        what: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// A braced word that is no placeholder.
    #[error("`{placeholder}` is no placeholder (known: {{n}}, {{uuid}}, {{random:N}}; write {{{{ for a brace)")]
    UnknownPlaceholder {
        /// As written, with its braces.
        placeholder: String,
    },
    /// A path, method or header that HTTP doesn't allow.
    #[error("HTTP allows no {part} `{text}`")]
    Request {
        /// "path", "header name" or "header value".
        part: &'static str,
        /// As written.
        text: String,
    },
    /// A worker's thread or runtime could not be made.
    #[error("cannot start a worker")]
    Workers(#[source] std::io::Error),
}

/// One kind of request, with placeholders ({n}, {uuid}, {random:N}) in its path, header values and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTemplate {
    /// The method.
    pub method: http::Method,
    /// The path and query, beginning with `/`.
    pub path: String,
    /// Names and values; `host` and `content-length` are added where they are missing.
    pub headers: Vec<(String, String)>,
    /// The body; "" for none.
    pub body: String,
    /// How often it is chosen, in proportion to the others' weights; 0 is never. Where all are 1 they are chosen in turn.
    pub weight: u32,
    /// The status codes that count as the right answer.
    pub expect: Statuses,
}

impl RequestTemplate {
    /// `GET path`, weight 1, any status from 200 to 399 being right.
    pub fn get(path: impl Into<String>) -> RequestTemplate {
        RequestTemplate {
            method: http::Method::GET,
            path: path.into(),
            headers: Vec::new(),
            body: String::new(),
            weight: 1,
            expect: Statuses::default(),
        }
    }

    /// `POST path` with a JSON body, weight 1, any status from 200 to 399 being right.
    pub fn post_json(path: impl Into<String>, body: impl Into<String>) -> RequestTemplate {
        RequestTemplate {
            method: http::Method::POST,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
            ..RequestTemplate::get(path)
        }
    }

    /// What it is called in reports: method and path as written.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What a run is to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Where requests go.
    pub target: Target,
    /// How they arrive.
    pub arrivals: Arrivals,
    /// How long they arrive, after the warm-up; answers are waited for beyond it, at most for `timeout`.
    pub duration: Duration,
    /// Requests that arrive in this time before `duration` are sent and counted apart, but are in no other figure.
    pub warm_up: Duration,
    /// The kinds of request, chosen at random by weight.
    pub requests: Vec<RequestTemplate>,
    /// Connections at the same time, at most (1..=100,000); for HTTP/2, times its streams. When all are busy, a request
    /// waits, and that wait is part of its latency.
    pub connections_max: u32,
    /// Connections opened before the clock starts, at most `connections_max`; others are opened when they are needed.
    pub connections_first: u32,
    /// Loopback addresses (127.0.1.1 and on) that connections come from in turn, so that a system which counts requests
    /// by client sees so many clients (at most 10,000). Connections are then used in turn, too. 0: the kernel chooses.
    /// Only for targets at an IPv4 loopback address.
    pub clients: u32,
    /// How long after its intended start a request is given up as failed; more than 0.
    pub timeout: Duration,
    /// Chooses among requests and fills placeholders. The same seed repeats the same requests, `{uuid}` included.
    pub seed: u64,
    /// The number of the first request: what `{n}` begins with. Several runs that make things need ranges of their own.
    pub first_number: u64,
    /// Threads that make load (1..=64), each with a runtime of its own.
    pub workers: u32,
    /// Failures that are listed one by one, at most (the count of all is exact anyway).
    pub failures_listed_max: usize,
}

impl Plan {
    /// A plan with the usual bounds: 512 connections, 10 s time-out, 1 worker, no warm-up, a million failures listed, seed 0.
    pub fn new(target: Target, arrivals: Arrivals, duration: Duration, requests: Vec<RequestTemplate>) -> Plan {
        Plan {
            target,
            arrivals,
            duration,
            warm_up: Duration::ZERO,
            requests,
            connections_max: 512,
            connections_first: 0,
            clients: 0,
            timeout: Duration::from_secs(10),
            seed: 0,
            first_number: 0,
            workers: 1,
            failures_listed_max: 1_000_000,
        }
    }

    /// `requests` requests, all released at the same instant, each on a connection of its own and each to be answered
    /// within `within` of that instant. Connecting is part of it; set `connections_first` to connect before.
    pub fn at_once(target: Target, requests: u32, request: RequestTemplate, within: Duration) -> Plan {
        let arrivals = Arrivals::AtOnce { requests };
        let plan = Plan::new(target, arrivals, Duration::ZERO, vec![request]);
        Plan { connections_max: requests, timeout: within, ..plan }
    }

    /// Whether it can be run.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(crate) fn check(&self) -> Result<(), PlanError> {
        if self.requests.iter().all(|request| request.weight == 0) {
            return Err(PlanError::NoRequest);
        }
        let rate = |rate: f64| rate > 0.0 && rate <= 1_000_000.0;
        let count = |count: u32| (1..=100_000).contains(&count);
        let streams = match self.target.protocol {
            Protocol::Http1 => 1,
            Protocol::Http2 { streams } => streams,
        };
        let rate_right = match self.arrivals {
            Arrivals::Constant { rate_per_s } | Arrivals::Poisson { rate_per_s, .. } => rate(rate_per_s),
            Arrivals::Ramp { from_per_s, to_per_s, .. } => {
                let one = |one: f64| one == 0.0 || rate(one);
                one(from_per_s) && one(to_per_s) && from_per_s + to_per_s > 0.0
            }
            Arrivals::Closed { .. } | Arrivals::AtOnce { .. } => true,
        };
        let count_right = match self.arrivals {
            Arrivals::Closed { users, .. } => count(users),
            Arrivals::AtOnce { requests } => count(requests),
            _ => true,
        };
        let over_right = !matches!(self.arrivals, Arrivals::Ramp { over, .. } if over.is_zero());
        let day = Duration::from_secs(7 * 86_400);
        let rules = [
            (rate_right, "rate", "above 0 and at most 1,000,000/s"),
            (count_right, "users or requests", "1 to 100,000"),
            (over_right, "over", "longer than 0"),
            (count(self.connections_max), "connections_max", "1 to 100,000"),
            (self.clients <= 10_000, "clients", "at most 10,000"),
            ((1..=1000).contains(&streams), "streams", "1 to 1,000"),
            ((1..=64).contains(&self.workers), "workers", "1 to 64"),
            (!self.timeout.is_zero() && self.timeout <= Duration::from_secs(3_600), "timeout", "above 0, at most 1 h"),
            (self.duration <= day && self.warm_up <= day, "duration", "at most 7 days"),
        ];
        match rules.into_iter().find(|(right, ..)| !right) {
            Some((_, what, range)) => Err(PlanError::Range { what, range }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rate_per_s: f64) -> Plan {
        let target = Target::parse("http://127.0.0.1:1").unwrap();
        let requests = vec![RequestTemplate::get("/")];
        Plan::new(target, Arrivals::Constant { rate_per_s }, Duration::from_secs(1), requests)
    }

    #[test]
    fn accepts_a_plain_plan() {
        plan(1.0).check().unwrap();
    }

    #[test]
    fn refuses_rates_that_are_none() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 2e6] {
            assert!(matches!(plan(rate).check(), Err(PlanError::Range { what: "rate", .. })), "{rate}");
        }
    }

    #[test]
    fn refuses_to_ask_nothing() {
        let mut plan = plan(1.0);
        plan.requests[0].weight = 0;
        assert!(matches!(plan.check(), Err(PlanError::NoRequest)));
    }

    #[test]
    fn says_which_quantity_is_out_of_range() {
        let refused = Plan { workers: 0, ..plan(1.0) }.check().unwrap_err();
        assert_eq!(refused.to_string(), "`workers` must be 1 to 64");
    }
}
