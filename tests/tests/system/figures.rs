//! The figures that anybody's Prometheus may read, in its text format.

use crate::{look::WEB, world::World};
use std::collections::{BTreeMap, BTreeSet};

/// A page of figures, read by the rules of the format (version 0.0.4).
struct Page {
    /// By name and labels, the labels as they are written.
    samples: BTreeMap<(String, String), f64>,
}

impl Page {
    #[track_caller]
    fn read(text: &str) -> Self {
        let (mut samples, mut kinds, mut done) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut current = String::new();
        assert!(text.ends_with('\n'), "the last line has no end");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# ") {
                let mut words = rest.splitn(3, ' ');
                let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
                if name != current {
                    assert!(done.insert(name.to_owned()), "the samples of {name} do not stand together");
                    name.clone_into(&mut current);
                }
                match what {
                    "HELP" => assert!(!rest.is_empty(), "{line}"),
                    "TYPE" => {
                        assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
                        assert_eq!(kinds.insert(name.to_owned(), rest.to_owned()), None, "{line}");
                    }
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap();
            let labels = labels.strip_suffix('}').unwrap();
            let base = match kinds[&current].as_str() {
                "histogram" => ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap(),
                _ => name,
            };
            assert_eq!(base, current, "{line} does not stand with its like");
            assert!(base.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
            assert_eq!(base.ends_with("_total"), kinds[&current] == "counter", "{line}");
            for label in labels.split("\",") {
                let (key, text) = label.split_once("=\"").unwrap();
                assert!(key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
                assert!(!text.trim_end_matches('"').contains('"'), "{line}");
            }
            let value: f64 = value.parse().unwrap();
            let known = samples.insert((name.to_owned(), labels.to_owned()), value);
            assert_eq!(known, None, "{line} is there twice");
        }
        let page = Self { samples };
        page.check_histograms(&kinds);
        page
    }

    /// Counts by bound only grow, end with all of them, and have a sum.
    #[track_caller]
    fn check_histograms(&self, kinds: &BTreeMap<String, String>) {
        for name in kinds.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name) {
            let mut buckets: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
            for ((bucket, labels), count) in &self.samples {
                if bucket == &format!("{name}_bucket") {
                    let (series, bound) = labels.split_once(",le=\"").unwrap();
                    buckets.entry(series).or_default().push((bound.trim_end_matches('"').parse().unwrap(), *count));
                }
            }
            for (series, mut buckets) in buckets {
                buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
                assert!(buckets.windows(2).all(|two| two[0].1 <= two[1].1), "{name} {series}: {buckets:?}");
                let (bound, all) = *buckets.last().unwrap();
                assert!(bound.is_infinite(), "{name} {series} has no last bucket");
                let of = |end: &str| self.samples[&(format!("{name}{end}"), series.to_owned())];
                assert!((of("_count") - all).abs() < 0.5, "{name} {series}");
                assert!(of("_sum") >= 0.0 && (of("_sum") > 0.0) == (all > 0.0), "{name} {series}");
            }
        }
    }

    /// All samples of that name whose labels have each of these, added up.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let fits = |(known, text): &(String, String)| known == name && labels.iter().all(|label| text.contains(label));
        self.samples.iter().filter(|(series, _)| fits(series)).map(|(_, value)| value).sum()
    }
}

impl World {
    #[track_caller]
    fn page(&self) -> Page {
        Page::read(&self.runtime.block_on(self.client.metrics()).unwrap())
    }

    /// Waits until these have grown by so much, and no others of their names by more.
    #[track_caller]
    fn grown(&self, before: &Page, want: &[(&str, &[&str], f64)]) {
        self.until("the figures tell what was asked", || {
            let now = self.page();
            let grown = |name: &str, labels: &[&str]| now.sum(name, labels) - before.sum(name, labels);
            want.iter().all(|(name, labels, by)| (grown(name, labels) - by).abs() < 0.5).then_some(())
        });
    }
}

#[test]
fn metrics_tell_rate_errors_and_duration_of_each_replica() {
    const WEB_ONLY: &[&str] = &["service=\"web\""];
    const ROUTE: &[&str] = &["route=\"*/\""];
    // One of them will have a request that it never answers, and is not waited for.
    let world = World::up(&WEB.replace("PeriodSeconds: 20", "PeriodSeconds: 1"));
    let url = world.url();
    let before = world.page();
    let mut answers: BTreeMap<String, f64> = BTreeMap::new();
    for _ in 0..30 {
        let (status, text) = world.get_at(&url, "/");
        assert_eq!(status, 200);
        *answers.entry(text.split(' ').next().unwrap().to_owned()).or_default() += 1.0;
    }
    for name in ["web-1", "web-2", "web-3"] {
        let text = format!("replica=\"{name}\"");
        let label: &[&str] = &[&text];
        let by = answers.get(name).copied().unwrap_or(0.0);
        let duration = "plimsoll_replica_request_duration_seconds_count";
        world.grown(
            &before,
            &[
                ("plimsoll_replica_requests_total", label, by),
                (duration, label, by),
                ("plimsoll_replica_errors_total", label, 0.0),
            ],
        );
    }
    world.grown(
        &before,
        &[
            ("plimsoll_requests_total", &["route=\"*/\"", "class=\"2xx\""], 30.0),
            ("plimsoll_request_duration_seconds_count", ROUTE, 30.0),
            ("plimsoll_replica_requests_total", WEB_ONLY, 30.0),
        ],
    );

    // Each replica is tried once, and hangs up.
    let before = world.page();
    assert_eq!(world.get_at(&url, "/drop").0, 502);
    world.grown(
        &before,
        &[
            ("plimsoll_replica_errors_total", WEB_ONLY, 3.0),
            ("plimsoll_replica_requests_total", WEB_ONLY, 3.0),
            ("plimsoll_replica_request_duration_seconds_count", WEB_ONLY, 0.0),
            ("plimsoll_retries_total", ROUTE, 2.0),
            ("plimsoll_requests_total", &["route=\"*/\"", "class=\"5xx\""], 1.0),
            ("plimsoll_shed_total", ROUTE, 0.0),
            ("plimsoll_ejections_total", &[], 0.0),
        ],
    );

    // One is under way, on a connection that is open.
    let before = world.page();
    let under_way = hang(&url);
    world.grown(&before, &[("plimsoll_replica_in_flight", WEB_ONLY, 1.0)]);
    assert!(world.page().sum("plimsoll_connections", &["worker="]) >= 1.0);
    drop(under_way);
    world.grown(&before, &[("plimsoll_replica_in_flight", WEB_ONLY, 0.0)]);
    let page = world.page();
    for name in ["plimsoll_held", "plimsoll_replica_ejected"] {
        assert!(page.samples.keys().any(|(known, _)| known == name), "{name} is told");
        assert!(page.sum(name, WEB_ONLY).abs() < 0.5, "{name}");
    }
    world.down();
}

/// Asks for what is never answered, and gives the connection.
fn hang(url: &str) -> std::net::TcpStream {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    stream
}
