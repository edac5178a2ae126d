//! How busy a GPU is.

use model::{Quantity, field};
use nvml_wrapper_sys::bindings as sys;

use crate::call::function;
use crate::code::Code;
use crate::convert::{percent, ratio};
use crate::device::Device;
use crate::row::{Row, many, samples};

pub(super) static ROWS: &[Row] = &[
    many(
        "nvmlDeviceGetUtilizationRates",
        &[field::GPU_UTIL, field::MEM_COPY_UTIL, field::GPU_UTIL_RATIO, field::MEMORY_UTIL_RATIO],
        |gpu, answers| {
            let sys::nvmlUtilization_st { gpu: kernel, memory } = utilization(gpu)?;
            answers.extend([percent(kernel), percent(memory), ratio(kernel), ratio(memory)]);
            Ok(())
        },
    ),
    many(
        "nvmlDeviceGetEncoderUtilization",
        &[field::ENC_UTIL, field::ENC_UTIL_RATIO],
        |gpu, answers| {
            let (busy, _period) = gpu.pair(|nvml| &nvml.nvmlDeviceGetEncoderUtilization)?;
            answers.extend([percent(busy), ratio(busy)]);
            Ok(())
        },
    ),
    many(
        "nvmlDeviceGetDecoderUtilization",
        &[field::DEC_UTIL, field::DEC_UTIL_RATIO],
        |gpu, answers| {
            let (busy, _period) = gpu.pair(|nvml| &nvml.nvmlDeviceGetDecoderUtilization)?;
            answers.extend([percent(busy), ratio(busy)]);
            Ok(())
        },
    ),
    samples(
        Quantity::GpuUtilization,
        sys::nvmlSamplingType_enum_NVML_GPU_UTILIZATION_SAMPLES,
        ratio,
    ),
    samples(
        Quantity::MemoryUtilization,
        sys::nvmlSamplingType_enum_NVML_MEMORY_UTILIZATION_SAMPLES,
        ratio,
    ),
];

/// Shares of time, in percent: a kernel ran, the memory controller was busy.
fn utilization(gpu: &Device) -> Result<sys::nvmlUtilization_t, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetUtilizationRates)?;
    let mut rates = sys::nvmlUtilization_t { gpu: 0, memory: 0 };
    // SAFETY: the call writes one such struct, to a live local.
    Code::check(unsafe { get(gpu.handle, &mut rates) })?;
    Ok(rates)
}
