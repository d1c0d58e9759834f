//! Single settings from outside the file, laid over it: `--set services.cart.autoscaling.maxReplicas=20`.
//!
//! A value gets the place of what it replaces, or of the nearest thing around it, so that findings show that line.

use crate::{
    node::{At, Entry, Node, Value},
    overlay::laid_over,
    parse::parse,
    source::Source,
};

/// A path and a value in YAML, as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Keys with dots between them.
    pub path: String,
    /// What is to stand there; `null` removes it.
    pub value: String,
}

/// Lays one setting over the file.
///
/// # Errors
/// The path or the value can't be read; the text says which.
pub(crate) fn set(root: Node, setting: &Setting) -> Result<Node, String> {
    let keys: Vec<&str> = setting.path.split('.').collect();
    if keys.iter().any(|key| key.is_empty()) {
        return Err(format!("`{}` is no path: write keys with dots between them", setting.path));
    }
    let mut findings = Vec::new();
    let source = Source::new("--set", &setting.value);
    let value = parse(&source, &mut findings);
    let Some(mut value) = value.filter(|_| findings.is_empty()) else {
        return Err(format!("`{}` is no YAML: {}", setting.value, findings.first().map_or("", |one| &one.headline)));
    };
    let mut at = root.at;
    let mut here = Some(&root);
    for key in &keys {
        let entry = here.and_then(|node| node.get(key));
        at = entry.map_or(at, |entry| entry.node.at);
        here = entry.map(|entry| &entry.node);
    }
    place(&mut value, at);
    let over = keys.iter().rev().fold(value, |node, key| Node {
        at,
        value: Value::Map(vec![Entry { key: (*key).to_owned(), key_at: at, node }]),
    });
    Ok(laid_over(root, &over))
}

/// Gives a value and all that is in it one place.
fn place(node: &mut Node, at: At) {
    node.at = at;
    match &mut node.value {
        Value::Null | Value::Scalar(_) => {}
        Value::List(items) => items.iter_mut().for_each(|item| place(item, at)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| {
            entry.key_at = at;
            place(&mut entry.node, at);
        }),
    }
}
