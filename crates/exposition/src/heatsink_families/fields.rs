//! Families about fields: read errors, and fields that cannot be read here.

use std::collections::HashSet;

use model::{Entity, FieldId, GpuView, PartView, Reading, Reason, WatchIndex, field};

use crate::inputs::{Inputs, Samples};
use crate::text::{Family, Labels};

pub(super) const FAMILIES: &[(FieldId, Samples)] =
    &[(field::READ_ERRORS_TOTAL, read_errors), (field::FIELD_UNAVAILABLE_INFO, unavailable)];

fn read_errors(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    for gpu in inputs.gpus {
        for ((field, reason), count) in &*gpu.view.errors {
            let line = family.counter(gpu.view.counting_since, &gpu.labels);
            let line = match inputs.layout.name_of(*field) {
                Some(name) => line.text("field", name),
                None => line.number("field", u32::from(field.0)),
            };
            line.text("reason", reason.as_str()).value(*count);
        }
    }
}

/// Whether a field has readings, which show if it is available. Derived fields have none.
fn is_read(field: FieldId) -> bool {
    !field::is_derived(field) && field != field::XID_ERRORS
}

fn unavailable(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    let verdicts = verdicts(inputs);
    let families = inputs.layout.families().map(|(index, watch, _)| (index, watch));
    for (index, watch) in families.chain(inputs.layout.labels()) {
        if let Verdict::Unavailable(reason) = verdicts[index.0]
            && is_read(watch.field)
        {
            let line = family.line(&Labels::default()).text("field", &watch.name);
            line.text("reason", reason.as_str()).value(true);
        }
    }
}

/// Whether a watch is available, from all of its readings.
#[derive(Clone, Copy)]
enum Verdict {
    /// It has no readings.
    Unknown,
    /// At least one of them is a value, or may become one.
    Available,
    /// All of them stay absent as long as driver and machine are the same. The first reason in the
    /// order of [`Reason`].
    Unavailable(Reason),
}

impl Verdict {
    fn and(self, reading: &Reading) -> Self {
        match (self, reading) {
            (Self::Available, _) | (_, Ok(_)) => Self::Available,
            (_, Err(reason)) if !reason.is_lasting() => Self::Available,
            (Self::Unknown, Err(reason)) => Self::Unavailable(*reason),
            (Self::Unavailable(other), Err(reason)) => Self::Unavailable(other.min(*reason)),
        }
    }
}

/// The verdict of each watch, from the readings of all GPUs that are up, of their parts, and of the
/// machine.
fn verdicts(inputs: &Inputs<'_>) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::Unknown; inputs.snapshot.watches.len()];
    let of_machine = || inputs.snapshot.machine.iter().flat_map(of_part);
    let beside_gpus: HashSet<WatchIndex> = of_machine().map(|(index, _)| index).collect();
    let up = inputs.gpus.iter().map(|gpu| gpu.view).filter(|view| view.up.is_ok());
    let of_gpus = up.flat_map(|view| readings(view, &beside_gpus));
    for (index, reading) in of_gpus.chain(of_machine()) {
        if let Some(verdict) = verdicts.get_mut(index.0) {
            *verdict = verdict.and(reading);
        }
    }
    verdicts
}

fn readings<'a>(
    gpu: &'a GpuView,
    beside_gpus: &'a HashSet<WatchIndex>,
) -> impl Iterator<Item = (WatchIndex, &'a Reading)> {
    // A field that is read of links, peers or the machine is not read of the GPU itself. Its missing
    // reading there says nothing.
    let first = |is: fn(&Entity) -> bool| gpu.parts.iter().find(|part| is(&part.entity));
    let (link, peer) = (
        first(|entity| matches!(entity, Entity::Link(_))),
        first(|entity| matches!(entity, Entity::Peer(_))),
    );
    let elsewhere: HashSet<WatchIndex> =
        link.into_iter().chain(peer).flat_map(|part| part.watches.iter().copied()).collect();
    let says = move |(index, reading): &(WatchIndex, &Reading)| {
        **reading != Err(Reason::NoData)
            || !elsewhere.contains(index) && !beside_gpus.contains(index)
    };
    let of_gpu = gpu.readings.iter().enumerate().map(|(at, reading)| (WatchIndex(at), reading));
    of_gpu.filter(says).chain(gpu.parts.iter().flat_map(of_part))
}

fn of_part(part: &PartView) -> impl Iterator<Item = (WatchIndex, &Reading)> {
    part.watches.iter().copied().zip(&part.readings)
}
