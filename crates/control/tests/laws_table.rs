//! Laws of routes: shares become weights that keep them, and layers of starting and stopping keep what uses what.

use plimsoll_control::{
    order,
    rollout::Share,
    table::{Replica, weights},
};
use plimsoll_model::{Ratio, ReplicaId, RevisionId};
use proptest::{prelude::*, test_runner::RngSeed};
use std::collections::BTreeMap;

/// The same cases in every run. Other cases: `PLIMSOLL_LAWS_SEED`.
fn laws(cases: u32) -> ProptestConfig {
    let seed = std::env::var("PLIMSOLL_LAWS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    ProptestConfig { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..ProptestConfig::default() }
}

fn revision(name: &str) -> RevisionId {
    RevisionId(name.into())
}

fn replicas(name: &str, serving: usize, ended: usize) -> impl Iterator<Item = Replica> {
    let revision = revision(name);
    (0..serving + ended).map(move |number| Replica {
        id: ReplicaId::new("web", number as u64 + 1),
        revision: revision.clone(),
        port: 1,
        serving: number < serving,
        process: String::new(),
    })
}

proptest! {
    #![proptest_config(laws(300))]

    /// The traffic of each version is its share, to about a thousandth of what its replicas can be told.
    #[test]
    fn weights_keep_shares(share in 0..=1_000_000_u64, old in 1..20_usize, new in 1..20_usize, ended in 0..3_usize) {
        let part = |name: &str, share| Share { revision: revision(name), share: Ratio(share) };
        let shares = [part("old", 1_000_000 - share), part("new", share)];
        let here: Vec<Replica> =
            replicas("old", old, ended).chain(replicas("new", new, 0)).chain(replicas("gone", 1, 0)).collect();
        let weights = weights(&shares, &here);
        let of = |name: &str| u64::from(weights.get(&revision(name)).copied().unwrap_or(0));
        prop_assert!(weights.values().all(|weight| *weight <= 1000) && of("gone") == 0);
        prop_assert_eq!(of("new") == 0, share == 0, "a share is never nothing, and nothing is no share");
        prop_assert_eq!(of("old") == 0, share == 1_000_000);
        let (olds, news) = (of("old") * old as u64, of("new") * new as u64);
        let got = news * 1_000_000 / (olds + news);
        // Half a step of each replica's weight, and the least weight that is none.
        let coarse = 1_000_000 * (old.max(new) as u64) / (olds + news) + 1;
        prop_assert!(got.abs_diff(share) <= coarse, "{got} for {share} (± {coarse}): {weights:?}");
    }

    /// What is used starts before its users and stops after them; nothing is left out.
    #[test]
    fn layers_keep_what_uses_what(edges in prop::collection::btree_set((0..8_usize, 0..8_usize), 0..20)) {
        let mut uses: BTreeMap<String, Vec<String>> = BTreeMap::new();
        // Only to later ones, so that there is no ring.
        for (from, to) in edges.into_iter().filter(|(from, to)| from < to) {
            uses.entry(format!("s{from}")).or_default().push(format!("s{to}"));
        }
        let place = |layers: &[Vec<String>], name: &str| {
            let places: Vec<usize> =
                layers.iter().enumerate().filter(|(_, layer)| layer.iter().any(|one| one == name)).map(|(at, _)| at).collect();
            assert_eq!(places.len(), 1, "{name} stands in one layer: {layers:?}");
            places[0]
        };
        let (start, stop) = (order::start(&uses), order::stop(&uses));
        for (user, used) in &uses {
            for used in used {
                prop_assert!(place(&start, used) < place(&start, user));
                prop_assert!(place(&stop, used) > place(&stop, user));
            }
        }
    }
}
