//! A row's own interval: a duration in a fourth cell.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::{RowError, printable};

/// How often one row can be read by itself.
const ALLOWED: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);

/// The third cell without the interval that may follow it, and that interval.
///
/// A help text may have commas of its own, so what follows the last comma is an interval only if it
/// is nothing but a duration. One in quotes belongs to the help text unless that is quoted too.
pub(super) fn split(cell: &str) -> Result<(&str, Option<Duration>), RowError> {
    let Some((help, last)) = cell.rsplit_once(',') else { return Ok((cell, None)) };
    let last = last.trim();
    let bare = last.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let written = match bare {
        Some(bare) if help.trim().len() > 1 && help.trim().ends_with('"') => bare.trim(),
        _ => last,
    };
    let Some(seconds) = seconds(written) else { return Ok((cell, None)) };
    match Duration::try_from_secs_f64(seconds) {
        Ok(interval) if ALLOWED.contains(&interval) => Ok((help, Some(interval))),
        _ => Err(RowError::Interval { interval: printable(written, 64) }),
    }
}

/// A duration as Go programs write them: `500ms`, `10s`, `1m30s`. None if the text is anything else.
pub fn duration(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds(text)?).ok()
}

/// The seconds of a duration as Go writes them, one number with a unit or several: `500ms`,
/// `1.5s`, `1m30s`. None if the text is anything else.
fn seconds(text: &str) -> Option<f64> {
    let (mut rest, mut sum) = (text, 0.0);
    loop {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number: f64 = rest[..rest.len() - after.len()].parse().ok()?;
        let (unit, next) =
            after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        sum += number * unit_in_seconds(unit)?;
        if next.is_empty() {
            return Some(sum);
        }
        rest = next;
    }
}

fn unit_in_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}
