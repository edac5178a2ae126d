//! MIG: whether a GPU is partitioned, which instances it has, and how big they are.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::mem;
use std::ptr;
use std::sync::Arc;

use model::Reason;
use nvml_wrapper_sys::bindings as sys;

use crate::call::{function, version};
use crate::code::Code;
use crate::device::Device;

/// The kinds of GPU instances that NVML tells apart; drivers know fewer, or a few more.
const PROFILES: u32 = 32;

/// More GPU instances than this no GPU can have.
const MOST_INSTANCES: usize = 16;

/// A MIG device, which is a compute instance.
pub(crate) struct MigDevice {
    /// The driver's number of it on its GPU.
    pub(crate) number: u32,
    pub(crate) gpu_instance: u32,
    pub(crate) compute_instance: u32,
    /// As in `1c.3g.20gb`.
    pub(crate) profile: String,
    pub(crate) device: Device,
}

impl MigDevice {
    /// As holders of devices name it; `None` if the driver does not say its UUID.
    pub(crate) fn for_holders(&self) -> Option<model::MigDevice> {
        let uuid = self.device.text(|nvml| &nvml.nvmlDeviceGetUUID).ok()?;
        let Self { number, compute_instance, .. } = *self;
        Some(model::MigDevice { number, compute_instance, uuid })
    }
}

impl PartialEq for MigDevice {
    fn eq(&self, other: &Self) -> bool {
        let key =
            |one: &Self| (one.number, one.gpu_instance, one.compute_instance, one.device.handle);
        key(self) == key(other) && self.profile == other.profile
    }
}

/// A kind of GPU instance that a GPU can be cut into.
struct Profile {
    id: u32,
    /// As the driver writes it: `MIG 1g.10gb`.
    name: String,
}

/// Whether MIG is on. GPUs without it answer that it is off.
pub(crate) fn is_enabled(gpu: &Device) -> Result<bool, Code> {
    match gpu.pair(|nvml| &nvml.nvmlDeviceGetMigMode) {
        Ok((current, _pending)) => Ok(current != 0),
        Err(code) if code.reason() == Reason::NotSupported => Ok(false),
        Err(code) => Err(code),
    }
}

/// How many MIG devices there can be, and those that there are.
pub(crate) fn scan(gpu: &Device) -> Result<(u32, Vec<MigDevice>), Code> {
    let most = match gpu.number(|nvml| &nvml.nvmlDeviceGetMaxMigDeviceCount) {
        Ok(most) => most,
        Err(code) if code.is_about_the_gpu() => return Err(code),
        Err(_) => 0,
    };
    let mut found = Vec::new();
    for number in 0..most {
        match mig_device(gpu, number)
            .and_then(|device| device.map(|device| describe(number, device)).transpose())
        {
            Ok(Some(device)) => found.push(device),
            Ok(None) => {}
            Err(code) if code.is_about_the_gpu() => return Err(code),
            // It is being made or destroyed.
            Err(_) => {}
        }
    }
    Ok((most, found))
}

/// The place of a GPU instance's profile in NVML's order: by number of slices, in the order in which
/// NVML got them, profiles with an attribute last.
pub(crate) fn rank(profile: &str) -> usize {
    let slices = profile.split("g.").next().unwrap_or_default();
    let order = ["1", "2", "3", "4", "7", "8", "6"];
    let place = order.iter().position(|known| *known == slices).unwrap_or(order.len());
    if profile.contains('+') { place + order.len() + 1 } else { place }
}

/// GPU instances without compute instances, number and profile; `None` if this process may not list them.
pub(crate) fn scan_empty(
    gpu: &Device,
    found: &[MigDevice],
) -> Result<Option<Vec<(u32, String)>>, Code> {
    let mut empty = BTreeMap::new();
    for number in 0..PROFILES {
        // A kind that the GPU does not have is an error.
        let Ok(profile) = instance_profile(gpu, number) else { continue };
        match instances_of(gpu, profile.id) {
            Ok(ids) => {
                let name = parse_profile(&profile.name).unwrap_or(&profile.name);
                let is_used = |id| found.iter().any(|found| found.gpu_instance == id);
                let unused = ids.into_iter().filter(|id| !is_used(*id));
                empty.extend(unused.map(|id| (id, name.to_owned())));
            }
            Err(code) if code.is_about_the_gpu() => return Err(code),
            Err(code) if code.reason() == Reason::NotPermitted => return Ok(None),
            Err(_) => {}
        }
    }
    Ok(Some(empty.into_iter().collect()))
}

fn describe(number: u32, device: Device) -> Result<MigDevice, Code> {
    let name = device.text(|nvml| &nvml.nvmlDeviceGetName)?;
    let profile = match parse_profile(&name) {
        Some(profile) => profile.to_owned(),
        // The name has no profile. Profiles are named after sizes.
        None => size(&device).map_or("unknown".to_owned(), |(slices, mebibytes)| {
            format!("{slices}g.{}gb", mebibytes.div_ceil(1024))
        }),
    };
    Ok(MigDevice {
        number,
        gpu_instance: device.number(|nvml| &nvml.nvmlDeviceGetGpuInstanceId)?,
        compute_instance: device.number(|nvml| &nvml.nvmlDeviceGetComputeInstanceId)?,
        profile,
        device,
    })
}

/// A MIG device, which is a compute instance; `None` if there is none of this number.
fn mig_device(gpu: &Device, number: u32) -> Result<Option<Device>, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetMigDeviceHandleByIndex)?;
    let mut handle = ptr::null_mut();
    // SAFETY: the call writes one handle, to a live local.
    match Code::check(unsafe { get(gpu.handle, number, &mut handle) }) {
        Ok(()) => Ok(Some(Device { library: Arc::clone(&gpu.library), handle })),
        Err(Code::NOT_FOUND | Code::INVALID_ARGUMENT) => Ok(None),
        Err(code) => Err(code),
    }
}

/// The size of a MIG device: slices of its GPU instance, and its memory in MiB.
fn size(device: &Device) -> Result<(u32, u64), Code> {
    let get = function(&device.library.symbols.nvmlDeviceGetAttributes_v2)?;
    // SAFETY: all-zero bytes are a valid value of this C struct of integers.
    let mut attributes: sys::nvmlDeviceAttributes_t = unsafe { mem::zeroed() };
    // SAFETY: the call writes one such struct, to a live local.
    Code::check(unsafe { get(device.handle, &mut attributes) })?;
    Ok((attributes.gpuInstanceSliceCount, attributes.memorySizeMB))
}

/// One of the kinds of GPU instances.
fn instance_profile(gpu: &Device, number: u32) -> Result<Profile, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetGpuInstanceProfileInfoV)?;
    // SAFETY: all-zero bytes are a valid value of this C struct of integers.
    let mut info: sys::nvmlGpuInstanceProfileInfo_v2_t = unsafe { mem::zeroed() };
    info.version = version::<sys::nvmlGpuInstanceProfileInfo_v2_t>(2);
    // SAFETY: the call writes one struct of the version that it carries, to a live local.
    Code::check(unsafe { get(gpu.handle, number, &mut info) })?;
    info.name[info.name.len() - 1] = 0 as c_char;
    // SAFETY: the line above ends the text.
    let name = unsafe { CStr::from_ptr(info.name.as_ptr()) };
    Ok(Profile { id: info.id, name: name.to_string_lossy().into_owned() })
}

/// The numbers of the GPU instances of one kind. The driver asks for privileges.
fn instances_of(gpu: &Device, profile: u32) -> Result<Vec<u32>, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetGpuInstances)?;
    let mut instances = [ptr::null_mut(); MOST_INSTANCES];
    let mut count = MOST_INSTANCES as u32;
    // SAFETY: the call writes at most as many handles as the count says, which the array has room for.
    Code::check(unsafe { get(gpu.handle, profile, instances.as_mut_ptr(), &mut count) })?;
    let count = MOST_INSTANCES.min(count as usize);
    instances[..count].iter().map(|instance| instance_id(gpu, *instance)).collect()
}

fn instance_id(gpu: &Device, instance: sys::nvmlGpuInstance_t) -> Result<u32, Code> {
    let get = function(&gpu.library.symbols.nvmlGpuInstanceGetInfo)?;
    // SAFETY: all-zero bytes are a valid value of this C struct of integers and a null pointer.
    let mut info: sys::nvmlGpuInstanceInfo_t = unsafe { mem::zeroed() };
    // SAFETY: the library gave the handle of the instance just now; the call writes one such struct, to
    // a live local.
    Code::check(unsafe { get(instance, &mut info) })?;
    Ok(info.id)
}

/// The profile in a name such as `NVIDIA A100-SXM4-40GB MIG 1g.5gb`.
fn parse_profile(name: &str) -> Option<&str> {
    let (_, profile) = name.rsplit_once("MIG ")?;
    let profile = profile.split_whitespace().next()?;
    profile.contains("g.").then_some(profile)
}

/// The GPU instance's profile in a compute instance's profile: `3g.20gb` in `1c.3g.20gb`.
pub(crate) fn gpu_profile(profile: &str) -> &str {
    match profile.split_once("c.") {
        Some((slices, rest)) if slices.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => profile,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_in_nvmls_order() {
        let mut profiles = ["1g.10gb+me", "7g.80gb", "3g.40gb", "1g.10gb", "what", "2g.20gb"];
        profiles.sort_by_key(|profile| rank(profile));
        assert_eq!(profiles, ["1g.10gb", "2g.20gb", "3g.40gb", "7g.80gb", "what", "1g.10gb+me"]);
    }

    #[test]
    fn a_profile_is_the_last_word_of_a_mig_devices_name() {
        let check = |name, profile| assert_eq!(parse_profile(name), profile);
        check("NVIDIA A100-SXM4-40GB MIG 1g.5gb", Some("1g.5gb"));
        check("NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", Some("1g.10gb+me"));
        check("NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb", Some("1c.3g.40gb"));
        check("MIG 7g.80gb", Some("7g.80gb"));
        check("MIG 1g.12gb+gfx ", Some("1g.12gb+gfx"));
        check("NVIDIA H100 80GB HBM3", None);
        check("NVIDIA H100 MIG ", None);
        check("MIG nonsense", None);
        check("", None);
    }

    #[test]
    fn the_profile_of_a_gpu_instance_has_no_compute_slices() {
        assert_eq!(gpu_profile("1c.3g.40gb"), "3g.40gb");
        assert_eq!(gpu_profile("10c.7g.80gb+me"), "7g.80gb+me");
        assert_eq!(gpu_profile("1g.10gb"), "1g.10gb");
        assert_eq!(gpu_profile("unknown"), "unknown");
    }
}
