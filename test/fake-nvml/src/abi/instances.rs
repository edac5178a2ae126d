//! GPU instances, those without a compute instance included, which no MIG device shows.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{
    NVML_GPU_INSTANCE_PROFILE_COUNT, nvmlDevice_t, nvmlGpuInstance_t, nvmlGpuInstanceInfo_t,
    nvmlGpuInstancePlacement_t, nvmlGpuInstanceProfileInfo_v2_t, nvmlReturn_t,
};

use super::{
    answer,
    out::{Out, text_in, version},
};
use crate::{
    board::{Instance, slices},
    call::Call,
    refusal::Refusal,
    session,
};

/// A MIG profile: the ids are those of an A100 or H100.
struct Profile {
    /// `NVML_GPU_INSTANCE_PROFILE_*`.
    number: c_uint,
    id: c_uint,
    slices: c_uint,
    memory_eighths: u64,
    at_most: c_uint,
    extras: &'static str,
}

const PROFILES: [Profile; 6] = [
    Profile { number: 0, id: 19, slices: 1, memory_eighths: 1, at_most: 7, extras: "" },
    Profile { number: 1, id: 14, slices: 2, memory_eighths: 2, at_most: 3, extras: "" },
    Profile { number: 2, id: 9, slices: 3, memory_eighths: 4, at_most: 2, extras: "" },
    Profile { number: 3, id: 5, slices: 4, memory_eighths: 4, at_most: 1, extras: "" },
    Profile { number: 4, id: 0, slices: 7, memory_eighths: 8, at_most: 1, extras: "" },
    Profile { number: 7, id: 20, slices: 1, memory_eighths: 1, at_most: 1, extras: "+me" },
];

fn profile_id(instance: &Instance) -> c_uint {
    let slices = slices(&instance.profile);
    let is_it = |known: &&Profile| {
        known.slices == slices && instance.profile.ends_with("+me") != known.extras.is_empty()
    };
    let known = PROFILES.iter().find(is_it).map(|known| known.id);
    instance.profile_id.or(known).unwrap_or(c_uint::MAX)
}

/// A profile on one GPU.
fn profile_info(call: &Call, number: c_uint) -> Result<nvmlGpuInstanceProfileInfo_v2_t, Refusal> {
    if number >= NVML_GPU_INSTANCE_PROFILE_COUNT {
        return Err(Refusal::INVALID_ARGUMENT);
    }
    call.mig().filter(|mig| mig.current == 1).ok_or(Refusal::NOT_SUPPORTED)?;
    let profile = PROFILES.iter().find(|known| known.number == number);
    let profile = profile.ok_or(Refusal::NOT_SUPPORTED)?;
    let memory =
        call.board.memory.ok_or(Refusal::NOT_SUPPORTED)?.total / 8 * profile.memory_eighths;
    let gigabytes = (memory as f64 / f64::from(1 << 30)).round();
    Ok(nvmlGpuInstanceProfileInfo_v2_t {
        version: version::<nvmlGpuInstanceProfileInfo_v2_t>(2),
        id: profile.id,
        isP2pSupported: 0,
        sliceCount: profile.slices,
        instanceCount: profile.at_most,
        multiprocessorCount: 14 * profile.slices,
        copyEngineCount: profile.slices,
        decoderCount: profile.slices / 2,
        encoderCount: 0,
        jpegCount: 0,
        ofaCount: 0,
        memorySizeMB: memory >> 20,
        name: text_in(&format!("MIG {}g.{gigabytes}gb{}", profile.slices, profile.extras)),
    })
}

device_functions! {
    nvmlDeviceGetGpuInstanceProfileInfoV[on](profile: c_uint)
        -> nvmlGpuInstanceProfileInfo_v2_t, version 2: profile_info;
}

/// The caller does not say how much room there is: it must suffice for as many as the profile has
/// at most.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetGpuInstances(
    device: nvmlDevice_t,
    profile: c_uint,
    instances: *mut nvmlGpuInstance_t,
    count: *mut c_uint,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML a place for the number, and one for a handle at least.
        let (count, _first) = unsafe { (Out::new(count)?, Out::new(instances)?) };
        let call = Call::on("nvmlDeviceGetGpuInstances", device)?;
        call.mig().filter(|mig| mig.current == 1).ok_or(Refusal::NOT_SUPPORTED)?;
        let known = PROFILES.iter().find(|known| known.id == profile);
        let at_most = known.ok_or(Refusal::INVALID_ARGUMENT)?.at_most as usize;
        let all = call.instances();
        let of_profile = all.iter().filter(|instance| profile_id(instance) == profile);
        let mut found = 0;
        for instance in of_profile.take(at_most) {
            let handle = call.session.instance_handle(call.gpu, instance.id);
            // SAFETY: the caller promises places for as many as there are at most.
            unsafe { instances.add(found).write(handle) };
            found += 1;
        }
        count.set(found as c_uint);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpuInstanceGetInfo(
    instance: nvmlGpuInstance_t,
    info: *mut nvmlGpuInstanceInfo_t,
) -> nvmlReturn_t {
    answer(|| {
        let (session, faults) = session::current()?;
        // SAFETY: the caller promises NVML a place for the struct.
        let out = unsafe { Out::new(info) }?;
        let (gpu, id) = session.instance(instance)?;
        let call = Call::reach("nvmlGpuInstanceGetInfo", session, faults, gpu)?;
        let instances = call.instances();
        let known = instances.iter().find(|known| known.id == id);
        let known = known.ok_or(Refusal::INVALID_ARGUMENT)?;
        let size = slices(&known.profile);
        let (start, size) = known.placement.map_or((0, size), |place| (place.start, place.size));
        out.set(nvmlGpuInstanceInfo_t {
            device: call.session.handle(gpu),
            id,
            profileId: profile_id(known),
            placement: nvmlGpuInstancePlacement_t { start, size },
        });
        Ok(())
    })
}
