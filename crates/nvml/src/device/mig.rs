//! The instances of a partitioned GPU.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

use nvml_wrapper_sys::bindings as sys;

use super::{call, version};
use crate::{Code, Device};

/// More GPU instances than this no GPU can have.
const MOST_INSTANCES: usize = 16;

/// A kind of GPU instance that a GPU can be cut into.
pub(crate) struct Profile {
    pub(crate) id: u32,
    /// As the driver writes it: `MIG 1g.10gb`.
    pub(crate) name: String,
}

impl Device {
    /// Whether MIG is on. GPUs without it answer that it is off.
    pub(crate) fn mig_enabled(&self) -> Result<bool, Code> {
        let (mut current, mut pending) = (0, 0);
        match call!(self.library, nvmlDeviceGetMigMode(self.handle, &mut current, &mut pending)) {
            Ok(()) => Ok(current != 0),
            Err(code) if code.reason() == model::Reason::NotSupported => Ok(false),
            Err(code) => Err(code),
        }
    }

    /// How many MIG devices there can be at most.
    pub(crate) fn max_mig_devices(&self) -> Result<u32, Code> {
        let mut count = 0;
        call!(self.library, nvmlDeviceGetMaxMigDeviceCount(self.handle, &mut count))?;
        Ok(count)
    }

    /// A MIG device, which is a compute instance; `None` if there is none of this number.
    pub(crate) fn mig_device(&self, number: u32) -> Result<Option<Self>, Code> {
        let mut handle = ptr::null_mut();
        let answer = call!(
            self.library,
            nvmlDeviceGetMigDeviceHandleByIndex(self.handle, number, &mut handle)
        );
        match answer {
            Ok(()) => Ok(Some(Self { library: Arc::clone(&self.library), handle })),
            Err(Code::NOT_FOUND | Code::INVALID_ARGUMENT) => Ok(None),
            Err(code) => Err(code),
        }
    }

    /// Of a MIG device: the number of its GPU instance.
    pub(crate) fn gpu_instance_id(&self) -> Result<u32, Code> {
        let mut id = 0;
        call!(self.library, nvmlDeviceGetGpuInstanceId(self.handle, &mut id))?;
        Ok(id)
    }

    /// Of a MIG device: its number inside its GPU instance.
    pub(crate) fn compute_instance_id(&self) -> Result<u32, Code> {
        let mut id = 0;
        call!(self.library, nvmlDeviceGetComputeInstanceId(self.handle, &mut id))?;
        Ok(id)
    }

    /// Of a MIG device: slices of its GPU instance, and its memory in MiB.
    pub(crate) fn mig_size(&self) -> Result<(u32, u64), Code> {
        let mut attributes = MaybeUninit::<sys::nvmlDeviceAttributes_t>::zeroed();
        call!(self.library, nvmlDeviceGetAttributes_v2(self.handle, attributes.as_mut_ptr()))?;
        // SAFETY: all-zero bytes are a valid value of this plain C struct, and the call may only
        // have written more of them.
        let attributes = unsafe { attributes.assume_init() };
        Ok((attributes.gpuInstanceSliceCount, attributes.memorySizeMB))
    }

    /// The kinds of GPU instances of this GPU. Of one that it does not have there is an error.
    pub(crate) fn instance_profile(&self, number: u32) -> Result<Profile, Code> {
        // SAFETY: all-zero bytes are a valid value of this plain C struct of integers.
        let mut info =
            unsafe { MaybeUninit::<sys::nvmlGpuInstanceProfileInfo_v2_t>::zeroed().assume_init() };
        info.version = version::<sys::nvmlGpuInstanceProfileInfo_v2_t>(2);
        call!(self.library, nvmlDeviceGetGpuInstanceProfileInfoV(self.handle, number, &mut info))?;
        info.name[info.name.len() - 1] = 0 as c_char;
        // SAFETY: the line above ends the text.
        let name = unsafe { CStr::from_ptr(info.name.as_ptr()) };
        Ok(Profile { id: info.id, name: name.to_string_lossy().into_owned() })
    }

    /// The numbers of the GPU instances of one kind. The driver asks for privileges.
    pub(crate) fn instances_of(&self, profile: u32) -> Result<Vec<u32>, Code> {
        let mut instances = [ptr::null_mut(); MOST_INSTANCES];
        let mut count = MOST_INSTANCES as u32;
        call!(
            self.library,
            nvmlDeviceGetGpuInstances(self.handle, profile, instances.as_mut_ptr(), &mut count)
        )?;
        let count = MOST_INSTANCES.min(count as usize);
        instances[..count].iter().map(|instance| self.instance_id(*instance)).collect()
    }

    fn instance_id(&self, instance: sys::nvmlGpuInstance_t) -> Result<u32, Code> {
        let mut info = MaybeUninit::<sys::nvmlGpuInstanceInfo_t>::zeroed();
        call!(self.library, nvmlGpuInstanceGetInfo(instance, info.as_mut_ptr()))?;
        // SAFETY: all-zero bytes are a valid value of this plain C struct, and the call may only
        // have written more of them.
        Ok(unsafe { info.assume_init() }.id)
    }
}
