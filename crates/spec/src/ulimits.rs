//! Limits of the kernel on a process: `resources.ulimits`, as Compose writes them.

use crate::{
    node::{Node, Value},
    reading::Reading,
    section::{Foreign::Called, Section, Shape, key},
};
use plimsoll_model::service::{Ulimit, Ulimits};

/// No limit at all, as Compose, systemd and the shell write it.
const NONE: [&str; 3] = ["unlimited", "infinity", "-1"];

pub(crate) static ULIMITS: Section = Section {
    name: "`ulimits`",
    keys: &[
        key("core", BYTES, "Bytes of a core file; 0 writes none."),
        key("fsize", BYTES, "Bytes of a file that it writes."),
        key("memlock", BYTES, "Bytes of memory that it keeps from being swapped."),
        key("nofile", COUNT, "Open files; `openFiles` sets both limits."),
        key("nproc", COUNT, "Processes and threads of its user, on the whole machine; `pids` counts its own."),
        key("stack", BYTES, "Bytes of its stack."),
    ],
    foreign: &[
        ("LimitCORE", Called("it is called `core` here")),
        ("LimitFSIZE", Called("it is called `fsize` here")),
        ("LimitMEMLOCK", Called("it is called `memlock` here")),
        ("LimitNOFILE", Called("it is called `nofile` here")),
        ("LimitNPROC", Called("it is called `nproc` here")),
        ("LimitSTACK", Called("it is called `stack` here")),
        ("as", Called("write `limits: { memory: 512Mi }` in `resources`")),
        ("cpu", Called("write `limits: { cpu: 500m }` in `resources`")),
    ],
};

const BYTES: Shape = Shape::Either(&[Shape::Bytes, Shape::Word(&NONE), Shape::Map(&OF_BYTES)]);
const COUNT: Shape = Shape::Either(&[Shape::Integer, Shape::Word(&NONE), Shape::Map(&OF_COUNT)]);

static OF_BYTES: Section = Section {
    name: "a ulimit of bytes",
    keys: &[
        key("soft", Shape::Either(&[Shape::Bytes, Shape::Word(&NONE)]), "What holds; it may raise it to `hard`."),
        key("hard", Shape::Either(&[Shape::Bytes, Shape::Word(&NONE)]), "What it may not be raised above."),
    ],
    foreign: &[],
};

static OF_COUNT: Section = Section {
    name: "a ulimit",
    keys: &[
        key("soft", Shape::Either(&[Shape::Integer, Shape::Word(&NONE)]), "What holds; it may raise it to `hard`."),
        key("hard", Shape::Either(&[Shape::Integer, Shape::Word(&NONE)]), "What it may not be raised above."),
    ],
    foreign: &[],
};

impl Reading<'_, '_> {
    /// Reads limits of the kernel.
    pub(crate) fn ulimits(&mut self, node: &Node, path: &str) -> Ulimits {
        let Some(fields) = self.fields(node, &ULIMITS, path) else { return Ulimits::default() };
        let mut read = |name: &str, section: &'static Section| {
            let node = fields.get(name)?;
            self.ulimit(node, section, &fields.path(name))
        };
        Ulimits {
            core: read("core", &OF_BYTES),
            fsize: read("fsize", &OF_BYTES),
            memlock: read("memlock", &OF_BYTES),
            nofile: read("nofile", &OF_COUNT),
            nproc: read("nproc", &OF_COUNT),
            stack: read("stack", &OF_BYTES),
        }
    }

    /// One limit: a number for both, or `soft` and `hard`.
    fn ulimit(&mut self, node: &Node, section: &'static Section, path: &str) -> Option<Ulimit> {
        let of_bytes = std::ptr::eq(section, &OF_BYTES);
        if !matches!(node.value, Value::Map(_)) {
            return self.bound(node, of_bytes).map(|both| Ulimit { soft: both, hard: both });
        }
        let fields = self.fields(node, section, path)?;
        let soft = fields.get("soft").and_then(|node| self.bound(node, of_bytes));
        let hard = fields.get("hard").and_then(|node| self.bound(node, of_bytes));
        let limit = Ulimit { soft: soft.or(hard)?, hard: hard.or(soft)? };
        if limit.soft > limit.hard {
            let headline = "the soft limit is above the hard one";
            self.refuse("min-over-max", fields.at("soft"), headline, "lower `soft` or raise `hard`");
        }
        Some(limit)
    }

    /// A bound of bytes, or of a count; `u64::MAX` is none.
    fn bound(&mut self, node: &Node, of_bytes: bool) -> Option<u64> {
        let text = node.scalar().map(|scalar| scalar.text.clone()).unwrap_or_default();
        if NONE.contains(&text.as_str()) {
            return Some(u64::MAX);
        }
        match (of_bytes, text.as_str()) {
            (true, "0") => Some(0),
            (true, _) => self.bytes(node).map(|bytes| bytes.0),
            (false, _) => self.integer(node, 1..=4_194_304),
        }
    }
}
