//! Shared by the tests of other crates: a strict reader of pages, a matcher, golden files, and the
//! servers that tests run.
//!
//! The reader is written from the description of the text format, not from the encoder in
//! `exposition`, so that a mistake in one of them is found.

#![forbid(unsafe_code)]

pub mod exporter;
pub mod golden;
pub mod page;
pub mod pauses;
pub mod promtool;
pub mod server;
