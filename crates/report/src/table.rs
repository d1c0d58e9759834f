//! Columns for a terminal.

use std::ops::Range;

/// Rows in columns as wide as they need to be, the first row being their heads. Those of `numbers` stand to the right, the
/// others to the left. "" without a row; each row ends with a new line.
#[must_use]
pub fn table(rows: &[Vec<String>], numbers: &Range<usize>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let cell = |(column, (cell, width)): (usize, (&String, &usize))| {
            if numbers.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        };
        let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(cell).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// A margin as a person reads it: `+63 %`; `–` where there is none.
#[must_use]
pub fn margin(margin: Option<f64>) -> String {
    margin.map_or_else(|| "–".to_owned(), |margin| format!("{:+.0} %", margin * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_to_the_left_and_numbers_to_the_right() {
        let rows = [["name", "N"], ["größe", "12"], ["x", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows, &(1..2)), "name    N\ngröße  12\nx\n");
        assert_eq!(table(&[], &(0..0)), "");
    }

    #[test]
    fn margins_have_a_sign() {
        assert_eq!([Some(0.634), Some(-0.1), None].map(margin), ["+63 %", "-10 %", "–"]);
    }
}
