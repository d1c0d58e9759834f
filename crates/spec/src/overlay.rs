//! Overlays: maps merge by key, lists and scalars are replaced, `null` removes.

use crate::node::{Entry, Node, Value};

/// Lays `over` upon `base`.
pub(crate) fn laid_over(base: Node, over: &Node) -> Node {
    let (Value::Map(mut entries), Value::Map(more)) = (base.value, &over.value) else { return over.clone() };
    let base_count = entries.len();
    let index = Index::of(&entries, more.len());
    let mut is_removed = vec![false; base_count];
    for new in more {
        match (index.find(&entries[..base_count], &new.key), &new.node.value) {
            (Some(place), Value::Null) => is_removed[place] = true,
            (Some(place), _) => {
                let old = std::mem::replace(&mut entries[place].node, Node { at: new.node.at, value: Value::Null });
                // a map that is only added to keeps its place: what is missing in it is missing there
                let both = matches!((&old.value, &new.node.value), (Value::Map(_), Value::Map(_)));
                entries[place].key_at = if both { entries[place].key_at } else { new.key_at };
                entries[place].node = laid_over(old, &new.node);
            }
            (None, _) => entries.push(new.clone()),
        }
    }
    let mut place = 0;
    entries.retain(|_| {
        place += 1;
        !is_removed.get(place - 1).is_some_and(|removed| *removed)
    });
    Node { at: base.at, value: Value::Map(entries) }
}

/// Finds keys: by looking in small maps, by a sorted list in large ones.
struct Index(Option<Vec<(String, usize)>>);

impl Index {
    fn of(entries: &[Entry], looks: usize) -> Self {
        if entries.len() < 64 || looks < 8 {
            return Self(None);
        }
        let mut sorted: Vec<_> = entries.iter().enumerate().map(|(place, entry)| (entry.key.clone(), place)).collect();
        sorted.sort();
        Self(Some(sorted))
    }

    fn find(&self, entries: &[Entry], key: &str) -> Option<usize> {
        match &self.0 {
            None => entries.iter().position(|entry| entry.key == key),
            Some(sorted) => {
                sorted.binary_search_by(|(name, _)| name.as_str().cmp(key)).ok().map(|found| sorted[found].1)
            }
        }
    }
}
