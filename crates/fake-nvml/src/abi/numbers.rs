//! Functions that answer with one number of the board, as tables.

use std::{
    ffi::{c_uint, c_ulonglong},
    thread,
    time::Duration,
};

use nvml_wrapper_sys::bindings::{
    nvmlClockType_t, nvmlDevice_t, nvmlDeviceArchitecture_t,
    nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_RX_BYTES as PCIE_RX,
    nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_TX_BYTES as PCIE_TX, nvmlPcieUtilCounter_t,
    nvmlPstates_t, nvmlReturn_t, nvmlTemperatureSensors_enum_NVML_TEMPERATURE_GPU as GPU_SENSOR,
    nvmlTemperatureSensors_t, nvmlTemperatureThresholds_t,
};

use super::{answer, out::Out};
use crate::{call::Call, refusal::Refusal, session};

/// How long the driver measures PCIe traffic for one answer.
const PCIE_WINDOW: Duration = Duration::from_millis(20);

/// `name -> C type: reader`, where the reader says what the board has, if it has it.
macro_rules! device_numbers {
    ($($name:ident -> $number:ty: $read:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(device: nvmlDevice_t, number: *mut $number) -> nvmlReturn_t {
            answer(|| {
                session::current()?;
                // SAFETY: the caller promises NVML a place for one number.
                let out = unsafe { Out::new(number) }?;
                let call = Call::on(stringify!($name), device)?;
                let read: fn(&Call) -> Option<$number> = $read;
                let nonsense = call.nonsense().map(|number| number as $number);
                out.set(nonsense.or_else(|| read(&call)).ok_or(Refusal::NOT_SUPPORTED)?);
                Ok(())
            })
        }
    )*};
}

/// `name(C type of the choice) -> C type: reader`, where a choice that does not exist is an error.
macro_rules! device_choices {
    ($($name:ident($choice:ty) -> $number:ty: $read:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            device: nvmlDevice_t,
            choice: $choice,
            number: *mut $number,
        ) -> nvmlReturn_t {
            answer(|| {
                session::current()?;
                // SAFETY: the caller promises NVML a place for one number.
                let out = unsafe { Out::new(number) }?;
                let call = Call::on(stringify!($name), device)?;
                let read: fn(&Call, $choice) -> Result<Option<$number>, Refusal> = $read;
                let nonsense = call.nonsense().map(|number| number as $number);
                let number = read(&call, choice)?;
                out.set(nonsense.or(number).ok_or(Refusal::NOT_SUPPORTED)?);
                Ok(())
            })
        }
    )*};
}

device_numbers! {
    nvmlDeviceGetIndex -> c_uint: |call| c_uint::try_from(call.gpu).ok();
    nvmlDeviceGetMinorNumber -> c_uint: |call| call.board.minor;
    nvmlDeviceGetArchitecture -> nvmlDeviceArchitecture_t: |call| call.board.architecture;
    nvmlDeviceGetPowerUsage -> c_uint: |call| call.board.power_mw;
    nvmlDeviceGetPowerManagementLimit -> c_uint: |call| call.board.power_management_limit_mw;
    nvmlDeviceGetEnforcedPowerLimit -> c_uint: |call| call.board.enforced_power_limit_mw;
    nvmlDeviceGetTotalEnergyConsumption -> c_ulonglong: |call| call.board.total_energy_mj;
    nvmlDeviceGetPcieReplayCounter -> c_uint: |call| call.board.pcie_replay;
    nvmlDeviceGetFanSpeed -> c_uint: |call| call.board.fan_percent;
    nvmlDeviceGetCurrentClocksEventReasons -> c_ulonglong: |call| call.board.event_reasons;
    nvmlDeviceGetCurrentClocksThrottleReasons -> c_ulonglong: |call| call.board.event_reasons;
    nvmlDeviceGetPerformanceState -> nvmlPstates_t: |call| call.board.performance_state;
    nvmlDeviceGetSupportedEventTypes -> c_ulonglong: |call| call.board.event_types;
}

device_choices! {
    nvmlDeviceGetTemperature(nvmlTemperatureSensors_t) -> c_uint: |call, sensor| {
        if sensor != GPU_SENSOR {
            return Err(Refusal::INVALID_ARGUMENT);
        }
        Ok(call.board.temperature)
    };
    nvmlDeviceGetTemperatureThreshold(nvmlTemperatureThresholds_t) -> c_uint: |call, kind| {
        call.board.thresholds.of(kind)
    };
    nvmlDeviceGetClockInfo(nvmlClockType_t) -> c_uint: |call, kind| call.board.clocks_mhz.of(kind);
    nvmlDeviceGetMaxClockInfo(nvmlClockType_t) -> c_uint: |call, kind| {
        call.board.max_clocks_mhz.of(kind)
    };
    nvmlDeviceGetPcieThroughput(nvmlPcieUtilCounter_t) -> c_uint: |call, counter| {
        let throughput = call.board.pcie_throughput_kb;
        let throughput = match counter {
            PCIE_TX => throughput.map(|kb| kb.tx),
            PCIE_RX => throughput.map(|kb| kb.rx),
            _ => return Err(Refusal::INVALID_ARGUMENT),
        };
        if throughput.is_some() {
            thread::sleep(PCIE_WINDOW);
        }
        Ok(throughput)
    };
}
