//! The labels of a GPU's series, to notice when they change.

use model::{Gpu, Value, WatchIndex};

/// What the labels of a GPU's series are made of.
#[derive(Clone)]
pub(crate) struct SeriesLabels {
    pub(crate) gpu: Gpu,
    /// The label watches.
    pub(crate) rows: Vec<(WatchIndex, Value)>,
    /// Whether its series may be those of its instances.
    pub(crate) has_instances: bool,
}

impl SeriesLabels {
    /// Whether series have the same labels with both.
    pub(crate) fn are_those_of(&self, other: &Self) -> bool {
        fn identity(gpu: &Gpu) -> Option<[&Option<String>; 3]> {
            let identity = gpu.identity.as_deref()?;
            Some([&identity.uuid, &identity.pci_bus_id, &identity.model_name])
        }
        self.gpu.index == other.gpu.index
            && identity(&self.gpu) == identity(&other.gpu)
            && self.rows == other.rows
            && self.has_instances == other.has_instances
    }
}
