//! Forgets births of counts that are wrong by now.
//!
//! Prometheus adds a sample of 0 to a series at its birth. With a wrong birth, `increase()` would count
//! events again that it has counted already.

use std::sync::Arc;
use std::time::SystemTime;

use model::{Gpu, Snapshot, When};

use crate::state::history::History;
use crate::state::series_labels::SeriesLabels;
use crate::state::{State, Unpublished};

impl State {
    /// The snapshot to publish now. Births that are wrong from now on are forgotten before.
    pub(crate) fn publish(&mut self, now: When) -> Snapshot {
        if now.time < self.published {
            self.forget_births_after(now.time);
        }
        for gpu in &mut self.gpus {
            let labels = Gpu { index: Some(gpu.index), identity: gpu.identity.clone() };
            gpu.history.show_counts_of(labels);
        }
        for absent in self.unlisted.iter_mut().chain(&mut self.former) {
            let history = &mut absent.history;
            history.show_counts_of(Gpu::absent(&absent.identity));
        }
        self.unpublished = Unpublished::Nothing;
        self.published = now.time;
        self.snapshot(now.moment)
    }

    /// The wall clock was set back to `time`. Once it passes a later birth, that would be between two
    /// samples of its series. No birth is later than the last snapshot.
    fn forget_births_after(&mut self, time: SystemTime) {
        let is_good = |birth: &SystemTime| *birth <= time;
        self.counting_since = self.counting_since.filter(is_good);
        let absent = self.unlisted.iter_mut().chain(&mut self.former);
        let absent = absent.map(|gpu| &mut gpu.history);
        for history in self.gpus.iter_mut().map(|gpu| &mut gpu.history).chain(absent) {
            history.retain_births(is_good);
        }
        if let Some(log) = &mut self.driver_log {
            for tally in Arc::make_mut(log).tallies_mut() {
                tally.born = tally.born.filter(is_good);
            }
        }
    }
}

impl History {
    /// Notes that counts are shown with the labels of `gpu` from now on. If they were shown with others
    /// before, new series begin that are not at 0.
    fn show_counts_of(&mut self, gpu: Gpu) {
        if !self.has_counts() {
            return;
        }
        let (rows, has_instances) = (self.labels.clone(), !self.instances.is_empty());
        let labels = SeriesLabels { gpu, rows, has_instances };
        if self.counts_shown_with.as_ref().is_some_and(|before| !before.are_those_of(&labels)) {
            self.forget_births();
        }
        self.counts_shown_with = Some(labels);
    }

    /// Forgets the births of all that is counted until now, if any of it was shown.
    pub(crate) fn forget_shown_births(&mut self) {
        if self.counts_shown_with.is_some() {
            self.forget_births();
        }
    }

    fn forget_births(&mut self) {
        self.are_births_forgotten = true;
        self.retain_births(|_| false);
    }

    fn retain_births(&mut self, is_good: impl Fn(&SystemTime) -> bool) {
        for tally in Arc::make_mut(&mut self.xids).tallies_mut() {
            tally.born = tally.born.filter(&is_good);
        }
    }

    /// Whether any count with a birth is not 0.
    fn has_counts(&self) -> bool {
        let has_xids = self.xids.counts.values().any(|entry| entry.tally.count > 0);
        let has_clock_events = || self.clock_events.as_ref().is_some_and(|it| it.has_counts());
        has_xids || !self.errors.is_empty() || has_clock_events()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{
        DriverError, DriverLog, FieldId, GpuView, Identity, Kind, LinkFault, Pace, Reason,
        SlotIndex, Tally, Value, Watch,
    };

    use super::*;
    use crate::settings::Settings;
    use crate::state::plan::Plan;
    use crate::state::test_state::*;

    /// The births of what is counted: from the start, of XID 79, of critical XIDs, and of faults of links.
    type Births = [Option<SystemTime>; 4];

    fn births(gpu: &GpuView) -> Births {
        let xids = &gpu.xids;
        let fault = xids.link_faults.values().next().and_then(|tally| tally.born);
        [gpu.counting_since, xids.counts[&79].tally.born, xids.critical.born, fault]
    }

    /// The births on the snapshot that is published then, of the GPU with this UUID.
    fn published(test: &mut TestState, millis: u64, uuid: &str) -> Births {
        let snapshot = test.state.publish(at(test.time(millis)));
        let is_it = |gpu: &&GpuView| {
            gpu.gpu.identity.as_ref().is_some_and(|it| it.uuid.as_deref() == Some(uuid))
        };
        births(snapshot.gpus.iter().find(is_it).expect("a GPU"))
    }

    fn time(test: &TestState, millis: u64) -> SystemTime {
        at(test.time(millis)).time
    }

    /// Records a critical XID of the GPU 0, with a fault of a link.
    fn record(test: &mut TestState, millis: u64) {
        let birth = time(test, millis);
        let xids = Arc::make_mut(&mut test.state.gpu(0).history.xids);
        let mut event = xid(79);
        event.xid.critical = true;
        xids.record(event, None, Some(birth));
        let fault = LinkFault { code: 144, unit: "U".into(), severity: "fatal", link: None };
        xids.record_link_fault(fault, Some(birth));
    }

    /// GPU-a at the index 0, with an XID at 1 s.
    fn counted() -> (TestState, Births) {
        let mut test = TestState::new(SECOND);
        test.identify(0, gpu("GPU-a"));
        let birth = Some(time(&test, 1000));
        record(&mut test, 1000);
        let known = [Some(SystemTime::UNIX_EPOCH), birth, birth, birth];
        assert_eq!(published(&mut test, 1000, "GPU-a"), known);
        (test, known)
    }

    #[test]
    fn a_gpu_with_another_index_has_no_births_of_before() {
        let (mut test, known) = counted();
        assert_eq!(published(&mut test, 2000, "GPU-a"), known);
        test.identify(1, gpu("GPU-a"));
        assert_eq!(published(&mut test, 3000, "GPU-a"), [None; 4]);
        let now = time(&test, 4000);
        Arc::make_mut(&mut test.state.gpu(1).history.xids).record(xid(48), None, Some(now));
        test.state.publish(at(test.time(4000)));
        test.identify(2, gpu("GPU-b"));
        let snapshot = test.state.publish(at(test.time(5000)));
        let moved = snapshot.gpus.iter().find(|gpu| gpu.gpu.index == Some(1)).expect("a GPU");
        assert_eq!(moved.xids.counts[&48].tally, Tally { count: 1, born: Some(now) });
        assert_eq!((moved.xids.counts[&79].tally.count, births(moved)), (1, [None; 4]));
        let other = snapshot.gpus.iter().find(|gpu| gpu.gpu.index == Some(2)).expect("a GPU");
        assert_eq!(other.counting_since, known[0], "the other GPU has always been there");
    }

    #[test]
    fn a_gpu_that_another_one_replaced_keeps_its_births_and_its_labels() {
        let (mut test, known) = counted();
        test.identify(0, gpu("GPU-b"));
        assert_eq!(published(&mut test, 2000, "GPU-a"), known);
        test.identify(1, gpu("GPU-a"));
        assert_eq!(published(&mut test, 3000, "GPU-a"), [None; 4]);
    }

    #[test]
    fn births_stay_if_no_count_was_shown_before_the_labels_changed() {
        let mut test = TestState::new(SECOND);
        test.state.publish(at(test.time(0)));
        record(&mut test, 500);
        test.identify(0, gpu("GPU-a"));
        let birth = Some(time(&test, 500));
        let known = [Some(SystemTime::UNIX_EPOCH), birth, birth, birth];
        assert_eq!(published(&mut test, 1000, "GPU-a"), known);
        // No label has this number.
        test.identify(0, Identity { minor: Some(3), ..gpu("GPU-a") });
        assert_eq!(published(&mut test, 2000, "GPU-a"), known);
    }

    #[test]
    fn a_uuid_that_becomes_known_begins_new_series() {
        for is_on_bus in [false, true] {
            let mut test = TestState::new(SECOND);
            if is_on_bus {
                test.identify(0, Identity { uuid: None, ..on_bus("0A") });
            }
            record(&mut test, 0);
            test.state.publish(at(test.time(0)));
            test.identify(0, on_bus("0A"));
            assert_eq!(published(&mut test, 1000, "GPU-0A"), [None; 4]);
        }
    }

    #[test]
    fn a_gpu_that_loses_its_index_begins_new_series() {
        let (mut test, _) = counted();
        let absent = |history| crate::state::gpu::AbsentGpu {
            identity: Arc::new(gpu("GPU-a")),
            history,
            since: test.at,
        };
        let state = &mut test.state;
        let unlisted = absent(std::mem::take(&mut state.gpus[0].history));
        state.gpus.clear();
        state.unlisted.push(unlisted);
        assert_eq!(published(&mut test, 2000, "GPU-a"), [None; 4]);
    }

    #[test]
    fn errors_and_times_of_clock_events_are_counts_too() {
        let mut test = TestState::new(SECOND);
        test.identify(0, gpu("GPU-a"));
        let since = |test: &mut TestState, millis| {
            test.state.publish(at(test.time(millis))).gpus[0].counting_since
        };
        test.state.publish(at(test.time(0)));
        test.identify(0, Identity { model_name: Some("A".into()), ..gpu("GPU-a") });
        assert!(since(&mut test, 0).is_some(), "nothing is counted");
        let set = |readings: &mut model::Readings| {
            readings.set(SlotIndex(0), Err(Reason::Failed));
        };
        test.pass(MAIN, 1000, set);
        assert!(since(&mut test, 1000).is_some());
        test.identify(0, Identity { model_name: Some("B".into()), ..gpu("GPU-a") });
        assert_eq!(since(&mut test, 2000), None);
    }

    #[test]
    fn a_label_row_with_another_value_begins_new_series() {
        let watch = |id, kind, pace| Watch {
            field: FieldId(id),
            name: "name".into(),
            kind,
            help: "help".into(),
            pace,
            cumulative: false,
        };
        let watches = [
            watch(150, Kind::Gauge, Pace::Every),
            watch(1, Kind::Label, Pace::Every),
            watch(230, Kind::Gauge, Pace::Every),
        ];
        let mut test = TestState::with_watches(Settings::new(SECOND), &watches);
        test.identify(0, gpu("GPU-a"));
        let pass = |test: &mut TestState, millis, label: &str| {
            test.pass(MAIN, millis, |readings| {
                readings.set(SlotIndex(1), Ok(Value::Text(label.into())));
            });
        };
        pass(&mut test, 0, "570");
        record(&mut test, 0);
        assert_ne!(published(&mut test, 0, "GPU-a"), [None; 4]);
        pass(&mut test, 1000, "570");
        assert_ne!(published(&mut test, 1000, "GPU-a"), [None; 4]);
        pass(&mut test, 2000, "580");
        assert_eq!(published(&mut test, 2000, "GPU-a"), [None; 4]);
    }

    #[test]
    fn other_rows_may_rename_labels_and_fields() {
        let (mut test, _) = counted();
        let watches = Arc::clone(&test.state.plan.watches);
        let plan = Arc::new(Plan::new(watches, &test.state.settings));
        test.state.change_plan(&plan);
        assert_eq!(published(&mut test, 2000, "GPU-a"), [None; 4]);
    }

    #[test]
    fn births_after_a_clock_that_was_set_back_are_forgotten_for_good() {
        let (mut test, known) = counted();
        let mut log = DriverLog::default();
        let (early, late) = (time(&test, 200), time(&test, 900));
        log.count_sxid("0", 1, Some(early));
        log.count_error("0", DriverError::ProbeFailed, Some(late));
        test.state.driver_log = Some(Arc::new(log));
        let publish = |test: &mut TestState, millis: u64, back: Duration| {
            let now = at(test.time(millis));
            test.state.publish(When { time: now.time - back, ..now })
        };
        publish(&mut test, 2000, Duration::ZERO);
        let snapshot = publish(&mut test, 3000, Duration::from_millis(2500));
        assert_eq!(births(&snapshot.gpus[0]), [known[0], None, None, None]);
        assert_eq!(snapshot.counting_since, known[0], "the start is earlier");
        let log = snapshot.driver_log.expect("a log");
        assert!(log.sxids.values().all(|tally| tally.born == Some(early)));
        assert!(log.errors.values().all(|tally| tally.born.is_none() && tally.count == 1));
        assert_eq!(published(&mut test, 9000, "GPU-a"), [known[0], None, None, None]);
        // Before the start of the process.
        test.state.counting_since = Some(time(&test, 8000));
        assert!(publish(&mut test, 9000, SECOND).counting_since.is_some());
        let back = Duration::from_millis(1001);
        assert_eq!(publish(&mut test, 9000, back).counting_since, None);
        let later = publish(&mut test, 99_000, Duration::ZERO);
        assert_eq!((later.counting_since, later.gpus[0].counting_since), (None, None));
    }
}
