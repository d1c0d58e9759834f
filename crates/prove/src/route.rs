//! From a promise's route to where its requests go: a pure function of the system and its status.

use std::net::{IpAddr, SocketAddr};

use plimsoll_api::Status;
use plimsoll_api::status::IngressStatus;
use plimsoll_load::{Target, Trust};
use plimsoll_model::System;
use plimsoll_model::route::{LimitBy, RateLimit};
use plimsoll_model::system::IngressHost;

use crate::proof::Unproven;

/// Where requests for a route go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Way {
    pub(crate) target: Target,
    /// Paths to ask for, each with the service that answers; never empty.
    pub(crate) paths: Vec<(String, String)>,
    /// The limit of the host, if it has one.
    pub(crate) limit: Option<RateLimit>,
}

impl Way {
    /// Finds the way to `route` (`None`: the ingress' first path), at `host` if it's given.
    ///
    /// A route that's itself no path of the ingress but has paths below it (`/api` with `/api/orders`) stands for those.
    pub(crate) fn find(
        system: &System,
        status: &Status,
        host: Option<&str>,
        route: Option<&str>,
    ) -> Result<Way, Unproven> {
        if system.ingress.hosts.is_empty() {
            return Err(Unproven::new(
                "the system has no ingress",
                "give it an `ingress`, so that requests can come in",
            ));
        }
        let served = status.ingress.iter().find(|port| port.problem.is_none());
        let served = served.ok_or_else(|| Unproven::new(not_served(&status.ingress), "see `plimsoll status`"))?;
        let hosts: Vec<(&String, &IngressHost)> = match host {
            Some(wanted) => system.ingress.hosts.iter().filter(|(name, _)| host_fits(name, wanted)).collect(),
            None => system.ingress.hosts.iter().collect(),
        };
        let found = hosts.iter().find_map(|(name, entry)| {
            let paths = paths(entry, route);
            (!paths.is_empty()).then_some((*name, *entry, paths))
        });
        let Some((name, entry, paths)) = found else {
            let what = route.map_or_else(|| "any path".to_owned(), |route| format!("`{route}`"));
            let at = host.map_or_else(String::new, |host| format!(" at {host}"));
            return Err(Unproven::new(
                format!("no host of the ingress serves {what}{at}"),
                "correct the promise's route, or add the path to the ingress",
            ));
        };
        let target = target(&served.url, host.map_or_else(|| concrete(name), |host| Some(host.to_owned())))?;
        Ok(Way { target, paths, limit: entry.rate_limit.clone() })
    }

    /// How many client addresses it takes so that a limit for each client doesn't decide at `rate_per_s`; 0 without one.
    pub(crate) fn clients_for(&self, rate_per_s: f64) -> u32 {
        match &self.limit {
            Some(RateLimit { requests, per, by: LimitBy::Client }) if self.target.is_loopback() => {
                let each = f64::from(*requests) / per.as_duration().as_secs_f64().max(0.001);
                // Twice what would do, since requests don't fall evenly on clients.
                (2.0 * rate_per_s / each).ceil().clamp(1.0, 10_000.0) as u32
            }
            _ => 0,
        }
    }

    /// The services that answer, each once.
    pub(crate) fn services(&self) -> Vec<String> {
        let mut services: Vec<String> = self.paths.iter().map(|(_, service)| service.clone()).collect();
        services.sort();
        services.dedup();
        services
    }
}

fn not_served(ports: &[IngressStatus]) -> String {
    match ports.iter().find_map(|port| port.problem.as_ref()) {
        Some(problem) => format!("the ingress is not served: {problem}"),
        None => "the ingress is not served".to_owned(),
    }
}

/// The paths of a host that a route stands for, each with its service.
fn paths(entry: &IngressHost, route: Option<&str>) -> Vec<(String, String)> {
    let Some(route) = route else {
        return entry.paths.iter().take(1).map(|(path, service)| (path.clone(), service.clone())).collect();
    };
    let bare = route.split(['?', '#']).next().unwrap_or(route);
    let longest = entry.paths.iter().filter(|(prefix, _)| fits(prefix, bare)).max_by_key(|(prefix, _)| prefix.len());
    if let Some((_, service)) = longest {
        return vec![(route.to_owned(), service.clone())];
    }
    let below = entry.paths.iter().filter(|(path, _)| fits(bare, path));
    below.map(|(path, service)| (path.clone(), service.clone())).collect()
}

/// Whether `path` lies at or below `prefix`, by whole segments.
fn fits(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn host_fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some("") => true,
        Some(suffix) => host.strip_suffix(suffix).is_some_and(|label| !label.is_empty() && !label.contains('.')),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

/// A name that fits a host's pattern; `None`: any does.
fn concrete(pattern: &str) -> Option<String> {
    match pattern.strip_prefix('*') {
        Some("") => None,
        Some(suffix) => Some(format!("prove{suffix}")),
        None => Some(pattern.to_owned()),
    }
}

/// The ingress' port, asked for `host`.
fn target(url: &str, host: Option<String>) -> Result<Target, Unproven> {
    let wrong = |why: String| Unproven::new(why, "see `plimsoll status`");
    let mut target = Target::parse(url).map_err(|error| wrong(error.to_string()))?;
    let mut address: SocketAddr = target
        .addresses()
        .ok()
        .and_then(|all| all.first().copied())
        .ok_or_else(|| wrong(format!("{url} leads nowhere")))?;
    if address.ip().is_unspecified() {
        let here: IpAddr = if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(here);
    }
    target.connect = Some(address);
    // The address is this machine's own: whoever can answer there can read its keys, too.
    target.trust = Trust::Anything;
    if let Some(host) = host {
        target.host = host;
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::Millis;
    use std::collections::BTreeMap;

    fn world() -> (System, Status) {
        let host = |paths: &[(&str, &str)], rate_limit| IngressHost {
            paths: paths.iter().map(|(path, service)| ((*path).to_owned(), (*service).to_owned())).collect(),
            rate_limit,
        };
        let limit = RateLimit { requests: 100, per: Millis(1000), by: LimitBy::Client };
        let mut system = System::default();
        system.ingress.hosts = BTreeMap::from([
            ("shop.localhost".to_owned(), host(&[("/api/orders", "order"), ("/api/pay", "payment")], Some(limit))),
            ("*.web.localhost".to_owned(), host(&[("/", "web")], None)),
        ]);
        let port = |url: &str, problem: Option<&str>| IngressStatus {
            url: url.to_owned(),
            hosts: Vec::new(),
            problem: problem.map(str::to_owned),
        };
        let ingress = vec![port("http://127.0.0.1:1", Some("taken")), port("http://0.0.0.0:8080", None)];
        (system, Status { ingress, ..Status::default() })
    }

    #[track_caller]
    fn check(host: Option<&str>, route: Option<&str>, want: Option<(&str, &[(&str, &str)])>) {
        let (system, status) = world();
        let got = Way::find(&system, &status, host, route).ok();
        let got = got.map(|way| (way.target.host, way.paths));
        let own = |paths: &[(&str, &str)]| paths.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(got, want.map(|(host, paths)| (host.to_owned(), own(paths))));
    }

    #[test]
    fn a_path_of_the_ingress_leads_to_its_service() {
        check(Some("shop.localhost"), Some("/api/orders"), Some(("shop.localhost", &[("/api/orders", "order")])));
        check(
            Some("shop.localhost"),
            Some("/api/orders/7?x=1"),
            Some(("shop.localhost", &[("/api/orders/7?x=1", "order")])),
        );
    }

    #[test]
    fn a_route_above_paths_stands_for_all_of_them() {
        let both: &[(&str, &str)] = &[("/api/orders", "order"), ("/api/pay", "payment")];
        check(Some("shop.localhost"), Some("/api"), Some(("shop.localhost", both)));
        check(Some("shop.localhost"), Some("/api/ord"), None);
    }

    #[test]
    fn without_a_host_the_first_that_serves_it_is_asked() {
        check(None, Some("/api"), Some(("prove.web.localhost", &[("/api", "web")])));
        check(None, None, Some(("prove.web.localhost", &[("/", "web")])));
        check(Some("a.web.localhost"), None, Some(("a.web.localhost", &[("/", "web")])));
        check(Some("other.localhost"), None, None);
    }

    #[test]
    fn connects_to_a_port_that_is_served() {
        let (system, status) = world();
        let way = Way::find(&system, &status, None, None).unwrap();
        assert_eq!(way.target.connect, Some("127.0.0.1:8080".parse().unwrap()));
        assert_eq!(way.target.authority(), "prove.web.localhost:8080");
    }

    #[test]
    fn says_why_there_is_no_way() {
        let (system, mut status) = world();
        status.ingress.remove(1);
        let why = Way::find(&system, &status, None, None).unwrap_err().why;
        assert_eq!(why, "the ingress is not served: taken");
        assert!(Way::find(&System::default(), &status, None, None).unwrap_err().todo.contains("ingress"));
    }

    #[test]
    fn brings_as_many_clients_as_a_limit_for_each_needs() {
        let (system, status) = world();
        let way = Way::find(&system, &status, Some("shop.localhost"), None).unwrap();
        assert_eq!(way.clients_for(1000.0), 20);
        let free = Way::find(&system, &status, None, None).unwrap();
        assert_eq!(free.clients_for(1000.0), 0);
    }
}
