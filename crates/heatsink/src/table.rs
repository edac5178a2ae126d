//! Tables of text.

use history::report::columns;

/// Rows with columns as wide as they need to be.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(columns(cell));
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let padded = |(cell, width): (&String, &usize)| {
            format!("{cell}{:1$}", "", width.saturating_sub(columns(cell)) + 2)
        };
        let line: String = cells.map(padded).collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        let rows = [["漢字", "b"], ["c", "d"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows), "漢字  b\nc     d\n");
    }
}
