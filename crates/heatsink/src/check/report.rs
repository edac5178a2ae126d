//! The report: every reading, and the outcome of each field of each device.

use std::collections::BTreeSet;

use model::catalog::{Field, Group};
use model::{
    Down, Entity, GpuView, Identity, PartView, Reading, Reason, Snapshot, Value, WatchIndex,
};

use super::place::Place;
use crate::health;

/// The result of a check.
pub(super) struct Report<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// Whether data flows, or why not.
    pub(super) verdict: Result<(), String>,
    pub(super) xids: Xids,
    /// The source's explanation if every GPU is late.
    pub(super) when_all_are_late: Option<&'static str>,
    /// Every reading, by device and field.
    pub(super) readings: Vec<Row<'a>>,
    /// GPUs, each followed by its MIG instances; then NVSwitches and CPUs.
    pub(super) devices: Vec<Device<'a>>,
}

/// Where XIDs come from.
pub(super) enum Xids {
    /// The kernel's log, by its name.
    Log(String),
    /// The source itself, and why the kernel's log cannot be read, if it should be.
    Source(Option<String>),
}

/// One reading.
pub(super) struct Row<'a> {
    pub(super) field: &'static Field,
    pub(super) place: Place,
    pub(super) reading: &'a Reading,
}

/// A GPU, a MIG instance, an NVSwitch or a CPU, with its links or cores.
pub(super) struct Device<'a> {
    pub(super) place: Place,
    /// The model of a GPU, the profile of an instance.
    pub(super) model: Option<&'a str>,
    pub(super) identity: Option<&'a Identity>,
    pub(super) down: Option<Down>,
    /// The outcome of each field that this device could have, in the order of fields.
    pub(super) outcomes: Vec<(&'static Field, Outcome)>,
}

/// The outcome of a field of a device, over all of its parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// At least one part has a value, and none fails.
    Read,
    /// There is no value yet.
    NoData,
    /// This hardware or this driver does not have it.
    NotSupported,
    /// At least one part fails.
    Failing,
}

/// How many fields have each outcome.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    pub(super) read: usize,
    pub(super) no_data: usize,
    pub(super) not_supported: usize,
    pub(super) failing: usize,
}

impl Counts {
    pub(super) fn all(self) -> usize {
        self.read + self.no_data + self.not_supported + self.failing
    }
}

impl Outcome {
    fn of(reading: &Reading) -> Self {
        match reading {
            Ok(_) => Self::Read,
            Err(Reason::NoData) => Self::NoData,
            Err(Reason::NotServed | Reason::NotSupported) => Self::NotSupported,
            Err(
                Reason::NotPermitted
                | Reason::Lost
                | Reason::Late
                | Reason::Failed
                | Reason::Implausible,
            ) => Self::Failing,
        }
    }

    /// The outcome of two parts: a failure counts more than a value, a value more than none.
    fn and(self, other: Self) -> Self {
        let weight = |outcome| match outcome {
            Self::Failing => 3,
            Self::Read => 2,
            Self::NoData => 1,
            Self::NotSupported => 0,
        };
        if weight(other) > weight(self) { other } else { self }
    }
}

impl Device<'_> {
    /// Counts the outcomes of the fields of one group, or of all.
    pub(super) fn counts(&self, group: Option<Group>) -> Counts {
        let mut counts = Counts::default();
        for (field, outcome) in &self.outcomes {
            if group.is_some_and(|group| group != field.group()) {
                continue;
            }
            *match outcome {
                Outcome::Read => &mut counts.read,
                Outcome::NoData => &mut counts.no_data,
                Outcome::NotSupported => &mut counts.not_supported,
                Outcome::Failing => &mut counts.failing,
            } += 1;
        }
        counts
    }
}

impl<'a> Report<'a> {
    pub(super) fn of(
        snapshot: &'a Snapshot,
        xids: Xids,
        when_all_are_late: Option<&'static str>,
    ) -> Self {
        let readings = readings(snapshot);
        let mut devices = Vec::new();
        for view in &snapshot.gpus {
            let identity = view.gpu.identity.as_deref();
            let model = identity.and_then(|identity| identity.model_name.as_deref());
            let gpu = device(Place::on(&view.gpu, &Entity::Gpu), model, &readings);
            devices.push(Device { identity, down: view.up.err(), ..gpu });
            let instances = view.parts.iter().filter(|_| view.up.is_ok());
            devices.extend(instances.filter_map(|part| match &part.entity {
                Entity::Instance(instance) => {
                    let place = Place::on(&view.gpu, &part.entity);
                    Some(device(place, Some(&instance.profile), &readings))
                }
                _ => None,
            }));
        }
        let outside = snapshot.machine.iter().filter_map(|part| Place::outside_gpus(&part.entity));
        let outside: BTreeSet<Place> = outside.map(|place| place.row()).collect();
        devices.extend(outside.into_iter().map(|place| device(place, None, &readings)));
        Self {
            snapshot,
            verdict: health::readiness(snapshot),
            xids,
            when_all_are_late,
            readings,
            devices,
        }
    }

    /// How many GPUs answer, of how many.
    pub(super) fn answering(&self) -> (usize, usize) {
        health::answering(self.snapshot)
    }
}

/// Every reading: of GPUs first, then of NVSwitches and CPUs.
pub(super) fn readings(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let of_gpus = snapshot.gpus.iter().flat_map(|view| of_gpu(snapshot, view));
    let outside = snapshot.machine.iter().filter_map(|part| {
        let place = Place::outside_gpus(&part.entity)?;
        Some(of_part(snapshot, part, place))
    });
    of_gpus.chain(outside.flatten()).collect()
}

/// The readings of a GPU that is up, of its links and of its instances.
fn of_gpu<'a>(snapshot: &'a Snapshot, view: &'a GpuView) -> Vec<Row<'a>> {
    if view.up.is_err() {
        return Vec::new();
    }
    // A field that has a value for each link has none for the GPU.
    let of_links = |index| {
        let mut parts = view.parts.iter();
        parts.any(|part| {
            matches!(part.entity, Entity::Link(_) | Entity::Peer(_))
                && part.reading(index).is_some()
        })
    };
    let whole = WatchIndex::enumerate(&snapshot.watches).zip(&view.readings);
    let whole = whole.filter_map(|((index, watch), reading)| {
        let field = model::catalog::by_id(watch.field)?;
        let elsewhere =
            field.level.is_beside_gpus() || *reading == Err(Reason::NoData) && of_links(index);
        let place = Place::on(&view.gpu, &Entity::Gpu);
        (!elsewhere).then_some(Row { field, place, reading })
    });
    let parts = view.parts.iter().filter(|part| part.entity != Entity::Gpu);
    let parts = parts.flat_map(|part| of_part(snapshot, part, Place::on(&view.gpu, &part.entity)));
    whole.chain(parts).collect()
}

fn of_part<'a>(
    snapshot: &'a Snapshot,
    part: &'a PartView,
    place: Place,
) -> impl Iterator<Item = Row<'a>> {
    part.watches.iter().zip(&part.readings).filter_map(move |(index, reading)| {
        let field = model::catalog::by_id(snapshot.watches[*index].field)?;
        Some(Row { field, place: place.clone(), reading })
    })
}

/// A device, with the outcomes of its rows.
fn device<'a>(place: Place, model: Option<&'a str>, rows: &[Row]) -> Device<'a> {
    let mut outcomes: Vec<(&'static Field, Outcome)> = rows
        .iter()
        .filter(|row| row.place.row() == place)
        .map(|row| (row.field, Outcome::of(row.reading)))
        .collect();
    outcomes.sort_by_key(|(field, _)| field.id);
    outcomes.dedup_by(|next, first| {
        let is_same = first.0.id == next.0.id;
        if is_same {
            first.1 = first.1.and(next.1);
        }
        is_same
    });
    Device { place, model, identity: None, down: None, outcomes }
}

/// Groups values by key, in the order in which each key comes first.
pub(super) fn group_by_key<K: PartialEq, V>(
    items: impl Iterator<Item = (K, V)>,
) -> Vec<(K, Vec<V>)> {
    let mut groups: Vec<(K, Vec<V>)> = Vec::new();
    for (key, value) in items {
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, values)) => values.push(value),
            None => groups.push((key, vec![value])),
        }
    }
    groups
}

/// A value as text: with its unit, or with the meaning of a code.
pub(super) fn format_value(field: &Field, reading: &Reading) -> String {
    /// Units that add nothing to the name of the field.
    const HIDDEN_UNITS: [&str; 10] = [
        "bitmask",
        "code",
        "count",
        "enum",
        "flag",
        "generation",
        "number",
        "ratio",
        "raw",
        "version",
    ];
    let number = match reading {
        Ok(Value::Int(number)) => number.to_string(),
        Ok(Value::Float(number)) => number.to_string(),
        Ok(Value::Text(text)) => return text.to_string(),
        Err(reason) => return format!("- ({reason})"),
    };
    match meaning(field, reading) {
        Some(meaning) => format!("{number} ({meaning})"),
        None if HIDDEN_UNITS.contains(&field.unit) => number,
        None => format!("{number} {}", field.unit),
    }
}

/// The meaning of a number that is a code; none for other numbers.
pub(super) fn meaning(field: &Field, reading: &Reading) -> Option<String> {
    match reading {
        Ok(Value::Int(number)) => model::catalog::in_words(field.id, *number),
        _ => None,
    }
}
