//! The fields that can be read, and their names: the field table, and data derived from it.
//!
//! It consists of data and pure functions:
//!
//! - [`FIELDS`], one row per field: its number, its names through the generations, its unit, the
//!   entity that it exists for, its help text. [`field`](crate::field) has a constant for each.
//! - [`counters::parse`], which turns the rows of a counters file into watches. Invalid rows are skipped
//!   and reported.
//! - [`builtin`], the sets of fields that come with the program.
//! - [`generation`], which gives watches the names of a version of dcgm-exporter.
//! - [`xid`], the meaning of the driver's error codes.
//! - [`in_words`], the meaning of numbers that are states and bit masks.
//!
//! It opens no files. [`Source::serves`](crate::Source::serves) tells which fields a source reads.

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
