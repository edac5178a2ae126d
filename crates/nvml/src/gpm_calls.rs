//! The driver's side of profiling metrics: samples of all counters, and averages between two of them.

use std::mem;
use std::ptr;
use std::sync::Arc;

use nvml_wrapper_sys::bindings as sys;

use crate::call::function;
use crate::code::Code;
use crate::device::Device;
use crate::entry;
use crate::library::Library;

/// How many metrics go in one call. Drivers refuse more than their own header has room for, and the
/// first that could do this had room for so many.
pub(crate) const MOST_METRICS: usize = 98;

/// The entity that is sampled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SampledEntity {
    /// The device of the handle: a GPU, or a compute instance.
    Device,
    /// A GPU instance, by its number, of the GPU of the handle.
    GpuInstance(u32),
    /// A GPU instance without compute instances, which has no samples.
    EmptyInstance,
}

/// A sample buffer that NVML allocated.
pub(crate) struct Sample {
    library: Arc<Library>,
    raw: sys::nvmlGpmSample_t,
}

// SAFETY: a sample is a buffer without ties to a thread; only its owner uses it.
unsafe impl Send for Sample {}

impl Sample {
    pub(crate) fn new(library: &Arc<Library>) -> Result<Self, Code> {
        let allocate = function(&library.symbols.nvmlGpmSampleAlloc)?;
        let mut raw = ptr::null_mut();
        // SAFETY: the call writes one pointer, to a live local.
        Code::check(unsafe { allocate(&mut raw) })?;
        Ok(Self { library: Arc::clone(library), raw })
    }

    /// Fills it with the present counters.
    pub(crate) fn take(&self, device: &Device, entity: SampledEntity) -> Result<(), Code> {
        match entity {
            SampledEntity::Device => {
                let get = function(&self.library.symbols.nvmlGpmSampleGet)?;
                // SAFETY: handle and sample are of the same library, which allocated the sample.
                Code::check(unsafe { get(device.handle, self.raw) })
            }
            SampledEntity::GpuInstance(id) => {
                let get = function(&self.library.symbols.nvmlGpmMigSampleGet)?;
                // SAFETY: as above; numbers of instances that are not there are refused.
                Code::check(unsafe { get(device.handle, id, self.raw) })
            }
            SampledEntity::EmptyInstance => Err(Code::NOT_FOUND),
        }
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        if let Ok(free) = function(&self.library.symbols.nvmlGpmSampleFree) {
            // A failure to free leaves nothing to do about it.
            // SAFETY: the sample was allocated by this library and is not used after this.
            let _ = unsafe { free(self.raw) };
        }
    }
}

/// A request for metrics. It is large, so all that read metrics of one GPU share it.
pub(crate) struct MetricsRequest {
    raw: Box<sys::nvmlGpmMetricsGet_t>,
}

// SAFETY: the request holds pointers to samples, which are set before each use, and to names inside
// the library, which are not used.
unsafe impl Send for MetricsRequest {}

/// One metric of a request.
pub(crate) type Metric = sys::nvmlGpmMetric_t;

impl MetricsRequest {
    pub(crate) fn new() -> Self {
        // SAFETY: all-zero bytes are a valid value of this C struct of integers, floats and null
        // pointers.
        let raw: sys::nvmlGpmMetricsGet_t = unsafe { mem::zeroed() };
        Self { raw: Box::new(raw) }
    }

    /// Asks for metrics, by NVML's numbers: at most [`MOST_METRICS`], for drivers to take them all.
    pub(crate) fn fill(&mut self, numbers: impl Iterator<Item = u32>) {
        self.raw.version = sys::NVML_GPM_METRICS_GET_VERSION;
        self.raw.numMetrics = 0;
        for (metric, number) in self.raw.metrics.iter_mut().zip(numbers) {
            metric.metricId = number;
            metric.nvmlReturn = entry::UNANSWERED;
            metric.value = f64::NAN;
            self.raw.numMetrics += 1;
        }
    }

    /// Makes the call: averages between two samples.
    pub(crate) fn send(
        &mut self,
        library: &Library,
        earlier: &Sample,
        later: &Sample,
    ) -> Result<(), Code> {
        let get = function(&library.symbols.nvmlGpmMetricsGet)?;
        (self.raw.sample1, self.raw.sample2) = (earlier.raw, later.raw);
        // SAFETY: the request is of the version that it carries, and holds as many metrics as it
        // says; both samples were allocated by NVML and live until the call returns.
        Code::check(unsafe { get(&mut *self.raw) })
    }

    /// The metrics that were asked for.
    pub(crate) fn metrics(&self) -> &[Metric] {
        &self.raw.metrics[..self.raw.numMetrics as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_room_for_what_is_asked_at_once() {
        let request = MetricsRequest::new();
        assert!(MOST_METRICS <= request.raw.metrics.len());
    }
}
