//! NVLink, the fabric, and peers.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlEnableState_t, nvmlGpuFabricInfo_v2_t, nvmlGpuFabricInfo_v3_t,
    nvmlGpuFabricInfoV_t, nvmlGpuP2PCapsIndex_t, nvmlGpuP2PStatus_t, nvmlNvLinkErrorCounter_t,
    nvmlReturn_t,
};

use super::{
    answer,
    out::{Out, asked_version, version},
};
use crate::{call::Call, refusal::Refusal, session};

const FABRIC_V2: c_uint = version::<nvmlGpuFabricInfo_v2_t>(2);
const FABRIC_V3: c_uint = version::<nvmlGpuFabricInfo_v3_t>(3);

/// Fills the struct that the caller's version names, and not a byte more.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetGpuFabricInfoV(
    device: nvmlDevice_t,
    info: *mut nvmlGpuFabricInfoV_t,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML a place for the struct of version 2 at least.
        let out = unsafe { Out::new(info.cast::<nvmlGpuFabricInfo_v2_t>()) }?;
        // SAFETY: the caller promises that its version is filled in.
        let version = unsafe { asked_version(&out) };
        if version != FABRIC_V2 && version != FABRIC_V3 {
            return Err(Refusal::ARGUMENT_VERSION_MISMATCH);
        }
        let call = Call::on("nvmlDeviceGetGpuFabricInfoV", device)?;
        let fabric = call.board.fabric.ok_or(Refusal::NOT_SUPPORTED)?;
        if version == FABRIC_V2 {
            out.set(nvmlGpuFabricInfo_v2_t {
                version,
                clusterUuid: fabric.cluster_uuid.0,
                status: fabric.status,
                cliqueId: fabric.clique,
                state: fabric.state,
                healthMask: fabric.health_mask,
            });
            return Ok(());
        }
        // SAFETY: the caller says that it is the struct of version 3.
        let out = unsafe { Out::new(info.cast::<nvmlGpuFabricInfo_v3_t>()) }?;
        out.set(nvmlGpuFabricInfo_v3_t {
            version,
            clusterUuid: fabric.cluster_uuid.0,
            status: fabric.status,
            cliqueId: fabric.clique,
            state: fabric.state,
            healthMask: fabric.health_mask,
            healthSummary: fabric.health_summary,
        });
        Ok(())
    })
}

device_numbers! {
    nvmlDeviceGetNvLinkState(link: c_uint) -> nvmlEnableState_t: |call, link| {
        call.board.nvlink.active.get(link as usize).copied()
    };
    nvmlDeviceGetNvLinkErrorCounter(
        link: c_uint, counter: nvmlNvLinkErrorCounter_t
    ) -> c_ulonglong: |call, link, counter| call.board.nvlink.errors(counter, link);
    nvmlDeviceGetP2PStatus(
        peer: nvmlDevice_t, index: nvmlGpuP2PCapsIndex_t
    ) -> nvmlGpuP2PStatus_t: |call, peer, index| {
        let peer = Call::on("nvmlDeviceGetP2PStatus", peer)?;
        call.board.p2p.status(index, peer.gpu)
    };
}
