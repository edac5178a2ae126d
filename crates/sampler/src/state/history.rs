//! What is remembered of a GPU while it is down, moves to another index, or is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{
    FieldId, Health, Instance, Kind, Moment, Quantity, Reason, Tally, Value, WatchIndex, XidCount,
    XidLog, field,
};

use crate::state::clock_events::{self, ClockEvents};
use crate::state::health::Trends;
use crate::state::plan::Plan;
use crate::state::rolling::{Counts, Extents};
use crate::state::series_labels::SeriesLabels;

/// What is remembered of a GPU. It belongs to the GPU, not to its index.
#[derive(Clone, Default)]
pub(crate) struct History {
    /// When the last complete pass of its main reader ended.
    pub(crate) last_success: Option<SystemTime>,
    /// Readings that failed, by field and reason.
    pub(crate) errors: Arc<BTreeMap<(FieldId, Reason), u64>>,
    pub(crate) xids: Arc<XidLog>,
    /// The last values of the label watches.
    pub(crate) labels: Vec<(WatchIndex, Value)>,
    /// Its instances when it was last up, in order.
    pub(crate) instances: Vec<Arc<Instance>>,
    /// The XIDs of the window, by code.
    pub(crate) xid_window: Option<Counts>,
    pub(crate) clock_events: Option<ClockEvents>,
    pub(crate) extents: BTreeMap<Quantity, Extent>,
    /// The counters of the last minute that health is assessed by.
    pub(crate) trends: Trends,
    /// The driver's own health assessment, and when it was made.
    pub(crate) health: Option<(Moment, Vec<Health>)>,
    /// How long each kind of driver call took the last time.
    pub(crate) calls: Arc<BTreeMap<&'static str, Duration>>,
    /// The labels with which a snapshot has shown counts that are not 0.
    pub(crate) counts_shown_with: Option<SeriesLabels>,
    /// Whether some series of what is counted from the start of this process began later, not at 0.
    pub(crate) are_births_forgotten: bool,
}

/// One quantity between scrapes.
#[derive(Clone)]
pub(crate) struct Extent {
    pub(crate) window: Extents,
    /// When the driver last had samples of its own. While it has, none are polled.
    pub(crate) from_driver: Option<Moment>,
}

impl History {
    /// Counts an XID that has been recorded in the window.
    pub(crate) fn count_in_window(&mut self, code: u32, window: Duration, elapsed: Duration) {
        let known = self.xids.counts.contains_key(&code);
        let counts = self.xid_window.get_or_insert_with(|| Counts::new(window));
        counts.add(elapsed, if known { code } else { XidLog::OTHER });
    }

    /// Sets whether XIDs of the GPU would be seen.
    pub(crate) fn set_listening(&mut self, listening: bool) {
        if self.xids.listening != listening {
            Arc::make_mut(&mut self.xids).listening = listening;
        }
    }

    /// Replaces the instances. One that is made under a number that was used before has not had the
    /// XIDs of the instance before it.
    pub(crate) fn set_instances(&mut self, instances: Vec<Arc<Instance>>) {
        let before = std::mem::replace(&mut self.instances, instances);
        let now = &self.instances;
        let has = |all: &[Arc<Instance>], number| all.iter().any(|it| it.gpu_instance == number);
        let stayed = |number| has(&before, number) && has(now, number);
        if !self.xids.last_of_instances.keys().all(|number| stayed(*number)) {
            Arc::make_mut(&mut self.xids).retain_instances(stayed);
        }
    }

    /// Drops what `plan` no longer needs, and moves labels from the positions of the plan before.
    pub(crate) fn change_plan(&mut self, plan: &Plan, before: &Plan) {
        // Fields, and labels with the same value, may have other names.
        self.forget_shown_births();
        self.extents.retain(|quantity, _| plan.quantities.contains(quantity));
        if !plan.has(&clock_events::FAMILIES) {
            self.clock_events = None;
        }
        if !plan.has(&[field::DRIVER_CALL_DURATION_SECONDS]) {
            self.calls = Arc::default();
        }
        let labels = std::mem::take(&mut self.labels).into_iter();
        let known: BTreeMap<FieldId, Value> =
            labels.map(|(index, value)| (before.watches[index].field, value)).collect();
        let new = WatchIndex::enumerate(&plan.watches);
        let new = new.filter(|(_, watch)| watch.kind == Kind::Label);
        self.labels.extend(
            new.filter_map(|(index, watch)| Some((index, known.get(&watch.field)?.clone()))),
        );
    }

    /// Adds the history of the same GPU from before this one.
    pub(crate) fn add_earlier(&mut self, mut earlier: Self) {
        // They were shown without the identity.
        earlier.forget_shown_births();
        self.are_births_forgotten |= earlier.are_births_forgotten;
        if !earlier.xids.counts.is_empty() || !earlier.xids.link_faults.is_empty() {
            let earlier = &*earlier.xids;
            let log = Arc::make_mut(&mut self.xids);
            log.last = log.last.or(earlier.last);
            if log.last_of_gpu.is_none() {
                log.last_of_gpu = earlier.last_of_gpu;
                for (instance, xid) in &earlier.last_of_instances {
                    log.last_of_instances.entry(*instance).or_insert(*xid);
                }
            }
            for (code, of_code) in &earlier.counts {
                let none = XidCount { tally: Tally::default(), last: None, ..*of_code };
                let entry = log.counts.entry(*code).or_insert(none);
                entry.tally.merge(of_code.tally);
                entry.last = entry.last.or(of_code.last);
            }
            log.critical.merge(earlier.critical);
            for (fault, tally) in &earlier.link_faults {
                log.link_faults.entry(fault.clone()).or_default().merge(*tally);
            }
        }
        self.xid_window = self.xid_window.take().or(earlier.xid_window);
        if !earlier.errors.is_empty() {
            let errors = Arc::make_mut(&mut self.errors);
            for (what, count) in earlier.errors.iter() {
                *errors.entry(*what).or_insert(0) += count;
            }
        }
        self.last_success = self.last_success.max(earlier.last_success);
    }
}
