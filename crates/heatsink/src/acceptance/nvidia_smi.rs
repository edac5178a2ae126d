//! Runs `nvidia-smi` and reads its tables.

use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, bail, ensure};

use super::table::{Row, TABLE};
use super::values::Values;

/// Seconds that one run of `nvidia-smi` may take.
const TIMEOUT: &str = "60";

const FORMAT: &str = "--format=csv,noheader,nounits";
const NOT_VALID: &str = "\" is not a valid field";

/// Runs it. The text is its standard output, then its standard error.
pub(super) fn run(args: &[&str]) -> Result<(ExitStatus, String)> {
    let mut command = Command::new("timeout");
    let output = command.arg(TIMEOUT).arg("nvidia-smi").args(args).output().context("timeout")?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status, String::from_utf8_lossy(&text).into_owned()))
}

/// The first line that is not blank.
pub(super) fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}

/// The rows of a query, such as `--query-gpu=index,uuid`.
pub(super) fn query(args: &[&str]) -> Result<Vec<Vec<String>>> {
    let (status, text) = run(&[args, &[FORMAT]].concat())?;
    let first = first_line(&text);
    ensure!(
        status.success() && !text.contains(NOT_VALID),
        "nvidia-smi {}: {first}",
        args.join(" ")
    );
    let cells = |line: &str| line.split(',').map(|cell| cell.trim().to_owned()).collect();
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(cells).collect())
}

/// The beginning of `nvidia-smi -q`, without numbers that identify a GPU.
pub(super) fn details() -> Result<String> {
    let without_serial = |line: &str| match line.rsplit_once(": ") {
        Some((name, _)) if ["Serial", "Board ID", "GPU PDI"].iter().any(|id| name.contains(id)) => {
            format!("{name}: (left out)\n")
        }
        _ => format!("{line}\n"),
    };
    Ok(run(&["-q"])?.1.lines().take(60).map(without_serial).collect())
}

/// The queries that this `nvidia-smi` answers: each with its columns after the first, the UUID.
pub(super) struct Queries([(&'static str, Vec<&'static str>); 2]);

impl Queries {
    /// Finds out which columns of the table there are.
    pub(super) fn new() -> Result<Self> {
        let columns = TABLE.iter().flat_map(|row| row.columns);
        let mut columns: Vec<_> = columns.flat_map(|column| column.split('/')).collect();
        columns.sort_unstable();
        columns.dedup();
        let of_gpus = known_columns("--query-gpu=uuid", columns.clone())?;
        columns.retain(|name| name.starts_with("remapped_rows") && !of_gpus.contains(name));
        let rows = "--query-remapped-rows=gpu_uuid";
        let of_rows = known_columns(rows, columns).unwrap_or_default();
        Ok(Self([("--query-gpu=uuid", of_gpus), (rows, of_rows)]))
    }

    /// The rows of the table that can be compared, with one column each, and a message for each
    /// other row.
    pub(super) fn plan(&self, driver: &str) -> (Vec<Row>, Vec<String>) {
        let is_known = |name| self.0.iter().any(|(_, columns)| columns.contains(&name));
        let (mut rows, mut not_compared) = (Vec::new(), Vec::new());
        for row in TABLE {
            let column = row.columns.iter().find(|column| column.split('/').all(is_known));
            match column {
                Some(column) => rows.push(Row { columns: std::slice::from_ref(column), ..*row }),
                None if row.columns.is_empty() => rows.push(*row),
                None => {
                    let columns = row.columns.join(" or ");
                    let field = row.field;
                    not_compared
                        .push(format!("{field}: nvidia-smi {driver} has no column {columns}"));
                }
            }
        }
        (rows, not_compared)
    }

    /// The answers in all columns.
    pub(super) fn answers(&self) -> Result<Values> {
        let mut answers = Values::new();
        for (start, columns) in self.0.iter().filter(|(_, columns)| !columns.is_empty()) {
            for row in query(&[&format!("{start},{}", columns.join(","))])? {
                let mut cells = row.into_iter();
                let gpu = answers.entry(cells.next().unwrap_or_default()).or_default();
                gpu.extend(columns.iter().map(|column| (*column).to_owned()).zip(cells));
            }
        }
        Ok(answers)
    }
}

/// The columns that a query has. `nvidia-smi` names the first that it does not have.
fn known_columns(query: &str, mut columns: Vec<&'static str>) -> Result<Vec<&'static str>> {
    while !columns.is_empty() {
        let (status, text) = run(&[&format!("{query},{}", columns.join(",")), FORMAT])?;
        let unknown = text.split_once(NOT_VALID).and_then(|(before, _)| before.rsplit('"').next());
        match unknown.and_then(|unknown| columns.iter().position(|column| *column == unknown)) {
            Some(at) => drop(columns.remove(at)),
            None if status.success() && unknown.is_none() => break,
            None => bail!("nvidia-smi {query}: {}", first_line(&text)),
        }
    }
    Ok(columns)
}
