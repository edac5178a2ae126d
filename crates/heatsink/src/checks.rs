//! Checks of settings that depend on each other. The start, `heatsink config` and reloads make the same.

use anyhow::Result;

use crate::cli::Args;
use crate::{history, holders, source};

/// Checks the settings of `serve` against each other; opens nothing.
///
/// Returns a warning for each setting that has no effect.
///
/// # Errors
///
/// The first mistake, with which heatsink does not start.
pub(crate) fn check(args: &Args) -> Result<Vec<String>> {
    let mut warnings: Vec<String> = args.warnings().collect();
    warnings.extend(source::check(args)?);
    warnings.extend(holders::check(args)?);
    warnings.extend(history::check(args)?);
    Ok(warnings)
}
