//! Tables: the answers to instant queries as rows and columns.

use serde_json::Value;

use super::answers::{Answer, natural};

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    /// The letter of the query that it is from, or that of the first of several.
    pub(super) ref_id: String,
    pub(super) columns: Vec<String>,
    /// One cell for every column.
    pub(super) rows: Vec<Vec<Cell>>,
}

/// A table's cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Empty,
    Number(f64),
    Text(String),
}

impl Cell {
    /// What sorts cells, and says whether two are the same: empty ones first, then numbers, then
    /// texts with the numbers in them in order.
    pub(super) fn key(&self) -> (u8, u64, Vec<(usize, String)>) {
        match self {
            Self::Empty => (0, 0, Vec::new()),
            Self::Number(number) => {
                // The order of the bits is that of the numbers once the sign is turned around.
                let bits = number.to_bits();
                (1, if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }, Vec::new())
            }
            Self::Text(text) => (2, 0, natural(text)),
        }
    }

    /// What stands in the cell, without a unit.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl Table {
    /// The place of the column with this name.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// Keeps the columns at `places`, in that order.
    pub(super) fn keep(&mut self, places: &[usize]) {
        let chosen = |cells: &[Cell]| places.iter().map(|place| cells[*place].clone()).collect();
        self.rows = self.rows.iter().map(|row| chosen(row)).collect();
        self.columns = places.iter().map(|place| self.columns[*place].clone()).collect();
    }

    /// Sorts as the options of a table panel say, which people see and change there.
    pub(super) fn sort_as_shown(&mut self, panel: &Value) {
        for step in panel["options"]["sortBy"].as_array().into_iter().flatten() {
            self.sort(step["displayName"].as_str().unwrap_or_default(), step["desc"] == true);
        }
    }

    /// Sorts the rows by a column, if there is one of this name.
    pub(super) fn sort(&mut self, column: &str, descending: bool) {
        let Some(place) = self.column(column) else { return };
        self.rows.sort_by_key(|row| row[place].key());
        if descending {
            self.rows.reverse();
        }
    }
}

/// A table of each answer: `Time`, the labels, and `Value`, which is `Value #A` where there are
/// several answers.
pub(super) fn tables(answers: &[Answer]) -> Vec<Table> {
    answers.iter().map(|answer| table(answer, answers.len() > 1)).collect()
}

fn table(answer: &Answer, several: bool) -> Table {
    let mut labels: Vec<&str> =
        answer.series.iter().flat_map(|series| series.labels.keys().map(String::as_str)).collect();
    labels.sort_unstable();
    labels.dedup();
    let row = |series: &crate::ask::Series| {
        let (time, value) = *series.points.last()?;
        let label = |name: &&str| {
            series.labels.get(*name).map_or(Cell::Empty, |value| Cell::Text(value.clone()))
        };
        let cells = labels.iter().map(label);
        let time = Cell::Number((time * 1e3).round());
        Some(std::iter::once(time).chain(cells).chain([Cell::Number(value)]).collect())
    };
    let value = if several { format!("Value #{}", answer.ref_id) } else { "Value".to_owned() };
    let names = labels.iter().map(|label| (*label).to_owned());
    let mut rows: Vec<Vec<Cell>> = answer.series.iter().filter_map(row).collect();
    let key = |row: &Vec<Cell>| row[1..row.len() - 1].iter().map(Cell::key).collect::<Vec<_>>();
    rows.sort_by_key(key);
    Table {
        ref_id: answer.ref_id.clone(),
        columns: std::iter::once("Time".to_owned()).chain(names).chain([value]).collect(),
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_as_numbers() {
        let mut cells = [5.0, -1.0, 0.0, -10.0, 1e9].map(Cell::Number);
        cells.sort_by_key(Cell::key);
        assert_eq!(cells, [-10.0, -1.0, 0.0, 5.0, 1e9].map(Cell::Number));
    }
}
