//! What the tests of the other rooms share: a strict reader of pages, a matcher, golden files,
//! and the servers that tests run.
//!
//! The reader is written from the description of the text format, not from the encoder in
//! `exposition`, so that a mistake has to be made twice to go unseen.

#![forbid(unsafe_code)]

pub mod exporter;
pub mod golden;
pub mod page;
pub mod promtool;
pub mod server;
