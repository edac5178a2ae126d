//! Names for the field numbers that code speaks of. What they mean is in the `catalog` module.

use crate::FieldId;

macro_rules! fields {
    ($($(#[$doc:meta])+ $name:ident = $id:literal;)+) => {
        $($(#[$doc])+ pub const $name: FieldId = FieldId($id);)+

        /// All of them, by name.
        pub const ALL: &[(&str, FieldId)] = &[$((stringify!($name), $name)),+];
    };
}

fields! {
    /// The driver's version, a text.
    DRIVER_VERSION = 1;
    /// NVML's version, a text.
    NVML_VERSION = 2;
    /// The CUDA version that the driver brings, as major x 1000 + minor x 10.
    CUDA_DRIVER_VERSION = 5;
    /// The GPU's model, a text.
    NAME = 50;
    /// The product line, a text.
    BRAND = 51;
    /// The board's serial number, a text.
    SERIAL = 53;
    /// The GPU's UUID, a text.
    UUID = 54;
    /// The number of the device node.
    MINOR_NUMBER = 55;
    /// InfoROM version of the OEM part, a text.
    OEM_INFOROM_VER = 56;
    /// PCI bus id, a text.
    PCI_BUSID = 57;
    /// InfoROM version of the ECC part, a text.
    ECC_INFOROM_VER = 80;
    /// InfoROM version of the power part, a text.
    POWER_INFOROM_VER = 81;
    /// Version of the whole InfoROM image, a text.
    INFOROM_IMAGE_VER = 82;
    /// VBIOS version, a text.
    VBIOS_VERSION = 85;
    /// BAR1 memory in all, in MiB.
    BAR1_TOTAL = 90;
    /// BAR1 memory in use, in MiB.
    BAR1_USED = 92;
    /// BAR1 memory left, in MiB.
    BAR1_FREE = 93;
    /// Whether the driver itself can profile this GPU, 0 or 1.
    GPM_SUPPORT = 94;
    /// SM clock, in MHz.
    SM_CLOCK = 100;
    /// Memory clock, in MHz.
    MEM_CLOCK = 101;
    /// Video clock, in MHz.
    VIDEO_CLOCK = 102;
    /// SM clock that applications asked for, in MHz.
    APP_SM_CLOCK = 110;
    /// Memory clock that applications asked for, in MHz.
    APP_MEM_CLOCK = 111;
    /// Why the clocks are what they are, a bitmask.
    CLOCKS_EVENT_REASONS = 112;
    /// The deprecated name of [`CLOCKS_EVENT_REASONS`], a bitmask.
    CLOCK_THROTTLE_REASONS = 112;
    /// Highest SM clock, in MHz.
    MAX_SM_CLOCK = 113;
    /// Highest memory clock, in MHz.
    MAX_MEM_CLOCK = 114;
    /// Highest video clock, in MHz.
    MAX_VIDEO_CLOCK = 115;
    /// Memory temperature, in degrees Celsius.
    MEMORY_TEMP = 140;
    /// GPU temperature, in degrees Celsius.
    GPU_TEMP = 150;
    /// Memory temperature up to which the board may run, in degrees Celsius.
    MEM_MAX_OP_TEMP = 151;
    /// GPU temperature up to which the board may run, in degrees Celsius.
    GPU_MAX_OP_TEMP = 152;
    /// Degrees Celsius left to the nearest slowdown; smaller is hotter, whatever the name says.
    GPU_TEMP_LIMIT = 153;
    /// Power of the board, in watts.
    POWER_USAGE = 155;
    /// Energy since the driver was loaded, in millijoules.
    TOTAL_ENERGY_CONSUMPTION = 156;
    /// Power of the board at this instant, in watts.
    POWER_USAGE_INSTANT = 157;
    /// GPU temperature at which it slows down, in degrees Celsius.
    SLOWDOWN_TEMP = 158;
    /// GPU temperature at which it shuts down, in degrees Celsius.
    SHUTDOWN_TEMP = 159;
    /// Power limit that was asked for, in watts.
    POWER_MGMT_LIMIT = 160;
    /// Lowest power limit that can be set, in watts.
    POWER_MGMT_LIMIT_MIN = 161;
    /// Highest power limit that can be set, in watts.
    POWER_MGMT_LIMIT_MAX = 162;
    /// Power limit after a reset, in watts.
    POWER_MGMT_LIMIT_DEF = 163;
    /// Power limit in force, in watts.
    ENFORCED_POWER_LIMIT = 164;
    /// How far the GPU is in joining its fabric, an enum.
    FABRIC_MANAGER_STATUS = 170;
    /// Why it could not join its fabric, a code.
    FABRIC_MANAGER_ERROR_CODE = 171;
    /// UUID of the fabric's cluster, a text.
    FABRIC_CLUSTER_UUID = 172;
    /// Number of the GPU's clique in the fabric.
    FABRIC_CLIQUE_ID = 173;
    /// What is wrong with its part of the fabric, a bitmask.
    FABRIC_HEALTH_MASK = 174;
    /// Health of its part of the fabric, an enum.
    FABRIC_HEALTH_SUMMARY = 175;
    /// Performance state: 0 is the fastest, 15 the slowest, 32 unknown.
    PSTATE = 190;
    /// Fan speed, in percent of the highest.
    FAN_SPEED = 191;
    /// PCIe traffic out of the GPU, in KB/s.
    PCIE_TX_THROUGHPUT = 200;
    /// PCIe traffic into the GPU, in KB/s.
    PCIE_RX_THROUGHPUT = 201;
    /// PCIe packets sent again, a count.
    PCIE_REPLAY_COUNTER = 202;
    /// Time in which a kernel ran, in percent.
    GPU_UTIL = 203;
    /// Time in which the memory was read or written, in percent.
    MEM_COPY_UTIL = 204;
    /// Encoder utilisation, in percent.
    ENC_UTIL = 206;
    /// Decoder utilisation, in percent.
    DEC_UTIL = 207;
    /// The newest XID, a code.
    XID_ERRORS = 230;
    /// Highest PCIe generation of GPU and slot.
    PCIE_MAX_LINK_GEN = 235;
    /// Highest PCIe width of GPU and slot, in lanes.
    PCIE_MAX_LINK_WIDTH = 236;
    /// PCIe generation in use.
    PCIE_LINK_GEN = 237;
    /// PCIe width in use, in lanes.
    PCIE_LINK_WIDTH = 238;
    /// Time held back by the power limit, in nanoseconds.
    POWER_VIOLATION = 240;
    /// Time held back by heat, in nanoseconds.
    THERMAL_VIOLATION = 241;
    /// Time held back by sync boost, in nanoseconds.
    SYNC_BOOST_VIOLATION = 242;
    /// Time held back by a limit of the board, in nanoseconds.
    BOARD_LIMIT_VIOLATION = 243;
    /// Time held back for want of work, in nanoseconds.
    LOW_UTIL_VIOLATION = 244;
    /// Time held back by the reliability limit, in nanoseconds.
    RELIABILITY_VIOLATION = 245;
    /// Time below the application clocks, in nanoseconds.
    TOTAL_APP_CLOCKS_VIOLATION = 246;
    /// Time below the base clocks, in nanoseconds.
    TOTAL_BASE_CLOCKS_VIOLATION = 247;
    /// Framebuffer in all, in MiB.
    FB_TOTAL = 250;
    /// Framebuffer left, in MiB.
    FB_FREE = 251;
    /// Framebuffer in use, in MiB.
    FB_USED = 252;
    /// Framebuffer that the driver keeps to itself, in MiB.
    FB_RESERVED = 253;
    /// Framebuffer in use as a ratio of what is not reserved, 0 to 1.
    FB_USED_PERCENT = 254;
    /// Whether ECC is on, 0 or 1.
    ECC_CURRENT = 300;
    /// Single-bit errors since the driver was loaded or the GPU was reset, a count.
    ECC_SBE_VOL_TOTAL = 310;
    /// Double-bit errors since the driver was loaded or the GPU was reset, a count.
    ECC_DBE_VOL_TOTAL = 311;
    /// Single-bit errors in the life of the board, a count.
    ECC_SBE_AGG_TOTAL = 312;
    /// Double-bit errors in the life of the board, a count.
    ECC_DBE_AGG_TOTAL = 313;
    /// Whether SRAM errors are past their threshold, 0 or 1.
    THRESHOLD_SRM = 346;
    /// Memory banks with all of their spare rows.
    BANKS_REMAP_ROWS_AVAIL_MAX = 385;
    /// Memory banks with many spare rows left.
    BANKS_REMAP_ROWS_AVAIL_HIGH = 386;
    /// Memory banks with some spare rows left.
    BANKS_REMAP_ROWS_AVAIL_PARTIAL = 387;
    /// Memory banks with few spare rows left.
    BANKS_REMAP_ROWS_AVAIL_LOW = 388;
    /// Memory banks with no spare row left.
    BANKS_REMAP_ROWS_AVAIL_NONE = 389;
    /// Pages retired for single-bit errors.
    RETIRED_SBE = 390;
    /// Pages retired for double-bit errors.
    RETIRED_DBE = 391;
    /// Pages that the next reset will retire.
    RETIRED_PENDING = 392;
    /// Rows remapped for uncorrectable errors.
    UNCORRECTABLE_REMAPPED_ROWS = 393;
    /// Rows remapped for correctable errors.
    CORRECTABLE_REMAPPED_ROWS = 394;
    /// Whether remapping a row has failed, 0 or 1.
    ROW_REMAP_FAILURE = 395;
    /// Whether rows wait for the next reset to be remapped, 0 or 1.
    ROW_REMAP_PENDING = 396;
    /// NVLink flit checksum errors of all links, a count.
    NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL = 409;
    /// NVLink data checksum errors of all links, a count.
    NVLINK_CRC_DATA_ERROR_COUNT_TOTAL = 419;
    /// NVLink packets sent again on all links, a count.
    NVLINK_REPLAY_ERROR_COUNT_TOTAL = 429;
    /// NVLink recoveries of all links, a count.
    NVLINK_RECOVERY_ERROR_COUNT_TOTAL = 439;
    /// NVLink traffic of all links, both ways, in 1000 KiB/s.
    NVLINK_BANDWIDTH_TOTAL = 449;
    /// Whether a vGPU licence is held, 0 or 1.
    VGPU_LICENSE_STATUS = 526;
    /// NVLink traffic out of the GPU on all links, in 1000 KiB/s.
    NVLINK_TX_BANDWIDTH_TOTAL = 843;
    /// NVLink traffic into the GPU on all links, in 1000 KiB/s.
    NVLINK_RX_BANDWIDTH_TOTAL = 897;
    /// Time in which the graphics or compute engine was busy, a ratio.
    PROF_GR_ENGINE_ACTIVE = 1001;
    /// Time in which an SM had at least one warp, a ratio, averaged over SMs.
    PROF_SM_ACTIVE = 1002;
    /// Resident warps, a ratio of the most that fit.
    PROF_SM_OCCUPANCY = 1003;
    /// Time in which the tensor pipes were busy, a ratio.
    PROF_PIPE_TENSOR_ACTIVE = 1004;
    /// Time in which memory was sending or receiving, a ratio.
    PROF_DRAM_ACTIVE = 1005;
    /// Time in which the FP64 pipes were busy, a ratio.
    PROF_PIPE_FP64_ACTIVE = 1006;
    /// Time in which the FP32 pipes were busy, a ratio.
    PROF_PIPE_FP32_ACTIVE = 1007;
    /// Time in which the FP16 pipes were busy, a ratio.
    PROF_PIPE_FP16_ACTIVE = 1008;
    /// PCIe traffic out of the GPU, in bytes per second.
    PROF_PCIE_TX_BYTES = 1009;
    /// PCIe traffic into the GPU, in bytes per second.
    PROF_PCIE_RX_BYTES = 1010;
    /// NVLink traffic out of the GPU, in bytes per second.
    PROF_NVLINK_TX_BYTES = 1011;
    /// NVLink traffic into the GPU, in bytes per second.
    PROF_NVLINK_RX_BYTES = 1012;
    /// Time in which the tensor pipes worked on integers, a ratio.
    PROF_PIPE_TENSOR_IMMA_ACTIVE = 1013;
    /// Time in which the tensor pipes worked on half precision, a ratio.
    PROF_PIPE_TENSOR_HMMA_ACTIVE = 1014;
    /// Time in which the tensor pipes worked on double precision, a ratio.
    PROF_PIPE_TENSOR_DFMA_ACTIVE = 1015;
    /// Time in which the integer pipes were busy, a ratio.
    PROF_PIPE_INT_ACTIVE = 1016;
    /// Time held back by the software power cap, in nanoseconds.
    CLOCKS_EVENT_REASON_SW_POWER_CAP_NS = 1420;
    /// Time held back by sync boost, in nanoseconds.
    CLOCKS_EVENT_REASON_SYNC_BOOST_NS = 1421;
    /// Time held back by software for heat, in nanoseconds.
    CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS = 1422;
    /// Time held back by hardware for heat, in nanoseconds.
    CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN_NS = 1423;
    /// Time held back by the power brake, in nanoseconds.
    CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN_NS = 1424;
    /// Correctable PCIe errors, a count.
    PCIE_COUNT_CORRECTABLE_ERRORS = 1501;
    /// Whether memory is beyond repair, 0 or 1.
    MEMORY_UNREPAIRABLE_FLAG = 1507;
    /// State of one NVLink: 0 inactive, 1 active, 2 asleep.
    NVLINK_GET_STATE = 1508;
    /// What the driver asks for: 0 nothing, 1 GPU reset, 2 reboot, 3 drain P2P, 4 drain and reset.
    GET_GPU_RECOVERY_ACTION = 1523;
    /// SM clock, in Hz.
    SM_CLOCK_HERTZ = 1603;
    /// Memory clock, in Hz.
    MEMORY_CLOCK_HERTZ = 1604;
    /// Energy since the driver was loaded, in joules.
    GPU_ENERGY_JOULES_TOTAL = 1611;
    /// Time in which a kernel ran, a ratio.
    GPU_UTIL_RATIO = 1613;
    /// Time in which the memory was read or written, a ratio.
    MEMORY_UTIL_RATIO = 1614;
    /// Encoder utilisation, a ratio.
    ENC_UTIL_RATIO = 1615;
    /// Decoder utilisation, a ratio.
    DEC_UTIL_RATIO = 1616;
    /// Framebuffer in all, in bytes.
    FB_CAPACITY_BYTES = 1625;
    /// Framebuffer left, in bytes.
    FB_FREE_BYTES = 1626;
    /// Framebuffer in use, in bytes.
    FB_USED_BYTES = 1627;
    /// Framebuffer that the driver keeps, in bytes.
    FB_RESERVED_BYTES = 1628;
    /// NVLink traffic of all links, both ways, in bytes per second.
    NVLINK_THROUGHPUT_BYTES_PER_SECOND = 1648;
    /// XIDs in a sliding window, a count per code.
    EXP_XID_ERRORS_COUNT = 9001;
    /// Samples in a sliding window that had a clock event reason set, a count per reason.
    EXP_CLOCK_EVENTS_COUNT = 9002;
    /// Health by subsystem: 0 pass, 10 warn, 20 fail.
    EXP_GPU_HEALTH_STATUS = 9003;
    /// State of the way from one GPU to another, an enum per pair.
    EXP_P2P_STATUS = 9004;
    /// How often a clock event reason came up since this process began, a count per reason. DCGM
    /// has no number for it; this one is ours.
    EXP_CLOCK_EVENTS_TOTAL = 9005;
    /// XIDs since this process began, a count per code. DCGM has no number for it; this one is
    /// ours.
    EXP_XID_ERRORS_TOTAL = 9006;
    /// The highest SM clock of the power state that the GPU is in, in MHz. Only read for what is
    /// derived from it; the number is ours.
    MAX_SM_CLOCK_OF_PSTATE = 9101;
    /// Version of heatsink; always 1.
    BUILD_INFO = 9201;
    /// Source of the readings and version of its driver; always 1.
    SOURCE_INFO = 9202;
    /// Whether the source of the readings is open, 0 or 1.
    SOURCE_UP = 9203;
    /// Whether the GPU answers, 0 or 1.
    GPU_UP = 9204;
    /// Why the GPU does not answer; 1 while it does not.
    GPU_DOWN_INFO = 9205;
    /// GPUs that the machine should have by --expected-gpus, as a count.
    GPUS_EXPECTED = 9206;
    /// When the last complete pass over the GPU ended, in seconds since 1970.
    GPU_LAST_SUCCESS_TIMESTAMP_SECONDS = 9207;
    /// Time that the last complete pass over the GPU took in the driver, in seconds.
    COLLECTION_DURATION_SECONDS = 9208;
    /// Time that each kind of driver call took the last time, in seconds.
    DRIVER_CALL_DURATION_SECONDS = 9209;
    /// Readings that failed by field and reason, as a count.
    READ_ERRORS_TOTAL = 9210;
    /// Why a field that was asked for cannot be read on any GPU of this machine; always 1.
    FIELD_UNAVAILABLE_INFO = 9211;
    /// XIDs of the GPU by code, as a count.
    XID_ERRORS_TOTAL = 9212;
    /// XIDs of the GPU that ask for a reset, a restart or a repair, of all codes that heatsink_xid_source_info can deliver, as a count.
    XID_CRITICAL_ERRORS_TOTAL = 9213;
    /// Source of XIDs: kernel_log, dcgm, sim, or nvml_events, which lacks 79, 119, 120 and a few more; always 1.
    XID_SOURCE_INFO = 9214;
    /// When the last XID of this code came, in seconds since 1970.
    XID_LAST_TIMESTAMP_SECONDS = 9215;
    /// Meaning of an XID and what to do about it, for each code on this page; always 1.
    XID_INFO = 9216;
    /// NVLink XIDs in the kernel's log by the unit of the link that reports them, as a count.
    NVLINK_XID_ERRORS_TOTAL = 9217;
    /// Errors of NVSwitches (SXids) in the kernel's log, as a count.
    NVSWITCH_SXID_ERRORS_TOTAL = 9218;
    /// Failures of GPUs in the kernel's log that have no XID (fallen_off_bus, init_failed, probe_failed), as a count.
    DRIVER_ERRORS_TOTAL = 9219;
    /// Records of the kernel's log that were lost before they were read, as a count.
    KERNEL_LOG_LOST_RECORDS_TOTAL = 9220;
    /// Whether the driver gives this reason for the current clocks, 0 or 1.
    CLOCK_EVENT_ACTIVE = 9221;
    /// Time in which the driver gave this reason for the current clocks, in seconds.
    CLOCK_EVENT_SECONDS_TOTAL = 9222;
    /// SM clock compared with the highest one of the current performance state (1 is full speed; low on an idle GPU), as a ratio.
    GPU_SLOWDOWN_RATIO = 9223;
    /// NVLinks of the GPU that are active or asleep, as a count.
    NVLINKS_ACTIVE = 9224;
    /// GPU temperature, lowest over the last heatsink_window_seconds, in degrees Celsius.
    GPU_TEMPERATURE_MIN_CELSIUS = 9225;
    /// GPU temperature, mean over the last heatsink_window_seconds, in degrees Celsius.
    GPU_TEMPERATURE_MEAN_CELSIUS = 9226;
    /// GPU temperature, highest over the last heatsink_window_seconds, in degrees Celsius.
    GPU_TEMPERATURE_MAX_CELSIUS = 9227;
    /// Memory temperature, lowest over the last heatsink_window_seconds, in degrees Celsius.
    MEMORY_TEMPERATURE_MIN_CELSIUS = 9228;
    /// Memory temperature, mean over the last heatsink_window_seconds, in degrees Celsius.
    MEMORY_TEMPERATURE_MEAN_CELSIUS = 9229;
    /// Memory temperature, highest over the last heatsink_window_seconds, in degrees Celsius.
    MEMORY_TEMPERATURE_MAX_CELSIUS = 9230;
    /// Power drawn by the board, lowest over the last heatsink_window_seconds, in watts.
    POWER_MIN_WATTS = 9231;
    /// Power drawn by the board, mean over the last heatsink_window_seconds, in watts.
    POWER_MEAN_WATTS = 9232;
    /// Power drawn by the board, highest over the last heatsink_window_seconds, in watts.
    POWER_MAX_WATTS = 9233;
    /// SM clock, lowest over the last heatsink_window_seconds, in hertz.
    SM_CLOCK_MIN_HERTZ = 9234;
    /// SM clock, mean over the last heatsink_window_seconds, in hertz.
    SM_CLOCK_MEAN_HERTZ = 9235;
    /// SM clock, highest over the last heatsink_window_seconds, in hertz.
    SM_CLOCK_MAX_HERTZ = 9236;
    /// Share of time in which at least one kernel ran, lowest over the last heatsink_window_seconds, as a ratio.
    GPU_UTILIZATION_MIN_RATIO = 9237;
    /// Share of time in which at least one kernel ran, mean over the last heatsink_window_seconds, as a ratio.
    GPU_UTILIZATION_MEAN_RATIO = 9238;
    /// Share of time in which at least one kernel ran, highest over the last heatsink_window_seconds, as a ratio.
    GPU_UTILIZATION_MAX_RATIO = 9239;
    /// Share of time in which memory was read or written, lowest over the last heatsink_window_seconds, as a ratio.
    MEMORY_UTILIZATION_MIN_RATIO = 9240;
    /// Share of time in which memory was read or written, mean over the last heatsink_window_seconds, as a ratio.
    MEMORY_UTILIZATION_MEAN_RATIO = 9241;
    /// Share of time in which memory was read or written, highest over the last heatsink_window_seconds, as a ratio.
    MEMORY_UTILIZATION_MAX_RATIO = 9242;
    /// Framebuffer memory in use, lowest over the last heatsink_window_seconds, in bytes.
    FRAMEBUFFER_USED_MIN_BYTES = 9243;
    /// Framebuffer memory in use, mean over the last heatsink_window_seconds, in bytes.
    FRAMEBUFFER_USED_MEAN_BYTES = 9244;
    /// Framebuffer memory in use, highest over the last heatsink_window_seconds, in bytes.
    FRAMEBUFFER_USED_MAX_BYTES = 9245;
    /// Length of the window of lowest, mean and highest values, in seconds.
    WINDOW_SECONDS = 9246;
    /// Rows of the counters files that were not understood, as a count.
    CONFIG_ROWS_SKIPPED = 9247;
    /// Whether the counters files could be read the last time, 0 or 1.
    CONFIG_LAST_RELOAD_SUCCESSFUL = 9248;
    /// Reader threads that ended or could not be started and are started again, as a count.
    READER_RESTARTS_TOTAL = 9249;
    /// CPU time that heatsink has used, user and system, in seconds.
    PROCESS_CPU_SECONDS_TOTAL = 9250;
    /// Resident memory of heatsink, in bytes.
    PROCESS_RESIDENT_MEMORY_BYTES = 9251;
    /// When heatsink started, in seconds since 1970.
    PROCESS_START_TIME_SECONDS = 9252;
    /// HTTP connections closed because the limit of 256 was reached, as a count.
    HTTP_CONNECTIONS_CLOSED_TOTAL = 9253;
}

/// Whether heatsink makes the field itself, of what it reads and counts: no source reads it.
pub fn is_derived(field: FieldId) -> bool {
    matches!(field.0, 9001..=9099 | 9201..) && field != EXP_P2P_STATUS
}
