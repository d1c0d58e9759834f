//! From a system and what runs of it to the routes that gateways serve.
//!
//! Invariant: only replicas that are ready get new requests.

use crate::rollout::Share;
use plimsoll_model::{
    ReplicaId, RevisionId, System,
    audience::{Audience, Canary},
    rollout::{Analysis, Strategy},
    route::{Backend, Endpoint, Host, Path},
    synthetic::Asking,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

/// A replica that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its identity.
    pub id: ReplicaId,
    /// The version that it runs.
    pub revision: RevisionId,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// It may be sent new requests.
    pub serving: bool,
    /// The keeper's id of its process.
    pub process: String,
}

/// The hosts of a system's ingress, with the longest paths first.
#[must_use]
pub fn hosts(system: &System) -> Vec<Host> {
    let path = |(prefix, service): (&String, &String)| Path { prefix: prefix.clone(), service: service.clone() };
    let host = |(name, host): (&String, &plimsoll_model::system::IngressHost)| {
        let mut paths: Vec<Path> = host.paths.iter().map(path).collect();
        paths.sort_by(|one, other| {
            other.prefix.len().cmp(&one.prefix.len()).then_with(|| one.prefix.cmp(&other.prefix))
        });
        Host { name: name.to_lowercase(), paths, rate_limit: host.rate_limit.clone() }
    };
    system.ingress.hosts.iter().map(host).collect()
}

/// The weight of a replica of each revision, so that all serving ones of a revision together have its share: the share
/// divided among them, with 1000 as the largest. A revision with a share never comes to nothing (at least 1); one that is
/// not among the `shares` gets none. Empty `shares`: every replica is a full one, and nothing is answered.
///
/// Invariant: the order of the shares of single replicas is that of their weights.
/// Invariant: no two revisions have the same weight above 1: replicas of one weight give way to each other when one of them
/// is busier, and the shares of two versions would mix.
#[must_use]
pub fn weights(shares: &[Share], replicas: &[Replica]) -> BTreeMap<RevisionId, u16> {
    let serving = |revision: &RevisionId| {
        let count = replicas.iter().filter(|one| one.serving && one.revision == *revision).count();
        u128::try_from(count.max(1)).unwrap_or(1)
    };
    // Each as a fraction share/serving; compared and scaled by products, so that nothing is rounded twice.
    let parts: Vec<(&RevisionId, u128, u128)> =
        shares.iter().map(|one| (&one.revision, u128::from(one.share.0), serving(&one.revision))).collect();
    let largest = parts.iter().copied().max_by(|one, other| (one.1 * other.2).cmp(&(other.1 * one.2)));
    let Some((_, most, among)) = largest.filter(|(_, most, _)| *most > 0) else { return BTreeMap::new() };
    let weight = |share: u128, serving: u128| {
        let exact = (share * among * 1000 + serving * most / 2) / (serving * most);
        u16::try_from(exact).unwrap_or(1000).clamp(u16::from(share > 0), 1000)
    };
    let all = replicas.iter().map(|one| (one.revision.clone(), 0));
    let mut weights: BTreeMap<RevisionId, u16> = all.collect();
    let mut taken = BTreeSet::new();
    for (revision, share, serving) in parts {
        let mut own = weight(share, serving);
        // A thousandth beside its share is less than what mixing costs.
        while own > 1 && !taken.insert(own) {
            own -= 1;
        }
        weights.insert(revision.clone(), own);
    }
    weights
}

/// How a release divides the traffic of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Who gets how much by chance; see [`weights`].
    pub shares: Vec<Share>,
    /// The version that is shown to the canary's audience.
    pub canary: Option<RevisionId>,
    /// The two versions that are asked synthetic requests; empty: none are.
    pub synthetic: Vec<RevisionId>,
}

/// Every service that takes requests, with the replicas that run; `splits` by service, as its release decided.
#[must_use]
pub fn backends(
    system: &System,
    replicas: &BTreeMap<&str, Vec<Replica>>,
    splits: &BTreeMap<String, Split>,
) -> BTreeMap<String, Backend> {
    let with_port = system.services.iter().filter(|(_, service)| service.port.is_some());
    with_port
        .map(|(name, service)| {
            let here = replicas.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            let split = splits.get(name);
            let weights = split.map(|split| weights(&split.shares, here)).unwrap_or_default();
            let backend = Backend {
                replicas: here.iter().map(|replica| endpoint(replica, &weights)).collect(),
                protocol: service.protocol,
                limits: service.limits.clone(),
                sticky: service.sticky.clone(),
                resilience: service.resilience.clone(),
                canary: split.and_then(|split| canary(&service.rollout.strategy, split)),
                synthetic: split.and_then(|split| synthetic(service.rollout.analysis.as_ref()?, split)),
            };
            (name.clone(), backend)
        })
        .collect()
}

/// What a gateway has to know of a canary; nothing where weights say it all.
fn canary(strategy: &Strategy, split: &Split) -> Option<Canary> {
    let Strategy::Canary { audience, .. } = strategy else { return None };
    let revision = split.canary.clone().filter(|_| *audience != Audience::default())?;
    let share = split.shares.iter().find(|one| one.revision == revision)?.share;
    Some(Canary { revision, share, audience: audience.clone() })
}

fn synthetic(analysis: &Analysis, split: &Split) -> Option<Asking> {
    let versions: [RevisionId; 2] = split.synthetic.clone().try_into().ok()?;
    Some(Asking { versions, traffic: analysis.synthetic.clone()? })
}

fn endpoint(replica: &Replica, weights: &BTreeMap<RevisionId, u16>) -> Endpoint {
    Endpoint {
        id: replica.id.clone(),
        revision: replica.revision.clone(),
        address: (Ipv4Addr::LOCALHOST, replica.port).into(),
        serving: replica.serving,
        weight: weights.get(&replica.revision).copied().unwrap_or(1000),
        process: replica.process.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_model::{Millis, Ratio, Service, system::IngressHost};

    /// Shares in parts per million by revision, serving replicas of each; the weights that each gets.
    #[track_caller]
    fn check(parts: &[(&str, u64, usize)], want: &[(&str, u16)]) {
        let revision = |name: &str| RevisionId(name.into());
        let shares: Vec<Share> =
            parts.iter().map(|(name, share, _)| Share { revision: revision(name), share: Ratio(*share) }).collect();
        let replica = |name: &str| Replica {
            id: ReplicaId::new("web", 1),
            revision: revision(name),
            port: 1,
            serving: true,
            process: String::new(),
        };
        let replicas: Vec<Replica> =
            parts.iter().flat_map(|(name, _, count)| std::iter::repeat_n(replica(name), *count)).collect();
        let want: BTreeMap<RevisionId, u16> = want.iter().map(|(name, weight)| (revision(name), *weight)).collect();
        assert_eq!(weights(&shares, &replicas), want);
    }

    #[test]
    fn a_share_is_divided_among_the_serving_replicas_of_its_revision() {
        check(&[("old", 900_000, 3), ("new", 100_000, 1)], &[("old", 1000), ("new", 333)]);
        check(&[("old", 950_000, 10), ("new", 50_000, 1)], &[("old", 1000), ("new", 526)]);
        check(&[("old", 500_000, 5), ("new", 500_000, 1)], &[("old", 200), ("new", 1000)]);
    }

    #[test]
    fn versions_never_have_the_same_weight() {
        check(&[("old", 750_000, 3), ("new", 250_000, 1)], &[("old", 1000), ("new", 999)]);
        check(&[("old", 500_000, 2), ("new", 500_000, 2)], &[("old", 1000), ("new", 999)]);
    }

    #[test]
    fn no_share_is_no_weight_and_a_small_one_is_some() {
        check(&[("old", 1_000_000, 3), ("new", 0, 3)], &[("old", 1000), ("new", 0)]);
        check(&[("old", 999_999, 1), ("new", 1, 50)], &[("old", 1000), ("new", 1)]);
        check(&[], &[]);
        check(&[("old", 0, 3), ("new", 0, 3)], &[]);
    }

    #[test]
    fn gateways_are_told_of_a_canary_that_has_an_audience() {
        let split = |canary: Option<&str>| {
            let share = |name: &str, share| Share { revision: RevisionId(name.into()), share };
            let shares = vec![share("old", Ratio::percent(90)), share("new", Ratio::percent(10))];
            Split { shares, canary: canary.map(|name| RevisionId(name.into())), ..Split::default() }
        };
        let strategy = |mirror| {
            let audience = Audience { mirror, ..Audience::default() };
            Strategy::Canary { steps: vec![Ratio::percent(10)], interval: Millis(0), audience }
        };
        let told = canary(&strategy(Ratio::percent(5)), &split(Some("new"))).unwrap();
        assert_eq!((told.revision.0.as_str(), told.share), ("new", Ratio::percent(10)));
        assert_eq!(canary(&strategy(Ratio(0)), &split(Some("new"))), None);
        assert_eq!(canary(&strategy(Ratio::percent(5)), &split(None)), None);
        assert_eq!(canary(&Strategy::Recreate, &split(Some("new"))), None);
    }

    #[test]
    fn the_longest_path_comes_first_and_only_services_with_a_port_are_reached() {
        let mut system = System::default();
        let paths = [("/".to_owned(), "web".to_owned()), ("/api".to_owned(), "api".to_owned())].into();
        system.ingress.hosts.insert("Shop.Localhost".into(), IngressHost { paths, rate_limit: None });
        system.services.insert("api".into(), Service { port: Some(1), ..Service::default() });
        system.services.insert("worker".into(), Service::default());
        let hosts = hosts(&system);
        assert_eq!(hosts[0].name, "shop.localhost");
        assert_eq!(hosts[0].paths[0].prefix, "/api");
        assert_eq!(backends(&system, &BTreeMap::new(), &BTreeMap::new()).into_keys().collect::<Vec<_>>(), ["api"]);
    }
}
