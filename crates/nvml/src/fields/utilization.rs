//! How busy a GPU is.

use model::Quantity;
use nvml_wrapper_sys::bindings as sys;

use crate::call::function;
use crate::code::Code;
use crate::convert::{percent, ratio};
use crate::device::Device;
use crate::row::{Row, many, samples};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    many!(nvmlDeviceGetUtilizationRates,
        [GPU_UTIL, MEM_COPY_UTIL, GPU_UTIL_RATIO, MEMORY_UTIL_RATIO], |gpu| {
            let sys::nvmlUtilization_st { gpu: kernel, memory } = utilization(gpu)?;
            [percent(kernel), percent(memory), ratio(kernel), ratio(memory)]
        }),
    many!(nvmlDeviceGetEncoderUtilization, [ENC_UTIL, ENC_UTIL_RATIO], |gpu| {
        let (busy, _period) = gpu.pair(|nvml| &nvml.nvmlDeviceGetEncoderUtilization)?;
        [percent(busy), ratio(busy)]
    }),
    many!(nvmlDeviceGetDecoderUtilization, [DEC_UTIL, DEC_UTIL_RATIO], |gpu| {
        let (busy, _period) = gpu.pair(|nvml| &nvml.nvmlDeviceGetDecoderUtilization)?;
        [percent(busy), ratio(busy)]
    }),
    samples(Quantity::GpuUtilization, sys::nvmlSamplingType_enum_NVML_GPU_UTILIZATION_SAMPLES, ratio),
    samples(Quantity::MemoryUtilization, sys::nvmlSamplingType_enum_NVML_MEMORY_UTILIZATION_SAMPLES, ratio),
];

/// Shares of time, in percent: a kernel ran, the memory controller was busy.
fn utilization(gpu: &Device) -> Result<sys::nvmlUtilization_t, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetUtilizationRates)?;
    let mut rates = sys::nvmlUtilization_t { gpu: 0, memory: 0 };
    // SAFETY: the call writes one such struct, to a live local.
    Code::check(unsafe { get(gpu.handle, &mut rates) })?;
    Ok(rates)
}
