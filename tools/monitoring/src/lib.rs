//! What turns metrics into action: alert rules and dashboards, from one source each to every form
//! in which they are used.
//!
//! - [`source`] reads `monitoring/rules/rules.toml` and refuses what makes no sense.
//! - [`expand`] turns its placeholders into the names and units of one generation.
//! - [`rules`] writes rule files, [`cases`] what `promtool` tests them with.
//! - [`dashboards`] builds what Grafana reads, [`ask`] queries a Prometheus as Grafana does.
//! - [`chain`] makes the shipped configurations fit for a test that cannot wait.
//! - [`files`] knows every file that is generated, [`pages`] those of the book.
//!
//! Nothing here is part of the exporter; `cargo xtask` is the program.

#![forbid(unsafe_code)]

pub mod ask;
pub mod cases;
pub mod chain;
pub mod dashboards;
pub mod duration;
pub mod expand;
pub mod files;
pub mod pages;
pub mod rules;
pub mod source;
