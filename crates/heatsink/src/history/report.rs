//! `heatsink report`: tells an incident, or what happened at a time.

use anyhow::Result;
use history::recording::Recording as _;

use super::{read, when};
use crate::cli::Args;
use crate::exit::{EXIT_OK, EXIT_UNHEALTHY, Exit};
use crate::flags;

/// Prints a report.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let archive = read::open(args)?;
    if let Some(at) = args.get(&flags::REPORT_AT)? {
        when::parse(&at, history::time::Time::of(std::time::SystemTime::now()))?;
    }
    let status = if archive.incidents()?.is_empty() { EXIT_UNHEALTHY } else { EXIT_OK };
    Ok(Exit::with(status))
}
