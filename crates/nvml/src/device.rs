//! One safe function per driver call: raw numbers out, nothing converted.

use std::ffi::{CStr, c_char, c_uint};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

use model::Identity;
use nvml_wrapper_sys::bindings as sys;

use crate::{Code, Library};

/// Calls a function of the library, if it has it.
macro_rules! call {
    ($library:expr, $function:ident ( $($argument:expr),* )) => {
        match $library.symbols.$function.as_ref() {
            // SAFETY: the symbol has the type of NVML's header; handles come from this library and
            // live as long as it (they are never freed); pointers are to live locals of the type
            // that the function writes.
            Ok(function) => Code::check(unsafe { function($($argument),*) }),
            Err(_) => Err(Code::FUNCTION_NOT_FOUND),
        }
    };
}
pub(crate) use call;

/// A GPU, by the handle that NVML gave for it.
pub(crate) struct Device {
    pub(crate) library: Arc<Library>,
    pub(crate) handle: sys::nvmlDevice_t,
}

// SAFETY: NVML is thread-safe and its handles may be used from any thread.
unsafe impl Send for Device {}

/// Framebuffer, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Memory {
    /// All of it.
    pub(crate) total: u64,
    /// Held back by the driver; only known apart from `used` since driver 510.
    pub(crate) reserved: Option<u64>,
    /// Free.
    pub(crate) free: u64,
    /// Used by processes (and, before driver 510, held back by the driver).
    pub(crate) used: u64,
}

impl Library {
    /// How many GPUs the driver lists.
    ///
    /// # Errors
    ///
    /// NVML's code.
    pub(crate) fn device_count(&self) -> Result<u32, Code> {
        let mut count = 0;
        call!(self, nvmlDeviceGetCount_v2(&mut count))?;
        Ok(count)
    }

    /// The driver's version, as `550.163.01`.
    ///
    /// # Errors
    ///
    /// NVML's code.
    pub(crate) fn driver_version(&self) -> Result<String, Code> {
        text(|buffer, len| call!(self, nvmlSystemGetDriverVersion(buffer, len)))
    }
}

impl Device {
    /// Gets the handle of the GPU with this index. Touches that GPU, and only that one.
    ///
    /// # Errors
    ///
    /// NVML's code.
    pub(crate) fn by_index(library: &Arc<Library>, index: u32) -> Result<Self, Code> {
        let mut handle = ptr::null_mut();
        call!(library, nvmlDeviceGetHandleByIndex_v2(index, &mut handle))?;
        Ok(Self { library: Arc::clone(library), handle })
    }

    /// What the GPU is.
    pub(crate) fn identity(&self, index: u32) -> Result<Identity, Code> {
        Ok(Identity {
            index,
            uuid: self.uuid()?,
            pci_bus_id: self.pci_bus_id()?,
            model_name: self.name()?,
        })
    }

    fn uuid(&self) -> Result<String, Code> {
        text(|buffer, len| call!(self.library, nvmlDeviceGetUUID(self.handle, buffer, len)))
    }

    fn name(&self) -> Result<String, Code> {
        text(|buffer, len| call!(self.library, nvmlDeviceGetName(self.handle, buffer, len)))
    }

    /// `00000000:1A:00.0`.
    fn pci_bus_id(&self) -> Result<String, Code> {
        let mut info = MaybeUninit::<sys::nvmlPciInfo_t>::zeroed();
        call!(self.library, nvmlDeviceGetPciInfo_v3(self.handle, info.as_mut_ptr()))?;
        // SAFETY: all-zero bytes are a valid value of this plain C struct, and the call may only
        // have written more of them.
        let info = unsafe { info.assume_init() };
        Ok(format!("{:08X}:{:02X}:{:02X}.0", info.domain, info.bus, info.device))
    }

    /// Shares of time, in percent: (a kernel ran, the memory controller was busy).
    pub(crate) fn utilization(&self) -> Result<(u32, u32), Code> {
        let mut rates = sys::nvmlUtilization_t { gpu: 0, memory: 0 };
        call!(self.library, nvmlDeviceGetUtilizationRates(self.handle, &mut rates))?;
        Ok((rates.gpu, rates.memory))
    }

    pub(crate) fn encoder_utilization(&self) -> Result<u32, Code> {
        let (mut percent, mut period) = (0, 0);
        call!(
            self.library,
            nvmlDeviceGetEncoderUtilization(self.handle, &mut percent, &mut period)
        )?;
        Ok(percent)
    }

    pub(crate) fn decoder_utilization(&self) -> Result<u32, Code> {
        let (mut percent, mut period) = (0, 0);
        call!(
            self.library,
            nvmlDeviceGetDecoderUtilization(self.handle, &mut percent, &mut period)
        )?;
        Ok(percent)
    }

    /// Framebuffer; from the older call where the library lacks the newer one.
    pub(crate) fn memory(&self) -> Result<Memory, Code> {
        let version = (size_of::<sys::nvmlMemory_v2_t>() | 2 << 24) as c_uint;
        let mut v2 = sys::nvmlMemory_v2_t { version, total: 0, reserved: 0, free: 0, used: 0 };
        match call!(self.library, nvmlDeviceGetMemoryInfo_v2(self.handle, &mut v2)) {
            Ok(()) => Ok(Memory {
                total: v2.total,
                reserved: Some(v2.reserved),
                free: v2.free,
                used: v2.used,
            }),
            Err(code) if code.reason() == model::Reason::NotSupported => {
                let mut v1 = sys::nvmlMemory_t { total: 0, free: 0, used: 0 };
                call!(self.library, nvmlDeviceGetMemoryInfo(self.handle, &mut v1))?;
                Ok(Memory { total: v1.total, reserved: None, free: v1.free, used: v1.used })
            }
            Err(code) => Err(code),
        }
    }

    /// Core temperature, °C.
    pub(crate) fn temperature(&self) -> Result<u32, Code> {
        let mut celsius = 0;
        let sensor = sys::nvmlTemperatureSensors_enum_NVML_TEMPERATURE_GPU;
        call!(self.library, nvmlDeviceGetTemperature(self.handle, sensor, &mut celsius))?;
        Ok(celsius)
    }

    /// Core temperature from which the driver slows the GPU down, °C.
    pub(crate) fn slowdown_temperature(&self) -> Result<u32, Code> {
        let mut celsius = 0;
        let which = sys::nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_SLOWDOWN;
        call!(self.library, nvmlDeviceGetTemperatureThreshold(self.handle, which, &mut celsius))?;
        Ok(celsius)
    }

    /// Power drawn, mW.
    pub(crate) fn power_milliwatts(&self) -> Result<u32, Code> {
        let mut milliwatts = 0;
        call!(self.library, nvmlDeviceGetPowerUsage(self.handle, &mut milliwatts))?;
        Ok(milliwatts)
    }

    /// Current clock of a domain (`NVML_CLOCK_SM`, `NVML_CLOCK_MEM`), MHz.
    pub(crate) fn clock_mhz(&self, domain: sys::nvmlClockType_t) -> Result<u32, Code> {
        let mut mhz = 0;
        call!(self.library, nvmlDeviceGetClockInfo(self.handle, domain, &mut mhz))?;
        Ok(mhz)
    }

    /// Why the clocks are what they are: a bit mask, under its new name or its old.
    pub(crate) fn clock_event_reasons(&self) -> Result<u64, Code> {
        let mut mask = 0;
        let new =
            call!(self.library, nvmlDeviceGetCurrentClocksEventReasons(self.handle, &mut mask));
        if new == Err(Code::FUNCTION_NOT_FOUND) {
            call!(self.library, nvmlDeviceGetCurrentClocksThrottleReasons(self.handle, &mut mask))?;
        } else {
            new?;
        }
        Ok(mask)
    }

    pub(crate) fn pcie_replays(&self) -> Result<u32, Code> {
        let mut count = 0;
        call!(self.library, nvmlDeviceGetPcieReplayCounter(self.handle, &mut count))?;
        Ok(count)
    }

    /// PCIe traffic of the last 20 ms, KB/s. Takes those 20 ms.
    pub(crate) fn pcie_throughput(&self, which: sys::nvmlPcieUtilCounter_t) -> Result<u32, Code> {
        let mut kilobytes = 0;
        call!(self.library, nvmlDeviceGetPcieThroughput(self.handle, which, &mut kilobytes))?;
        Ok(kilobytes)
    }

    /// Intended fan speed, percent.
    pub(crate) fn fan_percent(&self) -> Result<u32, Code> {
        let mut percent = 0;
        call!(self.library, nvmlDeviceGetFanSpeed(self.handle, &mut percent))?;
        Ok(percent)
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

    /// Whether MIG is on. GPUs without it answer that it is off.
    pub(crate) fn mig_enabled(&self) -> Result<bool, Code> {
        let (mut current, mut pending) = (0, 0);
        match call!(self.library, nvmlDeviceGetMigMode(self.handle, &mut current, &mut pending)) {
            Ok(()) => Ok(current != 0),
            Err(code) if code.reason() == model::Reason::NotSupported => Ok(false),
            Err(code) => Err(code),
        }
    }

    /// Fills in many field values in one call; each carries its own return code.
    pub(crate) fn field_values(&self, values: &mut [sys::nvmlFieldValue_t]) -> Result<(), Code> {
        let count = values.len() as i32;
        call!(self.library, nvmlDeviceGetFieldValues(self.handle, count, values.as_mut_ptr()))
    }
}

/// An empty field value that asks for `field`.
pub(crate) fn ask(field: u32, scope: u32) -> sys::nvmlFieldValue_t {
    sys::nvmlFieldValue_t {
        fieldId: field,
        scopeId: scope,
        timestamp: 0,
        latencyUsec: 0,
        valueType: 0,
        // An entry that the driver does not fill in must not pass for an answer.
        nvmlReturn: crate::getters::UNANSWERED,
        value: sys::nvmlValue_t { ullVal: 0 },
    }
}

/// A text that a call writes into a buffer.
fn text(fill: impl FnOnce(*mut c_char, c_uint) -> Result<(), Code>) -> Result<String, Code> {
    let mut buffer = [0 as c_char; 128];
    // One byte is kept back, so that the text ends even where the driver fills all it was given.
    fill(buffer.as_mut_ptr(), buffer.len() as c_uint - 1)?;
    // SAFETY: the buffer ends with a zero byte that the call was not allowed to overwrite.
    let text = unsafe { CStr::from_ptr(buffer.as_ptr()) };
    Ok(text.to_string_lossy().into_owned())
}
