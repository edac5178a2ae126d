//! `nvmlDeviceGetSamples`: the driver's sample buffers.

use std::{
    ffi::{c_uint, c_ulonglong},
    sync::PoisonError,
};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlReturn_t, nvmlSample_t,
    nvmlSamplingType_enum_NVML_GPU_UTILIZATION_SAMPLES as GPU_UTILIZATION,
    nvmlSamplingType_enum_NVML_MEMORY_CLK_SAMPLES as MEMORY_CLOCK,
    nvmlSamplingType_enum_NVML_MEMORY_UTILIZATION_SAMPLES as MEMORY_UTILIZATION,
    nvmlSamplingType_enum_NVML_PROCESSOR_CLK_SAMPLES as SM_CLOCK,
    nvmlSamplingType_enum_NVML_SAMPLINGTYPE_COUNT as KINDS,
    nvmlSamplingType_enum_NVML_TOTAL_POWER_SAMPLES as POWER, nvmlSamplingType_t, nvmlValue_t,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT as UNSIGNED_INT, nvmlValueType_t,
};

use super::{answer, out::Out};
use crate::{
    call::Call,
    refusal::Refusal,
    samples::{CAPACITY, Quantity, Sample, now_us},
    session,
};

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetSamples(
    device: nvmlDevice_t,
    kind: nvmlSamplingType_t,
    last_seen_us: c_ulonglong,
    value_type: *mut nvmlValueType_t,
    count: *mut c_uint,
    samples: *mut nvmlSample_t,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML two places for one number each.
        let (type_out, count_out) = unsafe { (Out::new(value_type)?, Out::new(count)?) };
        // SAFETY: the place is not null; where the samples are not, it says how many fit there.
        let room = if samples.is_null() { 0 } else { unsafe { count.read() } };
        let quantity = quantity(kind)?;
        let call = Call::on("nvmlDeviceGetSamples", device)?;
        let quantity = quantity.ok_or(Refusal::NOT_SUPPORTED)?;
        let source = call.board.samples.of(quantity);
        let source = match quantity {
            Quantity::GpuUtilization | Quantity::MemoryUtilization => call.outside_mig(source),
            _ => source,
        };
        let source = source.ok_or(Refusal::NOT_SUPPORTED)?;
        type_out.set(UNSIGNED_INT);
        if samples.is_null() {
            count_out.set(CAPACITY as c_uint);
            return Ok(());
        }
        if room == 0 {
            return Err(Refusal::INVALID_ARGUMENT);
        }
        let spikes = call.session.watch.spikes(call.gpu);
        let recorder = call.session.recorders.get(call.gpu).ok_or(Refusal::INVALID_ARGUMENT)?;
        let mut recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        let recorded = recorder.record(quantity, source, &spikes, now_us());
        let newer = recorded.iter().filter(|sample| sample.timestamp_us > last_seen_us);
        let mut written = 0;
        for sample in newer.take(room as usize) {
            // SAFETY: the caller promises `room` places, and no more are taken.
            unsafe { samples.add(written).write(encode(*sample)) };
            written += 1;
        }
        count_out.set(written as c_uint);
        if written == 0 { Err(Refusal::NOT_FOUND) } else { Ok(()) }
    })
}

/// None for quantities that no board here samples.
fn quantity(kind: nvmlSamplingType_t) -> Result<Option<Quantity>, Refusal> {
    match kind {
        POWER => Ok(Some(Quantity::Power)),
        GPU_UTILIZATION => Ok(Some(Quantity::GpuUtilization)),
        MEMORY_UTILIZATION => Ok(Some(Quantity::MemoryUtilization)),
        SM_CLOCK => Ok(Some(Quantity::SmClock)),
        MEMORY_CLOCK => Ok(Some(Quantity::MemoryClock)),
        kind if kind < KINDS => Ok(None),
        _ => Err(Refusal::INVALID_ARGUMENT),
    }
}

fn encode(sample: Sample) -> nvmlSample_t {
    // The widest member first, so that no byte of the union is left undefined.
    let mut value = nvmlValue_t { ullVal: 0 };
    value.uiVal = sample.value;
    nvmlSample_t { timeStamp: sample.timestamp_us, sampleValue: value }
}
