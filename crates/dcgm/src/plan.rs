//! Which fields of each kind of entity are read, how often, and which slots their values go to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use model::catalog::{Field, Level};
use model::{FieldId, Pace, SlotIndex, Watch, WatchIndex, field};

use crate::base_units::{self, Conversion};
use crate::entities::Kind;

/// Fields of the engine's profiling module. An engine without this module refuses a group that
/// contains one of them.
const PROFILING: [RangeInclusive<u16>; 2] = [1001..=1099, 1532..=1533];

/// The UUID of a switch.
const SWITCH_UUID: FieldId = FieldId(878);

/// Whether a field belongs to the profiling module.
pub(crate) fn is_profiling(field: u16) -> bool {
    PROFILING.iter().any(|range| range.contains(&field))
}

/// What is read of one kind of entity.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The watch of each slot.
    pub(crate) watches: Arc<[WatchIndex]>,
    /// The period of each slot.
    pub(crate) periods: Vec<Duration>,
    /// The fields that the engine watches.
    pub(crate) fields: Vec<FieldPlan>,
    by_id: HashMap<u16, usize>,
    /// Slots of a GPU for fields that only its links have.
    pub(crate) link_slots: Vec<SlotIndex>,
    /// Slots for the states of peers.
    pub(crate) peer_states: Vec<SlotIndex>,
}

/// One field that the engine watches.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub(crate) field: &'static Field,
    /// The shortest period of all its watches.
    pub(crate) period: Duration,
    /// The slots its value goes to, and the conversion for each.
    pub(crate) targets: Vec<(SlotIndex, Conversion)>,
}

impl Plan {
    /// The plan for one kind of entity. `knows` says which fields the engine has.
    pub(crate) fn of(
        kind: Kind,
        watches: &[Watch],
        interval: Duration,
        knows: impl Fn(u16) -> bool,
    ) -> Self {
        let mut plan = Self {
            watches: Arc::new([]),
            periods: Vec::new(),
            fields: Vec::new(),
            by_id: HashMap::new(),
            link_slots: Vec::new(),
            peer_states: Vec::new(),
        };
        let mut indexes = Vec::new();
        for (index, watch) in WatchIndex::enumerate(watches) {
            let Some(row) = model::catalog::by_id(watch.field) else { continue };
            let slot = SlotIndex(indexes.len());
            let is_peer = kind == Kind::Gpu && watch.field == field::EXP_P2P_STATUS;
            let is_of_links = kind == Kind::Gpu && row.level == Level::Link;
            if is_peer {
                plan.peer_states.push(slot);
            } else if is_of_links {
                plan.link_slots.push(slot);
            } else {
                let Some(source) = is_of(kind, row).then(|| source(watch.field, &knows)).flatten()
                else {
                    continue;
                };
                plan.add(source, slot, watch.pace.period(interval));
            }
            indexes.push(index);
            plan.periods.push(watch.pace.period(interval));
        }
        plan.watches = indexes.into();
        plan.settle(interval);
        plan
    }

    fn add(&mut self, source: (&'static Field, Conversion), slot: SlotIndex, period: Duration) {
        let (field, conversion) = source;
        let new = FieldPlan { field, period, targets: Vec::new() };
        let at = *self.by_id.entry(field.id.0).or_insert_with(|| {
            self.fields.push(new);
            self.fields.len() - 1
        });
        let plan = &mut self.fields[at];
        plan.period = plan.period.min(period);
        plan.targets.push((slot, conversion));
    }

    /// Reduces the periods to three at most: each needs groups of the engine, of which there are
    /// few.
    fn settle(&mut self, interval: Duration) {
        let slow = Pace::Slow.period(interval);
        let fastest = self.fields.iter().map(|field| field.period).min().unwrap_or(interval);
        for field in &mut self.fields {
            field.period = match field.period {
                period if period >= slow => slow,
                period if period >= interval => interval,
                _ => fastest,
            };
        }
    }

    /// The index of a field in the plan.
    pub(crate) fn number(&self, field: u16) -> Option<usize> {
        self.by_id.get(&field).copied()
    }

    /// The fields of each watch: of one period, profiling fields apart, at most `most`.
    pub(crate) fn batches(&self, most: usize) -> Vec<(Duration, Vec<u16>)> {
        let mut batches: BTreeMap<(Duration, bool), Vec<u16>> = BTreeMap::new();
        for plan in &self.fields {
            let id = plan.field.id.0;
            batches.entry((plan.period, is_profiling(id))).or_default().push(id);
        }
        let cut = |((period, _), fields): (_, Vec<u16>)| {
            fields.chunks(most).map(|chunk| (period, chunk.to_vec())).collect::<Vec<_>>()
        };
        batches.into_iter().flat_map(cut).collect()
    }
}

/// Whether entities of this kind have the field. The newest XID is an event, which `xids` handles.
fn is_of(kind: Kind, row: &Field) -> bool {
    if row.id == field::XID_ERRORS {
        return false;
    }
    // The engine lists it as a field of links, but has it for switches as well.
    if kind == Kind::Switch && row.id == SWITCH_UUID {
        return true;
    }
    matches!(
        (kind, row.level),
        (Kind::Gpu, Level::Global | Level::Gpu | Level::Vgpu)
            | (Kind::Gpu | Kind::GpuInstance, Level::GpuInstance)
            | (Kind::Gpu | Kind::GpuInstance | Kind::ComputeInstance, Level::ComputeInstance)
            | (Kind::Link, Level::Link)
            | (Kind::Switch, Level::Switch)
            | (Kind::SwitchLink, Level::SwitchLink)
            | (Kind::Cpu, Level::Cpu | Level::CpuCore)
            | (Kind::CpuCore, Level::CpuCore)
    )
}

/// The field that the engine watches for a field: itself, or the same in another unit.
fn source(field: FieldId, knows: &impl Fn(u16) -> bool) -> Option<(&'static Field, Conversion)> {
    if knows(field.0) {
        return model::catalog::by_id(field).map(|row| (row, Conversion::None));
    }
    base_units::source_of(field).filter(|(row, _)| knows(row.id.0))
}

/// The names of the watches that this release of DCGM does not have.
pub(crate) fn unknown(watches: &[Watch], knows: impl Fn(u16) -> bool) -> BTreeSet<&str> {
    let is_unknown = |watch: &&Watch| {
        let row = model::catalog::by_id(watch.field);
        row.is_some_and(|row| row.level != Level::Exporter) && source(watch.field, &knows).is_none()
    };
    watches.iter().filter(is_unknown).map(|watch| &*watch.name).collect()
}

#[cfg(test)]
mod tests {
    use model::Kind as Type;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn watch(name: &str, pace: Pace) -> Watch {
        let field = model::catalog::by_name(name).unwrap().id;
        let (name, help) = (name.into(), "".into());
        Watch { field, name, kind: Type::Gauge, help, pace, cumulative: false }
    }

    fn plan(kind: Kind, names: &[&str]) -> Plan {
        let watches: Vec<Watch> = names.iter().map(|name| watch(name, Pace::Every)).collect();
        Plan::of(kind, &watches, SECOND, |field| field < 1534)
    }

    #[test]
    fn each_kind_has_its_fields() {
        let names = [
            "DCGM_FI_DEV_GPU_TEMP",
            "DCGM_FI_DEV_FB_USED",
            "DCGM_FI_DEV_NVLINK_GET_STATE",
            "DCGM_FI_DEV_XID_ERRORS",
            "DCGM_EXP_P2P_STATUS",
            "DCGM_FI_PROF_SM_ACTIVE",
        ];
        assert_eq!(*plan(Kind::Gpu, &names).watches, [0, 1, 2, 4, 5].map(WatchIndex));
        assert_eq!(plan(Kind::Gpu, &names).link_slots, [2].map(SlotIndex));
        assert_eq!(plan(Kind::Gpu, &names).peer_states, [3].map(SlotIndex));
        assert_eq!(*plan(Kind::GpuInstance, &names).watches, [1, 5].map(WatchIndex));
        assert_eq!(*plan(Kind::Link, &names).watches, [2].map(WatchIndex));
        assert!(plan(Kind::Cpu, &names).watches.is_empty());
    }

    #[test]
    fn a_field_that_is_watched_twice_is_asked_for_once() {
        let names = ["DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_USED_BYTES", "DCGM_FI_DEV_FB_USED"];
        let plan = plan(Kind::Gpu, &names);
        let [field] = &plan.fields[..] else { panic!("{plan:?}") };
        let conversions = [Conversion::None, Conversion::Mebi, Conversion::None];
        assert_eq!(field.targets, Vec::from_iter(SlotIndex::all(3).zip(conversions)));
        let newer: Vec<Watch> = names.iter().map(|name| watch(name, Pace::Every)).collect();
        let plan = Plan::of(Kind::Gpu, &newer, SECOND, |_| true);
        assert_eq!(plan.fields.len(), 2, "DCGM 4.7 has both");
    }

    #[test]
    fn batches_are_of_one_period_and_profiling_is_by_itself() {
        let mut watches: Vec<Watch> = model::catalog::FIELDS
            .iter()
            .filter(|row| row.id.0 < 1534)
            .map(|row| watch(row.name, row.pace))
            .collect();
        watches.push(watch("DCGM_FI_DEV_GPU_TEMP", Pace::At(SECOND / 10)));
        watches.push(watch("DCGM_FI_DEV_POWER_USAGE", Pace::At(SECOND / 5)));
        watches.push(watch("DCGM_FI_DEV_GPU_UTIL", Pace::At(7 * SECOND)));
        let plan = Plan::of(Kind::Gpu, &watches, SECOND, |field| field < 1534);
        let batches = plan.batches(127);
        let periods: BTreeSet<Duration> = batches.iter().map(|(period, _)| *period).collect();
        assert_eq!(Vec::from_iter(periods), [SECOND / 10, SECOND, 10 * SECOND]);
        for (_, fields) in &batches {
            assert!(fields.len() <= 127);
            let profiling = fields.iter().filter(|field| is_profiling(**field)).count();
            assert!(profiling == 0 || profiling == fields.len());
        }
        let asked: usize = batches.iter().map(|(_, fields)| fields.len()).sum();
        assert_eq!(asked, plan.fields.len());
        assert!(batches.len() < 12, "{} groups", batches.len());
    }

    #[test]
    fn fields_that_the_engine_lacks_are_listed() {
        let watches = ["DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK_HERTZ", "DCGM_EXP_P2P_STATUS"]
            .map(|name| watch(name, Pace::Every));
        assert!(
            unknown(&watches, |field| field < 1534).is_empty(),
            "the engine has the field in another unit"
        );
        assert_eq!(
            Vec::from_iter(unknown(&watches, |field| field != 150 && field != 100)),
            ["DCGM_FI_DEV_GPU_TEMP"]
        );
    }
}
