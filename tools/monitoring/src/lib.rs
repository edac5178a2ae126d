//! Alert rules and dashboards: each has one source, from which the files of every program are made.
//!
//! - [`source`] reads `monitoring/rules/rules.toml` and checks it, [`expand`] fills in its
//!   placeholders for one generation of names.
//! - [`rules`] writes rule files, [`cases`] the input of `promtool test rules`.
//! - [`dashboards`] builds what Grafana reads, [`json`] writes it.
//! - [`files`] lists all generated files, [`pages`] makes those in `docs/`, [`manifests`] the
//!   Kubernetes objects.
//! - [`chain`] makes rules and configurations with shorter waits, for tests and demonstrations.
//! - [`prometheus`] queries a server as Grafana does, for tests.
//!
//! Not part of the exporter: `cargo xtask` and tests use it.

#![forbid(unsafe_code)]

pub mod cases;
pub mod chain;
pub mod dashboards;
pub mod duration;
pub mod expand;
pub mod files;
pub mod json;
pub mod manifests;
pub mod pages;
pub mod prometheus;
mod rows;
pub mod rules;
pub mod source;
