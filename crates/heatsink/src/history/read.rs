//! Opens the history of a folder, for commands.

use anyhow::Result;
use history::archive::Archive;

use super::place;
use crate::cli::Args;
use crate::flags;

/// Opens the history that the flags name.
///
/// # Errors
///
/// One line: where it was looked for, why there is nothing to read, and what to do.
pub(crate) fn open(args: &Args) -> Result<Archive> {
    let folders = place::to_read(args.get(&flags::READ_HISTORY_DIR)?);
    let folder = folders.first().cloned().unwrap_or_default();
    Ok(Archive::open(&folder)?)
}
