//! The families that were asked for, under the name, type and help of the row: one sample per
//! device that is shown, and one per link that was read.

use model::{Watch, Windows};

use crate::asked::Asked;
use crate::derived::{self, Device};
use crate::gpus::Row;
use crate::text::{Family, Number};

/// Writes all of them, in the order in which they were asked for; `family_ends` is told
/// between them.
pub(crate) fn write(
    out: &mut String,
    asked: &Asked<'_>,
    gpus: &[Row<'_>],
    windows: Windows,
    family_ends: &mut impl FnMut(&mut String),
) {
    let of_links = positions_of_links(gpus);
    for &(position, watch) in &asked.families {
        family_ends(out);
        let Watch { name, kind, help, .. } = watch;
        let family = &mut Family::new(out, name, kind.as_str(), help);
        if let Some(samples) = derived::samples_of(watch.field) {
            for row in gpus {
                for shown in &row.shown {
                    samples(&Device { row, shown, position, windows }, family);
                }
            }
            continue;
        }
        for shown in gpus.iter().flat_map(|row| &row.shown) {
            if let Some(number) = shown.number(position) {
                family.sample(&shown.labels, number);
            }
        }
        if of_links.get(position) == Some(&true) {
            links(family, gpus, position);
        }
    }
}

fn links(family: &mut Family<'_>, gpus: &[Row<'_>], position: usize) {
    for link in gpus.iter().flat_map(|row| &row.links) {
        if let Some(Ok(value)) = link.part.reading(position)
            && let Some(number) = Number::of(value)
        {
            family.sample(&link.labels, number);
        }
    }
}

/// By position, whether any link has readings of its own, so that most families need not ask each.
fn positions_of_links(gpus: &[Row<'_>]) -> Vec<bool> {
    let mut known = Vec::new();
    for link in gpus.iter().flat_map(|row| &row.links) {
        for &position in &*link.part.watches {
            if known.len() <= position {
                known.resize(position + 1, false);
            }
            known[position] = true;
        }
    }
    known
}
