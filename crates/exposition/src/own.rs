//! The families that heatsink adds: of itself, of its source, and of each GPU.
//!
//! A room each for what belongs together, with its families in a table at the top; a new one is a
//! new row. Base units, and the unit is in the help.

mod clocks;
mod fields;
mod gpus;
mod process;
mod program;
mod window;
mod xids;

use std::time::{SystemTime, UNIX_EPOCH};

use model::{GpuView, Kind, Snapshot};

use crate::Settings;
use crate::asked::Asked;
use crate::gpus::Row;
use crate::text::{Family, Number};

/// What these families are made of.
pub(crate) struct Known<'a> {
    /// What is known of the GPUs, the source and the process.
    pub(crate) snapshot: &'a Snapshot,
    /// What this program was told.
    pub(crate) settings: &'a Settings,
    /// The names under which fields were asked for.
    pub(crate) asked: &'a Asked<'a>,
    /// The GPUs with their labels.
    pub(crate) gpus: &'a [Row<'a>],
}

/// One family: its head, and what writes its samples.
struct Own {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    samples: fn(&Known<'_>, &mut Family<'_>),
}

/// All of them, in page order.
const FAMILIES: &[&[Own]] = &[
    program::FAMILIES,
    gpus::FAMILIES,
    fields::FAMILIES,
    xids::FAMILIES,
    clocks::FAMILIES,
    window::FAMILIES,
    process::FAMILIES,
];

/// Name, type and help of each, in page order.
pub fn own_families() -> impl Iterator<Item = (&'static str, Kind, &'static str)> {
    FAMILIES.iter().copied().flatten().map(|own| (own.name, own.kind, own.help))
}

/// Whether a name is taken, so that a row of the counters file cannot have it.
pub(crate) fn is_own(name: &str) -> bool {
    FAMILIES.iter().copied().flatten().any(|own| own.name == name)
}

/// Writes those that have a sample; `family_ends` is told between them.
pub(crate) fn write(
    out: &mut String,
    known: &Known<'_>,
    family_ends: &mut impl FnMut(&mut String),
) {
    for own in FAMILIES.iter().copied().flatten() {
        family_ends(out);
        (own.samples)(known, &mut Family::new(out, own.name, own.kind.as_str(), own.help));
    }
}

fn per_gpu<N: Into<Number>>(
    known: &Known<'_>,
    family: &mut Family<'_>,
    value: impl Fn(&GpuView) -> Option<N>,
) {
    for row in known.gpus {
        if let Some(value) = value(row.view) {
            family.sample(&row.short, value);
        }
    }
}

/// A clock that stands before 1970 says nothing.
fn since_1970(time: SystemTime) -> Option<Number> {
    Some(time.duration_since(UNIX_EPOCH).ok()?.into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_legal_and_in_prometheus_style() {
        let units = [
            ("_seconds", "(in seconds"),
            ("_bytes", "(in bytes)"),
            ("_celsius", "(in degrees Celsius)"),
            ("_watts", "(in watts)"),
            ("_hertz", "(in hertz)"),
            ("_ratio", "(ratio)"),
        ];
        let mut names = HashSet::new();
        for own in FAMILIES.iter().copied().flatten() {
            let name = own.name;
            assert!(names.insert(name), "{name} twice");
            assert!(name.starts_with("heatsink_") || name.starts_with("process_"), "{name}");
            assert_eq!(own.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(matches!(own.kind, Kind::Counter | Kind::Gauge), "{name}");
            assert!(own.help.ends_with('.'), "{name}");
            for (unit, said) in units {
                let named = name.trim_end_matches("_total").ends_with(unit);
                assert_eq!(named, own.help.contains(said), "{name}");
            }
        }
    }
}
