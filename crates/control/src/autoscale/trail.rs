//! The arithmetic of a decision, line by line, for `explain`.

/// Lines in the order in which they were reckoned. Costs nothing when it is not wanted.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    wanted: bool,
    lines: Vec<String>,
}

impl Trail {
    /// A trail that keeps lines only if they are `wanted`.
    #[must_use]
    pub fn new(wanted: bool) -> Self {
        Self { wanted, lines: Vec::new() }
    }

    /// Adds a line; `line` is not even made when nobody wants it.
    pub fn add(&mut self, line: impl FnOnce() -> String) {
        if self.wanted {
            self.lines.push(line());
        }
    }

    /// The lines.
    #[must_use]
    pub fn into_lines(self) -> Vec<String> {
        self.lines
    }
}

/// A number without more digits than it needs: 2.34, not 2.3400000000000003.
pub(super) fn short(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
