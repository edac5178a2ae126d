//! The parts of the machine that appear besides its GPUs: NVSwitches with their links, CPUs with their
//! cores. Found once per page; most machines have none.

use model::{FieldId, PartView, Reading, Snapshot, WatchIndex, field};

use crate::layout::Layout;
use crate::naming;
use crate::settings::Settings;
use crate::text::{Labels, Number};

/// A part with readings, and the labels of its series.
pub(crate) struct Part<'a> {
    pub(crate) view: &'a PartView,
    /// The labels of its series.
    pub(crate) labels: Labels,
}

impl Part<'_> {
    /// The value of a watch, if it is a number.
    pub(crate) fn number(&self, index: WatchIndex) -> Option<Number> {
        Number::of(self.view.reading(index)?.as_ref().ok()?)
    }
}

/// Fields of the whole machine, which count for each of its parts.
const GLOBAL: [FieldId; 3] =
    [field::DRIVER_VERSION, field::NVML_VERSION, field::CUDA_DRIVER_VERSION];

/// The selected parts, in order: switches before their links, CPUs before their cores. If an entity
/// occurs twice, its first part.
pub(crate) fn parts<'a>(
    snapshot: &'a Snapshot,
    settings: &Settings,
    layout: &Layout,
) -> Vec<Part<'a>> {
    if snapshot.machine.is_empty() {
        return Vec::new();
    }
    let is_selected = |part: &&PartView| settings.show.has_part(&part.entity);
    let mut views: Vec<&PartView> = snapshot.machine.iter().filter(is_selected).collect();
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

/// The values of label rows of the whole machine, by watch. Sources read them with each GPU.
fn of_the_machine<'a>(snapshot: &'a Snapshot, layout: &Layout) -> Vec<(WatchIndex, &'a Reading)> {
    let global = layout.labels().filter(|(_, watch)| GLOBAL.contains(&watch.field));
    let known = global.filter_map(|(index, _)| {
        let mut readings = snapshot.gpus.iter().filter_map(|gpu| gpu.reading(index));
        Some((index, readings.find(|reading| reading.is_ok())?))
    });
    known.collect()
}
