//! How far a GPU is in joining its NVLink fabric.

use std::mem::MaybeUninit;

use nvml_wrapper_sys::bindings as sys;

use super::{call, version};
use crate::{Code, Device};

/// What the driver says of the fabric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fabric {
    pub(crate) state: FabricState,
    /// How joining it ended, as an NVML code; only meaningful once it has.
    pub(crate) status: u32,
    pub(crate) cluster: [u8; 16],
    pub(crate) clique: u32,
    /// Not known to older drivers.
    pub(crate) health_mask: Option<u32>,
    /// Not known to older drivers.
    pub(crate) health_summary: Option<u8>,
}

/// NVML's number for how far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FabricState(pub(crate) u8);

impl FabricState {
    /// This GPU joins no fabric.
    pub(crate) const NOT_SUPPORTED: Self = Self(sys::NVML_GPU_FABRIC_STATE_NOT_SUPPORTED as u8);
    /// It has joined, or has failed to.
    pub(crate) const COMPLETED: Self = Self(sys::NVML_GPU_FABRIC_STATE_COMPLETED as u8);
}

impl Device {
    /// In the newest form that the driver knows.
    pub(crate) fn fabric(&self) -> Result<Fabric, Code> {
        match self.fabric_v(version::<sys::nvmlGpuFabricInfo_v3_t>(3), true) {
            Err(Code::ARGUMENT_VERSION_MISMATCH | Code::INVALID_ARGUMENT) => {
                self.fabric_v(version::<sys::nvmlGpuFabricInfo_v2_t>(2), false)
            }
            Err(Code::FUNCTION_NOT_FOUND) => self.fabric_v1(),
            answer => answer,
        }
    }

    /// The second form is the beginning of the third.
    fn fabric_v(&self, version: u32, has_summary: bool) -> Result<Fabric, Code> {
        // SAFETY: all-zero bytes are a valid value of this plain C struct of integers.
        let mut info =
            unsafe { MaybeUninit::<sys::nvmlGpuFabricInfo_v3_t>::zeroed().assume_init() };
        info.version = version;
        call!(self.library, nvmlDeviceGetGpuFabricInfoV(self.handle, &mut info))?;
        Ok(Fabric {
            state: FabricState(info.state),
            status: info.status,
            cluster: info.clusterUuid,
            clique: info.cliqueId,
            health_mask: Some(info.healthMask),
            health_summary: has_summary.then_some(info.healthSummary),
        })
    }

    fn fabric_v1(&self) -> Result<Fabric, Code> {
        // SAFETY: all-zero bytes are a valid value of this plain C struct of integers.
        let mut info = unsafe { MaybeUninit::<sys::nvmlGpuFabricInfo_t>::zeroed().assume_init() };
        call!(self.library, nvmlDeviceGetGpuFabricInfo(self.handle, &mut info))?;
        Ok(Fabric {
            state: FabricState(info.state),
            status: info.status,
            cluster: info.clusterUuid,
            clique: info.cliqueId,
            health_mask: None,
            health_summary: None,
        })
    }
}
