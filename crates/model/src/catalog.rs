//! What can be read, and under which names: the field table and all that follows from it.
//!
//! All of it is data, or pure functions over data:
//!
//! - [`FIELDS`], one row per field: its number, its names through the generations, its unit, the
//!   entity that it exists for, its help text. [`field`](crate::field) has a constant for each.
//! - [`counters::parse`], which turns a counters file into watches, row by row: a bad row is skipped
//!   and reported, and the others are read.
//! - [`builtin`], the sets of fields that come with the program.
//! - [`generation`], which gives watches the names that one version of dcgm-exporter has for them.
//! - [`xid`], the meaning of the driver's error codes.
//! - [`in_words`], the meaning of numbers that are states and bit masks.
//!
//! Nothing here opens a file: text comes in, data goes out. Which source reads which field is not
//! known here; [`Source::serves`](crate::Source::serves) says it.

pub mod builtin;
pub mod counters;
pub(crate) mod fields;
pub mod generation;
mod words;
pub mod xid;

pub use counters::{Counters, RowError, Skipped};
pub use fields::{FIELDS, Field, Group, Level, ValueType, by_id, by_name, names_like};
pub use generation::Generation;
pub use words::{in_words, ranges};
