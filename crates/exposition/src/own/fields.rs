//! Of the fields asked for: which failed, and which nobody can read here.

use std::collections::HashSet;

use model::{Entity, FieldId, GpuView, PartView, Reading, Reason, WatchIndex, field};

use super::{Known, Samples};
use crate::text::{Family, Labels};

pub(super) const FAMILIES: &[(FieldId, Samples)] =
    &[(field::READ_ERRORS_TOTAL, read_errors), (field::FIELD_UNAVAILABLE_INFO, unavailable)];

fn read_errors(known: &Known<'_>, family: &mut Family<'_>) {
    for row in known.gpus {
        for ((field, reason), count) in &*row.view.errors {
            let line = family.line(&row.short);
            let line = match known.layout.name_of(*field) {
                Some(name) => line.text("field", name),
                None => line.number("field", u32::from(field.0)),
            };
            line.text("reason", reason.as_str()).value(*count);
        }
    }
}

/// What is not read but counted, or put together: its readings do not say whether there is any.
fn is_read(field: FieldId) -> bool {
    !field::is_derived(field) && field != field::XID_ERRORS
}

fn unavailable(known: &Known<'_>, family: &mut Family<'_>) {
    let verdicts = verdicts(known);
    let families = known.layout.families().map(|(index, watch, _)| (index, watch));
    for (index, watch) in families.chain(known.layout.labels()) {
        if let Verdict::Unavailable(reason) = verdicts[index.0]
            && is_read(watch.field)
        {
            let line = family.line(&Labels::default()).text("field", &watch.name);
            line.text("reason", reason.as_str()).value(true);
        }
    }
}

/// What all readings of a watch say together.
#[derive(Clone, Copy)]
enum Verdict {
    /// There is none.
    Unknown,
    /// There is a value, or there may be one soon.
    Available,
    /// Each of them will stay absent; the first of their reasons.
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

/// By index, from the readings of all GPUs that are up, of their parts, and of what belongs to
/// no GPU.
fn verdicts(known: &Known<'_>) -> Vec<Verdict> {
    let mut verdicts = vec![Verdict::Unknown; known.snapshot.watches.len()];
    let of_machine = || known.snapshot.machine.iter().flat_map(of_part);
    let beside_gpus: HashSet<WatchIndex> = of_machine().map(|(index, _)| index).collect();
    let up = known.gpus.iter().map(|row| row.view).filter(|view| view.up.is_ok());
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
    // What is read of links, of ways to peers or beside GPUs is not read of the GPU itself: that it
    // has no data says nothing.
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
