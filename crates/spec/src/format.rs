//! `fmt`: canonical order and indentation, with every comment kept.
//!
//! Invariant: what is formatted says the same and holds the same comments; otherwise the text is returned as it was.

use crate::{
    node::{Entry, Node, Value},
    parse::parse,
    section::{Section, Shape},
    source::{Source, to_u32},
    system::SYSTEM,
};
use granit_parser::{Event, Parser, options};

/// What a file is.
static ROOT: Shape = Shape::Map(&SYSTEM);
/// Comments in a row that are compared; a file with more is left as it is.
const COMMENTS_MAX: usize = 100_000;

/// Formats a file. A text that isn't YAML, or that can't be formatted without loss, is returned as it is.
#[must_use]
pub fn fmt(text: &str) -> String {
    let plain = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let once = formatted(&plain).filter(|new| says_the_same(&plain, new));
    once.unwrap_or_else(|| text.to_owned())
}

fn tree(text: &str) -> Option<Node> {
    let mut diagnostics = Vec::new();
    let root = parse(&Source::new("", text), &mut diagnostics);
    root.filter(|_| diagnostics.is_empty())
}

fn formatted(text: &str) -> Option<String> {
    let root = tree(text)?;
    let source = Source::new("", text);
    let lines: Vec<&str> = text.lines().collect();
    let page = Page { source: &source, lines };
    if page.is_flow(&root) || root.map().is_none() {
        return Some(ended(text));
    }
    let first = page.line(root.map()?.first()?.key_at.start);
    let mut out = String::new();
    // a comment that a blank line parts from the first key is about the file, and stays on top
    let head = (0..first).rev().find(|line| page.lines[*line].trim().is_empty()).map_or(0, |line| line + 1);
    for line in &page.lines[..head] {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    page.map(&root, Region { from: head, to: page.lines.len() }, Place { shape: Some(&ROOT), indent: 0 }, &mut out)?;
    Some(ended(&out))
}

/// Ends with exactly one line end.
fn ended(text: &str) -> String {
    format!("{}\n", text.trim_end_matches('\n'))
}

/// Some lines, the last one excluded.
#[derive(Clone, Copy)]
struct Region {
    from: usize,
    to: usize,
}

/// What is written, and how far to the right.
#[derive(Clone, Copy)]
struct Place {
    shape: Option<&'static Shape>,
    indent: usize,
}

struct Page<'t> {
    source: &'t Source<'t>,
    lines: Vec<&'t str>,
}

impl Page<'_> {
    fn line(&self, byte: u32) -> usize {
        self.source.line(crate::node::At { start: byte, end: byte }) as usize - 1
    }

    fn is_flow(&self, node: &Node) -> bool {
        matches!(node.value, Value::List(_) | Value::Map(_))
            && self.source.text[node.at.start as usize..].starts_with(['{', '['])
    }

    /// The lines of comments and blanks right above a key that belong to it: those that aren't indented deeper.
    fn lead(&self, key_line: usize, from: usize) -> usize {
        let indent = indent_of(self.lines[key_line]);
        let mut first = key_line;
        while first > from {
            let line = self.lines[first - 1];
            let is_comment = line.trim_start().starts_with('#') && indent_of(line) <= indent;
            if !is_comment && !line.trim().is_empty() {
                break;
            }
            first -= 1;
        }
        first
    }

    /// Writes a block map. `None`: it is written in a way that isn't understood here.
    fn map(&self, node: &Node, region: Region, place: Place, out: &mut String) -> Option<()> {
        let entries = node.map()?;
        let mut starts = Vec::new();
        let mut from = region.from;
        for entry in entries {
            let line = self.line(entry.key_at.start);
            if line < from || line >= region.to {
                return None; // merged from elsewhere, or two keys in one line
            }
            let lead = if starts.is_empty() { region.from } else { self.lead(line, from) };
            starts.push((lead, line));
            from = line + 1;
        }
        let (first, line) = *starts.first()?;
        if self.lines[first..line].iter().any(|line| !is_blank_or_comment(line)) {
            return None; // `<<`, or something else that isn't an entry
        }
        let section = section_of(place.shape);
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by_key(|index| rank(section, &entries[*index].key));
        for (position, index) in order.iter().enumerate() {
            let (lead, line) = starts[*index];
            let to = starts.get(index + 1).map_or(region.to, |(lead, _)| *lead);
            let entry = &entries[*index];
            self.comments(Region { from: lead, to: line }, place.indent, position == 0, out);
            let place = Place { shape: shape_of(place.shape, &entry.key), ..place };
            self.entry(entry, Region { from: line, to }, place, out)?;
        }
        Some(())
    }

    /// Comments at their new indentation; blank lines at most one by one, and none at the top.
    fn comments(&self, region: Region, indent: usize, is_first: bool, out: &mut String) {
        let mut was_blank = is_first;
        for line in &self.lines[region.from..region.to] {
            let is_blank = line.trim().is_empty();
            if !(is_blank && was_blank) {
                out.push_str(&" ".repeat(if is_blank { 0 } else { indent }));
                out.push_str(line.trim());
                out.push('\n');
            }
            was_blank = is_blank;
        }
    }

    fn entry(&self, entry: &Entry, region: Region, Place { shape, indent }: Place, out: &mut String) -> Option<()> {
        let (line_start, line) = self.source.lines(to_u32(region.from + 1), to_u32(region.from + 1));
        let key = self.source.text.get(entry.key_at.start as usize..entry.key_at.end as usize)?;
        let after = line.get((entry.key_at.end as usize).checked_sub(line_start)?..)?.trim_start().strip_prefix(':')?;
        let old_indent = indent_of(line);
        if entry.key_at.start as usize != line_start + old_indent {
            return None;
        }
        out.push_str(&" ".repeat(indent));
        out.push_str(key);
        out.push(':');
        let after = after.trim();
        if !after.is_empty() {
            out.push_str(if after.starts_with('#') { "  " } else { " " });
            out.push_str(after);
        }
        out.push('\n');
        let below = Region { from: region.from + 1, to: region.to };
        let starts_below = self.source.line(entry.node.at) as usize > region.from + 1
            && (self.source.line(entry.node.at) as usize) <= region.to;
        if starts_below && !self.is_flow(&entry.node) && !after.starts_with(['|', '>']) {
            match &entry.node.value {
                Value::Map(_) => {
                    let before = out.len();
                    if self.map(&entry.node, below, Place { shape, indent: indent + 2 }, out).is_some() {
                        return Some(());
                    }
                    out.truncate(before);
                }
                Value::List(_) => {
                    let first = (below.from..below.to).find(|line| !is_blank_or_comment(self.lines[*line]))?;
                    self.shifted(below, indent_of(self.lines[first]), indent + 2, out);
                    return Some(());
                }
                _ => {}
            }
        }
        self.shifted(below, old_indent, indent, out);
        Some(())
    }

    /// Lines moved sideways as a whole.
    fn shifted(&self, region: Region, old: usize, new: usize, out: &mut String) {
        for line in &self.lines[region.from..region.to] {
            if !line.trim().is_empty() {
                let indent = (indent_of(line) + new).saturating_sub(old);
                out.push_str(&" ".repeat(indent));
                out.push_str(line.trim_start_matches(' '));
            }
            out.push('\n');
        }
    }
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn is_blank_or_comment(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn section_of(shape: Option<&'static Shape>) -> Option<&'static Section> {
    match shape? {
        Shape::Map(section) => Some(section),
        Shape::Either(shapes) => shapes.iter().find_map(|one| section_of(Some(one))),
        _ => None,
    }
}

fn shape_of(shape: Option<&'static Shape>, key: &str) -> Option<&'static Shape> {
    match shape? {
        Shape::Named(inner) => Some(inner),
        Shape::Either(shapes) => shapes.iter().find_map(|one| shape_of(Some(one), key)),
        _ => section_of(shape)?.keys.iter().find(|known| known.name == key).map(|known| &known.shape),
    }
}

/// The place of a key in its table; unknown ones come last, as they stand.
fn rank(section: Option<&'static Section>, key: &str) -> usize {
    section.map_or(0, |section| section.keys.iter().position(|known| known.name == key).unwrap_or(usize::MAX))
}

/// Whether two texts are the same but for order and blanks, comments included.
fn says_the_same(before: &str, after: &str) -> bool {
    let (Some(old), Some(new)) = (tree(before), tree(after)) else { return false };
    same(&old, &new) && comments(before) == comments(after)
}

fn same(old: &Node, new: &Node) -> bool {
    match (&old.value, &new.value) {
        (Value::Null, Value::Null) => true,
        (Value::Scalar(a), Value::Scalar(b)) => a.text == b.text && a.plain == b.plain,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            let sorted = |entries: &'_ [Entry]| {
                let mut order: Vec<usize> = (0..entries.len()).collect();
                order.sort_by(|x, y| entries[*x].key.cmp(&entries[*y].key));
                order
            };
            let (x, y) = (sorted(a), sorted(b));
            x.len() == y.len()
                && x.iter().zip(&y).all(|(x, y)| a[*x].key == b[*y].key && same(&a[*x].node, &b[*y].node))
        }
        _ => false,
    }
}

fn comments(text: &str) -> Vec<String> {
    let limits = options! { max_buffered_comment_events: COMMENTS_MAX };
    let mut all: Vec<String> = Parser::new_from_str_with_options(text, limits)
        .filter_map(|event| match event.ok()?.0 {
            Event::Comment(text, _) => Some(text.trim().to_owned()),
            _ => None,
        })
        .collect();
    all.sort();
    all
}
