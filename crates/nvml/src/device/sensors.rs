//! What a GPU measures and is set to: utilisation, memory, heat, power, clocks, PCIe.

use nvml_wrapper_sys::bindings as sys;

use super::{call, version};
use crate::{Code, Device};

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

/// A call that answers with one 32-bit number.
macro_rules! number {
    ($($(#[$doc:meta])+ $name:ident = $function:ident;)+) => {
        impl Device {
            $($(#[$doc])+
            pub(crate) fn $name(&self) -> Result<u32, Code> {
                let mut number = 0;
                call!(self.library, $function(self.handle, &mut number))?;
                Ok(number)
            })+
        }
    };
}

number! {
    /// Power drawn, mW.
    power_milliwatts = nvmlDeviceGetPowerUsage;
    /// Power limit that was asked for, mW.
    power_limit = nvmlDeviceGetPowerManagementLimit;
    /// Power limit after a reset, mW.
    default_power_limit = nvmlDeviceGetPowerManagementDefaultLimit;
    /// Power limit in force, mW.
    enforced_power_limit = nvmlDeviceGetEnforcedPowerLimit;
    /// Performance state, 0 to 15, 32 for unknown.
    performance_state = nvmlDeviceGetPerformanceState;
    /// Intended fan speed, percent.
    fan_percent = nvmlDeviceGetFanSpeed;
    /// PCIe packets sent again.
    pcie_replays = nvmlDeviceGetPcieReplayCounter;
    /// PCIe generation in use.
    pcie_generation = nvmlDeviceGetCurrPcieLinkGeneration;
    /// PCIe lanes in use.
    pcie_width = nvmlDeviceGetCurrPcieLinkWidth;
    /// Highest PCIe generation of GPU and slot.
    max_pcie_generation = nvmlDeviceGetMaxPcieLinkGeneration;
    /// Most PCIe lanes of GPU and slot.
    max_pcie_width = nvmlDeviceGetMaxPcieLinkWidth;
    /// The number of the device node.
    minor_number = nvmlDeviceGetMinorNumber;
}

impl Device {
    /// Shares of time, in percent: (a kernel ran, the memory controller was busy).
    pub(crate) fn utilization(&self) -> Result<(u32, u32), Code> {
        let mut rates = sys::nvmlUtilization_t { gpu: 0, memory: 0 };
        call!(self.library, nvmlDeviceGetUtilizationRates(self.handle, &mut rates))?;
        Ok((rates.gpu, rates.memory))
    }

    /// Percent.
    pub(crate) fn encoder_utilization(&self) -> Result<u32, Code> {
        let (mut percent, mut period) = (0, 0);
        call!(
            self.library,
            nvmlDeviceGetEncoderUtilization(self.handle, &mut percent, &mut period)
        )?;
        Ok(percent)
    }

    /// Percent.
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
        let version = version::<sys::nvmlMemory_v2_t>(2);
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

    /// Memory behind the first PCI window, in bytes: (total, used, free).
    pub(crate) fn bar1(&self) -> Result<(u64, u64, u64), Code> {
        let mut memory = sys::nvmlBAR1Memory_t { bar1Total: 0, bar1Free: 0, bar1Used: 0 };
        call!(self.library, nvmlDeviceGetBAR1MemoryInfo(self.handle, &mut memory))?;
        Ok((memory.bar1Total, memory.bar1Used, memory.bar1Free))
    }

    /// Core temperature, °C.
    pub(crate) fn temperature(&self) -> Result<u32, Code> {
        let mut celsius = 0;
        let sensor = sys::nvmlTemperatureSensors_enum_NVML_TEMPERATURE_GPU;
        call!(self.library, nvmlDeviceGetTemperature(self.handle, sensor, &mut celsius))?;
        Ok(celsius)
    }

    /// A threshold of the core's or the memory's temperature, °C.
    pub(crate) fn temperature_threshold(
        &self,
        which: sys::nvmlTemperatureThresholds_t,
    ) -> Result<u32, Code> {
        let mut celsius = 0;
        call!(self.library, nvmlDeviceGetTemperatureThreshold(self.handle, which, &mut celsius))?;
        Ok(celsius)
    }

    /// Degrees left to the nearest slowdown; below zero past it.
    pub(crate) fn temperature_margin(&self) -> Result<i32, Code> {
        let version = version::<sys::nvmlMarginTemperature_v1_t>(1);
        let mut margin = sys::nvmlMarginTemperature_v1_t { version, marginTemperature: 0 };
        call!(self.library, nvmlDeviceGetMarginTemperature(self.handle, &mut margin))?;
        Ok(margin.marginTemperature)
    }

    /// Lowest and highest power limit that can be set, mW.
    pub(crate) fn power_limit_range(&self) -> Result<(u32, u32), Code> {
        let (mut lowest, mut highest) = (0, 0);
        call!(
            self.library,
            nvmlDeviceGetPowerManagementLimitConstraints(self.handle, &mut lowest, &mut highest)
        )?;
        Ok((lowest, highest))
    }

    /// Current clock of a domain (`NVML_CLOCK_SM`, `NVML_CLOCK_MEM`), MHz.
    pub(crate) fn clock_mhz(&self, domain: sys::nvmlClockType_t) -> Result<u32, Code> {
        let mut mhz = 0;
        call!(self.library, nvmlDeviceGetClockInfo(self.handle, domain, &mut mhz))?;
        Ok(mhz)
    }

    /// Highest clock of a domain, MHz.
    pub(crate) fn max_clock_mhz(&self, domain: sys::nvmlClockType_t) -> Result<u32, Code> {
        let mut mhz = 0;
        call!(self.library, nvmlDeviceGetMaxClockInfo(self.handle, domain, &mut mhz))?;
        Ok(mhz)
    }

    /// Clock of a domain that applications asked for, MHz.
    pub(crate) fn application_clock_mhz(&self, domain: sys::nvmlClockType_t) -> Result<u32, Code> {
        let mut mhz = 0;
        call!(self.library, nvmlDeviceGetApplicationsClock(self.handle, domain, &mut mhz))?;
        Ok(mhz)
    }

    /// Highest SM clock of the performance state that the GPU is in, MHz; of all of them, where the
    /// driver does not tell states apart.
    pub(crate) fn max_sm_clock_now(&self) -> Result<u32, Code> {
        let sm = sys::nvmlClockType_enum_NVML_CLOCK_SM;
        let of_state = || -> Result<u32, Code> {
            let state = self.performance_state()?;
            let (mut lowest, mut highest) = (0, 0);
            call!(
                self.library,
                nvmlDeviceGetMinMaxClockOfPState(self.handle, sm, state, &mut lowest, &mut highest)
            )?;
            Ok(highest)
        };
        match of_state() {
            Ok(0) => self.max_clock_mhz(sm),
            // An unknown state is an argument that the second call does not take.
            Err(code)
                if code.reason() == model::Reason::NotSupported
                    || code == Code::INVALID_ARGUMENT =>
            {
                self.max_clock_mhz(sm)
            }
            answer => answer,
        }
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

    /// PCIe traffic of the last 20 ms, KB/s. Takes those 20 ms.
    pub(crate) fn pcie_throughput(&self, which: sys::nvmlPcieUtilCounter_t) -> Result<u32, Code> {
        let mut kilobytes = 0;
        call!(self.library, nvmlDeviceGetPcieThroughput(self.handle, which, &mut kilobytes))?;
        Ok(kilobytes)
    }

    /// Whether this GPU can be profiled through the driver.
    pub(crate) fn gpm_supported(&self) -> Result<bool, Code> {
        let mut support =
            sys::nvmlGpmSupport_t { version: sys::NVML_GPM_SUPPORT_VERSION, isSupportedDevice: 0 };
        call!(self.library, nvmlGpmQueryDeviceSupport(self.handle, &mut support))?;
        Ok(support.isSupportedDevice != 0)
    }
}
