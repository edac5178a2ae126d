//! Functions that answer with one number of the board, as tables.

use std::{
    ffi::{c_uint, c_ulonglong},
    thread,
    time::Duration,
};

use nvml_wrapper_sys::bindings::{
    nvmlBrandType_t, nvmlClockType_t, nvmlComputeMode_t, nvmlDeviceArchitecture_t,
    nvmlEnableState_t, nvmlGpuVirtualizationMode_t,
    nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_RX_BYTES as PCIE_RX,
    nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_TX_BYTES as PCIE_TX, nvmlPcieUtilCounter_t,
    nvmlPstates_t, nvmlTemperatureSensors_enum_NVML_TEMPERATURE_GPU as GPU_SENSOR,
    nvmlTemperatureSensors_t, nvmlTemperatureThresholds_t,
};

use crate::refusal::Refusal;

/// How long the driver measures PCIe traffic for one answer.
const PCIE_WINDOW: Duration = Duration::from_millis(20);

device_numbers! {
    nvmlDeviceGetMinorNumber() -> c_uint: |call| call.board.minor;
    nvmlDeviceGetArchitecture() -> nvmlDeviceArchitecture_t: |call| call.board.architecture;
    nvmlDeviceGetBrand() -> nvmlBrandType_t: |call| call.board.brand;
    nvmlDeviceGetPersistenceMode() -> nvmlEnableState_t: |call| call.board.persistence_mode;
    nvmlDeviceGetComputeMode() -> nvmlComputeMode_t: |call| call.board.compute_mode;
    nvmlDeviceGetVirtualizationMode() -> nvmlGpuVirtualizationMode_t: |call| {
        call.board.virtualization_mode
    };
    nvmlDeviceGetPowerUsage() -> c_uint: |call| call.board.power_mw;
    nvmlDeviceGetPowerManagementLimit() -> c_uint: |call| call.board.power_management_limit_mw;
    nvmlDeviceGetPowerManagementDefaultLimit() -> c_uint: |call| call.board.default_power_limit_mw;
    nvmlDeviceGetEnforcedPowerLimit() -> c_uint: |call| call.board.enforced_power_limit_mw;
    nvmlDeviceGetTotalEnergyConsumption() -> c_ulonglong: |call| call.board.total_energy_mj;
    nvmlDeviceGetPcieReplayCounter() -> c_uint: |call| call.board.pcie_replay;
    nvmlDeviceGetCurrPcieLinkGeneration() -> c_uint: |call| call.board.pcie_link.generation;
    nvmlDeviceGetCurrPcieLinkWidth() -> c_uint: |call| call.board.pcie_link.width;
    nvmlDeviceGetMaxPcieLinkGeneration() -> c_uint: |call| call.board.pcie_link.max_generation;
    nvmlDeviceGetMaxPcieLinkWidth() -> c_uint: |call| call.board.pcie_link.max_width;
    nvmlDeviceGetFanSpeed() -> c_uint: |call| call.board.fan_percent;
    nvmlDeviceGetCurrentClocksEventReasons() -> c_ulonglong: |call| call.board.event_reasons;
    nvmlDeviceGetCurrentClocksThrottleReasons() -> c_ulonglong: |call| call.board.event_reasons;
    nvmlDeviceGetPerformanceState() -> nvmlPstates_t: |call| call.board.performance_state;
    nvmlDeviceGetSupportedEventTypes() -> c_ulonglong: |call| call.board.event_types;
    nvmlDeviceGetTemperature(sensor: nvmlTemperatureSensors_t) -> c_uint: |call, sensor| {
        if sensor != GPU_SENSOR {
            return Err(Refusal::INVALID_ARGUMENT);
        }
        Ok(call.board.temperature)
    };
    nvmlDeviceGetTemperatureThreshold(kind: nvmlTemperatureThresholds_t) -> c_uint: |call, kind| {
        call.board.thresholds.of(kind)
    };
    nvmlDeviceGetClockInfo(kind: nvmlClockType_t) -> c_uint: |call, kind| call.board.clocks_mhz.of(kind);
    nvmlDeviceGetMaxClockInfo(kind: nvmlClockType_t) -> c_uint: |call, kind| {
        call.board.max_clocks_mhz.of(kind)
    };
    nvmlDeviceGetApplicationsClock(kind: nvmlClockType_t) -> c_uint: |call, kind| {
        call.board.application_clocks_mhz.of(kind)
    };
    nvmlDeviceGetPcieThroughput(counter: nvmlPcieUtilCounter_t) -> c_uint: |call, counter| {
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
