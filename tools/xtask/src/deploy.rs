//! `cargo xtask deploy`: builds and tests everything that users install: the chart, the unit, the
//! package, the image.

mod chart;
mod image;
mod package;
mod release;
pub(crate) mod rootfs;
mod schema;
mod service;
mod trial;
mod unit;

use std::path::Path;

use anyhow::Result;

pub(crate) use release::{build as build_release, build_quickly};

use crate::setup;
use crate::steps::Step;

/// The steps, in order: some need the output of earlier ones. `release` builds what they install.
pub(crate) fn steps(release: fn(&Path) -> Result<()>) -> Vec<Step> {
    vec![
        Step::call("deploy set-up", setup::deploy),
        Step::call("chart", chart::check),
        Step::call("unit", unit::check),
        Step::call("release", release),
        Step::optional("release arm64", release::build_arm64),
        Step::call("package", package::check),
        Step::optional("service", service::check),
        Step::call("image", image::check),
        Step::call("compose", image::check_compose),
    ]
}

/// Writes the files that are rendered from the chart.
pub(crate) use chart::write as write_chart;
