//! What is shown of the machine besides its GPUs: NVSwitches with their links, CPUs with their
//! cores. Found once per page, and on most machines there is nothing to find.

use model::{FieldId, PartView, Reading, Snapshot, WatchIndex, field};

use crate::Settings;
use crate::layout::Layout;
use crate::naming;
use crate::text::{Labels, Number};

/// A part with readings of its own, and the labels of its series.
pub(crate) struct Part<'a> {
    /// Its readings.
    pub(crate) view: &'a PartView,
    /// The labels of its series.
    pub(crate) labels: Labels,
}

impl Part<'_> {
    /// The number that was read of this part itself.
    pub(crate) fn number(&self, index: WatchIndex) -> Option<Number> {
        Number::of(self.view.reading(index)?.as_ref().ok()?)
    }
}

/// What is true of the machine as a whole, and so of each of its parts.
const GLOBAL: [FieldId; 3] =
    [field::DRIVER_VERSION, field::NVML_VERSION, field::CUDA_DRIVER_VERSION];

/// Every part that is shown, in order: switches before their links, CPUs before their cores. Of one
/// that is there twice, the first.
pub(crate) fn parts<'a>(
    snapshot: &'a Snapshot,
    settings: &Settings,
    layout: &Layout,
) -> Vec<Part<'a>> {
    if snapshot.machine.is_empty() {
        return Vec::new();
    }
    let is_shown = |part: &&PartView| settings.show.has_part(&part.entity);
    let mut views: Vec<&PartView> = snapshot.machine.iter().filter(is_shown).collect();
    views.sort_by(|a, b| a.entity.cmp(&b.entity));
    views.dedup_by(|a, b| a.entity == b.entity);

    let of_all = of_the_machine(snapshot, layout);
    let part = |view: &'a PartView| {
        let own = |index| view.reading(index).filter(|reading| reading.is_ok());
        let labels = naming::part(&view.entity, settings, layout, |index| {
            own(index).or_else(|| {
                let (_, reading) = of_all.iter().find(|(known, _)| *known == index)?;
                Some(reading)
            })
        });
        Part { view, labels }
    };
    views.into_iter().map(part).collect()
}

/// By index: the label rows that are of the machine as a whole. Sources read them with each GPU.
fn of_the_machine<'a>(snapshot: &'a Snapshot, layout: &Layout) -> Vec<(WatchIndex, &'a Reading)> {
    let global = layout.labels().filter(|(_, watch)| GLOBAL.contains(&watch.field));
    let known = global.filter_map(|(index, _)| {
        let mut readings = snapshot.gpus.iter().filter_map(|gpu| gpu.reading(index));
        Some((index, readings.find(|reading| reading.is_ok())?))
    });
    known.collect()
}
