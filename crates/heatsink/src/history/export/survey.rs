//! What a recording has in a range, before it is exported: rows, signals, GPUs, and who had them at its begin.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anyhow::Result;
use history::event::What;
use history::layout::{GpuInfo, SignalInfo};
use history::recording::{Damage, Item, ReadError, Recording};
use history::time::Range;

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
    /// The largest number of holders of one GPU, at least 1.
    pub(super) most_holders: u64,
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
    /// Reads the range once, and the events that were recorded before it.
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
            most_holders: 1,
            counts: Counts::new(&recording.incidents()?),
            xid_codes: BTreeSet::new(),
            damage: Damage::default(),
            is_simulated: false,
        };
        // By the order of recording: a clock that was set back has later events at earlier times.
        if range.from > Range::ALL.from {
            let until = Range { from: Range::ALL.from, to: range.to };
            recording.events(until, &mut |event| {
                if range.contains(event.time) {
                    return ControlFlow::Break(());
                }
                survey.holders.take(event);
                survey.counts.take(event);
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
                    } else {
                        holders.take(event);
                    }
                    let most = holders.most().max(survey.holders.most());
                    survey.most_holders = survey.most_holders.max(most as u64);
                }
                Item::Row(_) => {
                    survey.rows += 1;
                    if let Some(layout) = newest.take() {
                        survey.is_simulated |= layout.host.is_simulated();
                        add_new(&mut survey.signals, &layout.signals, |one, other| {
                            one.number == other.number && one.name == other.name
                        });
                        add_new(&mut survey.gpus, &layout.gpus, GpuInfo::is_same);
                        complete(&mut survey.gpus, &layout.gpus);
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

/// Adds what is known of a GPU by now: before it first answers, that may only be its index, which another GPU has
/// later.
fn complete(known: &mut [GpuInfo], newer: &[GpuInfo]) {
    for gpu in known.iter_mut().filter(|gpu| gpu.uuid.is_none() || gpu.pci_bus_id.is_none()) {
        if let Some(newer) = newer.iter().find(|newer| newer.is_same(gpu)) {
            gpu.uuid = gpu.uuid.take().or_else(|| newer.uuid.clone());
            gpu.pci_bus_id = gpu.pci_bus_id.take().or_else(|| newer.pci_bus_id.clone());
        }
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
