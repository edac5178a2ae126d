//! How much room a page takes, so that it need not move while it grows.

use crate::asked::Asked;
use crate::derived;
use crate::gpus::Row;
use crate::text::Labels;

/// A little more than a page of these GPUs takes, in bytes.
pub(crate) fn of(gpus: &[Row<'_>], asked: &Asked<'_>) -> usize {
    const HEAD: usize = 256;
    const OWN: usize = 16 * 1024;
    const UNAVAILABLE: usize = 128;
    let is_derived = |watch: &model::Watch| derived::samples_of(watch.field).is_some();
    let derived = asked.families.iter().filter(|(_, watch)| is_derived(watch)).count();
    let rows: usize = gpus.iter().map(|row| row_asked(row, derived) + row_own(row)).sum();
    asked.families.len() * (HEAD + UNAVAILABLE) + rows + OWN
}

/// What a GPU takes in the families asked for.
fn row_asked(row: &Row<'_>, derived: usize) -> usize {
    const MORE_LABELS: usize = 64;
    let view = row.view;
    let events = view.clock_events.len().max(view.xids.counts.len()).max(row.peers.len());
    let devices = row.shown.iter().map(|shown| {
        let line = line(&shown.labels);
        shown.most_numbers() * line + derived * events * (line + MORE_LABELS)
    });
    let links = row.links.iter().map(|link| link.part.readings.len() * line(&link.labels));
    devices.sum::<usize>() + links.sum::<usize>()
}

/// What a GPU takes in the families that heatsink adds.
fn row_own(row: &Row<'_>) -> usize {
    const MORE_LABELS: usize = 96;
    const ONE_EACH: usize = 8;
    let view = row.view;
    let lines = ONE_EACH
        + view.errors.len()
        + view.calls.len()
        + 2 * view.xids.counts.len()
        + view.xids.link_faults.len()
        + 2 * view.clock_events.len()
        + 3 * view.extents.len();
    lines * (line(&row.short) + MORE_LABELS)
}

fn line(labels: &Labels) -> usize {
    const NAME_AND_VALUE: usize = 64;
    labels.len() + NAME_AND_VALUE
}
