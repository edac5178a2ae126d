//! The inputs of families, and samples that many families share.

use std::time::{SystemTime, UNIX_EPOCH};

use model::{Attribution, FieldId, GpuView, Snapshot, WatchIndex};

use crate::gpus::GpuRow;
use crate::layout::Layout;
use crate::settings::Settings;
use crate::text::{Family, Number};

/// The inputs of families.
pub(crate) struct Inputs<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) settings: &'a Settings,
    pub(crate) layout: &'a Layout,
    /// Who uses the GPUs; `None` if nothing looks for that.
    pub(crate) attribution: Option<&'a Attribution>,
    /// The GPUs of the snapshot with their labels.
    pub(crate) gpus: &'a [GpuRow<'a>],
}

impl Inputs<'_> {
    /// The watch of a field from which other families are derived: a hidden watch, else one of a
    /// counters file, which may have another interval.
    pub(crate) fn watch(&self, field: FieldId) -> Option<WatchIndex> {
        model::watch_of(&self.snapshot.watches, field)
    }
}

/// Writes the samples of a family.
pub(crate) type Samples = fn(&Inputs<'_>, &mut Family<'_>);

/// Writes a sample for each GPU that has a value.
pub(crate) fn per_gpu<N: Into<Number>>(
    inputs: &Inputs<'_>,
    family: &mut Family<'_>,
    value: impl Fn(&GpuView) -> Option<N>,
) {
    for gpu in inputs.gpus {
        if let Some(value) = value(gpu.view) {
            family.sample(&gpu.labels, value);
        }
    }
}

/// Seconds since 1970; `None` for an earlier time, which comes from a clock that was not set.
pub(crate) fn since_1970(time: SystemTime) -> Option<Number> {
    Some(time.duration_since(UNIX_EPOCH).ok()?.into())
}
