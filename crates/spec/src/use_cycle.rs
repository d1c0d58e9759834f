//! `use-cycle`: services that wait for each other in a circle would never start.
//!
//! Every edge that lies on a circle is shown on one, up to a limit. Nothing here recurses: a chain may be 10,000 long.

use crate::{
    diagnostic::shown,
    node::At,
    reading::{Reading, Reference, ReferenceKind},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// More circles than these are one tangle, told as such.
const CYCLES_MAX: usize = 50;
/// So many names of one circle are written out.
const NAMES_MAX: usize = 100;

impl Reading<'_, '_> {
    /// Reports each circle over `uses` with its whole path.
    pub(crate) fn check_use_cycles(&mut self, references: &[Reference]) {
        let mut edges: BTreeMap<&str, Vec<(&str, At)>> = BTreeMap::new();
        for reference in references.iter().filter(|reference| reference.kind == ReferenceKind::Uses) {
            edges.entry(&reference.from).or_default().push((&reference.to, reference.at));
        }
        let mut told = 0;
        let mut covered: BTreeSet<(&str, &str)> = BTreeSet::new();
        for (from, to, at) in on_cycles(&edges) {
            if told == CYCLES_MAX {
                break;
            }
            if covered.contains(&(from, to)) {
                continue;
            }
            let Some(mut path) = shortest(&edges, to, from) else { continue };
            covered.extend(path.windows(2).map(|pair| (pair[0], pair[1])));
            covered.insert((from, to));
            told += 1;
            path.insert(0, from);
            path.pop();
            let first = path.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(place, _)| place);
            path.rotate_left(first);
            let circle = circle(&path);
            let (headline, help) = if path.len() == 1 {
                (format!("`{from}` waits for itself"), "remove it".to_owned())
            } else {
                let help = format!("let one of them not wait: name `{to}` under `calls` of `{from}` instead of `uses`");
                (format!("these services wait for each other: {circle}"), help)
            };
            self.refuse("use-cycle", at, headline, help);
        }
    }
}

/// `a → b → a`; the middle of a very long one is left out.
fn circle(path: &[&str]) -> String {
    let mut names: Vec<String> = path.iter().chain(path.first()).map(|name| shown(name)).collect();
    if names.len() > NAMES_MAX {
        let left_out = names.len() - NAMES_MAX;
        names.splice(NAMES_MAX - 1..names.len() - 1, [format!("({left_out} more)")]);
    }
    names.join(" → ")
}

/// The edges whose ends lie in one strongly connected component, in the order of names.
fn on_cycles<'n>(edges: &BTreeMap<&'n str, Vec<(&'n str, At)>>) -> Vec<(&'n str, &'n str, At)> {
    let component = components(edges);
    let mut found = Vec::new();
    for (from, targets) in edges {
        for (to, at) in targets {
            if component.contains_key(from) && component.get(from) == component.get(to) {
                found.push((*from, *to, *at));
            }
        }
    }
    found
}

/// Kosaraju's two passes: the number of each name's component.
fn components<'n>(edges: &BTreeMap<&'n str, Vec<(&'n str, At)>>) -> BTreeMap<&'n str, usize> {
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    for start in edges.keys().copied() {
        let mut stack = vec![(start, 0)];
        if !seen.insert(start) {
            continue;
        }
        while let Some((name, next)) = stack.pop() {
            match edges.get(name).and_then(|targets| targets.get(next)) {
                Some((to, _)) => {
                    stack.push((name, next + 1));
                    if seen.insert(to) {
                        stack.push((to, 0));
                    }
                }
                None => order.push(name),
            }
        }
    }
    let mut backwards: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, targets) in edges {
        for (to, _) in targets {
            backwards.entry(to).or_default().push(from);
        }
    }
    let mut component = BTreeMap::new();
    for (number, root) in order.into_iter().rev().enumerate() {
        let mut stack = vec![root];
        while let Some(name) = stack.pop() {
            if component.contains_key(name) {
                continue;
            }
            component.insert(name, number);
            stack.extend(backwards.get(name).into_iter().flatten());
        }
    }
    component
}

/// A shortest path from one name to another, both included.
fn shortest<'n>(edges: &BTreeMap<&'n str, Vec<(&'n str, At)>>, from: &'n str, to: &'n str) -> Option<Vec<&'n str>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(name) = queue.pop_front() {
        if name == to {
            let mut path = vec![name];
            while let Some(previous) = path.last().filter(|name| **name != from).and_then(|name| before.get(name)) {
                path.push(previous);
            }
            path.reverse();
            return Some(path);
        }
        for (next, _) in edges.get(name).into_iter().flatten() {
            if *next != from && !before.contains_key(next) {
                before.insert(next, name);
                queue.push_back(next);
            }
        }
    }
    None
}
