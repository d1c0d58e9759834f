//! In which order things start and stop: what is used before its users, and the other way round.
//!
//! Invariant: every name, whether it uses or is only used, stands in exactly one layer.
//! Invariant: nothing stands in the same layer as, or before, something it uses (unless they use each other in a ring,
//! which `spec` refuses; a ring stands in the last layer, so that nothing is ever left out).

use std::collections::{BTreeMap, BTreeSet};

/// Layers to start one after another; within a layer there is no order, and names are sorted.
#[must_use]
pub fn start(uses: &BTreeMap<String, Vec<String>>) -> Vec<Vec<String>> {
    let mut left: BTreeSet<&String> = uses.keys().chain(uses.values().flatten()).collect();
    let mut layers = vec![];
    while !left.is_empty() {
        let waits = |name: &String| uses.get(name).is_some_and(|used| used.iter().any(|one| left.contains(one)));
        let mut layer: Vec<&String> = left.iter().copied().filter(|name| !waits(name)).collect();
        if layer.is_empty() {
            layer = left.iter().copied().collect();
        }
        for name in &layer {
            left.remove(*name);
        }
        layers.push(layer.into_iter().cloned().collect());
    }
    layers
}

/// Layers to stop one after another: users before what they use.
#[must_use]
pub fn stop(uses: &BTreeMap<String, Vec<String>>) -> Vec<Vec<String>> {
    let mut layers = start(uses);
    layers.reverse();
    layers
}

/// Whether `from` uses `to`, directly or through others.
#[must_use]
pub fn reaches(uses: &BTreeMap<String, Vec<String>>, from: &str, to: &str) -> bool {
    let mut known = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        for used in uses.get(name).into_iter().flatten() {
            if used == to {
                return true;
            }
            if known.insert(used) {
                open.push(used);
            }
        }
    }
    false
}
