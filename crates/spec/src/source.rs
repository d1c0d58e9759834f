//! The text of a file and where things stand in it.
//!
//! Invariant: reading stops at [`BYTES_MAX`]; no file, however large, is read whole.

use crate::diagnostic::{Diagnostic, Span};
use crate::node::At;
use std::{fs::File, io::Read, path::Path};

/// The largest file that is read: 16 MiB, some 200,000 services.
pub const BYTES_MAX: usize = 16 << 20;

/// A text with its lines counted.
#[derive(Debug)]
pub struct Source<'t> {
    /// The name that diagnostics show.
    pub path: &'t str,
    /// All of it.
    pub text: &'t str,
    starts: Vec<u32>,
}

impl<'t> Source<'t> {
    /// Counts the lines of `text`; a text beyond [`BYTES_MAX`] has only its first line known.
    #[must_use]
    pub fn new(path: &'t str, text: &'t str) -> Self {
        let mut starts = vec![0];
        if text.len() <= BYTES_MAX {
            starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| to_u32(at + 1)));
        }
        Self { path, text, starts }
    }

    /// The span of some bytes, with line and column (both from 1, the column in characters).
    #[must_use]
    pub(crate) fn span(&self, at: At) -> Span {
        let start = self.boundary(at.start as usize);
        let end = self.boundary(at.end as usize).max(start);
        let line = self.starts.partition_point(|s| *s as usize <= start).saturating_sub(1);
        let line_start = self.starts[line] as usize;
        let column = self.text[line_start..start].chars().count();
        let length = self.text[start..end].chars().take_while(|c| *c != '\n').count();
        Span { start, end, line: to_u32(line + 1), column: to_u32(column + 1), length: to_u32(length) }
    }

    /// The number of the line of a byte, from 1.
    pub(crate) fn line(&self, at: At) -> u32 {
        to_u32(self.starts.partition_point(|s| *s <= at.start))
    }

    /// The bytes of some lines (numbered from 1, both included), without the last line's end.
    pub(crate) fn lines(&self, first: u32, last: u32) -> (usize, &'t str) {
        let start = self.starts.get(first.saturating_sub(1) as usize).map_or(self.text.len(), |s| *s as usize);
        let end = self.starts.get(last as usize).map_or(self.text.len(), |s| *s as usize - 1);
        (start, &self.text[start..end.max(start)])
    }

    fn boundary(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        (0..=at).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }
}

/// Positions fit: texts are at most [`BYTES_MAX`] long when they are read.
pub(crate) fn to_u32(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Reads a file as UTF-8 text of at most [`BYTES_MAX`].
///
/// # Errors
/// A diagnostic (`unreadable`, `too-large`, `not-utf8`) that names what the person can mend.
pub fn read(path: &Path) -> Result<String, Box<Diagnostic>> {
    let name = path.display();
    let refuse = |why: std::io::Error| {
        let help = match why.kind() {
            std::io::ErrorKind::NotFound => "write a plimsoll.yaml there, or name another file",
            std::io::ErrorKind::PermissionDenied => "make it readable for the user who runs plimsoll",
            _ => "name a regular file",
        };
        Box::new(Diagnostic::error("unreadable", format!("cannot read {name}: {why}")).help(help))
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(refuse)?;
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(refuse)?;
    if bytes.len() > BYTES_MAX {
        return Err(Box::new(too_large(&name.to_string())));
    }
    String::from_utf8(bytes).map_err(|why| {
        let at = why.utf8_error().valid_up_to();
        let good = String::from_utf8_lossy(&why.as_bytes()[..at]).into_owned();
        let source = Source::new("", &good);
        let span = source.span(At { start: to_u32(at), end: to_u32(at) });
        let text = format!("{name} is not UTF-8: byte {} of line {}", span.column, span.line);
        Box::new(Diagnostic::error("not-utf8", text).help("save the file as UTF-8"))
    })
}

pub(crate) fn too_large(name: &str) -> Diagnostic {
    Diagnostic::error("too-large", format!("{name} is larger than {} MiB", BYTES_MAX >> 20))
        .help("keep data out of this file; it only describes a system")
}
