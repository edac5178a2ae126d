//! What is wrong with a GPU's memory and its links.

use std::mem::MaybeUninit;
use std::ptr;

use nvml_wrapper_sys::bindings as sys;

use super::{call, version};
use crate::{Code, Device};

/// Function and structure are newer than the bindings.
type GetUnrepairableMemoryFlag =
    unsafe extern "C" fn(sys::nvmlDevice_t, *mut [u32; 2]) -> sys::nvmlReturn_t;

impl Device {
    /// Whether ECC is on.
    pub(crate) fn ecc_enabled(&self) -> Result<bool, Code> {
        let (mut current, mut pending) = (0, 0);
        call!(self.library, nvmlDeviceGetEccMode(self.handle, &mut current, &mut pending))?;
        Ok(current != 0)
    }

    /// Whether SRAM errors are past their threshold.
    pub(crate) fn sram_threshold_exceeded(&self) -> Result<bool, Code> {
        // SAFETY: all-zero bytes are a valid value of this plain C struct of integers.
        let mut status =
            unsafe { MaybeUninit::<sys::nvmlEccSramErrorStatus_v1_t>::zeroed().assume_init() };
        status.version = version::<sys::nvmlEccSramErrorStatus_v1_t>(1);
        call!(self.library, nvmlDeviceGetSramEccErrorStatus(self.handle, &mut status))?;
        Ok(status.bThresholdExceeded != 0)
    }

    /// Memory banks by the spare rows that they have left: max, high, partial, low, none.
    pub(crate) fn remap_histogram(&self) -> Result<[u32; 5], Code> {
        let mut banks =
            sys::nvmlRowRemapperHistogramValues_t { max: 0, high: 0, partial: 0, low: 0, none: 0 };
        call!(self.library, nvmlDeviceGetRowRemapperHistogram(self.handle, &mut banks))?;
        Ok([banks.max, banks.high, banks.partial, banks.low, banks.none])
    }

    /// How many pages were retired for single-bit errors.
    pub(crate) fn pages_retired_for_single_bits(&self) -> Result<u32, Code> {
        let cause =
            sys::nvmlPageRetirementCause_enum_NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS;
        let mut count = 0;
        // Without room for addresses, the count is all that is written.
        let answer = call!(
            self.library,
            nvmlDeviceGetRetiredPages(self.handle, cause, &mut count, ptr::null_mut())
        );
        match answer {
            Ok(()) | Err(Code::INSUFFICIENT_SIZE) => Ok(count),
            Err(code) => Err(code),
        }
    }

    /// Whether memory is beyond repair, as two words whose meaning
    /// [`unrepairable`](crate::convert::unrepairable) knows.
    pub(crate) fn unrepairable_memory(&self) -> Result<[u32; 2], Code> {
        let name = b"nvmlDeviceGetUnrepairableMemoryFlag_v1\0";
        // SAFETY: the function has had this type in every header that has it: a handle, and a
        // pointer to a structure of at most two 32-bit words.
        let found =
            unsafe { self.library.symbols.__library.get::<GetUnrepairableMemoryFlag>(name) };
        let Ok(function) = found else { return Err(Code::FUNCTION_NOT_FOUND) };
        let mut words = [crate::convert::UNREPAIRABLE_VERSION, u32::MAX];
        // SAFETY: the handle comes from this library; the pointer is to a live local that is as
        // large as the structure, whose version it carries.
        Code::check(unsafe { function(self.handle, &mut words) })?;
        Ok(words)
    }

    /// An error counter of one NVLink.
    pub(crate) fn link_errors(
        &self,
        link: u32,
        counter: sys::nvmlNvLinkErrorCounter_t,
    ) -> Result<u64, Code> {
        let mut count = 0;
        call!(
            self.library,
            nvmlDeviceGetNvLinkErrorCounter(self.handle, link, counter, &mut count)
        )?;
        Ok(count)
    }

    /// Whether an NVLink is up.
    ///
    /// # Errors
    ///
    /// Also where the GPU has no link of this number.
    pub(crate) fn link_is_up(&self, link: u32) -> Result<bool, Code> {
        let mut active = 0;
        call!(self.library, nvmlDeviceGetNvLinkState(self.handle, link, &mut active))?;
        Ok(active != 0)
    }

    /// The state of the way to another GPU through NVLink, as NVML numbers it.
    pub(crate) fn link_status_to(&self, peer: &Self) -> Result<u32, Code> {
        let what = sys::nvmlGpuP2PCapsIndex_enum_NVML_P2P_CAPS_INDEX_NVLINK;
        let mut status = 0;
        call!(self.library, nvmlDeviceGetP2PStatus(self.handle, peer.handle, what, &mut status))?;
        Ok(status)
    }

    /// Whether vGPU is licensed: `None` where the driver lists no vGPU feature.
    pub(crate) fn vgpu_licensed(&self) -> Result<Option<bool>, Code> {
        let mut all = MaybeUninit::<sys::nvmlGridLicensableFeatures_t>::zeroed();
        call!(self.library, nvmlDeviceGetGridLicensableFeatures_v4(self.handle, all.as_mut_ptr()))?;
        // SAFETY: all-zero bytes are a valid value of this plain C struct, and the call may only
        // have written more of them.
        let all = unsafe { all.assume_init() };
        if all.isGridLicenseSupported == 0 {
            return Ok(Some(false));
        }
        let vgpu = sys::nvmlGridLicenseFeatureCode_t_NVML_GRID_LICENSE_FEATURE_CODE_VGPU;
        let count = all.gridLicensableFeatures.len().min(all.licensableFeaturesCount as usize);
        let feature = all.gridLicensableFeatures[..count].iter().find(|f| f.featureCode == vgpu);
        Ok(feature.map(|feature| feature.featureState > 0))
    }
}
