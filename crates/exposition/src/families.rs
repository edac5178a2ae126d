//! Writes the families of the counters file, with the name, type and help of their rows.

use model::catalog::Field;
use model::field;

use crate::gpus::Device;
use crate::heatsink_families;
use crate::inputs::Inputs;
use crate::parts::Part;
use crate::per_device::{self, Target};
use crate::text::Family;

/// Writes all families in the order of their rows. `machine` has the NVSwitches and CPUs.
/// `family_ends` is called after each family.
pub(crate) fn write(
    out: &mut String,
    inputs: &Inputs<'_>,
    machine: &[Part<'_>],
    family_ends: &mut impl FnMut(&mut String),
) {
    let gpus = inputs.gpus;
    // NVLinks, NVSwitches and CPUs have only their own readings.
    let parts = || gpus.iter().flat_map(|gpu| &gpu.links).chain(machine);
    let of_parts = watched(parts());
    let windows = inputs.snapshot.windows;
    for (watch, row, head) in inputs.layout.families() {
        family_ends(out);
        let family = &mut Family::new(out, &row.name, head);
        if let Some(samples) = per_device::samples_of(row.field) {
            for gpu in gpus {
                for device in &gpu.devices {
                    samples(&Target { gpu, device, watch, windows }, family);
                }
            }
            continue;
        }
        if field::is_derived(row.field) && heatsink_families::write(row.field, inputs, family) {
            continue;
        }
        let divides = model::catalog::by_id(row.field).is_none_or(Field::divides_among_holders);
        let has_own_value = |device: &&Device| !(divides && device.is_share);
        for device in gpus.iter().flat_map(|gpu| &gpu.devices).filter(has_own_value) {
            if let Some(number) = device.number(watch) {
                family.sample(&device.labels, number);
            }
        }
        if of_parts.get(watch.0) == Some(&true) {
            for part in parts() {
                if let Some(number) = part.number(watch) {
                    family.sample(&part.labels, number);
                }
            }
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
