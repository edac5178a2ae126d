//! The snapshot builder: a view of the state at one moment, which changes nothing.

use std::sync::Arc;

use model::{
    ClockEvent, Down, Entity, Extent, FieldId, Gpu, GpuView, Moment, Pace, PartView, Quantity,
    Reading, Reason, Snapshot, SourceView, Value, WatchIndex, Xid, XidLog, XidSource, field,
};

use crate::state::availability::Validity;
use crate::state::gpu::{AbsentGpu, GpuState};
use crate::state::health::{self, HealthInputs};
use crate::state::history::History;
use crate::state::rolling::Summary;
use crate::state::{State, XidAuthority};

impl State {
    /// What is good at `now`.
    pub(crate) fn snapshot(&self, now: Moment) -> Snapshot {
        let mut builder = SnapshotBuilder { state: self, validity: Validity::new(now) };
        let source = SourceView {
            up: self.source_up(&mut builder.validity),
            name: self.source.name,
            driver_version: self.source.driver_version.clone(),
            needs_restart: self.source.needs_restart,
        };
        let source_up = source.up.is_ok();
        let mut gpus: Vec<GpuView> = Vec::with_capacity(self.gpus.len() + self.former.len());
        gpus.extend(self.gpus.iter().map(|gpu| builder.gpu(gpu, source_up)));
        let would_see_xids = gpus.iter().any(|gpu| gpu.xids.listening);
        let unlisted = if source_up { Down::NotInitialized } else { Down::SourceDown };
        // Any of them may be a GPU that is listed and has not answered yet.
        let certain = if self.has_unidentified() { &[][..] } else { &self.unlisted[..] };
        for (absent, down) in [(certain, unlisted), (&self.former[..], Down::Missing)] {
            gpus.extend(absent.iter().map(|gpu| builder.absent(gpu, down)));
        }
        let xid_source = match (self.xid_authority, source.name) {
            (XidAuthority::KernelLog, _) => Some(XidSource::KernelLog),
            (XidAuthority::Events, _) if !would_see_xids => None,
            (XidAuthority::Events, "nvml") => Some(XidSource::NvmlEvents),
            (XidAuthority::Events, "dcgm") => Some(XidSource::Dcgm),
            (XidAuthority::Events, _) => Some(XidSource::Sim),
        };
        let machine = if source_up { builder.parts(&self.machine) } else { Vec::new() };
        Snapshot {
            watches: Arc::clone(&self.plan.watches),
            gpus,
            machine,
            source,
            xid_source,
            driver_log: self.driver_log.clone(),
            reader_restarts: self.reader_restarts,
            process: self.process,
            counting_since: self.counting_since,
            windows: self.settings.windows,
            good_until: builder.validity.until,
        }
    }
}

/// Builds one snapshot.
struct SnapshotBuilder<'a> {
    state: &'a State,
    validity: Validity,
}

impl SnapshotBuilder<'_> {
    fn gpu(&mut self, gpu: &GpuState, source_up: bool) -> GpuView {
        let up = self.state.gpu_up(gpu, source_up, &mut self.validity);
        let id = Gpu { index: Some(gpu.index), identity: gpu.identity.clone() };
        let xids = self.xids(gpu);
        let mut view = GpuView { xids, ..self.view(id, &gpu.history, up) };
        if up.is_ok() {
            view.pass_duration = gpu.pass_duration;
            view.readings = self.readings(gpu, &view);
            view.parts = self.parts(gpu);
            self.add_derived(&gpu.history, &mut view);
        }
        view
    }

    fn absent(&self, AbsentGpu { identity, history, .. }: &AbsentGpu, down: Down) -> GpuView {
        self.view(Gpu::absent(identity), history, Err(down))
    }

    /// A GPU with what is remembered of it: its XIDs and errors, and, if it is down, its labels and
    /// instances.
    fn view(&self, gpu: Gpu, history: &History, up: Result<(), Down>) -> GpuView {
        let (mut readings, mut parts) = (Vec::new(), Vec::new());
        if let Err(down) = up {
            readings = vec![Err(reason(down)); self.state.plan.watches.len()];
            for (index, value) in &history.labels {
                readings[index.0] = Ok(value.clone());
            }
            parts.extend(history.instances.iter().map(|instance| PartView {
                entity: Entity::Instance(Arc::clone(instance)),
                watches: Arc::default(),
                readings: Vec::new(),
            }));
        }
        let elapsed = self.validity.now - self.state.epoch;
        let in_window = history.xid_window.as_ref().map(|counts| counts.at(elapsed));
        GpuView {
            gpu,
            up,
            readings,
            parts,
            xids: Arc::clone(&history.xids),
            xids_in_window: in_window.into_iter().flatten().collect(),
            clock_events: std::array::from_fn(|_| ClockEvent::default()),
            extents: Vec::new(),
            health: Vec::new(),
            calls: Arc::default(),
            last_success: history.last_success,
            pass_duration: None,
            errors: Arc::clone(&history.errors),
            counting_since: self.state.counting_since.filter(|_| !history.are_births_forgotten),
        }
    }

    /// The XIDs of a GPU. The log is shared with the state, unless it has become unknown since the
    /// last pass whether XIDs would be seen.
    fn xids(&mut self, gpu: &GpuState) -> Arc<XidLog> {
        let listening = self.state.would_see_xids(gpu, &mut self.validity);
        let xids = &gpu.history.xids;
        if xids.listening == listening {
            return Arc::clone(xids);
        }
        Arc::new(XidLog { listening, ..XidLog::clone(xids) })
    }

    fn readings(&mut self, gpu: &GpuState, view: &GpuView) -> Vec<Reading> {
        let watches = &self.state.plan.watches;
        let mut readings = vec![Err(Reason::NotServed); watches.len()];
        for reader in &gpu.readers {
            let Some(kept) = reader.parts.first() else { continue };
            for (slot, index, _) in kept.part.iter() {
                readings[index.0] = self.state.reading(reader, kept, slot, &mut self.validity);
            }
        }
        for (index, _) in
            WatchIndex::enumerate(watches).filter(|(_, watch)| watch.field == field::XID_ERRORS)
        {
            let code = |xid: Xid| Ok(Value::Int(i64::from(xid.code)));
            readings[index.0] = view.last_xid().map_or(Err(Reason::NoData), code);
        }
        readings
    }

    /// The links, peers and instances of a GPU, or the NVSwitches and CPUs of the machine, in order.
    fn parts(&mut self, gpu: &GpuState) -> Vec<PartView> {
        let mut parts = Vec::new();
        for reader in &gpu.readers {
            for kept in reader.parts.iter().filter(|kept| kept.part.entity != Entity::Gpu) {
                let reading = |slot| self.state.reading(reader, kept, slot, &mut self.validity);
                parts.push(PartView {
                    entity: kept.part.entity.clone(),
                    watches: Arc::clone(&kept.part.watches),
                    readings: kept.part.slots().map(reading).collect(),
                });
            }
        }
        parts.sort_by(|one, other| one.entity.cmp(&other.entity));
        parts
    }

    /// Adds what is derived from the readings of a GPU that is up, now and before.
    fn add_derived(&self, history: &History, view: &mut GpuView) {
        let (State { plan, settings, epoch, .. }, now) = (self.state, self.validity.now);
        let elapsed = now - *epoch;
        let read = |field: FieldId| view.readings.get(plan.positions.get(&field)?.0);
        if let Some(events) = &history.clock_events {
            view.clock_events = events.view(elapsed, read);
        }
        if self.state.source_assesses_health {
            let max_age = 2 * Pace::Slow.period(settings.interval);
            let fresh = history.health.as_ref().filter(|(at, _)| now - *at <= max_age);
            view.health = fresh.map(|(_, health)| health.clone()).unwrap_or_default();
        } else if plan.assesses_health() {
            let (trends, xids) = (&history.trends, &*view.xids);
            view.health = health::assess(&HealthInputs { read, trends, xids, now });
        }
        view.calls = Arc::clone(&history.calls);
        let extent = |quantity: Quantity| {
            let summary = history.extents.get(&quantity)?.window.summary(elapsed)?;
            let Summary { min, max, from_driver, .. } = summary;
            Some(Extent { quantity, min, mean: summary.mean(), max, from_driver })
        };
        view.extents = plan.quantities.iter().copied().filter_map(extent).collect();
    }
}

/// The reason that the readings of a GPU carry while it is down.
fn reason(down: Down) -> Reason {
    match down {
        Down::Late => Reason::Late,
        Down::Lost | Down::Missing | Down::NotInitialized => Reason::Lost,
        Down::NotPermitted => Reason::NotPermitted,
        Down::Failed => Reason::Failed,
        Down::Starting | Down::SourceDown | Down::NoThread => Reason::NoData,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{Kind, Readings, SlotIndex, Watch};

    use super::*;
    use crate::state::plan::Plan;
    use crate::state::test_state::*;

    #[test]
    fn a_reading_lives_for_two_of_its_intervals() {
        let test = TestState::new(SECOND);
        assert_eq!(test.snapshot(2000).gpus[0].readings[FAST.0], Ok(Value::Int(61)));
        let late = test.snapshot(2001);
        assert_eq!(late.gpus[0].up, Err(Down::Late));
        assert_eq!(late.gpus[0].readings[FAST.0], Err(Reason::Late));
        assert_eq!(late.gpus[0].readings[SLOW.0], Err(Reason::Late), "a GPU is down as a whole");
    }

    #[test]
    fn a_slow_reading_lives_for_two_slow_intervals() {
        let mut test = TestState::new(SECOND);
        let set_fast = |readings: &mut Readings| readings.set(SlotIndex(0), Ok(Value::Int(61)));
        test.pass(MAIN, 20_000, set_fast);
        assert_eq!(test.snapshot(20_000).gpus[0].readings[SLOW.0], Ok(Value::Int(61)));
        assert_eq!(test.snapshot(20_001).gpus[0].readings[SLOW.0], Err(Reason::Late));
        assert_eq!(test.snapshot(20_001).gpus[0].readings[FAST.0], Ok(Value::Int(61)));
    }

    #[test]
    fn a_reading_of_a_slow_call_lives_longer() {
        let mut test = TestState::new(SECOND);
        let set_every = |readings: &mut Readings| {
            readings.set_every(SlotIndex(0), Some(10 * SECOND));
        };
        test.pass(MAIN, 20_000, set_every);
        assert_eq!(test.snapshot(20_000).gpus[0].readings[FAST.0], Ok(Value::Int(61)));
        assert_eq!(test.snapshot(20_001).gpus[0].readings[FAST.0], Err(Reason::Late));
    }

    #[test]
    fn the_view_of_an_earlier_moment_is_the_same_after_one_of_a_later_moment() {
        let test = TestState::new(SECOND);
        let before = format!("{:?}", test.snapshot(100));
        test.snapshot(2001);
        assert_eq!(format!("{:?}", test.snapshot(100)), before);
    }

    #[test]
    fn parts_come_with_their_gpu_and_grow_late_with_their_watches() {
        let mut test = TestState::new(SECOND);
        test.pass(MAIN, 0, |readings| {
            write(readings, &Entity::Link(1), &[FAST, SLOW]);
            write(readings, &Entity::Link(0), &[FAST, SLOW]);
        });
        let snapshot = test.snapshot(0);
        let entities: Vec<&Entity> = snapshot.gpus[0].parts.iter().map(|p| &p.entity).collect();
        assert_eq!(entities, [&Entity::Link(0), &Entity::Link(1)]);
        assert_eq!(snapshot.gpus[0].parts[0].reading(FAST), Some(&Ok(Value::Int(61))));
        assert!(test.snapshot(2001).gpus[0].parts.is_empty(), "its GPU is down");
        test.pass(MAIN, 5000, |_| {});
        let later = test.snapshot(5000);
        assert_eq!(later.gpus[0].parts[0].reading(FAST), Some(&Err(Reason::Late)));
        assert_eq!(later.gpus[0].parts[0].reading(SLOW), Some(&Ok(Value::Int(61))));
    }

    #[test]
    fn no_xid_is_known_only_if_one_would_be_seen() {
        let mut test = TestState::new(SECOND).with(|gpu| gpu.readers[1].delivers_xids = false);
        let listening = |test: &TestState| test.snapshot(0).gpus[0].xids.listening;
        assert!(!listening(&test));
        assert_eq!(test.snapshot(0).xid_source, None);
        test.state.gpu(0).readers[1].delivers_xids = true;
        assert!(listening(&test));
        test.state.xid_authority = XidAuthority::KernelLog;
        assert!(!listening(&test), "lines of the log have a PCI address");
        test.identify(0, on_bus("0A"));
        assert!(listening(&test));
        assert_eq!(test.snapshot(0).xid_source, Some(XidSource::KernelLog));
    }

    #[test]
    fn the_xid_field_is_zero_only_while_a_reader_waits_for_xids() {
        let test = TestState::new(SECOND);
        let reading =
            |test: &TestState, millis| test.snapshot(millis).gpus[0].readings[XID.0].clone();
        assert_eq!(reading(&test, 0), Ok(Value::Int(0)));
        let none = TestState::new(SECOND).with(|gpu| gpu.readers[1].delivers_xids = false);
        assert_eq!(reading(&none, 0), Err(Reason::NoData));
        let stuck = TestState::new(SECOND).with(|gpu| {
            let since = gpu.readers[1].last_ok.unwrap();
            gpu.readers[1].busy.begin(since);
            gpu.readers[0].last_ok = Some(since + 10 * SECOND);
        });
        assert_eq!(reading(&stuck, 2000), Ok(Value::Int(0)));
        assert_eq!(reading(&stuck, 2001), Err(Reason::NoData), "the reader is stuck");
    }

    #[test]
    fn a_snapshot_knows_until_when_it_is_good() {
        let test = TestState::new(SECOND);
        assert_eq!(test.snapshot(0).good_until, test.at + 2 * SECOND);
        let test = TestState::new(30 * SECOND).with(|gpu| {
            let busy = &gpu.readers[0].busy;
            busy.begin(gpu.readers[0].last_ok.unwrap() + 30 * SECOND);
        });
        assert_eq!(test.snapshot(30_000).good_until, test.at + 35 * SECOND);
        let up = test.snapshot(35_001).gpus[0].up;
        assert_eq!(up, Err(Down::Late), "a long interval hides no hang");
    }

    #[test]
    fn short_intervals_do_not_flicker() {
        let test = TestState::new(Duration::from_millis(50));
        assert!(test.snapshot(1000).gpus[0].up.is_ok());
        assert_eq!(test.snapshot(1001).gpus[0].up, Err(Down::Late));
    }

    #[test]
    fn passes_longer_than_the_interval_are_not_late() {
        let test = TestState::new(SECOND).with(|gpu| gpu.readers[0].cadence = 2 * SECOND);
        assert!(test.snapshot(4000).gpus[0].up.is_ok());
        assert_eq!(test.snapshot(4001).gpus[0].up, Err(Down::Late));
    }

    #[test]
    fn why_a_gpu_is_down() {
        let mut lost = TestState::new(SECOND);
        lost.fail(MAIN, 0, Reason::Lost);
        assert_eq!(lost.snapshot(0).gpus[0].up, Err(Down::Lost));
        assert_eq!(lost.snapshot(0).gpus[0].readings[FAST.0], Err(Reason::Lost));
        let missing = TestState::new(SECOND).with(|gpu| gpu.listed = false);
        assert_eq!(missing.snapshot(0).gpus[0].up, Err(Down::Missing));
        let fresh = TestState::new(SECOND).with(|gpu| gpu.readers[0].last_ok = None);
        assert_eq!(fresh.snapshot(0).gpus[0].up, Err(Down::Starting));
        let mut ended = TestState::new(SECOND);
        ended.state.lose_thread(MAIN);
        assert_eq!(ended.snapshot(0).gpus[0].up, Err(Down::NoThread));
        let mut closed = TestState::new(SECOND);
        closed.state.source.up = Err("gone".to_owned());
        assert_eq!(closed.snapshot(0).gpus[0].up, Err(Down::SourceDown));
    }

    #[test]
    fn a_source_that_takes_long_to_open_is_down() {
        let mut test = TestState::new(SECOND);
        test.state.connecting_since = Some(test.at);
        assert_eq!(test.snapshot(1000).source.up, Ok(()));
        let why = "the driver has not come back for 5 s".to_owned();
        assert_eq!(test.snapshot(5001).source.up, Err(why));
    }

    #[test]
    fn an_xid_outlives_its_gpu_and_so_do_the_labels_of_its_series() {
        let mut test = TestState::new(SECOND).with(|gpu| record(gpu, xid(79)));
        let mut watches = test.state.plan.watches.to_vec();
        watches[SLOW.0].kind = Kind::Label;
        let plan = Plan::new(watches.into(), &test.state.settings);
        test.state.plan = Arc::new(plan);
        test.pass(MAIN, 0, |_| {});
        assert_eq!(test.snapshot(0).gpus[0].readings[XID.0], Ok(Value::Int(79)));
        let down = &test.snapshot(2001).gpus[0];
        assert!(down.up.is_err());
        assert_eq!(down.last_xid().map(|xid| xid.code), Some(79));
        assert_eq!(down.readings[SLOW.0], Ok(Value::Int(61)), "a label stays");
        assert_eq!(down.readings[FAST.0], Err(Reason::Late));
    }

    #[test]
    fn another_plan_makes_no_gap() {
        let mut test = TestState::new(SECOND);
        let mut watches = test.state.plan.watches.to_vec();
        watches.reverse();
        watches.push(Watch { field: FieldId(203), ..watches[0].clone() });
        let plan = Plan::new(watches.into(), &test.state.settings);
        test.state.change_plan(&Arc::new(plan));
        let readings = &test.snapshot(0).gpus[0].readings;
        let value = |int| Ok(Value::Int(int));
        assert_eq!(readings[..], [value(0), value(61), value(61), Err(Reason::NotServed)]);
        assert_eq!(test.snapshot(2001).gpus[0].readings[1], Err(Reason::Late), "it is not fresher");
        assert!(test.pass(MAIN, 100, |_| {}).is_none(), "a reader of the plan before has to end");
        assert!(test.pass(EVENTS, 100, |_| {}).is_some(), "no event is missed");
    }

    #[test]
    fn an_instance_of_a_gpu_that_is_down_keeps_its_xids() {
        let mut test = TestState::new(SECOND);
        test.pass(MAIN, 0, |readings| write(readings, &Entity::Instance(instance(3)), &[FAST]));
        test.fail(MAIN, 100, Reason::Lost);
        let view = &test.snapshot(100).gpus[0];
        let instances: Vec<_> =
            view.instances().map(|(it, part)| (it.number, part.readings.len())).collect();
        assert_eq!(instances, [(3, 0)]);
    }
}
