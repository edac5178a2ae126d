//! heatsink's own families: of itself, of its source, and of each GPU.
//!
//! A room each for what belongs together, with its families in a table at the top; a new one is a new
//! row there, in the catalogue and in a counters file.

mod clocks;
mod fields;
mod gpus;
mod process;
mod program;
mod window;
mod xids;

use std::time::{SystemTime, UNIX_EPOCH};

use model::{FieldId, GpuView, Kind, Snapshot, WatchIndex};

use crate::Settings;
use crate::gpus::Row;
use crate::layout::Layout;
use crate::text::{Family, Number};

/// What these families are made of.
pub(crate) struct Known<'a> {
    /// What is known of the GPUs, the source and the process.
    pub(crate) snapshot: &'a Snapshot,
    /// What this program was told.
    pub(crate) settings: &'a Settings,
    /// The names under which fields were asked for.
    pub(crate) layout: &'a Layout,
    /// The GPUs with their labels.
    pub(crate) gpus: &'a [Row<'a>],
}

impl Known<'_> {
    /// Where the readings of a field are found: those that are read for this very purpose before those
    /// of a row, which may have an interval of its own.
    fn index(&self, field: FieldId) -> Option<WatchIndex> {
        let mut found = None;
        for (index, watch) in WatchIndex::enumerate(&self.snapshot.watches) {
            if watch.field == field {
                if watch.kind == Kind::Hidden {
                    return Some(index);
                }
                found = found.or(Some(index));
            }
        }
        found
    }
}

/// What writes the samples of a family.
type Samples = fn(&Known<'_>, &mut Family<'_>);

/// All of them, but for those of a window.
const FAMILIES: [&[(FieldId, Samples)]; 7] = [
    program::FAMILIES,
    gpus::FAMILIES,
    fields::FAMILIES,
    xids::FAMILIES,
    clocks::FAMILIES,
    window::FAMILIES,
    process::FAMILIES,
];

/// Writes the samples of this family, if it is one of these.
pub(crate) fn write(field: FieldId, known: &Known<'_>, family: &mut Family<'_>) -> bool {
    let row = FAMILIES.into_iter().flatten().find(|(own, _)| *own == field);
    if let Some((_, samples)) = row {
        samples(known, family);
        return true;
    }
    let statistic = window::statistic_of(field);
    statistic.map(|statistic| window::extents(known, family, statistic)).is_some()
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
