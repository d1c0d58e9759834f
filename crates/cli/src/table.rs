//! Rows of the tables that commands print.

/// Lays rows of words out; the first one is the head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    plimsoll_report::table(rows, &(0..0))
}

/// A row from texts.
pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
