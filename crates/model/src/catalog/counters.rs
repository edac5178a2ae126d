//! The counters file: the fields to read, with their names, types and help texts.
//!
//! Each row has one field: `NAME, type, help`, or `NAME, type, help, interval`. An invalid row is skipped
//! and reported with its line and reason. The rules:
//!
//! - Comments (`#`, indented or not), blank lines and lines of commas only are ignored.
//! - Blanks and tabs around a cell are ignored, and so are a byte order mark and carriage returns.
//! - A cell may be quoted as in CSV. A comma in an unquoted help text belongs to the text, and a
//!   quote inside a cell is an ordinary character.
//! - The text after the last comma is an interval if it is a duration and nothing else: `500ms`,
//!   `10s`, `1m`, `1m30s`, from 10 ms to an hour. The row then has its own interval. A help
//!   text that ends in such a duration must be quoted.
//! - Types are `gauge`, `counter`, `untyped` and `label`, in any letter case.
//! - The name of a row is the name of the family on the page, so a field may have two rows under two
//!   names; a name, or a label for the same field, may not have two rows.

mod error;
mod interval;
mod limits;
mod merge;
mod row;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::watch::{FieldId, Kind, Watch};

use error::printable;

pub use error::RowError;
pub use interval::duration;
pub use limits::{MAX_HELP_BYTES, MAX_SKIPPED, MAX_WATCHES};
pub use merge::merge;

/// The content of a counters file.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Counters {
    /// The watches, in the order of the file.
    pub watches: Vec<Watch>,
    /// The rows that cannot be read, in the order of the file.
    pub skipped: Vec<Skipped>,
}

/// A row that was skipped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// Its line in the file, from 1 on.
    pub line: usize,
    /// The row as written, for a log: at most 120 characters, without control characters.
    pub row: String,
    /// The reason.
    pub why: RowError,
}

/// Reads a counters file. Never fails as a whole, whatever the bytes.
pub fn parse(text: &[u8]) -> Counters {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut counters = Counters::default();
    let mut taken = Taken::default();
    for (line, row) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let row = row.trim_ascii();
        if is_empty(row) {
            continue;
        }
        match row::watch(row).and_then(|watch| taken.admit(watch, line)) {
            Ok(watch) => counters.watches.push(watch),
            Err(why) => {
                let last = counters.skipped.len() + 1 == MAX_SKIPPED;
                let why = if last { RowError::NotRead } else { why };
                counters.skipped.push(Skipped { line, row: for_a_log(row), why });
                if last {
                    break;
                }
            }
        }
    }
    counters
}

/// Whether the row is blank, a comment, or commas only: spreadsheets write empty rows so.
fn is_empty(row: &[u8]) -> bool {
    row.first() == Some(&b'#') || row.iter().all(|byte| matches!(byte, b',' | b' ' | b'\t'))
}

/// The names and labels of the rows so far, with their lines.
#[derive(Default)]
struct Taken {
    names: HashMap<Arc<str>, usize>,
    labels: HashMap<FieldId, usize>,
}

impl Taken {
    fn admit(&mut self, watch: Watch, line: usize) -> Result<Watch, RowError> {
        if let Some(&first) = self.names.get(&watch.name) {
            return Err(RowError::NameTwice { name: watch.name, first });
        }
        if watch.kind == Kind::Label
            && let Some(&first) = self.labels.get(&watch.field)
        {
            return Err(RowError::LabelTwice { name: watch.name, first });
        }
        if self.names.len() == MAX_WATCHES {
            return Err(RowError::TooMany);
        }
        if watch.kind == Kind::Label {
            self.labels.insert(watch.field, line);
        }
        self.names.insert(Arc::clone(&watch.name), line);
        Ok(watch)
    }
}

/// The row as a log line shows it.
fn for_a_log(row: &[u8]) -> String {
    const MAX_CHARS: usize = 120;
    // A character has at most four bytes, so this cuts only text that is cut below anyway.
    let start = row.get(..4 * MAX_CHARS).unwrap_or(row);
    printable(&String::from_utf8_lossy(start), MAX_CHARS)
}
