//! The NVLink fabric that a GPU joins, and licences.

use std::mem;

use model::{Reading, Reason, Value};
use nvml_wrapper_sys::bindings as sys;

use crate::call::{function, version};
use crate::code::Code;
use crate::convert::{int, int32};
use crate::device::Device;
use crate::row::{Row, many, one};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    many!(nvmlDeviceGetGpuFabricInfoV,
        [FABRIC_MANAGER_STATUS, FABRIC_MANAGER_ERROR_CODE, FABRIC_CLUSTER_UUID, FABRIC_CLIQUE_ID,
         FABRIC_HEALTH_MASK, FABRIC_HEALTH_SUMMARY], |gpu| {
            let fabric = fabric(gpu)?;
            let known = |health: Option<u32>| health.map_or(Err(Reason::NotSupported), int32);
            [
                fabric_status(&fabric),
                fabric_error(&fabric),
                in_fabric(&fabric, || Ok(Value::Text(uuid(&fabric.cluster).into()))),
                in_fabric(&fabric, || int32(fabric.clique)),
                in_fabric(&fabric, || known(fabric.health_mask)),
                in_fabric(&fabric, || known(fabric.health_summary.map(u32::from))),
            ]
        }),
    one!(nvmlDeviceGetGridLicensableFeatures, VGPU_LICENSE_STATUS,
        |gpu| vgpu_licensed(gpu).map(|licensed| licensed.map_or(Err(Reason::NoData), int))),
];

/// The driver's information about the fabric.
struct Fabric {
    state: FabricState,
    /// How joining it ended, as an NVML code; only meaningful once it has.
    status: u32,
    cluster: [u8; 16],
    clique: u32,
    /// Not known to older drivers.
    health_mask: Option<u32>,
    /// Not known to older drivers.
    health_summary: Option<u8>,
}

/// How far joining the fabric is, by NVML's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct FabricState(u8);

impl FabricState {
    /// This GPU joins no fabric.
    const NOT_SUPPORTED: Self = Self(sys::NVML_GPU_FABRIC_STATE_NOT_SUPPORTED as u8);
    /// It has joined, or has failed to.
    const COMPLETED: Self = Self(sys::NVML_GPU_FABRIC_STATE_COMPLETED as u8);
}

/// In the newest form that the driver knows.
fn fabric(gpu: &Device) -> Result<Fabric, Code> {
    match fabric_v(gpu, version::<sys::nvmlGpuFabricInfo_v3_t>(3), true) {
        Err(Code::ARGUMENT_VERSION_MISMATCH | Code::INVALID_ARGUMENT) => {
            fabric_v(gpu, version::<sys::nvmlGpuFabricInfo_v2_t>(2), false)
        }
        Err(Code::FUNCTION_NOT_FOUND) => fabric_v1(gpu),
        answer => answer,
    }
}

fn fabric_v(gpu: &Device, version: u32, has_summary: bool) -> Result<Fabric, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetGpuFabricInfoV)?;
    // SAFETY: all-zero bytes are a valid value of this C struct of integers.
    let mut info: sys::nvmlGpuFabricInfo_v3_t = unsafe { mem::zeroed() };
    info.version = version;
    // SAFETY: the call writes one struct of the version that it carries, to a live local: the third
    // form, or the second, which is the beginning of the third.
    Code::check(unsafe { get(gpu.handle, &mut info) })?;
    Ok(Fabric {
        state: FabricState(info.state),
        status: info.status,
        cluster: info.clusterUuid,
        clique: info.cliqueId,
        health_mask: Some(info.healthMask),
        health_summary: has_summary.then_some(info.healthSummary),
    })
}

fn fabric_v1(gpu: &Device) -> Result<Fabric, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetGpuFabricInfo)?;
    // SAFETY: all-zero bytes are a valid value of this C struct of integers.
    let mut info: sys::nvmlGpuFabricInfo_t = unsafe { mem::zeroed() };
    // SAFETY: the call writes one such struct, to a live local.
    Code::check(unsafe { get(gpu.handle, &mut info) })?;
    Ok(Fabric {
        state: FabricState(info.state),
        status: info.status,
        cluster: info.clusterUuid,
        clique: info.cliqueId,
        health_mask: None,
        health_summary: None,
    })
}

/// Whether vGPU is licensed: `None` where the driver lists no vGPU feature.
fn vgpu_licensed(gpu: &Device) -> Result<Option<bool>, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetGridLicensableFeatures_v4)?;
    // SAFETY: all-zero bytes are a valid value of this C struct of integers and texts.
    let mut all: sys::nvmlGridLicensableFeatures_t = unsafe { mem::zeroed() };
    // SAFETY: the call writes one such struct, to a live local.
    Code::check(unsafe { get(gpu.handle, &mut all) })?;
    if all.isGridLicenseSupported == 0 {
        return Ok(Some(false));
    }
    let vgpu = sys::nvmlGridLicenseFeatureCode_t_NVML_GRID_LICENSE_FEATURE_CODE_VGPU;
    let count = all.gridLicensableFeatures.len().min(all.licensableFeaturesCount as usize);
    let feature = all.gridLicensableFeatures[..count].iter().find(|f| f.featureCode == vgpu);
    Ok(feature.map(|feature| feature.featureState > 0))
}

/// A reading that only a GPU in a fabric has.
fn in_fabric(fabric: &Fabric, reading: impl FnOnce() -> Reading) -> Reading {
    if fabric.state == FabricState::NOT_SUPPORTED { Err(Reason::NotSupported) } else { reading() }
}

/// How far joining the fabric is, as DCGM counts: NVML's "completed" is 3 if it went well and 4 if it
/// did not; states of newer drivers are 5.
fn fabric_status(fabric: &Fabric) -> Reading {
    match fabric.state {
        FabricState::COMPLETED if fabric.status != 0 => int(4),
        FabricState(known) if known <= FabricState::COMPLETED.0 => int(known),
        _ => int(5),
    }
}

/// How joining the fabric ended.
fn fabric_error(fabric: &Fabric) -> Reading {
    in_fabric(fabric, || match fabric.state {
        FabricState::COMPLETED => int32(fabric.status),
        _ => Err(Reason::NoData),
    })
}

/// A UUID of 16 bytes as text.
fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0xf] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_without_fabric_has_a_state_and_nothing_else() {
        let fabric = |state, status| Fabric {
            state,
            status,
            cluster: [0; 16],
            clique: 3,
            health_mask: None,
            health_summary: None,
        };
        let none = fabric(FabricState::NOT_SUPPORTED, 0);
        assert_eq!(fabric_error(&none), Err(Reason::NotSupported));
        assert_eq!(fabric_error(&fabric(FabricState(2), 0)), Err(Reason::NoData));
        assert_eq!(fabric_error(&fabric(FabricState::COMPLETED, 999)), Ok(Value::Int(999)));
        assert_eq!(in_fabric(&fabric(FabricState(1), 0), || int(3)), Ok(Value::Int(3)));
    }

    #[test]
    fn a_uuid_is_written_in_five_groups() {
        let bytes: [u8; 16] = std::array::from_fn(|place| place as u8 * 17);
        assert_eq!(uuid(&bytes), "00112233-4455-6677-8899-aabbccddeeff");
    }
}
