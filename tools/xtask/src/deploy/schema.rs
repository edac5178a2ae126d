//! Checks of files against other programs' schemas, from npm.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::run::run;

/// Checks files against a schema: `operator` or `compose`.
pub(crate) fn check(root: &Path, schema: &str, files: &[PathBuf]) -> Result<()> {
    let folder = root.join("deploy/schema");
    let install = ["ci", "--no-audit", "--no-fund", "--silent"];
    run(Command::new("npm").args(install).current_dir(&folder))?;
    run(Command::new("node").arg("check.mjs").arg(schema).args(files).current_dir(&folder))
}
