//! The counters file: which fields to read, under which names, types and help texts.
//!
//! One field a row: `NAME, type, help`, or `NAME, type, help, interval`. Rows stand alone: a bad one costs itself, is reported with
//! its line and its reason, and the rest is read. The rules:
//!
//! - Comments (`#`, indented or not), blank lines and lines of nothing but commas say nothing.
//! - Blanks and tabs around a cell do not count, nor do a byte order mark and carriage returns.
//! - A cell may be quoted as CSV has it. A comma in an unquoted help text belongs to the text, and
//!   a quote inside a cell is a letter like any other.
//! - What follows the last comma is an interval if it is a duration and nothing else: `500ms`, `10s`,
//!   `1m`, `1m30s`, from 10 ms to an hour. The row is then read at that interval, whatever the
//!   others are read at. A help text that has to end in such a duration is put into quotes.
//! - Types are `gauge`, `counter`, `untyped` and `label`, in any letter case.
//! - The name decides what the family is called on the page, so the same field may be asked for
//!   under two names; the same name, or the same field as a label, may not be asked for twice.

mod error;
mod interval;
mod merge;
mod row;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::{FieldId, Kind, Watch};

pub use error::RowError;
pub use interval::duration;
pub use merge::merge;

/// How many rows are taken; further ones are skipped. Every watch costs memory for every GPU.
pub const MAX_WATCHES: usize = 4096;

/// How many skipped rows are told apart. A file with so many of them is no counters file: the last
/// one says [`RowError::NotRead`], and nothing after it is looked at.
pub const MAX_SKIPPED: usize = 1024;

/// How long a help text can be, in bytes; the rest of a longer one is cut off.
pub const MAX_HELP_BYTES: usize = 1024;

/// What a counters file asks for.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Counters {
    /// What to read, in the order of the file.
    pub watches: Vec<Watch>,
    /// The rows that ask for nothing that can be had, in the order of the file.
    pub skipped: Vec<Skipped>,
}

/// A row that was left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// Its line in the file, from 1 on.
    pub line: usize,
    /// The row as written, fit for a log: at most 120 characters, none of them control characters.
    pub row: String,
    /// What is wrong with it.
    pub why: RowError,
}

/// Reads a counters file. Never fails as a whole, whatever the bytes.
pub fn parse(text: &[u8]) -> Counters {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut counters = Counters::default();
    let mut taken = Taken::default();
    for (line, row) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let row = row.trim_ascii();
        if says_nothing(row) {
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

/// Whether the row is blank, a comment, or commas only, as spreadsheets write empty rows.
fn says_nothing(row: &[u8]) -> bool {
    row.first() == Some(&b'#') || row.iter().all(|byte| matches!(byte, b',' | b' ' | b'\t'))
}

/// What was taken so far, with the lines that took it.
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

/// The row as a log line can show it.
fn for_a_log(row: &[u8]) -> String {
    const MAX_CHARS: usize = 120;
    // No character is longer than four bytes, so what is cut here would be cut below.
    let start = row.get(..4 * MAX_CHARS).unwrap_or(row);
    shown(&String::from_utf8_lossy(start), MAX_CHARS)
}

/// At most `max_chars` characters of `text`, control characters as blanks.
fn shown(text: &str, max_chars: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(max_chars).map(plain).collect()
}
