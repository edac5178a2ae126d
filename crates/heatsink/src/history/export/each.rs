//! Reads a range of a recording with a function that can fail.

use std::ops::ControlFlow;

use anyhow::Result;
use history::recording::{Item, Recording};
use history::time::Range;

/// Reads a range, until `take` fails.
///
/// # Errors
///
/// That of `take`; or if the recording cannot be read.
pub(super) fn each(
    recording: &dyn Recording,
    range: Range,
    mut take: impl FnMut(Item<'_>) -> Result<()>,
) -> Result<()> {
    let mut result = Ok(());
    recording.read(range, &mut |item| {
        result = take(item);
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    result
}
