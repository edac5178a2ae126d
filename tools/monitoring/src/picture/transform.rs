//! What a dashboard's transformations make of the tables that its queries answered.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::Value;

use super::answers::Answer;
use super::rows::{Cell, Table, tables};

type Transformation = fn(Vec<Table>, &Value) -> Vec<Table>;

const TRANSFORMATIONS: &[(&str, Transformation)] = &[
    ("merge", |tables, _| merge(tables)),
    ("joinByField", join),
    ("seriesToColumns", join),
    ("organize", organize),
    ("sortBy", sort),
    ("groupingToMatrix", matrix),
    ("filterFieldsByName", filter),
    ("limit", limit),
];

/// The one table that a panel shows: its answers, transformed as it says.
///
/// # Errors
/// Names a transformation that is not known here.
pub(super) fn transformed(panel: &Value, answers: &[Answer]) -> Result<Table> {
    let mut tables = tables(answers);
    for step in panel["transformations"].as_array().into_iter().flatten() {
        if step["disabled"] == true {
            continue;
        }
        let id = step["id"].as_str().unwrap_or_default();
        let Some((_, apply)) = TRANSFORMATIONS.iter().find(|(known, _)| *known == id) else {
            bail!("the transformation {id:?} is not known");
        };
        tables = apply(tables, &step["options"]);
    }
    Ok(tables.into_iter().next().unwrap_or_default())
}

/// Rows that agree in every column that all tables have become one, unless they contradict each
/// other in another column.
fn merge(tables: Vec<Table>) -> Vec<Table> {
    let filled = tables.into_iter().filter(|table| !table.rows.is_empty());
    let tables: Vec<Table> = filled.collect();
    let mut merged = Table::default();
    for table in &tables {
        merged.ref_id =
            if merged.ref_id.is_empty() { &table.ref_id } else { &merged.ref_id }.clone();
        for column in &table.columns {
            if merged.column(column).is_none() {
                merged.columns.push(column.clone());
            }
        }
    }
    let common = |column: &&String| tables.iter().all(|table| table.column(column).is_some());
    let common: Vec<&String> = merged.columns.iter().filter(common).collect();
    let keys: Vec<usize> = common.iter().filter_map(|column| merged.column(column)).collect();
    for table in &tables {
        for row in &table.rows {
            let cell = |column: &String| {
                table.column(column).map_or(Cell::Empty, |place| row[place].clone())
            };
            let row: Vec<Cell> = merged.columns.iter().map(cell).collect();
            let same = |other: &&mut Vec<Cell>| {
                keys.iter().all(|key| other[*key] == row[*key])
                    && other
                        .iter()
                        .zip(&row)
                        .all(|(a, b)| *a == Cell::Empty || *b == Cell::Empty || a == b)
            };
            match merged.rows.iter_mut().find(same) {
                Some(other) => fill(other, row),
                None => merged.rows.push(row),
            }
        }
    }
    vec![merged]
}

fn fill(into: &mut [Cell], from: Vec<Cell>) {
    for (cell, new) in into.iter_mut().zip(from) {
        if *cell == Cell::Empty {
            *cell = new;
        }
    }
}

/// One row for every value of a field, with the columns of all tables. Columns of the same name
/// get a number after it.
fn join(tables: Vec<Table>, options: &Value) -> Vec<Table> {
    let field = options["byField"].as_str().unwrap_or("Time");
    let inner = options["mode"] == "inner";
    let with_field: Vec<(Table, usize)> = tables
        .into_iter()
        .filter_map(|table| table.column(field).map(|place| (table, place)))
        .collect();
    let ref_id = with_field.first().map(|(table, _)| table.ref_id.clone()).unwrap_or_default();
    let width: usize = with_field.iter().map(|(table, _)| table.columns.len() - 1).sum();
    let mut columns = vec![field.to_owned()];
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (table, place) in &with_field {
        let start = columns.len();
        let others: Vec<usize> = (0..table.columns.len()).filter(|other| other != place).collect();
        columns.extend(others.iter().map(|other| table.columns[*other].clone()));
        for row in &table.rows {
            let known = rows.iter().position(|known| known[0] == row[*place]);
            let known = known.unwrap_or_else(|| {
                let mut new = vec![Cell::Empty; width + 1];
                new[0] = row[*place].clone();
                rows.push(new);
                rows.len() - 1
            });
            for (offset, other) in others.iter().enumerate() {
                rows[known][start + offset] = row[*other].clone();
            }
        }
    }
    if inner {
        let has_all = |row: &Vec<Cell>| {
            with_field.iter().all(|(table, place)| table.rows.iter().any(|r| r[*place] == row[0]))
        };
        rows.retain(has_all);
    }
    rows.sort_by_key(|row| row[0].key());
    vec![Table { ref_id, columns: numbered(columns), rows }]
}

/// `names` with a number after those that are there more than once.
fn numbered(names: Vec<String>) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let twice = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    names
        .iter()
        .map(|name| {
            if !twice(name) {
                return name.clone();
            }
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            format!("{name} {count}")
        })
        .collect()
}

/// Columns left out, put in order and renamed.
fn organize(tables: Vec<Table>, options: &Value) -> Vec<Table> {
    let one = |mut table: Table| {
        let name = |place: &usize| table.columns[*place].as_str();
        let included = options["includeByName"].as_object().filter(|names| !names.is_empty());
        let kept = |place: &usize| {
            options["excludeByName"][name(place)] != true
                && included.is_none_or(|names| names.get(name(place)) == Some(&Value::Bool(true)))
        };
        let mut places: Vec<usize> = (0..table.columns.len()).filter(kept).collect();
        // Grafana puts columns without an index where they were, after those with one.
        let index =
            |place: &usize| options["indexByName"][name(place)].as_u64().unwrap_or(u64::MAX);
        places.sort_by_key(index);
        table.keep(&places);
        for column in &mut table.columns {
            if let Some(new) = options["renameByName"][column.as_str()].as_str()
                && !new.is_empty()
            {
                *column = new.to_owned();
            }
        }
        table
    };
    tables.into_iter().map(one).collect()
}

fn sort(mut tables: Vec<Table>, options: &Value) -> Vec<Table> {
    let steps: Vec<&Value> = options["sort"].as_array().into_iter().flatten().collect();
    for table in &mut tables {
        for step in steps.iter().rev() {
            table.sort(step["field"].as_str().unwrap_or_default(), step["desc"] == true);
        }
    }
    tables
}

/// A row for each value of one column and a column for each value of another.
fn matrix(tables: Vec<Table>, options: &Value) -> Vec<Table> {
    let name = |option: &str, default: &'static str| {
        options[option].as_str().unwrap_or(default).to_owned()
    };
    let (row_field, column_field) = (name("rowField", "Time"), name("columnField", "Time"));
    let value_field = name("valueField", "Value");
    let one = |table: Table| {
        let places =
            (table.column(&row_field), table.column(&column_field), table.column(&value_field));
        let (Some(row_place), Some(column_place), Some(value_place)) = places else { return table };
        let mut new = Table {
            ref_id: table.ref_id.clone(),
            columns: vec![format!("{row_field}\\{column_field}")],
            rows: Vec::new(),
        };
        for name in distinct(&table, column_place) {
            new.columns.push(name.text());
        }
        for name in distinct(&table, row_place) {
            let mut row = vec![Cell::Empty; new.columns.len()];
            row[0] = name;
            new.rows.push(row);
        }
        for row in &table.rows {
            let line = new.rows.iter().position(|line| line[0] == row[row_place]);
            let column = new.column(&row[column_place].text());
            if let (Some(line), Some(column)) = (line, column) {
                new.rows[line][column] = row[value_place].clone();
            }
        }
        new
    };
    tables.into_iter().map(one).collect()
}

/// The different cells of a column, in order.
fn distinct(table: &Table, place: usize) -> Vec<Cell> {
    let mut cells: Vec<Cell> = table.rows.iter().map(|row| row[place].clone()).collect();
    cells.sort_by_cached_key(Cell::key);
    cells.dedup();
    cells
}

fn filter(tables: Vec<Table>, options: &Value) -> Vec<Table> {
    let names = options["include"]["names"].as_array();
    let one = |mut table: Table| {
        let Some(names) = names else { return table };
        let wanted = |place: &usize| names.iter().any(|name| *name == table.columns[*place]);
        let places: Vec<usize> = (0..table.columns.len()).filter(wanted).collect();
        table.keep(&places);
        table
    };
    tables.into_iter().map(one).collect()
}

fn limit(mut tables: Vec<Table>, options: &Value) -> Vec<Table> {
    let most = options["limitField"].as_u64().unwrap_or(10) as usize;
    for table in &mut tables {
        table.rows.truncate(most);
    }
    tables
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::answers::answer;
    use super::*;

    fn answers() -> Vec<Answer> {
        let at = |value| [(5.0, value)];
        vec![
            answer(
                "A",
                "",
                &[
                    (&[("node", "n1"), ("gpu", "10")], &at(61.0)),
                    (&[("node", "n1"), ("gpu", "9")], &at(55.0)),
                ],
            ),
            answer("B", "", &[(&[("gpu", "9"), ("node", "n1")], &at(700.0))]),
        ]
    }

    fn shown(answers: &[Answer], transformations: Value) -> Vec<String> {
        let panel = json!({ "transformations": transformations });
        let table = transformed(&panel, answers).unwrap();
        let line = |cells: Vec<String>| cells.join(" ");
        let rows = table.rows.iter().map(|row| line(row.iter().map(Cell::text).collect()));
        std::iter::once(line(table.columns.clone())).chain(rows).collect()
    }

    #[test]
    fn an_answer_is_a_table() {
        assert_eq!(
            shown(&answers()[..1], json!([])),
            ["Time gpu node Value", "5000 9 n1 55", "5000 10 n1 61"]
        );
    }

    #[test]
    fn tables_are_merged_and_organized() {
        let organize = json!({ "id": "organize", "options": {
            "excludeByName": { "Time": true },
            "indexByName": { "node": 0, "gpu": 1, "Value #B": 2, "Value #A": 3 },
            "renameByName": { "gpu": "GPU", "Value #A": "°C" },
        } });
        assert_eq!(
            shown(&answers(), json!([{ "id": "merge" }, organize])),
            ["node GPU Value #B °C", "n1 9 700 55", "n1 10  61"]
        );
    }

    #[test]
    fn tables_are_joined_by_a_field() {
        let join = |mode: &str| json!([{ "id": "joinByField", "options": { "byField": "gpu", "mode": mode } }]);
        assert_eq!(
            shown(&answers(), join("outer")),
            [
                "gpu Time 1 node 1 Value #A Time 2 node 2 Value #B",
                "9 5000 n1 55 5000 n1 700",
                "10 5000 n1 61   ",
            ]
        );
        assert_eq!(shown(&answers(), join("inner")).len(), 2);
    }

    #[test]
    fn rows_are_sorted() {
        let sort = json!([{ "id": "sortBy", "options": { "sort": [{ "field": "Value", "desc": true }] } }]);
        assert_eq!(shown(&answers()[..1], sort)[1], "5000 10 n1 61");
    }

    #[test]
    fn a_matrix_has_a_row_for_each_node() {
        let at = |value| [(5.0, value)];
        let answers = [answer(
            "A",
            "",
            &[
                (&[("node", "n2"), ("gpu", "1")], &at(4.0)),
                (&[("node", "n1"), ("gpu", "0")], &at(1.0)),
                (&[("node", "n1"), ("gpu", "1")], &at(2.0)),
            ],
        )];
        let matrix = json!([{ "id": "groupingToMatrix", "options": {
            "columnField": "gpu", "rowField": "node", "valueField": "Value" } }]);
        assert_eq!(shown(&answers, matrix), ["node\\gpu 0 1", "n1 1 2", "n2  4"]);
    }

    #[test]
    fn an_unknown_transformation_is_named() {
        let panel = json!({ "transformations": [{ "id": "magic" }] });
        assert!(transformed(&panel, &[]).unwrap_err().to_string().contains("magic"));
        let panel = json!({ "transformations": [{ "id": "magic", "disabled": true }] });
        assert!(transformed(&panel, &[]).unwrap().rows.is_empty());
    }
}
