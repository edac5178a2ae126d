//! Writes the families of the counters file, with the name, type and help of their rows.

use model::catalog::Field;
use model::{Watch, WatchIndex, field};

use crate::gpus::Device;
use crate::heatsink_families;
use crate::inputs::Inputs;
use crate::parts::Part;
use crate::per_device::{self, Target};
use crate::text::{Family, Output};

/// Writes all families in the order of their rows. `machine` has the NVSwitches and CPUs.
/// `family_ends` is called after each family.
pub(crate) fn write(
    out: &mut Output,
    inputs: &Inputs<'_>,
    machine: &[Part<'_>],
    mut family_ends: impl FnMut(&mut Output, &Watch),
) {
    // NVLinks, NVSwitches and CPUs have only their own readings.
    let parts = || inputs.gpus.iter().flat_map(|gpu| &gpu.links).chain(machine);
    let of_parts = watched(parts());
    for (watch, row, head) in inputs.layout.families() {
        let family = &mut Family::new(out, &row.name, head);
        if !write_special(watch, row, inputs, family) {
            of_devices(watch, row, inputs, family);
            if of_parts.get(watch.0) == Some(&true) {
                for part in parts() {
                    if let Some(number) = part.number(watch) {
                        family.sample(&part.labels, number);
                    }
                }
            }
        }
        family_ends(out, row);
    }
}

/// Writes the samples of a family that has more than a number per entity. Returns whether it is one.
fn write_special(
    watch: WatchIndex,
    row: &Watch,
    inputs: &Inputs<'_>,
    family: &mut Family<'_>,
) -> bool {
    let Some(samples) = per_device::samples_of(row.field) else {
        return field::is_derived(row.field) && heatsink_families::write(row.field, inputs, family);
    };
    let windows = inputs.snapshot.windows;
    let has_holders = inputs.attribution.is_some() && !inputs.settings.holders.only_info;
    for gpu in inputs.gpus {
        for device in &gpu.devices {
            samples(&Target { gpu, device, watch, windows, has_holders }, family);
        }
    }
    true
}

/// Writes the readings of GPUs and their instances.
fn of_devices(watch: WatchIndex, row: &Watch, inputs: &Inputs<'_>, family: &mut Family<'_>) {
    let divides = model::catalog::by_id(row.field).is_none_or(Field::divides_among_holders);
    let has_own_value = |device: &&Device| !(divides && device.is_share);
    for device in inputs.gpus.iter().flat_map(|gpu| &gpu.devices).filter(has_own_value) {
        if let Some(number) = device.number(watch) {
            family.sample(&device.labels, number);
        }
    }
}

/// By watch index, whether any part has readings of it. Most families need not look at each part then.
fn watched<'a>(parts: impl Iterator<Item = &'a Part<'a>>) -> Vec<bool> {
    let mut watched = Vec::new();
    for part in parts {
        for watch in &*part.view.watches {
            if watched.len() <= watch.0 {
                watched.resize(watch.0 + 1, false);
            }
            watched[watch.0] = true;
        }
    }
    watched
}
