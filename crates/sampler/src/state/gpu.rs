//! What is known of one GPU.

use std::sync::Arc;
use std::time::Duration;

use model::{Down, Entity, Identity, Kind, Moment, ReaderKind};

use crate::settings::Settings;
use crate::state::history::History;
use crate::state::plan::{self, Plan};
use crate::state::reader::{ReaderPart, ReaderState};

/// One GPU, or all that belongs to none.
pub(crate) struct GpuState {
    pub(crate) index: u32,
    /// Known once it has answered, or been found on the bus.
    pub(crate) identity: Option<Arc<Identity>>,
    /// Whether the session lists it.
    pub(crate) listed: bool,
    pub(crate) missing_since: Option<Moment>,
    pub(crate) readers: Vec<ReaderState>,
    pub(crate) history: History,
    /// How long its last complete pass took in the driver.
    pub(crate) pass_duration: Option<Duration>,
    /// What was last reported to the log.
    pub(crate) reported: Option<Result<(), Down>>,
}

/// A GPU that has no index of its own: one that another GPU replaced, or one that the driver does not
/// list.
#[derive(Clone)]
pub(crate) struct AbsentGpu {
    pub(crate) identity: Arc<Identity>,
    pub(crate) history: History,
    pub(crate) since: Moment,
}

impl AbsentGpu {
    pub(crate) fn has_address(&self, pci_bus_id: &str) -> bool {
        self.identity.pci_bus_id.as_deref() == Some(pci_bus_id)
    }
}

impl GpuState {
    pub(crate) fn new(index: u32) -> Self {
        Self {
            index,
            identity: None,
            listed: false,
            missing_since: None,
            readers: Vec::new(),
            history: History::default(),
            pass_duration: None,
            reported: None,
        }
    }

    /// Its PCI address, if it is known.
    pub(crate) fn address(&self) -> Option<&String> {
        self.identity.as_deref()?.pci_bus_id.as_ref()
    }

    pub(crate) fn is(&self, other: &Identity) -> bool {
        self.identity.as_deref().is_some_and(|identity| identity.is_same_gpu(other))
    }

    pub(crate) fn set_listed(&mut self, listed: bool, now: Moment) {
        self.listed = listed;
        self.missing_since = if listed { None } else { self.missing_since.or(Some(now)) };
    }

    /// The reader that decides whether the GPU is up.
    pub(crate) fn main_reader(&self) -> Option<&ReaderState> {
        self.readers.iter().find(|reader| reader.kind == ReaderKind::Main)
    }

    /// The reader whose thread has this number.
    pub(crate) fn reader_mut(&mut self, number: u64) -> Option<&mut ReaderState> {
        self.readers.iter_mut().find(|reader| reader.number == number)
    }

    /// Puts a new reader in the place of the one with its name, with what that one has read. Its
    /// readings stay good until they are late, so a new session makes no gap.
    pub(crate) fn take_over(&mut self, mut new: ReaderState, settings: &Settings, now: Moment) {
        let old = self.readers.iter().position(|old| old.name == new.name);
        if let Some(mut old) = old.map(|position| self.readers.swap_remove(position)) {
            let late_after = settings.late_after(settings.interval.max(old.cadence));
            // A success that is late by now would make the new reader late before its first pass.
            new.last_ok = old.last_ok.filter(|at| now - *at < late_after);
            (new.down, new.cadence) = (old.down, old.cadence);
            // Without the counter checks: whatever made the session new may have reset counters.
            plan::inherit(&mut new.parts[0].part, &old.parts[0].part);
            new.parts.extend(old.parts.drain(1..).map(|kept| ReaderPart::new(kept.part)));
        }
        self.readers.push(new);
    }

    /// Remembers the labels and the instances, to show them while the GPU is down.
    pub(crate) fn remember(&mut self, plan: &Plan) {
        let working = || self.readers.iter().filter(|reader| reader.down.is_none());
        let labels = &mut self.history.labels;
        labels.clear();
        for reader in working() {
            for (_, index, read) in reader.parts[0].part.iter() {
                if plan.watches[index].kind == Kind::Label
                    && let Ok(value) = &read.reading
                {
                    labels.push((index, value.clone()));
                }
            }
        }
        let entities = working().flat_map(|reader| &reader.parts).map(|kept| &kept.part.entity);
        let instances = entities.filter_map(|entity| match entity {
            Entity::Instance(instance) => Some(instance),
            _ => None,
        });
        let mut instances: Vec<_> = instances.collect();
        instances.sort();
        if !instances.iter().copied().eq(&self.history.instances) {
            let instances = instances.into_iter().map(Arc::clone).collect();
            self.history.set_instances(instances);
        }
    }
}
