//! The families that were asked for, under the name, type and help of the row: one sample per
//! device that is shown, and one per link that was read, of a GPU or of a switch.

use model::field;

use crate::derived::{self, Device};
use crate::gpus::Row;
use crate::own::{self, Known};
use crate::parts::Part;
use crate::text::Family;

/// All that a family can have samples of.
#[derive(Clone, Copy)]
pub(crate) struct Devices<'a> {
    /// GPUs with what belongs to them.
    pub(crate) gpus: &'a [Row<'a>],
    /// What belongs to none.
    pub(crate) machine: &'a [Part<'a>],
}

/// Writes all of them, in the order in which they were asked for; `family_ends` is told
/// between them.
pub(crate) fn write(
    out: &mut String,
    known: &Known<'_>,
    devices: Devices<'_>,
    family_ends: &mut impl FnMut(&mut String),
) {
    let gpus = devices.gpus;
    let of_parts = devices.watched_of_parts();
    let windows = known.snapshot.windows;
    for (index, watch, head) in known.layout.families() {
        family_ends(out);
        let family = &mut Family::new(out, &watch.name, head);
        if let Some(samples) = derived::samples_of(watch.field) {
            for row in gpus {
                for shown in &row.shown {
                    samples(&Device { row, shown, index, windows }, family);
                }
            }
            continue;
        }
        if field::is_derived(watch.field) && own::write(watch.field, known, family) {
            continue;
        }
        for shown in gpus.iter().flat_map(|row| &row.shown) {
            if let Some(number) = shown.number(index) {
                family.sample(&shown.labels, number);
            }
        }
        if of_parts.get(index.0) == Some(&true) {
            for part in devices.parts() {
                if let Some(number) = part.number(index) {
                    family.sample(&part.labels, number);
                }
            }
        }
    }
}

impl<'a> Devices<'a> {
    /// What has readings of its own and no others: links, and what belongs to no GPU.
    fn parts(self) -> impl Iterator<Item = &'a Part<'a>> {
        self.gpus.iter().flat_map(|row| &row.links).chain(self.machine)
    }

    /// By watch index, whether any part has readings of its own. Most families need not look at
    /// each part then.
    fn watched_of_parts(self) -> Vec<bool> {
        let mut known = Vec::new();
        for part in self.parts() {
            for &index in &*part.view.watches {
                if known.len() <= index.0 {
                    known.resize(index.0 + 1, false);
                }
                known[index.0] = true;
            }
        }
        known
    }
}
