//! Boards from a file of raw integers; `fixtures/example.toml` documents the format.

use std::{fs, path::Path};

use serde::Deserialize;

use crate::{board::Board, settings::Misconfigured};

/// A fixture file.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixture {
    #[serde(default)]
    pub driver: Driver,
    #[serde(default, rename = "gpu")]
    pub boards: Vec<Board>,
}

/// What the fixture says of the driver.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Driver {
    pub version: Option<String>,
}

/// Reads a fixture.
pub(crate) fn read(path: &Path) -> Result<Fixture, Misconfigured> {
    let named = |error: &dyn std::fmt::Display| {
        Misconfigured(format!("fixture {}: {error}", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| named(&error))?;
    toml::from_str(&text).map_err(|error| named(&error))
}
