//! What can be read, what it is called, and who asked for it.
//!
//! Six things, all of them data or pure functions over data:
//!
//! - [`FIELDS`], one row per field: its number, its names through the generations, its unit, the
//!   entity that it exists for. [`field`] names the numbers that code uses.
//! - [`counters::parse`], which turns a counters file into watches, row by row: a bad row costs
//!   itself and is reported.
//! - [`builtin`], the counters files that come with the program.
//! - [`generation`], which gives watches the names that one version of dcgm-exporter has for them.
//! - [`xid`], what the driver's error codes mean.
//! - [`in_words`], what the numbers of states and bit masks stand for.
//!
//! Nothing here opens a file: text comes in, data goes out. Nothing here knows which source can
//! read which field either; a source says so itself.

mod fields;

pub mod counters;

pub mod builtin;

pub mod generation;

pub mod xid;

mod words;

pub use counters::{Counters, RowError, Skipped};

pub use generation::Generation;

pub use fields::{FIELDS, Field, Group, Level, ValueType, by_id, by_name, names_like};

pub use words::{in_words, ranges};
