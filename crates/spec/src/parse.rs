//! Text → tree, in bounded time and memory.
//!
//! Invariant: depth, nodes and what aliases expand to have limits; nothing here recurses deeper than [`DEPTH_MAX`].

use crate::{
    diagnostic::{Diagnostic, shown},
    node::{At, Entry, Node, Scalar, Value},
    source::{BYTES_MAX, Source, to_u32, too_large},
};
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StructureStyle, options};
use std::collections::{HashMap, HashSet};

/// How deep values may nest. The language itself needs 12.
const DEPTH_MAX: usize = 64;
/// How many values a file may have: 10,000 services need some 500,000.
const NODES_MAX: usize = 2_000_000;
/// How many values all aliases together may stand for; more is a bomb, not a convenience.
const ALIASED_MAX: usize = 100_000;
/// How many values all anchors together may name.
const ANCHORED_MAX: usize = 1_000_000;

/// The tree of a file; `None` when there is none, the reason being among the diagnostics.
pub(crate) fn parse(source: &Source<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    if source.text.len() > BYTES_MAX {
        diagnostics.push(too_large(source.path));
        return None;
    }
    let limits = options! {
        emit_comments: false, flow_nesting_limit: DEPTH_MAX, block_nesting_limit: DEPTH_MAX, emit_unresolved_aliases: true,
    };
    let mut builder = Builder {
        source,
        diagnostics,
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        aliased: 0,
        anchored: 0,
        documents: 0,
        root: None,
    };
    for event in Parser::new_from_str_with_options(source.text, limits) {
        match event {
            Ok((event, span)) => {
                let range = span.byte_range().unwrap_or(0..0);
                let at = At { start: to_u32(range.start), end: to_u32(range.end) };
                builder.take(event, at)?;
            }
            Err(why) => {
                let found = broken(source, &why);
                builder.diagnostics.push(found);
                return None;
            }
        }
    }
    if builder.root.is_none() {
        let found = Diagnostic::error("empty-file", "there is nothing in this file")
            .help("write at least `services: { web: { command: [./serve], port: 8000 } }`");
        builder.diagnostics.push(found);
    }
    builder.root
}

struct Builder<'a, 't> {
    source: &'a Source<'t>,
    diagnostics: &'a mut Vec<Diagnostic>,
    open: Vec<Frame>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    aliased: usize,
    anchored: usize,
    documents: usize,
    root: Option<Node>,
}

enum Frame {
    List {
        at: At,
        anchor: usize,
        is_flow: bool,
        items: Vec<Node>,
    },
    Map {
        at: At,
        anchor: usize,
        is_flow: bool,
        entries: Vec<Entry>,
        key: Option<(Option<String>, At)>,
        merges: Vec<Node>,
    },
}

impl Builder<'_, '_> {
    /// Takes one event in. `None`: reading on is pointless, the reason being told.
    fn take(&mut self, event: Event<'_>, at: At) -> Option<()> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return self.stop(self.several_documents(at));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| tag.core_suffix().map_or_else(|| tag.to_string(), |core| format!("!!{core}")));
                let is_plain = style == ScalarStyle::Plain && tag.as_deref() != Some("!!str");
                self.check_tag(tag.as_deref(), at);
                let value = match text.as_ref() {
                    "" | "~" | "null" | "Null" | "NULL" if is_plain => Value::Null,
                    _ => Value::Scalar(Scalar { text: text.into_owned(), plain: is_plain }),
                };
                return self.put(Node { at, value }, anchor);
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.check_tag(tag.map(|tag| tag.to_string()).filter(|t| !t.ends_with("seq")).as_deref(), at);
                let is_flow = style == StructureStyle::Flow;
                return self.enter(Frame::List { at, anchor, is_flow, items: Vec::new() });
            }
            Event::MappingStart(style, anchor, tag) => {
                self.check_tag(tag.map(|tag| tag.to_string()).filter(|t| !t.ends_with("map")).as_deref(), at);
                let is_flow = style == StructureStyle::Flow;
                return self.enter(Frame::Map {
                    at,
                    anchor,
                    is_flow,
                    entries: Vec::new(),
                    key: None,
                    merges: Vec::new(),
                });
            }
            Event::SequenceEnd | Event::MappingEnd => return self.leave(at),
            Event::Alias(id) => return self.expand(id, at),
            Event::UnresolvedAlias(name) => {
                let found =
                    self.error("syntax", at, format!("`*{}` refers to an anchor that isn't there", shown(&name)));
                self.diagnostics.push(found.help("write `&NAME` before the value that is meant, above this line"));
                return self.put(Node { at, value: Value::Null }, 0);
            }
            _ => {}
        }
        Some(())
    }

    fn error(&self, id: &'static str, at: At, headline: impl Into<String>) -> Diagnostic {
        Diagnostic::error(id, headline).at(self.source.span(at))
    }

    fn stop(&mut self, found: Diagnostic) -> Option<()> {
        self.diagnostics.push(found);
        None
    }

    fn several_documents(&self, at: At) -> Diagnostic {
        let found = self.error("several-documents", at, "a second document begins here");
        match self.root.as_ref().and_then(|root| root.get("apiVersion")) {
            Some(_) => found.help("these are Kubernetes manifests; paste the blocks that matter under `services:`"),
            None => found.help("one file describes one system: put the rest into another file"),
        }
    }

    fn check_tag(&mut self, tag: Option<&str>, at: At) {
        let Some(tag) = tag else { return };
        let is_known = matches!(tag, "!!str" | "!!int" | "!!float" | "!!bool" | "!!null" | "!");
        if !is_known {
            let found = self.error("unknown-tag", at, format!("the tag `{}` means nothing here", shown(tag)));
            self.diagnostics.push(found.help("remove the tag"));
        }
    }

    fn count(&mut self, more: usize, at: At) -> Option<()> {
        self.nodes += more;
        if self.nodes <= NODES_MAX {
            return Some(());
        }
        self.stop(self.error("too-large", at, format!("this file has more than {NODES_MAX} values")))
    }

    fn enter(&mut self, frame: Frame) -> Option<()> {
        let at = match &frame {
            Frame::List { at, .. } | Frame::Map { at, .. } => *at,
        };
        if self.open.len() >= DEPTH_MAX {
            return self.stop(too_deep(self.source, at));
        }
        self.open.push(frame);
        Some(())
    }

    fn leave(&mut self, end: At) -> Option<()> {
        match self.open.pop()? {
            Frame::List { at, anchor, is_flow, items } => {
                let first = items.first().map(|item| item.at);
                self.put(Node { at: whole(at, first, end, is_flow), value: Value::List(items) }, anchor)
            }
            Frame::Map { at, anchor, is_flow, entries, merges, .. } => {
                let first = entries.first().map(|entry| entry.key_at);
                let mut entries = self.without_duplicates(entries);
                for merged in merges {
                    self.merge(&mut entries, merged);
                }
                self.put(Node { at: whole(at, first, end, is_flow), value: Value::Map(entries) }, anchor)
            }
        }
    }

    /// Puts a finished node where it belongs.
    fn put(&mut self, node: Node, anchor: usize) -> Option<()> {
        self.count(1, node.at)?;
        if anchor != 0 {
            self.keep(anchor, &node)?;
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { key: key @ None, .. }) => match node.value {
                Value::Scalar(scalar) => *key = Some((Some(scalar.text), node.at)),
                _ => {
                    *key = Some((None, node.at));
                    let kind = node.kind();
                    let found = self.error("complex-key", node.at, format!("a key must be text, not {kind}"));
                    self.diagnostics.push(found.help("write `NAME: value`"));
                }
            },
            Some(Frame::Map { entries, key, merges, .. }) => {
                let (key, key_at) = key.take()?;
                match key {
                    None => {} // told already
                    Some(key) if key == "<<" => merges.push(node),
                    Some(key) => entries.push(Entry { key, key_at, node }),
                }
            }
        }
        Some(())
    }

    /// Keeps what an anchor names, within the same budget: anchors may stand around each other.
    fn keep(&mut self, anchor: usize, node: &Node) -> Option<()> {
        let size = node.size();
        self.anchored += size;
        if self.anchored > ANCHORED_MAX {
            let text = format!("the anchors up to here name more than {ANCHORED_MAX} values");
            return self.stop(self.error("alias-budget", node.at, text).help("remove anchors that no alias uses"));
        }
        self.anchors.insert(anchor, (node.clone(), size));
        Some(())
    }

    /// Replaces an alias by what it stands for, within the budget.
    fn expand(&mut self, id: usize, at: At) -> Option<()> {
        let Some((node, size)) = self.anchors.get(&id) else {
            return self.stop(self.error("syntax", at, "this alias stands inside of what it refers to"));
        };
        self.aliased += size;
        if self.aliased > ALIASED_MAX {
            let text = format!("the aliases up to here stand for more than {ALIASED_MAX} values");
            return self.stop(self.error("alias-budget", at, text).help("write the values out, or use `defaults`"));
        }
        let (node, size) = (node.clone(), *size);
        self.count(size, at)?;
        self.put(node, 0)
    }

    /// Reports keys that stand twice, and keeps the first of each.
    fn without_duplicates(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by(|a, b| entries[*a].key.cmp(&entries[*b].key).then(a.cmp(b)));
        let mut is_again = vec![false; entries.len()];
        let mut first = 0;
        for (place, index) in order.iter().enumerate() {
            if place == 0 || entries[order[first]].key != entries[*index].key {
                first = place;
                continue;
            }
            is_again[*index] = true;
            let (before, again) = (&entries[order[first]], &entries[*index]);
            let line = self.source.line(before.key_at);
            let found = self
                .error("duplicate-key", again.key_at, format!("`{}` is given twice", shown(&again.key)))
                .note_at(format!("the first one stands in line {line}"), self.source.span(before.key_at))
                .help("keep one of them");
            self.diagnostics.push(found);
        }
        entries.into_iter().zip(is_again).filter(|(_, again)| !again).map(|(entry, _)| entry).collect()
    }

    /// `<<: *anchor`: adds the keys that aren't there yet.
    fn merge(&mut self, entries: &mut Vec<Entry>, merged: Node) {
        match merged.value {
            Value::Map(more) => {
                let known: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
                entries.extend(more.into_iter().filter(|new| !known.contains(&new.key)));
            }
            Value::List(items) => items.into_iter().for_each(|item| self.merge(entries, item)),
            _ => {
                let found = self.error("wrong-type", merged.at, format!("`<<` merges maps, not {}", merged.kind()));
                self.diagnostics.push(found.help("write `<<: *ANCHOR` with the anchor of a map"));
            }
        }
    }
}

/// The place of a collection: all of a flow collection, the first entry's beginning of a block one.
fn whole(start: At, first: Option<At>, end: At, is_flow: bool) -> At {
    if is_flow { At { start: start.start, end: end.end } } else { first.unwrap_or(start) }
}

fn too_deep(source: &Source<'_>, at: At) -> Diagnostic {
    Diagnostic::error("too-deep", format!("values nest deeper than {DEPTH_MAX} levels here"))
        .at(source.span(at))
        .help("nothing in a system nests so deep: a bracket may be missing")
}

/// A text that isn't YAML.
fn broken(source: &Source<'_>, why: &ScanError) -> Diagnostic {
    let start = why.marker().byte_offset().unwrap_or(source.text.len());
    let at = At { start: to_u32(start), end: to_u32(start + 1) };
    let text = why.info();
    let span = source.span(at);
    let (line_start, line) = source.lines(span.line, span.line);
    let indent = line.len() - line.trim_start().len();
    let is_tab = text.contains("tab") || matches!(why.kind(), ErrorKind::TabInIndentation);
    if is_tab || line[..indent].contains('\t') {
        let tab = line.find('\t').map_or(start, |tab| line_start + tab);
        let at = At { start: to_u32(tab), end: to_u32(tab + 1) };
        return Diagnostic::error("tab", "a tab can't indent YAML").at(source.span(at)).help("use spaces");
    }
    if text.contains("nest") || text.contains("recursion") {
        return too_deep(source, at);
    }
    Diagnostic::error("syntax", format!("this is not YAML: {text}"))
        .at(span)
        .help("check indentation, colons, quotes and brackets at and above this line")
}
