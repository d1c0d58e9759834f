//! Tables of the keys that each part of the file knows.
//!
//! Readers, "did you mean" and the JSON Schema all use these tables, so they can't drift apart.

/// One kind of map in the file.
#[derive(Debug)]
pub(crate) struct Section {
    /// As a message names it: "a service".
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [Key],
    /// Keys that are right elsewhere, or come later, each with what to say about it.
    pub(crate) foreign: &'static [(&'static str, Foreign)],
}

/// A key and what may stand there.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
}

/// A key that isn't ours.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Foreign {
    /// It is called otherwise here.
    Called(&'static str),
    /// It comes later; says what to do until then.
    Later(&'static str),
    /// It is right, and kept for other targets.
    Recorded(&'static str),
}

/// What may stand at a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Text,
    Name,
    Integer,
    Boolean,
    Duration,
    Bytes,
    Cpu,
    Percent,
    Rate,
    /// One of some words.
    Word(&'static [&'static str]),
    /// A map with known keys.
    Map(&'static Section),
    /// A map with names as keys.
    Named(&'static Shape),
    List(&'static Shape),
    Either(&'static [Shape]),
    /// Checked elsewhere, or not at all.
    Anything,
}

/// A row of a table.
pub(crate) const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key { name, about, shape }
}
