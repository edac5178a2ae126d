//! The errors of a row, with messages for users.

use std::sync::Arc;

use super::limits::{MAX_SKIPPED, MAX_WATCHES};

/// Why a row was skipped. The message is one short line with the problem and an action.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RowError {
    /// The row is not valid UTF-8.
    #[error("not UTF-8 text; save the file as UTF-8")]
    NotUtf8,
    /// A cell begins with a quote and does not end with one.
    #[error("a quoted cell is not closed; close the quote or leave it out")]
    OpenQuote,
    /// Name, type or help is missing.
    #[error("{found} of 3 cells; write NAME, type, help")]
    TooFewCells {
        /// The number of cells.
        found: usize,
    },
    /// The third cell is empty.
    #[error("no help text; write NAME, type, help")]
    NoHelp,
    /// The interval in the fourth cell is out of range.
    #[error("interval `{interval}` is not between 10ms and 1h; change it, or quote the help text")]
    Interval {
        /// The interval as written, shortened and without control characters.
        interval: String,
    },
    /// No field has this name in any generation that is served.
    #[error("unknown field `{name}`; {}", hint(.near))]
    UnknownField {
        /// The name as written, shortened and without control characters.
        name: String,
        /// A known name that is almost the same.
        near: Option<&'static str>,
    },
    /// The type is unknown.
    #[error("unknown type `{kind}`; write gauge, counter, untyped or label")]
    UnknownType {
        /// The type as written, shortened and without control characters.
        kind: String,
    },
    /// The type is a histogram or a summary, which needs several values.
    #[error("one value is no {kind}; write gauge, counter, untyped or label")]
    ManyValued {
        /// `histogram` or `summary`.
        kind: &'static str,
    },
    /// A text field has a numeric type.
    #[error("`{name}` is a text; write label as its type")]
    TextAsNumber {
        /// The field's name.
        name: Arc<str>,
    },
    /// A family with several series per GPU has the type label.
    #[error("`{name}` cannot be a label; write gauge, counter or untyped")]
    NotALabel {
        /// The field's name.
        name: Arc<str>,
    },
    /// A family that is not read from the driver has an interval.
    #[error("`{name}` is not read, so it has no interval; leave the interval out")]
    NoInterval {
        /// The field's name.
        name: Arc<str>,
    },
    /// An earlier row has the same name.
    #[error("`{name}` is on line {first} already; leave one of them out")]
    NameTwice {
        /// The name.
        name: Arc<str>,
        /// The line that was taken.
        first: usize,
    },
    /// An earlier row makes a label of the same field, under another name.
    #[error("`{name}` is the label of line {first} under another name; leave one of them out")]
    LabelTwice {
        /// The name on this row.
        name: Arc<str>,
        /// The line that was taken.
        first: usize,
    },
    /// The file has more rows than the limit.
    #[error("more than {MAX_WATCHES} rows; leave some out")]
    TooMany,
    /// The file has too many invalid rows: this row and all later ones were not read.
    #[error("{MAX_SKIPPED} bad rows, the rest is not read; is this a counters file?")]
    NotRead,
}

fn hint(near: &Option<&'static str>) -> String {
    match near {
        Some(name) => format!("did you mean `{name}`?"),
        None => "`heatsink fields` lists them all".to_owned(),
    }
}

/// At most `max_chars` characters of `text`, with control characters as blanks, for a message.
pub(super) fn printable(text: &str, max_chars: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(max_chars).map(plain).collect()
}
