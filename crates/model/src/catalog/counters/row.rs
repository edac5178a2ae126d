//! One row of a counters file.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;

use crate::catalog::fields::{self, Field, Level, ValueType};
use crate::field;
use crate::watch::{Kind, Pace, Watch};

use super::error::{RowError, printable};
use super::interval;
use super::limits::MAX_HELP_BYTES;

/// The watch of a row, without regard to the other rows.
pub(super) fn watch(text: &[u8]) -> Result<Watch, RowError> {
    let text = str::from_utf8(text).map_err(|_| RowError::NotUtf8)?;
    // Neither names nor types have commas, so the third cell is all the rest, but for an interval.
    let mut cells = text.splitn(3, ',');
    let (Some(name), Some(kind), Some(help)) = (cells.next(), cells.next(), cells.next()) else {
        return Err(RowError::TooFewCells { found: text.split(',').count() });
    };
    let (help, interval) = interval::split(help)?;
    let (name, kind, help) = (unquoted(name)?, unquoted(kind)?, unquoted(help)?);

    let row = fields::by_name(&name).ok_or_else(|| RowError::UnknownField {
        name: printable(&name, 64),
        near: fields::nearest(&name),
    })?;
    let name = Arc::from(name);
    let kind = kind_of(&kind)?;
    check_label(row, kind, &name)?;
    let help = plain_help(&help);
    if help.is_empty() {
        return Err(RowError::NoHelp);
    }
    if interval.is_some() && field::is_derived(row.id) {
        return Err(RowError::NoInterval { name });
    }
    let pace = interval.map_or(row.pace, Pace::At);
    let cumulative = row.is_cumulative();
    Ok(Watch { field: row.id, name, kind, help: help.into(), pace, cumulative })
}

/// The text of a cell, without quotes around the whole of it. Quotes inside a cell belong to the text.
fn unquoted(cell: &str) -> Result<Cow<'_, str>, RowError> {
    let cell = cell.trim();
    if !cell.starts_with('"') {
        return Ok(Cow::Borrowed(cell));
    }
    // Rows have no newline, so the one that is added here turns up inside a cell only if a quote
    // is open at the end.
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(cell.as_bytes().chain(&b"\n"[..]));
    let mut record = csv::StringRecord::new();
    let read = reader.read_record(&mut record);
    if record.iter().any(|text| text.ends_with('\n')) {
        return Err(RowError::OpenQuote);
    }
    match record.get(0) {
        Some(text) if matches!(read, Ok(true)) && encloses(cell, text) => {
            Ok(Cow::Owned(text.trim().to_owned()))
        }
        _ => Ok(Cow::Borrowed(cell)),
    }
}

/// Whether `cell` is `text` in quotes and nothing more.
fn encloses(cell: &str, text: &str) -> bool {
    cell.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
        == Some(&*text.replace('"', "\"\""))
}

fn kind_of(written: &str) -> Result<Kind, RowError> {
    let is = |word: &&str| written.eq_ignore_ascii_case(word);
    let served = [Kind::Gauge, Kind::Counter, Kind::Untyped, Kind::Label];
    if let Some(kind) = served.into_iter().find(|kind| is(&kind.as_str())) {
        return Ok(kind);
    }
    Err(match ["histogram", "summary"].into_iter().find(is) {
        Some(kind) => RowError::ManyValued { kind },
        None => RowError::UnknownType { kind: printable(written, 64) },
    })
}

fn check_label(field: &Field, kind: Kind, name: &Arc<str>) -> Result<(), RowError> {
    let label = kind == Kind::Label;
    if field.value == ValueType::Text && !label {
        return Err(RowError::TextAsNumber { name: Arc::clone(name) });
    }
    if field.level == Level::Exporter && label {
        return Err(RowError::NotALabel { name: Arc::clone(name) });
    }
    Ok(())
}

/// The help text without control characters and no longer than [`MAX_HELP_BYTES`]. Nothing is escaped
/// here: that depends on where it is written to.
fn plain_help(help: &str) -> String {
    let mut plain = String::new();
    for c in help.chars() {
        let c = if c.is_control() && c != '\t' { ' ' } else { c };
        if plain.len() + c.len_utf8() > MAX_HELP_BYTES {
            break;
        }
        plain.push(c);
    }
    plain.trim().to_owned()
}
