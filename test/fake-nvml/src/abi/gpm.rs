//! GPM: samples, and the metrics between two of them.

use std::{
    ffi::{CStr, c_char, c_uint},
    ptr,
    sync::{Mutex, PoisonError},
};

use nvml_wrapper_sys::bindings::{
    NVML_GPM_METRICS_GET_VERSION, NVML_GPM_SUPPORT_VERSION, nvmlDevice_t, nvmlGpmMetric_t,
    nvmlGpmMetric_t__bindgen_ty_1 as nvmlGpmMetricInfo_t, nvmlGpmMetricId_t_NVML_GPM_METRIC_MAX,
    nvmlGpmMetricsGet_t, nvmlGpmSample_t, nvmlGpmSupport_t, nvmlReturn_enum_NVML_SUCCESS,
    nvmlReturn_t,
};

use super::{answer, out::Out};
use crate::{
    call::{Call, MigDevice},
    gpm::{Gpm, METRICS, Sample},
    refusal::Refusal,
    session::{self, Session},
};

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmQueryDeviceSupport(
    device: nvmlDevice_t,
    support: *mut nvmlGpmSupport_t,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML a place for the struct.
        let out = unsafe { Out::new(support) }?;
        // SAFETY: the place is not null, and the caller promises that its version is filled in.
        let version = unsafe { (&raw const (*support).version).read() };
        if version != NVML_GPM_SUPPORT_VERSION {
            return Err(Refusal::ARGUMENT_VERSION_MISMATCH);
        }
        let call = Call::on_any("nvmlGpmQueryDeviceSupport", device)?;
        let is_supported =
            call.board.gpm.is_some() && refusal(&call) != Some(Refusal::NOT_SUPPORTED);
        out.set(nvmlGpmSupport_t { version, isSupportedDevice: is_supported.into() });
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmSampleAlloc(sample: *mut nvmlGpmSample_t) -> nvmlReturn_t {
    answer(|| {
        let (session, _) = session::current()?;
        // SAFETY: the caller promises NVML a place for one handle.
        let out = unsafe { Out::new(sample) }?;
        out.set(session.samples.insert(Mutex::new(None)));
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlGpmSampleFree(sample: nvmlGpmSample_t) -> nvmlReturn_t {
    answer(|| {
        let (session, _) = session::current()?;
        session.samples.remove(sample)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlGpmSampleGet(device: nvmlDevice_t, sample: nvmlGpmSample_t) -> nvmlReturn_t {
    answer(|| {
        let call = Call::on_any("nvmlGpmSampleGet", device)?;
        let Some(MigDevice { instance, compute }) = &call.mig_device else {
            return take(&call, sample, None, call.board.gpm.as_ref());
        };
        let gpm = compute.gpm.as_ref().or(instance.gpm.as_ref());
        take(&call, sample, Some((instance.id, Some(compute.id))), gpm)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlGpmMigSampleGet(
    device: nvmlDevice_t,
    instance: c_uint,
    sample: nvmlGpmSample_t,
) -> nvmlReturn_t {
    answer(|| {
        let call = Call::on("nvmlGpmMigSampleGet", device)?;
        let instances = call.instances();
        let instance = instances.iter().find(|known| known.id == instance);
        let instance = instance.ok_or(Refusal::INVALID_ARGUMENT)?;
        if instance.compute_instances.is_empty() {
            return Err(Refusal::NO_DATA);
        }
        take(&call, sample, Some((instance.id, None)), instance.gpm.as_ref())
    })
}

/// Puts into a sample what there is, which is nothing where the board has no GPM.
fn take(
    call: &Call,
    sample: nvmlGpmSample_t,
    instance: Option<(u32, Option<u32>)>,
    gpm: Option<&Gpm>,
) -> Result<(), Refusal> {
    let slot = call.session.samples.get(sample)?;
    if let Some(refusal) = refusal(call) {
        return Err(refusal);
    }
    let gpm = gpm.ok_or(Refusal::NOT_SUPPORTED)?.clone();
    let taken = Sample { gpu: call.gpu, instance, gpm };
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmMetricsGet(request: *mut nvmlGpmMetricsGet_t) -> nvmlReturn_t {
    answer(|| {
        let (session, faults) = session::current()?;
        if request.is_null() {
            return Err(Refusal::INVALID_ARGUMENT);
        }
        // SAFETY: the request is not null, and the caller promises that these are filled in. No
        // reference to the whole is made: headers differ in how many metrics it has room for.
        let (version, count, first, second) = unsafe {
            (
                (&raw const (*request).version).read(),
                (&raw const (*request).numMetrics).read(),
                (&raw const (*request).sample1).read(),
                (&raw const (*request).sample2).read(),
            )
        };
        if version != NVML_GPM_METRICS_GET_VERSION {
            return Err(Refusal::ARGUMENT_VERSION_MISMATCH);
        }
        if count > nvmlGpmMetricId_t_NVML_GPM_METRIC_MAX {
            return Err(Refusal::INVALID_ARGUMENT);
        }
        let (first, second) = (sample(&session, first)?, sample(&session, second)?);
        if (first.gpu, first.instance) != (second.gpu, second.instance) {
            return Err(Refusal::INVALID_ARGUMENT);
        }
        Call::reach("nvmlGpmMetricsGet", session, faults, second.gpu)?;
        // SAFETY: this only computes where the metrics begin.
        let metrics = unsafe { &raw mut (*request).metrics }.cast::<nvmlGpmMetric_t>();
        for i in 0..count as usize {
            // SAFETY: the caller promises `count` metrics, and `i` is below that.
            unsafe { fill(metrics.add(i), &first.gpm, &second.gpm) };
        }
        Ok(())
    })
}

/// Fills one metric; where there is none, only its result, as for field values.
///
/// # Safety
///
/// `metric` must be valid for reading and writing, and its `metricId` initialised.
unsafe fn fill(metric: *mut nvmlGpmMetric_t, first: &Gpm, second: &Gpm) {
    // SAFETY: the caller promises that the id is initialised.
    let id = unsafe { (&raw const (*metric).metricId).read() };
    match Gpm::metric(first, second, id) {
        Ok(value) => {
            let filled = nvmlGpmMetric_t {
                metricId: id,
                nvmlReturn: nvmlReturn_enum_NVML_SUCCESS,
                value,
                metricInfo: info(id),
            };
            // SAFETY: the caller promises that the metric can be written.
            unsafe { metric.write(filled) };
        }
        Err(Refusal(code)) => {
            // SAFETY: the caller promises that the metric can be written.
            unsafe { (&raw mut (*metric).nvmlReturn).write(code) };
        }
    }
}

fn info(id: c_uint) -> nvmlGpmMetricInfo_t {
    // The header's pointers are not const, but must not be written through.
    let pointer = |text: &'static CStr| text.as_ptr().cast_mut();
    let nothing: *mut c_char = ptr::null_mut();
    match METRICS.iter().find(|(known, ..)| *known == id) {
        Some((_, short, long, unit)) => nvmlGpmMetricInfo_t {
            shortName: pointer(short),
            longName: pointer(long),
            unit: pointer(unit),
        },
        None => nvmlGpmMetricInfo_t { shortName: nothing, longName: nothing, unit: nothing },
    }
}

/// What a sample holds; one that was never taken is no argument.
fn sample(session: &Session, handle: nvmlGpmSample_t) -> Result<Sample, Refusal> {
    let slot = session.samples.get(handle)?;
    let taken = slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
    taken.ok_or(Refusal::INVALID_ARGUMENT)
}

fn refusal(call: &Call) -> Option<Refusal> {
    call.faults().and_then(|faults| faults.refusal_of_gpm())
}
