//! Finds the route of a request: the host exactly, else by its wildcard, else `*`; there the longest path by segments.

use super::Route;
use std::{collections::BTreeMap, sync::Arc};

/// All hosts of an edition.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// By name in lower case; wildcards as `*.name`, and `*`.
    by_name: BTreeMap<String, Paths>,
}

/// The paths of one host, the longest first.
#[derive(Debug, Default)]
struct Paths(Vec<(String, Arc<Route>)>);

impl Hosts {
    pub(crate) fn add(&mut self, host: &str, prefix: &str, route: Arc<Route>) {
        let paths = &mut self.by_name.entry(host.to_ascii_lowercase()).or_default().0;
        let prefix = prefix.trim_end_matches('/').to_owned();
        if !paths.iter().any(|(known, _)| *known == prefix) {
            paths.push((prefix, route));
        }
        paths.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    }

    /// The route for a host (without port) and path. `None`: nobody serves that.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<&Arc<Route>> {
        let lower;
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = host.to_ascii_lowercase();
            lower.as_str()
        } else {
            host
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        if let Some(paths) = self.by_name.get(host).filter(|_| !host.starts_with('*')) {
            return paths.find(path);
        }
        if let Some((_, rest)) = host.split_once('.') {
            // A name of a host is at most 253 bytes; a longer one fits no wildcard.
            let mut wildcard = [0u8; 256];
            let length = rest.len() + 2;
            if length <= wildcard.len() && host.len() > rest.len() + 1 {
                wildcard[..2].copy_from_slice(b"*.");
                wildcard[2..length].copy_from_slice(rest.as_bytes());
                let found = std::str::from_utf8(&wildcard[..length]).ok().and_then(|name| self.by_name.get(name));
                if let Some(paths) = found {
                    return paths.find(path);
                }
            }
        }
        self.by_name.get("*").and_then(|paths| paths.find(path))
    }
}

impl Paths {
    fn find(&self, path: &str) -> Option<&Arc<Route>> {
        let fits = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.is_empty())
        };
        self.0.iter().find(|(prefix, _)| fits(prefix)).map(|(_, route)| route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Registry;

    fn hosts(names: &[(&str, &str)]) -> Hosts {
        let mut registry = Registry::new(1);
        let mut hosts = Hosts::default();
        for (host, prefix) in names {
            let name = format!("{host}{prefix}");
            let live = registry.route(&name);
            hosts.add(host, prefix, Arc::new(Route { live, service: name, backend: None, limits: Vec::new() }));
        }
        hosts
    }

    #[track_caller]
    fn check(host: &str, path: &str, want: Option<&str>) {
        let all = [
            ("shop.localhost", "/"),
            ("shop.localhost", "/api"),
            ("shop.localhost", "/api/orders/"),
            ("*.shop.localhost", "/x"),
            ("*", "/any"),
        ];
        assert_eq!(hosts(&all).find(host, path).map(|route| route.service.as_str()), want);
    }

    #[test]
    fn the_longest_path_by_whole_segments_wins() {
        check("shop.localhost", "/", Some("shop.localhost/"));
        check("shop.localhost", "/api", Some("shop.localhost/api"));
        check("shop.localhost", "/apis", Some("shop.localhost/"));
        check("shop.localhost", "/api/orders", Some("shop.localhost/api/orders/"));
        check("shop.localhost", "/api/orders/7", Some("shop.localhost/api/orders/"));
        check("shop.localhost", "/api/ordersx", Some("shop.localhost/api"));
    }

    #[test]
    fn an_exact_host_wins_over_a_wildcard_and_that_over_any() {
        check("SHOP.localhost.", "/", Some("shop.localhost/"));
        check("a.shop.localhost", "/x/y", Some("*.shop.localhost/x"));
        check("a.b.shop.localhost", "/x", None);
        check("a.b.shop.localhost", "/any", Some("*/any"));
        check("a.shop.localhost", "/any", None);
        check(".shop.localhost", "/x", None);
    }
}
