//! What a recording has in a range, before it is exported: rows, signals, GPUs, and who had them at its begin.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anyhow::Result;
use history::event::What;
use history::layout::{GpuInfo, SignalInfo};
use history::recording::{Damage, Item, ReadError, Recording};
use history::time::{Range, Time};

use super::counts::Counts;
use super::holders::PastHolders;

/// What a recording has in a range.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    /// The number of rows.
    pub(super) rows: u64,
    /// The number of events.
    pub(super) events: u64,
    /// The signals of its rows, in the order of columns.
    pub(super) signals: Vec<SignalInfo>,
    /// The GPUs of its rows, in the order in which they were recorded first.
    pub(super) gpus: Vec<GpuInfo>,
    /// Who had which GPU when the range began.
    pub(super) holders: PastHolders,
    /// What was counted when the range began.
    pub(super) counts: Counts,
    /// The codes of its XIDs, and of those that were counted when it began.
    pub(super) xid_codes: BTreeSet<u32>,
    /// What could not be read.
    pub(super) damage: Damage,
    /// Whether the readings are simulated.
    pub(super) is_simulated: bool,
}

impl Survey {
    /// Reads the range once, and the events before it.
    ///
    /// # Errors
    ///
    /// If the recording cannot be read.
    pub(super) fn of(recording: &dyn Recording, range: Range) -> Result<Self, ReadError> {
        let mut survey = Self {
            rows: 0,
            events: 0,
            signals: Vec::new(),
            gpus: Vec::new(),
            holders: PastHolders::default(),
            counts: Counts::new(&recording.incidents()?),
            xid_codes: BTreeSet::new(),
            damage: Damage::default(),
            is_simulated: false,
        };
        if let Some(before) = range.from.0.checked_sub(1) {
            let before = Range { from: Range::ALL.from, to: Time(before) };
            recording.read(before, &mut |item| {
                if let Item::Event(event) = item {
                    survey.holders.take(event);
                    survey.counts.take(event);
                }
                ControlFlow::Continue(())
            })?;
        }
        survey.xid_codes.extend(survey.counts.xid_codes());
        let mut newest = None;
        let (mut holders, mut is_first_process) = (survey.holders.clone(), true);
        survey.damage = recording.read(range, &mut |item| {
            match item {
                Item::Layout(layout) => newest = Some(std::sync::Arc::clone(layout)),
                Item::Event(event) => {
                    survey.events += 1;
                    if let What::Xid { code, .. } = event.what {
                        survey.xid_codes.insert(code);
                    }
                    is_first_process &= !matches!(event.what, What::Started { .. });
                    if is_first_process {
                        holders.take_first(event, &mut survey.holders);
                    }
                }
                Item::Row(_) => {
                    survey.rows += 1;
                    if let Some(layout) = newest.take() {
                        survey.is_simulated |= layout.host.is_simulated();
                        add_new(&mut survey.signals, &layout.signals, |one, other| {
                            one.number == other.number && one.name == other.name
                        });
                        add_new(&mut survey.gpus, &layout.gpus, GpuInfo::is_same);
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(survey)
    }

    /// The position of a GPU.
    pub(super) fn position(&self, gpu: &GpuInfo) -> Option<usize> {
        self.gpus.iter().position(|known| known.is_same(gpu))
    }
}

/// Adds those of `new` that are the same as no known one.
fn add_new<T: Clone>(known: &mut Vec<T>, new: &[T], is_same: impl Fn(&T, &T) -> bool) {
    for one in new {
        if !known.iter().any(|other| is_same(other, one)) {
            known.push(one.clone());
        }
    }
}
