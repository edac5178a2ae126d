//! One row per field. Everything else that depends on a field's name, unit or help text follows from
//! it: the constants of [`model::field`](crate::field), [`FIELDS`], the built-in sets, the files in
//! `deploy/counters` and `docs/metrics.md`.
//!
//! A row has these columns:
//!
//! | column | what it is |
//! |---|---|
//! | number | DCGM's number. 9005, 9006 and those from 9201 on are of this program |
//! | prefix | `dev` for `DCGM_FI_DEV_`, `fi` for `DCGM_FI_`, `dcgm` for `DCGM_`; of heatsink's own families the whole name |
//! | constant | the rest of the name, and the constant in `model::field` |
//! | group, level, value, unit, pace, kind | see [`Field`] |
//! | sets | the built-in sets that read it. `OFFERED`: a comment in `default.csv`. Labels are comments in `all.csv` and `machine.csv` unless `default` reads them |
//! | help | the help text, with its unit |
//!
//! What few fields have comes after the help text:
//!
//! | key | what it is |
//! |---|---|
//! | `aka` | the name of DCGM 4.6 |
//! | `renamed` | the name of DCGM 4.6, under which dcgm-exporter 4.9 serves it |
//! | `v4_9` | the field in a base unit that dcgm-exporter 4.9 serves in its place |
//! | `base` | the field in a base unit that dcgm-exporter 4.9 serves beside it |
//! | `v1` | the name of dcgm-exporter 1.x; the set `1.x` has those that have one |
//! | `series` | the number of series per GPU, where it does not follow from the level |
//! | `cumulative` | `false` for a counter that can fall |
//!
//! Rows stand in blocks by subject, with the heading and in the order that they have in the counters
//! file; a block without a heading continues the one before it. After a change,
//! `UPDATE_GOLDEN=1 cargo test -p model` writes the counters files.

use crate::watch::{FieldId, Kind, Pace};

use super::group::Group;
use super::row::{Field, Level, ValueType, mark};

/// The name of a field, from its prefix and its constant.
macro_rules! name {
    (dev $rest:ident) => {
        concat!("DCGM_FI_DEV_", stringify!($rest))
    };
    (fi $rest:ident) => {
        concat!("DCGM_FI_", stringify!($rest))
    };
    (dcgm $rest:ident) => {
        concat!("DCGM_", stringify!($rest))
    };
    ($whole:ident $rest:ident) => {
        stringify!($whole)
    };
}

/// A row with one of the keys that few have.
macro_rules! with {
    ($row:expr, $prefix:ident, aka $name:ident) => {
        Field { canonical: Some(name!($prefix $name)), ..$row }
    };
    ($row:expr, $prefix:ident, renamed $name:ident) => {
        Field { canonical: Some(name!($prefix $name)), v4_9: Some($row.id), ..$row }
    };
    ($row:expr, $prefix:ident, v4_9 $name:ident) => {
        Field { v4_9: Some(constants::$name), base_unit: Some(constants::$name), ..$row }
    };
    ($row:expr, $prefix:ident, base $name:ident) => {
        Field { base_unit: Some(constants::$name), ..$row }
    };
    ($row:expr, $prefix:ident, v1 $name:ident) => {
        Field { v1: Some(stringify!($name)), ..$row }
    };
    ($row:expr, $prefix:ident, series $series:literal) => {
        Field { series: Some($series), ..$row }
    };
    ($row:expr, $prefix:ident, cumulative $cumulative:literal) => {
        Field { cumulative: $cumulative, ..$row }
    };
}

macro_rules! fields {
    ($($subject:ident $($heading:literal)? {
        $($id:literal $prefix:ident $name:ident $group:ident $level:ident $value:ident $unit:literal
          $pace:ident $kind:ident $($set:ident)* $help:literal $(, $key:ident $what:tt)*;)*
    })*) => {
        /// The number of each field, under its name without prefix.
        pub(crate) mod constants {
            use crate::watch::FieldId;

            $($(#[doc = concat!($help, ".")] pub const $name: FieldId = FieldId($id);)*)*
        }

        /// The subject of a block.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(in crate::catalog) enum Subject {
            $($subject),*
        }

        /// The blocks in the order of the table, with their headings; one without continues the one
        /// before it.
        pub(in crate::catalog) static BLOCKS: &[(Subject, &str)] =
            &[$((Subject::$subject, concat!($($heading)?))),*];

        const ROWS: &[Field] = &[$($({
            let row = Field {
                id: FieldId($id),
                name: name!($prefix $name),
                canonical: None,
                group: Group::$group,
                level: Level::$level,
                value: ValueType::$value,
                unit: $unit,
                pace: Pace::$pace,
                kind: Kind::$kind,
                help: $help,
                base_unit: None,
                v4_9: None,
                v1: None,
                series: None,
                cumulative: matches!(Kind::$kind, Kind::Counter),
                sets: 0 $(| mark::$set)*,
                block: Subject::$subject as u8,
                place: 0,
            };
            $(let row = with!(row, $prefix, $key $what);)*
            row
        }),*),*];
    };
}

/// All fields, in order of number.
///
/// Number 112 has two rows: its name of today first, and the deprecated one that counters files
/// still use.
pub static FIELDS: &[Field] = &SORTED;

static SORTED: [Field; ROWS.len()] = {
    let mut sorted = [ROWS[0]; ROWS.len()];
    let mut place = 0;
    while place < ROWS.len() {
        let mut at = place;
        while at > 0 && sorted[at - 1].id.0 > ROWS[place].id.0 {
            sorted[at] = sorted[at - 1];
            at -= 1;
        }
        sorted[at] = Field { place: place as u16, ..ROWS[place] };
        place += 1;
    }
    sorted
};

#[rustfmt::skip]
fields! {
    Labels "Labels: the value becomes a label of every series of its GPU. Most texts are comments, since each makes\n# every series longer; remove the # of a row to read it. UUID, bus id and model are always labels." {
           1 fi   DRIVER_VERSION                                  Identity  Global          Text  "text"         Slow  Label   ALL DEFAULT MINIMAL    "Version of the NVIDIA driver", renamed SYSTEM_DRIVER_VERSION;
           2 fi   NVML_VERSION                                    Identity  Global          Text  "text"         Slow  Label   ALL                    "Version of NVML", aka SYSTEM_NVML_VERSION;
          50 dev  NAME                                            Identity  ComputeInstance Text  "text"         Slow  Label   ALL                    "Model of the GPU", aka GPU_NAME;
          51 dev  BRAND                                           Identity  Gpu             Text  "text"         Slow  Label   ALL                    "Product line of the GPU", aka GPU_BRAND;
          53 dev  SERIAL                                          Identity  Gpu             Text  "text"         Slow  Label   ALL                    "Serial number of the board", aka BOARD_SERIAL;
          54 dev  UUID                                            Identity  ComputeInstance Text  "text"         Slow  Label   ALL                    "UUID of the GPU", aka GPU_UUID;
          56 dev  OEM_INFOROM_VER                                 Identity  Gpu             Text  "text"         Slow  Label   ALL                    "Version of the OEM part of the InfoROM", aka INFOROM_OEM_VERSION;
          57 dev  PCI_BUSID                                       Identity  Gpu             Text  "text"         Slow  Label   ALL                    "PCI bus id of the GPU", aka PCI_BUS_ID;
          80 dev  ECC_INFOROM_VER                                 Identity  Gpu             Text  "text"         Slow  Label   ALL                    "Version of the ECC part of the InfoROM", aka INFOROM_ECC_VERSION;
          81 dev  POWER_INFOROM_VER                               Identity  Gpu             Text  "text"         Slow  Label   ALL                    "Version of the power part of the InfoROM", aka INFOROM_POWER_VERSION;
          82 dev  INFOROM_IMAGE_VER                               Identity  Gpu             Text  "text"         Slow  Label   ALL                    "Version of the InfoROM image", aka INFOROM_IMAGE_VERSION;
          85 dev  VBIOS_VERSION                                   Identity  Gpu             Text  "text"         Slow  Label   ALL                    "Version of the VBIOS";
         172 dev  FABRIC_CLUSTER_UUID                             Nvlink    Gpu             Text  "text"         Slow  Label   ALL                    "UUID of the cluster of the NVLink fabric";
    }
    Device "What the driver and the GPU are" {
           5 fi   CUDA_DRIVER_VERSION                             Identity  Global          Int   "version"      Slow  Gauge   ALL                    "CUDA version that the driver brings, as major x 1000 + minor x 10";
          55 dev  MINOR_NUMBER                                    Identity  Gpu             Int   "number"       Slow  Gauge   ALL                    "Number of the device node, as in /dev/nvidia0", aka GPU_MINOR_NUMBER;
          94 dev  GPM_SUPPORT                                     Profiling Gpu             Int   "flag"         Slow  Gauge   ALL                    "Whether the driver itself can profile this GPU, 0 or 1";
    }
    Clocks "Clocks, and reasons for them" {
         100 dev  SM_CLOCK                                        Clocks    Gpu             Int   "MHz"          Every Gauge   ALL DEFAULT MINIMAL    "SM clock, in MHz", v4_9 SM_CLOCK_HERTZ, v1 dcgm_sm_clock;
        1603 dev  SM_CLOCK_HERTZ                                  Clocks    Gpu             Int   "Hz"           Every Gauge                          "SM clock, in Hz";
         101 dev  MEM_CLOCK                                       Clocks    Gpu             Int   "MHz"          Every Gauge   ALL DEFAULT            "Memory clock, in MHz", v4_9 MEMORY_CLOCK_HERTZ, v1 dcgm_memory_clock;
        1604 dev  MEMORY_CLOCK_HERTZ                              Clocks    Gpu             Int   "Hz"           Every Gauge                          "Memory clock, in Hz";
         102 dev  VIDEO_CLOCK                                     Clocks    Gpu             Int   "MHz"          Every Gauge   ALL                    "Video clock, in MHz";
         110 dev  APP_SM_CLOCK                                    Clocks    Gpu             Int   "MHz"          Slow  Gauge   ALL                    "SM clock that applications are meant to run at, in MHz";
         111 dev  APP_MEM_CLOCK                                   Clocks    Gpu             Int   "MHz"          Slow  Gauge   ALL                    "Memory clock that applications are meant to run at, in MHz";
         112 dev  CLOCKS_EVENT_REASONS                            Clocks    Gpu             Int   "bitmask"      Every Gauge   ALL MINIMAL            "Reasons for the current clocks, as a bitmask (bit 0 is set on an idle GPU)";
         112 dev  CLOCK_THROTTLE_REASONS                          Clocks    Gpu             Int   "bitmask"      Every Gauge   DEFAULT                "Reasons for the current clocks, as a bitmask (bit 0 is set on an idle GPU)", aka CLOCKS_EVENT_REASONS;
         113 dev  MAX_SM_CLOCK                                    Clocks    Gpu             Int   "MHz"          Slow  Gauge   ALL                    "Highest SM clock of the board, in MHz";
         114 dev  MAX_MEM_CLOCK                                   Clocks    Gpu             Int   "MHz"          Slow  Gauge   ALL                    "Highest memory clock of the board, in MHz";
         115 dev  MAX_VIDEO_CLOCK                                 Clocks    Gpu             Int   "MHz"          Slow  Gauge   ALL                    "Highest video clock of the board, in MHz";
    }
    Temperatures "Temperatures, and the thresholds of the board" {
         140 dev  MEMORY_TEMP                                     Heat      Gpu             Int   "°C"           Every Gauge   ALL DEFAULT MINIMAL    "Memory temperature, in degrees Celsius", renamed MEMORY_TEMP_CELSIUS, v1 dcgm_memory_temp;
         150 dev  GPU_TEMP                                        Heat      Gpu             Int   "°C"           Every Gauge   ALL DEFAULT MINIMAL    "GPU temperature, in degrees Celsius", renamed GPU_TEMP_CELSIUS, v1 dcgm_gpu_temp;
         151 dev  MEM_MAX_OP_TEMP                                 Heat      Gpu             Int   "°C"           Slow  Gauge   ALL MONITORING         "Memory temperature up to which the board is meant to run, in degrees Celsius", aka MEMORY_MAX_OP_TEMP_CELSIUS;
         152 dev  GPU_MAX_OP_TEMP                                 Heat      Gpu             Int   "°C"           Slow  Gauge   ALL                    "GPU temperature up to which the board is meant to run, in degrees Celsius", aka GPU_MAX_OP_TEMP_CELSIUS;
         153 dev  GPU_TEMP_LIMIT                                  Heat      Gpu             Int   "°C"           Every Gauge   ALL                    "Distance of the GPU temperature to the nearest slowdown, in degrees Celsius (smaller is hotter)", aka GPU_TEMP_MARGIN_CELSIUS;
         158 dev  SLOWDOWN_TEMP                                   Heat      Gpu             Int   "°C"           Slow  Gauge   ALL DEFAULT            "GPU temperature at which the clocks are lowered, in degrees Celsius", aka GPU_TEMP_SLOWDOWN_CELSIUS;
         159 dev  SHUTDOWN_TEMP                                   Heat      Gpu             Int   "°C"           Slow  Gauge   ALL                    "GPU temperature at which it shuts down, in degrees Celsius", aka GPU_TEMP_SHUTDOWN_CELSIUS;
    }
    Power "Power and energy" {
         155 dev  POWER_USAGE                                     Power     Gpu             Float "W"            Every Gauge   ALL DEFAULT MINIMAL    "Power drawn by the board, in watts", renamed BOARD_POWER_WATTS, v1 dcgm_power_usage;
         156 dev  TOTAL_ENERGY_CONSUMPTION                        Power     Gpu             Int   "mJ"           Every Counter ALL DEFAULT MINIMAL    "Energy used since the driver was loaded, in millijoules", v4_9 GPU_ENERGY_JOULES_TOTAL, v1 dcgm_total_energy_consumption;
        1611 dev  GPU_ENERGY_JOULES_TOTAL                         Power     Gpu             Int   "J"            Every Counter                        "Energy used since the driver was loaded, in joules";
         157 dev  POWER_USAGE_INSTANT                             Power     Gpu             Float "W"            Every Gauge   ALL                    "Power drawn by the board at this instant, not averaged, in watts", aka BOARD_POWER_RAW_WATTS;
    }
    PowerLimits "Power limits" {
         160 dev  POWER_MGMT_LIMIT                                Power     Gpu             Float "W"            Slow  Gauge   ALL OFFERED            "Power limit that was asked for, in watts", aka BOARD_POWER_LIMIT_REQUESTED_WATTS;
         161 dev  POWER_MGMT_LIMIT_MIN                            Power     Gpu             Float "W"            Slow  Gauge   ALL OFFERED            "Lowest power limit that can be set, in watts", aka BOARD_POWER_LIMIT_MIN_WATTS;
         162 dev  POWER_MGMT_LIMIT_MAX                            Power     Gpu             Float "W"            Slow  Gauge   ALL OFFERED            "Highest power limit that can be set, in watts", aka BOARD_POWER_LIMIT_MAX_WATTS;
         163 dev  POWER_MGMT_LIMIT_DEF                            Power     Gpu             Float "W"            Slow  Gauge   ALL OFFERED            "Power limit that the board comes up with, in watts", aka BOARD_POWER_LIMIT_DEFAULT_WATTS;
         164 dev  ENFORCED_POWER_LIMIT                            Power     Gpu             Float "W"            Slow  Gauge   ALL OFFERED MONITORING "Power limit in force after all limiters, in watts", aka BOARD_POWER_LIMIT_ENFORCED_WATTS;
    }
    PerformanceAndFan "Performance state and fan" {
         190 dev  PSTATE                                          Clocks    Gpu             Int   "P-state"      Every Gauge   ALL                    "Performance state, from 0 (fastest) to 15; 32 is unknown", aka GPU_PSTATE;
         191 dev  FAN_SPEED                                       Heat      Gpu             Int   "%"            Every Gauge   ALL DEFAULT            "Fan speed asked for, in percent of the highest";
    }
    Utilisation "Utilisation" {
        // DCGM 4.6 calls 203 `..._GPU_UTIL_RATIO`, still 0 to 100; from 4.7 on that name is 1613, 0 to 1.
         203 dev  GPU_UTIL                                        Use       Gpu             Int   "%"            Every Gauge   ALL DEFAULT MINIMAL    "Share of time in which at least one kernel ran, in percent", v4_9 GPU_UTIL_RATIO, v1 dcgm_gpu_utilization;
        1613 dev  GPU_UTIL_RATIO                                  Use       Gpu             Float "ratio"        Every Gauge                          "Share of time in which at least one kernel ran, as a ratio";
         204 dev  MEM_COPY_UTIL                                   Use       Gpu             Int   "%"            Every Gauge   ALL DEFAULT            "Share of time in which memory was read or written, in percent", v4_9 MEMORY_UTIL_RATIO, v1 dcgm_mem_copy_utilization;
        1614 dev  MEMORY_UTIL_RATIO                               Use       Gpu             Float "ratio"        Every Gauge                          "Share of time in which memory was read or written, as a ratio";
         206 dev  ENC_UTIL                                        Use       Gpu             Int   "%"            Every Gauge   ALL DEFAULT            "Video encoder utilisation, in percent", v4_9 ENC_UTIL_RATIO, v1 dcgm_enc_utilization;
        1615 dev  ENC_UTIL_RATIO                                  Use       Gpu             Float "ratio"        Every Gauge                          "Video encoder utilisation, as a ratio";
         207 dev  DEC_UTIL                                        Use       Gpu             Int   "%"            Every Gauge   ALL DEFAULT            "Video decoder utilisation, in percent", v4_9 DEC_UTIL_RATIO, v1 dcgm_dec_utilization;
        1616 dev  DEC_UTIL_RATIO                                  Use       Gpu             Float "ratio"        Every Gauge                          "Video decoder utilisation, as a ratio";
    }
    FramebufferSize "Framebuffer" {
         250 dev  FB_TOTAL                                        Memory    ComputeInstance Int   "MiB"          Every Gauge   ALL DEFAULT            "Framebuffer memory in all, in MiB", base FB_CAPACITY_BYTES;
        1625 dev  FB_CAPACITY_BYTES                               Memory    ComputeInstance Int   "B"            Every Gauge                          "Framebuffer memory in all, in bytes";
    }
    Framebuffer {
         251 dev  FB_FREE                                         Memory    ComputeInstance Int   "MiB"          Every Gauge   ALL DEFAULT MINIMAL    "Framebuffer memory left, in MiB", v4_9 FB_FREE_BYTES, v1 dcgm_fb_free;
        1626 dev  FB_FREE_BYTES                                   Memory    ComputeInstance Int   "B"            Every Gauge                          "Framebuffer memory left, in bytes";
         252 dev  FB_USED                                         Memory    ComputeInstance Int   "MiB"          Every Gauge   ALL DEFAULT MINIMAL    "Framebuffer memory in use, in MiB", v4_9 FB_USED_BYTES, v1 dcgm_fb_used;
        1627 dev  FB_USED_BYTES                                   Memory    ComputeInstance Int   "B"            Every Gauge                          "Framebuffer memory in use, in bytes";
         253 dev  FB_RESERVED                                     Memory    ComputeInstance Int   "MiB"          Every Gauge   ALL DEFAULT            "Framebuffer memory kept by the driver, in MiB", v4_9 FB_RESERVED_BYTES;
        1628 dev  FB_RESERVED_BYTES                               Memory    ComputeInstance Int   "B"            Every Gauge                          "Framebuffer memory kept by the driver, in bytes";
         254 dev  FB_USED_PERCENT                                 Memory    ComputeInstance Float "ratio"        Every Gauge   ALL                    "Framebuffer memory in use compared with what is not reserved, as a ratio from 0 to 1", aka FB_USED_RATIO;
    }
    Bar1 "BAR1 memory" {
          90 dev  BAR1_TOTAL                                      Memory    ComputeInstance Int   "MiB"          Every Gauge   ALL                    "BAR1 memory in all, in MiB";
          92 dev  BAR1_USED                                       Memory    ComputeInstance Int   "MiB"          Every Gauge   ALL                    "BAR1 memory in use, in MiB";
          93 dev  BAR1_FREE                                       Memory    ComputeInstance Int   "MiB"          Every Gauge   ALL                    "BAR1 memory left, in MiB";
    }
    Pcie "PCIe" {
         200 dev  PCIE_TX_THROUGHPUT                              Pcie      Gpu             Int   "KB/s"         Every Gauge   ALL DEFAULT            "PCIe traffic sent by the GPU, in KB per second", v1 dcgm_pcie_tx_throughput;
         201 dev  PCIE_RX_THROUGHPUT                              Pcie      Gpu             Int   "KB/s"         Every Gauge   ALL DEFAULT            "PCIe traffic received by the GPU, in KB per second", v1 dcgm_pcie_rx_throughput;
         202 dev  PCIE_REPLAY_COUNTER                             Pcie      Gpu             Int   "count"        Slow  Counter ALL DEFAULT            "PCIe packets that had to be sent again, as a count", renamed PCIE_REPLAY_TOTAL, v1 dcgm_pcie_replay_counter;
         235 dev  PCIE_MAX_LINK_GEN                               Pcie      Gpu             Int   "generation"   Slow  Gauge   ALL MONITORING         "Highest PCIe generation that GPU and slot have in common";
         236 dev  PCIE_MAX_LINK_WIDTH                             Pcie      Gpu             Int   "lanes"        Slow  Gauge   ALL MONITORING         "Most PCIe lanes that GPU and slot have in common";
         237 dev  PCIE_LINK_GEN                                   Pcie      Gpu             Int   "generation"   Slow  Gauge   ALL MONITORING         "PCIe generation in use (falls on an idle GPU)";
         238 dev  PCIE_LINK_WIDTH                                 Pcie      Gpu             Int   "lanes"        Slow  Gauge   ALL MONITORING         "PCIe lanes in use";
        1501 dev  PCIE_COUNT_CORRECTABLE_ERRORS                   Pcie      Gpu             Int   "count"        Slow  Counter ALL                    "PCIe errors that were corrected, as a count", aka PCIE_CORRECTABLE_ERROR_TOTAL;
    }
    DriverErrors "Errors reported by the driver, and what it asks for" {
         230 dev  XID_ERRORS                                      Errors    ComputeInstance Int   "code"         Every Gauge   ALL DEFAULT MINIMAL    "Code of the newest XID, 0 as long as there was none", renamed XID_ERROR, v1 dcgm_xid_errors;
        1523 dev  GET_GPU_RECOVERY_ACTION                         Errors    Gpu             Int   "enum"         Slow  Gauge   ALL OFFERED MONITORING "What the driver asks for: 0 nothing, 1 GPU reset, 2 reboot, 3 drain of peer-to-peer traffic, 4 drain and reset", aka GPU_RECOVERY_ACTION;
    }
    TimeHeldBack "Time held back, by cause" {
         240 dev  POWER_VIOLATION                                 Clocks    Gpu             Int   "ns"           Every Counter ALL OFFERED            "Time held back by the power limit, in nanoseconds", v1 dcgm_power_violation;
         241 dev  THERMAL_VIOLATION                               Clocks    Gpu             Int   "ns"           Every Counter ALL OFFERED            "Time held back by heat, in nanoseconds", v1 dcgm_thermal_violation;
         242 dev  SYNC_BOOST_VIOLATION                            Clocks    Gpu             Int   "ns"           Every Counter ALL OFFERED            "Time held back by sync boost, in nanoseconds", v1 dcgm_sync_boost_violation;
         243 dev  BOARD_LIMIT_VIOLATION                           Clocks    Gpu             Int   "ns"           Every Counter ALL OFFERED            "Time held back by a limit of the board, in nanoseconds", v1 dcgm_board_limit_violation;
         244 dev  LOW_UTIL_VIOLATION                              Clocks    Gpu             Int   "ns"           Every Counter ALL OFFERED            "Time held back by low utilisation, in nanoseconds", v1 dcgm_low_util_violation;
         245 dev  RELIABILITY_VIOLATION                           Clocks    Gpu             Int   "ns"           Every Counter ALL OFFERED            "Time held back by the reliability limit, in nanoseconds", v1 dcgm_reliability_violation;
         246 dev  TOTAL_APP_CLOCKS_VIOLATION                      Clocks    Gpu             Int   "ns"           Every Counter ALL                    "Time below the application clocks, whatever the cause, in nanoseconds";
         247 dev  TOTAL_BASE_CLOCKS_VIOLATION                     Clocks    Gpu             Int   "ns"           Every Counter ALL                    "Time below the base clocks, whatever the cause, in nanoseconds";
        1420 dev  CLOCKS_EVENT_REASON_SW_POWER_CAP_NS             Clocks    Gpu             Int   "ns"           Every Counter ALL                    "Time held back by the software power cap, in nanoseconds";
        1421 dev  CLOCKS_EVENT_REASON_SYNC_BOOST_NS               Clocks    Gpu             Int   "ns"           Every Counter ALL                    "Time held back by sync boost, in nanoseconds";
        1422 dev  CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS        Clocks    Gpu             Int   "ns"           Every Counter ALL                    "Time held back by software for heat, in nanoseconds";
        1423 dev  CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN_NS        Clocks    Gpu             Int   "ns"           Every Counter ALL                    "Time held back by hardware for heat, in nanoseconds";
        1424 dev  CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN_NS  Clocks    Gpu             Int   "ns"           Every Counter ALL                    "Time held back by the external power brake, in nanoseconds";
    }
    Ecc "ECC" {
         300 dev  ECC_CURRENT                                     Errors    Gpu             Int   "flag"         Slow  Gauge   ALL                    "Whether ECC is on, 0 or 1", aka ECC_MODE;
         310 dev  ECC_SBE_VOL_TOTAL                               Errors    Gpu             Int   "count"        Slow  Counter ALL DEFAULT            "Single-bit memory errors since the last driver load or reset, as a count", v1 dcgm_ecc_sbe_volatile_total;
         311 dev  ECC_DBE_VOL_TOTAL                               Errors    Gpu             Int   "count"        Slow  Counter ALL DEFAULT MINIMAL    "Double-bit memory errors since the last driver load or reset, as a count", v1 dcgm_ecc_dbe_volatile_total;
         312 dev  ECC_SBE_AGG_TOTAL                               Errors    Gpu             Int   "count"        Slow  Counter ALL                    "Single-bit memory errors in the life of the board, as a count", v1 dcgm_ecc_sbe_aggregate_total;
         313 dev  ECC_DBE_AGG_TOTAL                               Errors    Gpu             Int   "count"        Slow  Counter ALL                    "Double-bit memory errors in the life of the board, as a count", v1 dcgm_ecc_dbe_aggregate_total;
         346 dev  THRESHOLD_SRM                                   Errors    Gpu             Int   "flag"         Slow  Gauge   ALL MONITORING         "Whether SRAM errors are past their threshold, 0 or 1", aka SRAM_EXCEEDED;
    }
    MemoryRepair "Repair of memory" {
         385 dev  BANKS_REMAP_ROWS_AVAIL_MAX                      Errors    Gpu             Int   "banks"        Slow  Gauge   ALL                    "Memory banks that have all of their spare rows, as a count", aka BANK_REMAP_AVAIL_MAX;
         386 dev  BANKS_REMAP_ROWS_AVAIL_HIGH                     Errors    Gpu             Int   "banks"        Slow  Gauge   ALL                    "Memory banks that have many spare rows left, as a count", aka BANK_REMAP_AVAIL_HIGH;
         387 dev  BANKS_REMAP_ROWS_AVAIL_PARTIAL                  Errors    Gpu             Int   "banks"        Slow  Gauge   ALL                    "Memory banks that have some spare rows left, as a count", aka BANK_REMAP_AVAIL_PARTIAL;
         388 dev  BANKS_REMAP_ROWS_AVAIL_LOW                      Errors    Gpu             Int   "banks"        Slow  Gauge   ALL                    "Memory banks that have few spare rows left, as a count", aka BANK_REMAP_AVAIL_LOW;
         389 dev  BANKS_REMAP_ROWS_AVAIL_NONE                     Errors    Gpu             Int   "banks"        Slow  Gauge   ALL                    "Memory banks that have no spare row left, as a count", aka BANK_REMAP_AVAIL_NONE;
         390 dev  RETIRED_SBE                                     Errors    Gpu             Int   "pages"        Slow  Counter ALL MONITORING         "Memory pages retired after single-bit errors, as a count (GPUs before Ampere)", aka PAGE_RETIRED_SBE_TOTAL, v1 dcgm_retired_pages_sbe;
         391 dev  RETIRED_DBE                                     Errors    Gpu             Int   "pages"        Slow  Counter ALL MONITORING         "Memory pages retired after double-bit errors, as a count (GPUs before Ampere)", aka PAGE_RETIRED_DBE_TOTAL, v1 dcgm_retired_pages_dbe;
         392 dev  RETIRED_PENDING                                 Errors    Gpu             Int   "pages"        Slow  Counter ALL                    "Memory pages that the next reset will retire, as a count (GPUs before Ampere)", aka PAGE_RETIRED_PENDING, v1 dcgm_retired_pages_pending, cumulative false;
         393 dev  UNCORRECTABLE_REMAPPED_ROWS                     Errors    Gpu             Int   "rows"         Slow  Counter ALL DEFAULT            "Memory rows remapped after uncorrectable errors, as a count", renamed ROW_REMAP_UNCORRECTABLE_TOTAL;
         394 dev  CORRECTABLE_REMAPPED_ROWS                       Errors    Gpu             Int   "rows"         Slow  Counter ALL DEFAULT            "Memory rows remapped after correctable errors, as a count", renamed ROW_REMAP_CORRECTABLE_TOTAL;
         395 dev  ROW_REMAP_FAILURE                               Errors    Gpu             Int   "flag"         Slow  Gauge   ALL DEFAULT MINIMAL    "Whether remapping a memory row has failed, 0 or 1", renamed ROW_REMAP_FAILED;
         396 dev  ROW_REMAP_PENDING                               Errors    Gpu             Int   "flag"         Slow  Gauge   ALL MONITORING         "Whether memory rows wait for the next reset to be remapped, 0 or 1";
        1507 dev  MEMORY_UNREPAIRABLE_FLAG                        Errors    Gpu             Int   "flag"         Slow  Gauge   ALL                    "Whether memory is beyond repair, 0 or 1", aka MEMORY_UNREPAIRABLE;
    }
    ChipToChip "Links between the GPU and its CPU (C2C)" {
         285 dev  C2C_LINK_COUNT                                  Nvlink    Gpu             Int   "links"        Slow  Gauge   ALL                    "Links between the GPU and its CPU, as a count", aka C2C_LINK_QUANTITY;
         286 dev  C2C_LINK_STATUS                                 Nvlink    Gpu             Int   "enum"         Slow  Gauge   ALL                    "State of the link between the GPU and its CPU: 0 inactive, 1 active";
         287 dev  C2C_MAX_BANDWIDTH                               Nvlink    Gpu             Int   "MB/s"         Slow  Gauge   ALL                    "Most that a link between the GPU and its CPU can carry, in MB per second";
        1400 dev  C2C_LINK_ERROR_INTR                             Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Checksum errors on the link between the GPU and its CPU, as a count";
        1401 dev  C2C_LINK_ERROR_REPLAY                           Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Packets sent again on the link between the GPU and its CPU, as a count";
        1403 dev  C2C_LINK_POWER_STATE                            Nvlink    Gpu             Int   "enum"         Slow  Gauge   ALL                    "Power state of the link between the GPU and its CPU: 0 full power, 1 low power";
    }
    Fabric "NVLink fabric" {
         170 dev  FABRIC_MANAGER_STATUS                           Nvlink    Gpu             Int   "enum"         Slow  Gauge   ALL OFFERED MONITORING "How far the GPU is in joining its NVLink fabric: 0 has none, 1 not started, 2 in progress, 3 joined, 4 failed";
         171 dev  FABRIC_MANAGER_ERROR_CODE                       Nvlink    Gpu             Int   "code"         Slow  Gauge   ALL OFFERED            "Why the GPU could not join its NVLink fabric, as a code (0 is no error)", aka FABRIC_MANAGER_ERROR;
         173 dev  FABRIC_CLIQUE_ID                                Nvlink    Gpu             Int   "number"       Slow  Gauge   ALL                    "Number of the clique of the NVLink fabric that the GPU belongs to";
         174 dev  FABRIC_HEALTH_MASK                              Nvlink    Gpu             Int   "bitmask"      Slow  Gauge   ALL OFFERED            "Health of the GPU's part of the NVLink fabric by cause, as a bitmask of small fields (not 0 on a healthy GPU)";
         175 dev  FABRIC_HEALTH_SUMMARY                           Nvlink    Gpu             Int   "enum"         Slow  Gauge   ALL OFFERED MONITORING "Health of the GPU's part of the NVLink fabric: 0 not known, 1 healthy, 2 unhealthy, 3 limited capacity";
    }
    Vgpu "vGPU" {
         526 dev  VGPU_LICENSE_STATUS                             Identity  Vgpu            Int   "flag"         Slow  Gauge   ALL DEFAULT            "Whether a vGPU licence is held, 0 or 1";
    }
    Nvlink "NVLink, all links" {
          64 dev  P2P_NVLINK_STATUS                               Nvlink    Gpu             Int   "bitmask"      Slow  Gauge   ALL                    "Other GPUs that can be reached through NVLink, as a bitmask with a bit for each index", aka NVLINK_P2P_STATUS;
         409 dev  NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL               Nvlink    Gpu             Int   "count"        Slow  Counter ALL MONITORING         "NVLink flit checksum errors on all links, as a count", aka NVLINK_CRC_FLIT_ERROR_TOTAL, v1 dcgm_nvlink_flit_crc_error_count_total;
         419 dev  NVLINK_CRC_DATA_ERROR_COUNT_TOTAL               Nvlink    Gpu             Int   "count"        Slow  Counter ALL MONITORING         "NVLink data checksum errors on all links, as a count", aka NVLINK_CRC_DATA_ERROR_TOTAL, v1 dcgm_nvlink_data_crc_error_count_total;
         429 dev  NVLINK_REPLAY_ERROR_COUNT_TOTAL                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL MONITORING         "NVLink packets sent again on all links, as a count", aka NVLINK_REPLAY_ERROR_TOTAL, v1 dcgm_nvlink_replay_error_count_total;
         439 dev  NVLINK_RECOVERY_ERROR_COUNT_TOTAL               Nvlink    Gpu             Int   "count"        Slow  Counter ALL MONITORING         "NVLink recoveries on all links, as a count", aka NVLINK_RECOVERY_ERROR_TOTAL, v1 dcgm_nvlink_recovery_error_count_total;
         449 dev  NVLINK_BANDWIDTH_TOTAL                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL DEFAULT            "NVLink traffic of all links, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_TOTAL, v4_9 NVLINK_THROUGHPUT_BYTES_PER_SECOND, v1 dcgm_nvlink_bandwidth_total;
        1648 dev  NVLINK_THROUGHPUT_BYTES_PER_SECOND              Nvlink    Gpu             Int   "B/s"          Every Gauge                          "NVLink traffic of all links, both ways, in bytes per second";
         450 dev  GPU_NVLINK_ERRORS                               Nvlink    Gpu             Int   "code"         Every Gauge   ALL                    "Code of the newest NVLink error, absent until the first one", aka NVLINK_ERROR;
         497 dev  NVLINK_ERROR_DL_CRC                             Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink checksum errors of the data link layer on all links, as a count", aka NVLINK_CRC_ERROR_TOTAL;
         498 dev  NVLINK_ERROR_DL_RECOVERY                        Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries of the data link layer on all links, as a count", aka NVLINK_RECOVERY_TOTAL;
         499 dev  NVLINK_ERROR_DL_REPLAY                          Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again by the data link layer on all links, as a count", aka NVLINK_REPLAY_TOTAL;
         843 dev  NVLINK_TX_BANDWIDTH_TOTAL                       Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on all links, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_TOTAL;
         897 dev  NVLINK_RX_BANDWIDTH_TOTAL                       Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on all links, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_TOTAL;
    }
    NvlinkByLink "NVLink, one series a link" {
        1508 dev  NVLINK_GET_STATE                                Nvlink    Link            Int   "enum"         Slow  Gauge   ALL                    "State of the link: 0 inactive, 1 active, 2 asleep";
        1525 dev  NVLINK_CRC_FLIT_ERROR_PER_LINK_TOTAL            Nvlink    Link            Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors of the link, as a count";
        1526 dev  NVLINK_CRC_DATA_ERROR_PER_LINK_TOTAL            Nvlink    Link            Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors of the link, as a count";
        1527 dev  NVLINK_REPLAY_ERROR_PER_LINK_TOTAL              Nvlink    Link            Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on the link, as a count";
        1528 dev  NVLINK_RECOVERY_ERROR_PER_LINK_TOTAL            Nvlink    Link            Int   "count"        Slow  Counter ALL                    "NVLink recoveries of the link, as a count";
        1529 dev  NVLINK_THROUGHPUT_PER_LINK                      Nvlink    Link            Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of the link, both ways, in units of 1000 KiB per second";
        1530 dev  NVLINK_TX_THROUGHPUT_PER_LINK                   Nvlink    Link            Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on the link, in units of 1000 KiB per second";
        1531 dev  NVLINK_RX_THROUGHPUT_PER_LINK                   Nvlink    Link            Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on the link, in units of 1000 KiB per second";
        1532 fi   PROF_NVLINK_TX_BYTES_PER_LINK                   Nvlink    Link            Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on the link, headers included, in bytes per second";
        1533 fi   PROF_NVLINK_RX_BYTES_PER_LINK                   Nvlink    Link            Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on the link, headers included, in bytes per second";
    }
    NvlinkErrorsOfLinks "NVLink, one family a link: errors. The rows above say the same of every link." {
         400 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L0                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 0, as a count", aka NVLINK_CRC_FLIT_ERROR_L0_TOTAL;
         401 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L1                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 1, as a count", aka NVLINK_CRC_FLIT_ERROR_L1_TOTAL;
         402 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L2                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 2, as a count", aka NVLINK_CRC_FLIT_ERROR_L2_TOTAL;
         403 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L3                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 3, as a count", aka NVLINK_CRC_FLIT_ERROR_L3_TOTAL;
         404 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L4                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 4, as a count", aka NVLINK_CRC_FLIT_ERROR_L4_TOTAL;
         405 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L5                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 5, as a count", aka NVLINK_CRC_FLIT_ERROR_L5_TOTAL;
         451 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L6                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 6, as a count", aka NVLINK_CRC_FLIT_ERROR_L6_TOTAL;
         452 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L7                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 7, as a count", aka NVLINK_CRC_FLIT_ERROR_L7_TOTAL;
         453 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L8                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 8, as a count", aka NVLINK_CRC_FLIT_ERROR_L8_TOTAL;
         454 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L9                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 9, as a count", aka NVLINK_CRC_FLIT_ERROR_L9_TOTAL;
         455 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L10                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 10, as a count", aka NVLINK_CRC_FLIT_ERROR_L10_TOTAL;
         456 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L11                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 11, as a count", aka NVLINK_CRC_FLIT_ERROR_L11_TOTAL;
         406 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L12                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 12, as a count", aka NVLINK_CRC_FLIT_ERROR_L12_TOTAL;
         407 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L13                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 13, as a count", aka NVLINK_CRC_FLIT_ERROR_L13_TOTAL;
         408 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L14                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 14, as a count", aka NVLINK_CRC_FLIT_ERROR_L14_TOTAL;
         481 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L15                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 15, as a count", aka NVLINK_CRC_FLIT_ERROR_L15_TOTAL;
         482 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L16                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 16, as a count", aka NVLINK_CRC_FLIT_ERROR_L16_TOTAL;
         483 dev  NVLINK_CRC_FLIT_ERROR_COUNT_L17                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink flit checksum errors on link 17, as a count", aka NVLINK_CRC_FLIT_ERROR_L17_TOTAL;
         410 dev  NVLINK_CRC_DATA_ERROR_COUNT_L0                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 0, as a count", aka NVLINK_CRC_DATA_ERROR_L0_TOTAL;
         411 dev  NVLINK_CRC_DATA_ERROR_COUNT_L1                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 1, as a count", aka NVLINK_CRC_DATA_ERROR_L1_TOTAL;
         412 dev  NVLINK_CRC_DATA_ERROR_COUNT_L2                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 2, as a count", aka NVLINK_CRC_DATA_ERROR_L2_TOTAL;
         413 dev  NVLINK_CRC_DATA_ERROR_COUNT_L3                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 3, as a count", aka NVLINK_CRC_DATA_ERROR_L3_TOTAL;
         414 dev  NVLINK_CRC_DATA_ERROR_COUNT_L4                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 4, as a count", aka NVLINK_CRC_DATA_ERROR_L4_TOTAL;
         415 dev  NVLINK_CRC_DATA_ERROR_COUNT_L5                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 5, as a count", aka NVLINK_CRC_DATA_ERROR_L5_TOTAL;
         457 dev  NVLINK_CRC_DATA_ERROR_COUNT_L6                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 6, as a count", aka NVLINK_CRC_DATA_ERROR_L6_TOTAL;
         458 dev  NVLINK_CRC_DATA_ERROR_COUNT_L7                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 7, as a count", aka NVLINK_CRC_DATA_ERROR_L7_TOTAL;
         459 dev  NVLINK_CRC_DATA_ERROR_COUNT_L8                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 8, as a count", aka NVLINK_CRC_DATA_ERROR_L8_TOTAL;
         460 dev  NVLINK_CRC_DATA_ERROR_COUNT_L9                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 9, as a count", aka NVLINK_CRC_DATA_ERROR_L9_TOTAL;
         461 dev  NVLINK_CRC_DATA_ERROR_COUNT_L10                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 10, as a count", aka NVLINK_CRC_DATA_ERROR_L10_TOTAL;
         462 dev  NVLINK_CRC_DATA_ERROR_COUNT_L11                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 11, as a count", aka NVLINK_CRC_DATA_ERROR_L11_TOTAL;
         416 dev  NVLINK_CRC_DATA_ERROR_COUNT_L12                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 12, as a count", aka NVLINK_CRC_DATA_ERROR_L12_TOTAL;
         417 dev  NVLINK_CRC_DATA_ERROR_COUNT_L13                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 13, as a count", aka NVLINK_CRC_DATA_ERROR_L13_TOTAL;
         418 dev  NVLINK_CRC_DATA_ERROR_COUNT_L14                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 14, as a count", aka NVLINK_CRC_DATA_ERROR_L14_TOTAL;
         484 dev  NVLINK_CRC_DATA_ERROR_COUNT_L15                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 15, as a count", aka NVLINK_CRC_DATA_ERROR_L15_TOTAL;
         485 dev  NVLINK_CRC_DATA_ERROR_COUNT_L16                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 16, as a count", aka NVLINK_CRC_DATA_ERROR_L16_TOTAL;
         486 dev  NVLINK_CRC_DATA_ERROR_COUNT_L17                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink data checksum errors on link 17, as a count", aka NVLINK_CRC_DATA_ERROR_L17_TOTAL;
         420 dev  NVLINK_REPLAY_ERROR_COUNT_L0                    Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 0, as a count", aka NVLINK_REPLAY_ERROR_L0_TOTAL;
         421 dev  NVLINK_REPLAY_ERROR_COUNT_L1                    Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 1, as a count", aka NVLINK_REPLAY_ERROR_L1_TOTAL;
         422 dev  NVLINK_REPLAY_ERROR_COUNT_L2                    Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 2, as a count", aka NVLINK_REPLAY_ERROR_L2_TOTAL;
         423 dev  NVLINK_REPLAY_ERROR_COUNT_L3                    Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 3, as a count", aka NVLINK_REPLAY_ERROR_L3_TOTAL;
         424 dev  NVLINK_REPLAY_ERROR_COUNT_L4                    Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 4, as a count", aka NVLINK_REPLAY_ERROR_L4_TOTAL;
         425 dev  NVLINK_REPLAY_ERROR_COUNT_L5                    Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 5, as a count", aka NVLINK_REPLAY_ERROR_L5_TOTAL;
         463 dev  NVLINK_REPLAY_ERROR_COUNT_L6                    Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 6, as a count", aka NVLINK_REPLAY_ERROR_L6_TOTAL;
         464 dev  NVLINK_REPLAY_ERROR_COUNT_L7                    Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 7, as a count", aka NVLINK_REPLAY_ERROR_L7_TOTAL;
         465 dev  NVLINK_REPLAY_ERROR_COUNT_L8                    Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 8, as a count", aka NVLINK_REPLAY_ERROR_L8_TOTAL;
         466 dev  NVLINK_REPLAY_ERROR_COUNT_L9                    Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 9, as a count", aka NVLINK_REPLAY_ERROR_L9_TOTAL;
         467 dev  NVLINK_REPLAY_ERROR_COUNT_L10                   Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 10, as a count", aka NVLINK_REPLAY_ERROR_L10_TOTAL;
         468 dev  NVLINK_REPLAY_ERROR_COUNT_L11                   Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 11, as a count", aka NVLINK_REPLAY_ERROR_L11_TOTAL;
         426 dev  NVLINK_REPLAY_ERROR_COUNT_L12                   Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 12, as a count", aka NVLINK_REPLAY_ERROR_L12_TOTAL;
         427 dev  NVLINK_REPLAY_ERROR_COUNT_L13                   Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 13, as a count", aka NVLINK_REPLAY_ERROR_L13_TOTAL;
         428 dev  NVLINK_REPLAY_ERROR_COUNT_L14                   Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 14, as a count", aka NVLINK_REPLAY_ERROR_L14_TOTAL;
         487 dev  NVLINK_REPLAY_ERROR_COUNT_L15                   Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 15, as a count", aka NVLINK_REPLAY_ERROR_L15_TOTAL;
         488 dev  NVLINK_REPLAY_ERROR_COUNT_L16                   Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 16, as a count", aka NVLINK_REPLAY_ERROR_L16_TOTAL;
         489 dev  NVLINK_REPLAY_ERROR_COUNT_L17                   Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets sent again on link 17, as a count", aka NVLINK_REPLAY_ERROR_L17_TOTAL;
         430 dev  NVLINK_RECOVERY_ERROR_COUNT_L0                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 0, as a count", aka NVLINK_RECOVERY_ERROR_L0_TOTAL;
         431 dev  NVLINK_RECOVERY_ERROR_COUNT_L1                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 1, as a count", aka NVLINK_RECOVERY_ERROR_L1_TOTAL;
         432 dev  NVLINK_RECOVERY_ERROR_COUNT_L2                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 2, as a count", aka NVLINK_RECOVERY_ERROR_L2_TOTAL;
         433 dev  NVLINK_RECOVERY_ERROR_COUNT_L3                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 3, as a count", aka NVLINK_RECOVERY_ERROR_L3_TOTAL;
         434 dev  NVLINK_RECOVERY_ERROR_COUNT_L4                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 4, as a count", aka NVLINK_RECOVERY_ERROR_L4_TOTAL;
         435 dev  NVLINK_RECOVERY_ERROR_COUNT_L5                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 5, as a count", aka NVLINK_RECOVERY_ERROR_L5_TOTAL;
         469 dev  NVLINK_RECOVERY_ERROR_COUNT_L6                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 6, as a count", aka NVLINK_RECOVERY_ERROR_L6_TOTAL;
         470 dev  NVLINK_RECOVERY_ERROR_COUNT_L7                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 7, as a count", aka NVLINK_RECOVERY_ERROR_L7_TOTAL;
         471 dev  NVLINK_RECOVERY_ERROR_COUNT_L8                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 8, as a count", aka NVLINK_RECOVERY_ERROR_L8_TOTAL;
         472 dev  NVLINK_RECOVERY_ERROR_COUNT_L9                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 9, as a count", aka NVLINK_RECOVERY_ERROR_L9_TOTAL;
         473 dev  NVLINK_RECOVERY_ERROR_COUNT_L10                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 10, as a count", aka NVLINK_RECOVERY_ERROR_L10_TOTAL;
         474 dev  NVLINK_RECOVERY_ERROR_COUNT_L11                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 11, as a count", aka NVLINK_RECOVERY_ERROR_L11_TOTAL;
         436 dev  NVLINK_RECOVERY_ERROR_COUNT_L12                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 12, as a count", aka NVLINK_RECOVERY_ERROR_L12_TOTAL;
         437 dev  NVLINK_RECOVERY_ERROR_COUNT_L13                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 13, as a count", aka NVLINK_RECOVERY_ERROR_L13_TOTAL;
         438 dev  NVLINK_RECOVERY_ERROR_COUNT_L14                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 14, as a count", aka NVLINK_RECOVERY_ERROR_L14_TOTAL;
         491 dev  NVLINK_RECOVERY_ERROR_COUNT_L15                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 15, as a count", aka NVLINK_RECOVERY_ERROR_L15_TOTAL;
         492 dev  NVLINK_RECOVERY_ERROR_COUNT_L16                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 16, as a count", aka NVLINK_RECOVERY_ERROR_L16_TOTAL;
         493 dev  NVLINK_RECOVERY_ERROR_COUNT_L17                 Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries on link 17, as a count", aka NVLINK_RECOVERY_ERROR_L17_TOTAL;
    }
    NvlinkTrafficOfLinks "NVLink, one family a link: traffic. The rows above say the same of every link." {
         440 dev  NVLINK_BANDWIDTH_L0                             Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 0, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L0;
         441 dev  NVLINK_BANDWIDTH_L1                             Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 1, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L1;
         442 dev  NVLINK_BANDWIDTH_L2                             Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 2, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L2;
         443 dev  NVLINK_BANDWIDTH_L3                             Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 3, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L3;
         444 dev  NVLINK_BANDWIDTH_L4                             Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 4, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L4;
         445 dev  NVLINK_BANDWIDTH_L5                             Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 5, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L5;
         475 dev  NVLINK_BANDWIDTH_L6                             Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 6, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L6;
         476 dev  NVLINK_BANDWIDTH_L7                             Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 7, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L7;
         477 dev  NVLINK_BANDWIDTH_L8                             Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 8, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L8;
         478 dev  NVLINK_BANDWIDTH_L9                             Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 9, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L9;
         479 dev  NVLINK_BANDWIDTH_L10                            Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 10, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L10;
         480 dev  NVLINK_BANDWIDTH_L11                            Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 11, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L11;
         446 dev  NVLINK_BANDWIDTH_L12                            Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 12, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L12;
         447 dev  NVLINK_BANDWIDTH_L13                            Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 13, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L13;
         448 dev  NVLINK_BANDWIDTH_L14                            Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 14, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L14;
         494 dev  NVLINK_BANDWIDTH_L15                            Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 15, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L15;
         495 dev  NVLINK_BANDWIDTH_L16                            Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 16, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L16;
         496 dev  NVLINK_BANDWIDTH_L17                            Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic of link 17, both ways, in units of 1000 KiB per second", aka NVLINK_THROUGHPUT_L17;
         825 dev  NVLINK_TX_BANDWIDTH_L0                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 0, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L0;
         826 dev  NVLINK_TX_BANDWIDTH_L1                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 1, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L1;
         827 dev  NVLINK_TX_BANDWIDTH_L2                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 2, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L2;
         828 dev  NVLINK_TX_BANDWIDTH_L3                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 3, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L3;
         829 dev  NVLINK_TX_BANDWIDTH_L4                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 4, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L4;
         830 dev  NVLINK_TX_BANDWIDTH_L5                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 5, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L5;
         831 dev  NVLINK_TX_BANDWIDTH_L6                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 6, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L6;
         832 dev  NVLINK_TX_BANDWIDTH_L7                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 7, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L7;
         833 dev  NVLINK_TX_BANDWIDTH_L8                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 8, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L8;
         834 dev  NVLINK_TX_BANDWIDTH_L9                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 9, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L9;
         835 dev  NVLINK_TX_BANDWIDTH_L10                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 10, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L10;
         836 dev  NVLINK_TX_BANDWIDTH_L11                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 11, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L11;
         837 dev  NVLINK_TX_BANDWIDTH_L12                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 12, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L12;
         838 dev  NVLINK_TX_BANDWIDTH_L13                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 13, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L13;
         839 dev  NVLINK_TX_BANDWIDTH_L14                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 14, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L14;
         840 dev  NVLINK_TX_BANDWIDTH_L15                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 15, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L15;
         841 dev  NVLINK_TX_BANDWIDTH_L16                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 16, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L16;
         842 dev  NVLINK_TX_BANDWIDTH_L17                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 17, in units of 1000 KiB per second", aka NVLINK_TX_THROUGHPUT_L17;
         879 dev  NVLINK_RX_BANDWIDTH_L0                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 0, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L0;
         880 dev  NVLINK_RX_BANDWIDTH_L1                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 1, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L1;
         881 dev  NVLINK_RX_BANDWIDTH_L2                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 2, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L2;
         882 dev  NVLINK_RX_BANDWIDTH_L3                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 3, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L3;
         883 dev  NVLINK_RX_BANDWIDTH_L4                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 4, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L4;
         884 dev  NVLINK_RX_BANDWIDTH_L5                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 5, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L5;
         885 dev  NVLINK_RX_BANDWIDTH_L6                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 6, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L6;
         886 dev  NVLINK_RX_BANDWIDTH_L7                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 7, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L7;
         887 dev  NVLINK_RX_BANDWIDTH_L8                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 8, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L8;
         888 dev  NVLINK_RX_BANDWIDTH_L9                          Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 9, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L9;
         889 dev  NVLINK_RX_BANDWIDTH_L10                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 10, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L10;
         890 dev  NVLINK_RX_BANDWIDTH_L11                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 11, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L11;
         891 dev  NVLINK_RX_BANDWIDTH_L12                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 12, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L12;
         892 dev  NVLINK_RX_BANDWIDTH_L13                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 13, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L13;
         893 dev  NVLINK_RX_BANDWIDTH_L14                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 14, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L14;
         894 dev  NVLINK_RX_BANDWIDTH_L15                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 15, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L15;
         895 dev  NVLINK_RX_BANDWIDTH_L16                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 16, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L16;
         896 dev  NVLINK_RX_BANDWIDTH_L17                         Nvlink    Gpu             Int   "1000 KiB/s"   Every Gauge   ALL                    "NVLink traffic received by the GPU on link 17, in units of 1000 KiB per second", aka NVLINK_RX_THROUGHPUT_L17;
    }
    Nvlink5 "NVLink 5: packets, errors and recoveries of all links" {
        1200 dev  NVLINK_COUNT_TX_PACKETS                         Nvlink    Gpu             Int   "count"        Every Counter ALL                    "NVLink packets sent on all links, as a count", aka NVLINK_TX_PACKET_TOTAL;
        1201 dev  NVLINK_COUNT_TX_BYTES                           Nvlink    Gpu             Int   "B"            Every Counter ALL                    "NVLink bytes sent on all links, as a count", aka NVLINK_TX_BYTES_TOTAL;
        1202 dev  NVLINK_COUNT_RX_PACKETS                         Nvlink    Gpu             Int   "count"        Every Counter ALL                    "NVLink packets received on all links, as a count", aka NVLINK_RX_PACKET_TOTAL;
        1203 dev  NVLINK_COUNT_RX_BYTES                           Nvlink    Gpu             Int   "B"            Every Counter ALL                    "NVLink bytes received on all links, as a count", aka NVLINK_RX_BYTES_TOTAL;
        1204 dev  NVLINK_COUNT_RX_MALFORMED_PACKET_ERRORS         Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets received malformed, as a count", aka NVLINK_RX_PACKET_MALFORMED_TOTAL;
        1205 dev  NVLINK_COUNT_RX_BUFFER_OVERRUN_ERRORS           Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets dropped on receipt for want of buffers, as a count", aka NVLINK_RX_PACKET_DROPPED_TOTAL;
        1206 dev  NVLINK_COUNT_RX_ERRORS                          Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets received with errors, as a count", aka NVLINK_RX_ERROR_TOTAL;
        1207 dev  NVLINK_COUNT_RX_REMOTE_ERRORS                   Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets received that the sender had marked as bad, as a count", aka NVLINK_RX_REMOTE_ERROR_TOTAL;
        1208 dev  NVLINK_COUNT_RX_GENERAL_ERRORS                  Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets received with errors of other kinds, as a count", aka NVLINK_RX_GENERAL_ERROR_TOTAL;
        1209 dev  NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS        Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink integrity errors found at this end, as a count", aka NVLINK_INTEGRITY_ERROR_TOTAL;
        1210 dev  NVLINK_COUNT_TX_DISCARDS                        Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink packets given up instead of sent, as a count";
        1211 dev  NVLINK_COUNT_LINK_RECOVERY_SUCCESSFUL_EVENTS    Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries that succeeded, as a count", aka NVLINK_RECOVERY_SUCCESSFUL_TOTAL;
        1212 dev  NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS        Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries that failed, as a count", aka NVLINK_RECOVERY_FAILED_TOTAL;
        1213 dev  NVLINK_COUNT_LINK_RECOVERY_EVENTS               Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink recoveries, successful or not, as a count", aka NVLINK_RECOVERY_EVENT_TOTAL;
        1214 dev  NVLINK_COUNT_RX_SYMBOL_ERRORS                   Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink symbols received with errors, as a count", aka NVLINK_RX_SYMBOL_ERROR_TOTAL;
        1215 dev  NVLINK_COUNT_SYMBOL_BER                         Nvlink    Gpu             Int   "packed ratio" Slow  Gauge   ALL                    "NVLink bit error rate of symbols, as the hardware packs it", aka NVLINK_SYMBOL_BER_RAW;
        1216 dev  NVLINK_COUNT_SYMBOL_BER_FLOAT                   Nvlink    Gpu             Float "ratio"        Slow  Gauge   ALL                    "NVLink bit error rate of symbols, as a ratio", aka NVLINK_SYMBOL_BER_RATIO;
        1217 dev  NVLINK_COUNT_EFFECTIVE_BER                      Nvlink    Gpu             Int   "packed ratio" Slow  Gauge   ALL                    "NVLink bit error rate left after correction, as the hardware packs it", aka NVLINK_EFFECTIVE_BER_RAW;
        1218 dev  NVLINK_COUNT_EFFECTIVE_BER_FLOAT                Nvlink    Gpu             Float "ratio"        Slow  Gauge   ALL                    "NVLink bit error rate left after correction, as a ratio", aka NVLINK_EFFECTIVE_BER_RATIO;
        1219 dev  NVLINK_COUNT_EFFECTIVE_ERRORS                   Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink errors left after correction, as a count", aka NVLINK_EFFECTIVE_ERROR_TOTAL;
        1220 dev  NVLINK_ECC_DATA_ERROR_COUNT_TOTAL               Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "NVLink ECC errors in data of all links, as a count", aka NVLINK_ECC_ERROR_TOTAL;
    }
    Nvlink5Correction "NVLink 5: forward error correction" {
        1404 dev  NVLINK_COUNT_FEC_HISTORY_0                      Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 0 of the history of forward error correction on all links, as a count";
        1405 dev  NVLINK_COUNT_FEC_HISTORY_1                      Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 1 of the history of forward error correction on all links, as a count";
        1406 dev  NVLINK_COUNT_FEC_HISTORY_2                      Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 2 of the history of forward error correction on all links, as a count";
        1407 dev  NVLINK_COUNT_FEC_HISTORY_3                      Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 3 of the history of forward error correction on all links, as a count";
        1408 dev  NVLINK_COUNT_FEC_HISTORY_4                      Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 4 of the history of forward error correction on all links, as a count";
        1409 dev  NVLINK_COUNT_FEC_HISTORY_5                      Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 5 of the history of forward error correction on all links, as a count";
        1410 dev  NVLINK_COUNT_FEC_HISTORY_6                      Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 6 of the history of forward error correction on all links, as a count";
        1411 dev  NVLINK_COUNT_FEC_HISTORY_7                      Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 7 of the history of forward error correction on all links, as a count";
        1412 dev  NVLINK_COUNT_FEC_HISTORY_8                      Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 8 of the history of forward error correction on all links, as a count";
        1413 dev  NVLINK_COUNT_FEC_HISTORY_9                      Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 9 of the history of forward error correction on all links, as a count";
        1414 dev  NVLINK_COUNT_FEC_HISTORY_10                     Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 10 of the history of forward error correction on all links, as a count";
        1415 dev  NVLINK_COUNT_FEC_HISTORY_11                     Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 11 of the history of forward error correction on all links, as a count";
        1416 dev  NVLINK_COUNT_FEC_HISTORY_12                     Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 12 of the history of forward error correction on all links, as a count";
        1417 dev  NVLINK_COUNT_FEC_HISTORY_13                     Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 13 of the history of forward error correction on all links, as a count";
        1418 dev  NVLINK_COUNT_FEC_HISTORY_14                     Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 14 of the history of forward error correction on all links, as a count";
        1419 dev  NVLINK_COUNT_FEC_HISTORY_15                     Nvlink    Gpu             Int   "count"        Slow  Counter ALL                    "Bin 15 of the history of forward error correction on all links, as a count";
    }
    Nvlink5Registers "NVLink 5: registers of the ports, one series a link. The driver keeps them for the privileged." {
         580 dev  NVLINK_PPRM_OPER_RECOVERY                       Nvlink    Link            Int   "raw"          Slow  Gauge   ALL                    "Recovery state of the link's port, as its register has it";
         581 dev  NVLINK_PPCNT_RECOVERY_TIME_SINCE_LAST           Nvlink    Link            Int   "raw"          Slow  Gauge   ALL                    "Time since the link's last recovery, as the register has it";
         582 dev  NVLINK_PPCNT_RECOVERY_TIME_BETWEEN_LAST_TWO     Nvlink    Link            Int   "raw"          Slow  Gauge   ALL                    "Time between the link's last two recoveries, as the register has it";
         583 dev  NVLINK_PPCNT_RECOVERY_SUCCESSFUL_TOTAL          Nvlink    Link            Int   "raw"          Slow  Counter ALL                    "Recoveries of the link that succeeded, as a count";
         584 dev  NVLINK_PPCNT_PHYSICAL_RECOVERY_SUCCESSFUL_TOTAL Nvlink    Link            Int   "raw"          Slow  Counter ALL                    "Recoveries of the physical layer that succeeded, as a count";
         585 dev  NVLINK_PPCNT_PHYSICAL_LINK_DOWN_TOTAL           Nvlink    Link            Int   "raw"          Slow  Counter ALL                    "How often the physical layer lost the link, as a count";
         586 dev  NVLINK_PPCNT_PLR_RX_CODE_TOTAL                  Nvlink    Link            Int   "raw"          Slow  Counter ALL                    "Code words received, as a count";
         587 dev  NVLINK_PPCNT_PLR_RX_CODE_ERROR_TOTAL            Nvlink    Link            Int   "raw"          Slow  Counter ALL                    "Code words received with errors, as a count";
         588 dev  NVLINK_PPCNT_PLR_RX_CODE_UNCORRECTABLE_TOTAL    Nvlink    Link            Int   "raw"          Slow  Counter ALL                    "Code words received beyond correction, as a count";
         589 dev  NVLINK_PPCNT_PLR_TX_CODE_TOTAL                  Nvlink    Link            Int   "raw"          Slow  Counter ALL                    "Code words sent, as a count";
         590 dev  NVLINK_PPCNT_PLR_TX_RETRY_CODE_TOTAL            Nvlink    Link            Int   "raw"          Slow  Counter ALL                    "Code words sent again, as a count";
         591 dev  NVLINK_PPCNT_PLR_TX_RETRY_EVENT_TOTAL           Nvlink    Link            Int   "raw"          Slow  Counter ALL                    "How often code words had to be sent again, as a count";
         592 dev  NVLINK_PPCNT_PLR_SYNC_EVENT_TOTAL               Nvlink    Link            Int   "raw"          Slow  Counter ALL                    "How often both ends had to find the same code word again, as a count";
        1509 dev  NVLINK_PPCNT_IBPC_PORT_XMIT_WAIT                Nvlink    Link            Int   "raw"          Slow  Counter ALL                    "How long the port had data and could not send it, in ticks of its own";
    }
    Profiling "Profiling: shares of time" {
        1001 fi   PROF_GR_ENGINE_ACTIVE                           Profiling ComputeInstance Float "ratio"        Every Gauge   ALL DEFAULT            "Share of time in which the graphics or compute engine was busy, as a ratio", renamed PROF_GR_ENGINE_UTIL_RATIO, v1 dcgm_fi_prof_gr_engine_active;
        1002 fi   PROF_SM_ACTIVE                                  Profiling ComputeInstance Float "ratio"        Every Gauge   ALL DEFAULT            "Share of time in which an SM had a warp to run, averaged over SMs, as a ratio", aka PROF_SM_UTIL_RATIO, v1 dcgm_fi_prof_sm_active;
        1003 fi   PROF_SM_OCCUPANCY                               Profiling ComputeInstance Float "ratio"        Every Gauge   ALL DEFAULT            "Warps resident on the SMs compared with the most that fit, as a ratio", aka PROF_SM_OCCUPANCY_RATIO, v1 dcgm_fi_prof_sm_occupancy;
        1004 fi   PROF_PIPE_TENSOR_ACTIVE                         Profiling ComputeInstance Float "ratio"        Every Gauge   ALL DEFAULT            "Share of time in which the tensor pipes were busy, as a ratio", renamed PROF_TENSOR_UTIL_RATIO, v1 dcgm_fi_prof_pipe_tensor_active;
        1005 fi   PROF_DRAM_ACTIVE                                Profiling GpuInstance     Float "ratio"        Every Gauge   ALL DEFAULT            "Share of time in which memory was sending or receiving, as a ratio", renamed PROF_DRAM_UTIL_RATIO, v1 dcgm_fi_prof_dram_active;
        1006 fi   PROF_PIPE_FP64_ACTIVE                           Profiling ComputeInstance Float "ratio"        Every Gauge   ALL                    "Share of time in which the FP64 pipes were busy, as a ratio", aka PROF_FP64_UTIL_RATIO;
        1007 fi   PROF_PIPE_FP32_ACTIVE                           Profiling ComputeInstance Float "ratio"        Every Gauge   ALL                    "Share of time in which the FP32 pipes were busy, as a ratio", aka PROF_FP32_UTIL_RATIO;
        1008 fi   PROF_PIPE_FP16_ACTIVE                           Profiling ComputeInstance Float "ratio"        Every Gauge   ALL                    "Share of time in which the FP16 pipes were busy, as a ratio", aka PROF_FP16_UTIL_RATIO;
        1013 fi   PROF_PIPE_TENSOR_IMMA_ACTIVE                    Profiling ComputeInstance Float "ratio"        Every Gauge   ALL                    "Share of time in which the tensor pipes worked on integers, as a ratio", aka PROF_IMMA_UTIL_RATIO;
        1014 fi   PROF_PIPE_TENSOR_HMMA_ACTIVE                    Profiling ComputeInstance Float "ratio"        Every Gauge   ALL                    "Share of time in which the tensor pipes worked on half precision, as a ratio", aka PROF_HMMA_UTIL_RATIO;
        1015 fi   PROF_PIPE_TENSOR_DFMA_ACTIVE                    Profiling ComputeInstance Float "ratio"        Every Gauge   ALL                    "Share of time in which the tensor pipes worked on double precision, as a ratio", aka PROF_DFMA_UTIL_RATIO;
        1016 fi   PROF_PIPE_INT_ACTIVE                            Profiling ComputeInstance Float "ratio"        Every Gauge   ALL                    "Share of time in which the integer pipes were busy, as a ratio", aka PROF_INT_UTIL_RATIO;
        1017 fi   PROF_NVDEC0_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which video decoder 0 was busy, as a ratio", aka PROF_NVDEC_UTIL_0_RATIO;
        1018 fi   PROF_NVDEC1_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which video decoder 1 was busy, as a ratio", aka PROF_NVDEC_UTIL_1_RATIO;
        1019 fi   PROF_NVDEC2_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which video decoder 2 was busy, as a ratio", aka PROF_NVDEC_UTIL_2_RATIO;
        1020 fi   PROF_NVDEC3_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which video decoder 3 was busy, as a ratio", aka PROF_NVDEC_UTIL_3_RATIO;
        1021 fi   PROF_NVDEC4_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which video decoder 4 was busy, as a ratio", aka PROF_NVDEC_UTIL_4_RATIO;
        1022 fi   PROF_NVDEC5_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which video decoder 5 was busy, as a ratio", aka PROF_NVDEC_UTIL_5_RATIO;
        1023 fi   PROF_NVDEC6_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which video decoder 6 was busy, as a ratio", aka PROF_NVDEC_UTIL_6_RATIO;
        1024 fi   PROF_NVDEC7_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which video decoder 7 was busy, as a ratio", aka PROF_NVDEC_UTIL_7_RATIO;
        1025 fi   PROF_NVJPG0_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which JPEG engine 0 was busy, as a ratio", aka PROF_NVJPG_UTIL_0_RATIO;
        1026 fi   PROF_NVJPG1_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which JPEG engine 1 was busy, as a ratio", aka PROF_NVJPG_UTIL_1_RATIO;
        1027 fi   PROF_NVJPG2_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which JPEG engine 2 was busy, as a ratio", aka PROF_NVJPG_UTIL_2_RATIO;
        1028 fi   PROF_NVJPG3_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which JPEG engine 3 was busy, as a ratio", aka PROF_NVJPG_UTIL_3_RATIO;
        1029 fi   PROF_NVJPG4_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which JPEG engine 4 was busy, as a ratio", aka PROF_NVJPG_UTIL_4_RATIO;
        1030 fi   PROF_NVJPG5_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which JPEG engine 5 was busy, as a ratio", aka PROF_NVJPG_UTIL_5_RATIO;
        1031 fi   PROF_NVJPG6_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which JPEG engine 6 was busy, as a ratio", aka PROF_NVJPG_UTIL_6_RATIO;
        1032 fi   PROF_NVJPG7_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which JPEG engine 7 was busy, as a ratio", aka PROF_NVJPG_UTIL_7_RATIO;
        1033 fi   PROF_NVOFA0_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which optical flow engine 0 was busy, as a ratio", aka PROF_NVOFA_UTIL_0_RATIO;
        1034 fi   PROF_NVOFA1_ACTIVE                              Profiling Gpu             Float "ratio"        Every Gauge   ALL                    "Share of time in which optical flow engine 1 was busy, as a ratio", aka PROF_NVOFA_UTIL_1_RATIO;
    }
    ProfilingTraffic "Profiling: traffic. These are rates, whatever their names say." {
        1009 fi   PROF_PCIE_TX_BYTES                              Profiling Gpu             Int   "B/s"          Every Gauge   ALL DEFAULT            "PCIe traffic sent by the GPU, headers included, in bytes per second", v1 dcgm_fi_prof_pcie_tx_bytes;
        1010 fi   PROF_PCIE_RX_BYTES                              Profiling Gpu             Int   "B/s"          Every Gauge   ALL DEFAULT            "PCIe traffic received by the GPU, headers included, in bytes per second", v1 dcgm_fi_prof_pcie_rx_bytes;
        1011 fi   PROF_NVLINK_TX_BYTES                            Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on all links, headers included, in bytes per second";
        1012 fi   PROF_NVLINK_RX_BYTES                            Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on all links, headers included, in bytes per second";
        1076 fi   PROF_C2C_TX_ALL_BYTES                           Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "Traffic sent by the GPU to its CPU, headers included, in bytes per second";
        1077 fi   PROF_C2C_TX_DATA_BYTES                          Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "Data sent by the GPU to its CPU, headers left out, in bytes per second";
        1078 fi   PROF_C2C_RX_ALL_BYTES                           Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "Traffic received by the GPU from its CPU, headers included, in bytes per second";
        1079 fi   PROF_C2C_RX_DATA_BYTES                          Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "Data received by the GPU from its CPU, headers left out, in bytes per second";
    }
    ProfilingTrafficOfLinks "Profiling: NVLink traffic, one family a link. These are rates too." {
        1040 fi   PROF_NVLINK_L0_TX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 0, headers included, in bytes per second";
        1041 fi   PROF_NVLINK_L0_RX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 0, headers included, in bytes per second";
        1042 fi   PROF_NVLINK_L1_TX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 1, headers included, in bytes per second";
        1043 fi   PROF_NVLINK_L1_RX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 1, headers included, in bytes per second";
        1044 fi   PROF_NVLINK_L2_TX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 2, headers included, in bytes per second";
        1045 fi   PROF_NVLINK_L2_RX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 2, headers included, in bytes per second";
        1046 fi   PROF_NVLINK_L3_TX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 3, headers included, in bytes per second";
        1047 fi   PROF_NVLINK_L3_RX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 3, headers included, in bytes per second";
        1048 fi   PROF_NVLINK_L4_TX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 4, headers included, in bytes per second";
        1049 fi   PROF_NVLINK_L4_RX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 4, headers included, in bytes per second";
        1050 fi   PROF_NVLINK_L5_TX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 5, headers included, in bytes per second";
        1051 fi   PROF_NVLINK_L5_RX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 5, headers included, in bytes per second";
        1052 fi   PROF_NVLINK_L6_TX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 6, headers included, in bytes per second";
        1053 fi   PROF_NVLINK_L6_RX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 6, headers included, in bytes per second";
        1054 fi   PROF_NVLINK_L7_TX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 7, headers included, in bytes per second";
        1055 fi   PROF_NVLINK_L7_RX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 7, headers included, in bytes per second";
        1056 fi   PROF_NVLINK_L8_TX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 8, headers included, in bytes per second";
        1057 fi   PROF_NVLINK_L8_RX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 8, headers included, in bytes per second";
        1058 fi   PROF_NVLINK_L9_TX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 9, headers included, in bytes per second";
        1059 fi   PROF_NVLINK_L9_RX_BYTES                         Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 9, headers included, in bytes per second";
        1060 fi   PROF_NVLINK_L10_TX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 10, headers included, in bytes per second";
        1061 fi   PROF_NVLINK_L10_RX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 10, headers included, in bytes per second";
        1062 fi   PROF_NVLINK_L11_TX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 11, headers included, in bytes per second";
        1063 fi   PROF_NVLINK_L11_RX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 11, headers included, in bytes per second";
        1064 fi   PROF_NVLINK_L12_TX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 12, headers included, in bytes per second";
        1065 fi   PROF_NVLINK_L12_RX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 12, headers included, in bytes per second";
        1066 fi   PROF_NVLINK_L13_TX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 13, headers included, in bytes per second";
        1067 fi   PROF_NVLINK_L13_RX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 13, headers included, in bytes per second";
        1068 fi   PROF_NVLINK_L14_TX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 14, headers included, in bytes per second";
        1069 fi   PROF_NVLINK_L14_RX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 14, headers included, in bytes per second";
        1070 fi   PROF_NVLINK_L15_TX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 15, headers included, in bytes per second";
        1071 fi   PROF_NVLINK_L15_RX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 15, headers included, in bytes per second";
        1072 fi   PROF_NVLINK_L16_TX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 16, headers included, in bytes per second";
        1073 fi   PROF_NVLINK_L16_RX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 16, headers included, in bytes per second";
        1074 fi   PROF_NVLINK_L17_TX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic sent by the GPU on link 17, headers included, in bytes per second";
        1075 fi   PROF_NVLINK_L17_RX_BYTES                        Profiling Gpu             Int   "B/s"          Every Gauge   ALL                    "NVLink traffic received by the GPU on link 17, headers included, in bytes per second";
    }
    ProfilingCaches "Profiling: caches" {
        1080 fi   PROF_HOSTMEM_CACHE_HIT                          Profiling Gpu             Int   "raw"          Every Gauge   ALL                    "Hits in the cache for host memory, as the driver reports them";
        1081 fi   PROF_HOSTMEM_CACHE_MISS                         Profiling Gpu             Int   "raw"          Every Gauge   ALL                    "Misses in the cache for host memory, as the driver reports them";
        1082 fi   PROF_PEERMEM_CACHE_HIT                          Profiling Gpu             Int   "raw"          Every Gauge   ALL                    "Hits in the cache for memory of other GPUs, as the driver reports them";
        1083 fi   PROF_PEERMEM_CACHE_MISS                         Profiling Gpu             Int   "raw"          Every Gauge   ALL                    "Misses in the cache for memory of other GPUs, as the driver reports them";
    }
    ProfilingTotals "Profiling: totals since the machine started" {
        1084 fi   PROF_SM_CYCLES_ELAPSED_TOTAL                    Profiling Gpu             Int   "cycles"       Every Counter ALL                    "SM cycles that went by, as a count";
        1085 fi   PROF_SM_CYCLES_ACTIVE_TOTAL                     Profiling Gpu             Int   "cycles"       Every Counter ALL                    "SM cycles in which an SM had a warp to run, as a count";
        1086 fi   PROF_MMA_CYCLES_ACTIVE_TOTAL                    Profiling Gpu             Int   "cycles"       Every Counter ALL                    "Cycles in which the tensor pipes were busy, as a count";
        1087 fi   PROF_DMMA_CYCLES_ACTIVE_TOTAL                   Profiling Gpu             Int   "cycles"       Every Counter ALL                    "Cycles in which the tensor pipes worked on double precision (DMMA), as a count";
        1088 fi   PROF_HMMA_CYCLES_ACTIVE_TOTAL                   Profiling Gpu             Int   "cycles"       Every Counter ALL                    "Cycles in which the tensor pipes worked on half precision (HMMA), as a count";
        1089 fi   PROF_IMMA_CYCLES_ACTIVE_TOTAL                   Profiling Gpu             Int   "cycles"       Every Counter ALL                    "Cycles in which the tensor pipes worked on integers (IMMA), as a count";
        1090 fi   PROF_DFMA_CYCLES_ACTIVE_TOTAL                   Profiling Gpu             Int   "cycles"       Every Counter ALL                    "Cycles in which double-precision multiply-adds ran (DFMA), as a count";
        1091 fi   PROF_PCIE_TX_BYTES_TOTAL                        Profiling Gpu             Int   "B"            Every Counter ALL                    "Bytes sent by the GPU over PCIe, as a count";
        1092 fi   PROF_PCIE_RX_BYTES_TOTAL                        Profiling Gpu             Int   "B"            Every Counter ALL                    "Bytes received by the GPU over PCIe, as a count";
        1093 fi   PROF_INT_CYCLES_ACTIVE_TOTAL                    Profiling Gpu             Int   "cycles"       Every Counter ALL                    "Cycles in which the integer pipes were busy, as a count";
        1094 fi   PROF_FP64_CYCLES_ACTIVE_TOTAL                   Profiling Gpu             Int   "cycles"       Every Counter ALL                    "Cycles in which the FP64 pipes were busy, as a count";
        1095 fi   PROF_FP32_CYCLES_ACTIVE_TOTAL                   Profiling Gpu             Int   "cycles"       Every Counter ALL                    "Cycles in which the FP32 pipes were busy, as a count";
        1096 fi   PROF_FP16_CYCLES_ACTIVE_TOTAL                   Profiling Gpu             Int   "cycles"       Every Counter ALL                    "Cycles in which the FP16 pipes were busy, as a count";
    }
    XidsInWindow "The exporter's own families" {
        9001 dcgm EXP_XID_ERRORS_COUNT                            Errors    Exporter        Int   "count"        Every Gauge   ALL OFFERED            "XIDs in the sliding window by code, as a count", series "1 per code that came";
    }
    ClockEventsInWindow {
        9002 dcgm EXP_CLOCK_EVENTS_COUNT                          Clocks    Exporter        Int   "count"        Every Gauge   ALL OFFERED            "Samples in the sliding window in which a clock event reason was set, by reason, as a count", series "9";
    }
    HealthAndPeers {
        9003 dcgm EXP_GPU_HEALTH_STATUS                           Errors    Exporter        Int   "enum"         Every Gauge   ALL OFFERED            "Health of the GPU by subsystem: 0 pass, 10 warn, 20 fail", series "1 per subsystem";
        9004 dcgm EXP_P2P_STATUS                                  Nvlink    Exporter        Int   "enum"         Slow  Gauge   ALL OFFERED            "State of the connection to each other GPU: 0 good, 1 chipset not supported, 2 GPU not supported, 3 topology not supported, 4 disabled by registry key, 5 not supported, 6 unknown", series "1 per other GPU";
    }
    ClockEventsCounted {
        // DCGM has no number for these two; the numbers are of this program.
        9005 dcgm EXP_CLOCK_EVENTS_TOTAL                          Clocks    Exporter        Int   "count"        Every Counter ALL OFFERED            "How often a clock event reason came up since the exporter started, by reason, as a count", series "9";
    }
    XidsCounted {
        9006 dcgm EXP_XID_ERRORS_TOTAL                            Errors    Exporter        Int   "count"        Every Counter ALL OFFERED            "XIDs since the exporter started by code, as a count", series "1 per code that came";
    }
    Collection "heatsink's own: what an XID means, why a GPU is slow, what happens between two scrapes, what reading costs" {
        9207 heatsink_gpu_last_success_timestamp_seconds GPU_LAST_SUCCESS_TIMESTAMP_SECONDS Heatsink  Exporter        Float "s"            Every Gauge   ALL MONITORING         "When the last complete pass over the GPU ended, in seconds since 1970";
        9208 heatsink_collection_duration_seconds        COLLECTION_DURATION_SECONDS        Heatsink  Exporter        Float "s"            Every Gauge   ALL MONITORING         "Time that the last complete pass over the GPU took in the driver, in seconds";
        9209 heatsink_driver_call_duration_seconds       DRIVER_CALL_DURATION_SECONDS       Heatsink  Exporter        Float "s"            Every Gauge   ALL                    "Time that each kind of driver call took the last time, in seconds", series "1 per kind of call";
    }
    Unavailable {
        9211 heatsink_field_unavailable_info             FIELD_UNAVAILABLE_INFO             Heatsink  Exporter        Int   "info"         Every Gauge   ALL DEFAULT            "Why a field that was asked for cannot be read on any GPU of this machine; always 1", series "1 per such field and node";
    }
    Xids {
        9212 heatsink_xid_errors_total                   XID_ERRORS_TOTAL                   Errors    Exporter        Int   "count"        Every Counter ALL DEFAULT MINIMAL    "XIDs of the GPU by code, as a count", series "1 per code that came";
    }
    CriticalXids {
        9213 heatsink_xid_critical_errors_total          XID_CRITICAL_ERRORS_TOTAL          Errors    Exporter        Int   "count"        Every Counter ALL DEFAULT MINIMAL    "XIDs of the GPU that ask for a reset, a restart or a repair, of all codes that heatsink_xid_source_info can deliver, as a count";
    }
    XidDetails {
        9215 heatsink_xid_last_timestamp_seconds         XID_LAST_TIMESTAMP_SECONDS         Errors    Exporter        Float "s"            Every Gauge   ALL DEFAULT            "When the last XID of this code came, in seconds since 1970", series "1 per code that came";
        9216 heatsink_xid_info                           XID_INFO                           Errors    Exporter        Int   "info"         Every Gauge   ALL DEFAULT            "Meaning of an XID and what to do about it, for each code on this page; always 1", series "1 per code that came and node";
        9217 heatsink_nvlink_xid_errors_total            NVLINK_XID_ERRORS_TOTAL            Errors    Exporter        Int   "count"        Every Counter ALL DEFAULT            "NVLink XIDs in the kernel's log by the unit of the link that reports them, as a count", series "1 per such fault";
        9218 heatsink_nvswitch_sxid_errors_total         NVSWITCH_SXID_ERRORS_TOTAL         Errors    Exporter        Int   "count"        Every Counter ALL DEFAULT            "Errors of NVSwitches (SXids) in the kernel's log, as a count", series "1 per such error";
        9219 heatsink_driver_errors_total                DRIVER_ERRORS_TOTAL                Errors    Exporter        Int   "count"        Every Counter ALL DEFAULT            "Failures of GPUs in the kernel's log that have no XID (fallen_off_bus, init_failed, probe_failed), as a count", series "1 per such error";
    }
    ClockEvents {
        9221 heatsink_clock_event_active                 CLOCK_EVENT_ACTIVE                 Clocks    Exporter        Int   "flag"         Every Gauge   ALL                    "Whether the driver gives this reason for the current clocks, 0 or 1", series "9";
        9222 heatsink_clock_event_seconds_total          CLOCK_EVENT_SECONDS_TOTAL          Clocks    Exporter        Float "s"            Every Counter ALL DEFAULT            "Time in which the driver gave this reason for the current clocks, in seconds", series "9";
        9223 heatsink_gpu_slowdown_ratio                 GPU_SLOWDOWN_RATIO                 Clocks    Exporter        Float "ratio"        Every Gauge   ALL DEFAULT            "SM clock compared with the highest one of the current performance state (1 is full speed; low on an idle GPU), as a ratio";
    }
    ActiveNvlinks {
        9224 heatsink_nvlinks_active                     NVLINKS_ACTIVE                     Nvlink    Exporter        Int   "links"        Every Gauge   ALL MONITORING         "NVLinks of the GPU that are active or asleep, as a count";
    }
    TemperatureWindows {
        9225 heatsink_gpu_temperature_min_celsius        GPU_TEMPERATURE_MIN_CELSIUS        Heat      Exporter        Float "°C"           Every Gauge   ALL                    "GPU temperature, lowest over the last heatsink_window_seconds, in degrees Celsius";
        9226 heatsink_gpu_temperature_mean_celsius       GPU_TEMPERATURE_MEAN_CELSIUS       Heat      Exporter        Float "°C"           Every Gauge   ALL                    "GPU temperature, mean over the last heatsink_window_seconds, in degrees Celsius";
        9227 heatsink_gpu_temperature_max_celsius        GPU_TEMPERATURE_MAX_CELSIUS        Heat      Exporter        Float "°C"           Every Gauge   ALL MONITORING         "GPU temperature, highest over the last heatsink_window_seconds, in degrees Celsius";
        9228 heatsink_memory_temperature_min_celsius     MEMORY_TEMPERATURE_MIN_CELSIUS     Heat      Exporter        Float "°C"           Every Gauge   ALL                    "Memory temperature, lowest over the last heatsink_window_seconds, in degrees Celsius";
        9229 heatsink_memory_temperature_mean_celsius    MEMORY_TEMPERATURE_MEAN_CELSIUS    Heat      Exporter        Float "°C"           Every Gauge   ALL                    "Memory temperature, mean over the last heatsink_window_seconds, in degrees Celsius";
        9230 heatsink_memory_temperature_max_celsius     MEMORY_TEMPERATURE_MAX_CELSIUS     Heat      Exporter        Float "°C"           Every Gauge   ALL                    "Memory temperature, highest over the last heatsink_window_seconds, in degrees Celsius";
    }
    PowerWindows {
        9231 heatsink_power_min_watts                    POWER_MIN_WATTS                    Power     Exporter        Float "W"            Every Gauge   ALL MONITORING         "Power drawn by the board, lowest over the last heatsink_window_seconds, in watts";
        9232 heatsink_power_mean_watts                   POWER_MEAN_WATTS                   Power     Exporter        Float "W"            Every Gauge   ALL                    "Power drawn by the board, mean over the last heatsink_window_seconds, in watts";
        9233 heatsink_power_max_watts                    POWER_MAX_WATTS                    Power     Exporter        Float "W"            Every Gauge   ALL MONITORING         "Power drawn by the board, highest over the last heatsink_window_seconds, in watts";
    }
    OtherWindows {
        9234 heatsink_sm_clock_min_hertz                 SM_CLOCK_MIN_HERTZ                 Clocks    Exporter        Float "Hz"           Every Gauge   ALL                    "SM clock, lowest over the last heatsink_window_seconds, in hertz";
        9235 heatsink_sm_clock_mean_hertz                SM_CLOCK_MEAN_HERTZ                Clocks    Exporter        Float "Hz"           Every Gauge   ALL                    "SM clock, mean over the last heatsink_window_seconds, in hertz";
        9236 heatsink_sm_clock_max_hertz                 SM_CLOCK_MAX_HERTZ                 Clocks    Exporter        Float "Hz"           Every Gauge   ALL                    "SM clock, highest over the last heatsink_window_seconds, in hertz";
        9237 heatsink_gpu_utilization_min_ratio          GPU_UTILIZATION_MIN_RATIO          Use       Exporter        Float "ratio"        Every Gauge   ALL                    "Share of time in which at least one kernel ran, lowest over the last heatsink_window_seconds, as a ratio";
        9238 heatsink_gpu_utilization_mean_ratio         GPU_UTILIZATION_MEAN_RATIO         Use       Exporter        Float "ratio"        Every Gauge   ALL                    "Share of time in which at least one kernel ran, mean over the last heatsink_window_seconds, as a ratio";
        9239 heatsink_gpu_utilization_max_ratio          GPU_UTILIZATION_MAX_RATIO          Use       Exporter        Float "ratio"        Every Gauge   ALL                    "Share of time in which at least one kernel ran, highest over the last heatsink_window_seconds, as a ratio";
        9240 heatsink_memory_utilization_min_ratio       MEMORY_UTILIZATION_MIN_RATIO       Use       Exporter        Float "ratio"        Every Gauge   ALL                    "Share of time in which memory was read or written, lowest over the last heatsink_window_seconds, as a ratio";
        9241 heatsink_memory_utilization_mean_ratio      MEMORY_UTILIZATION_MEAN_RATIO      Use       Exporter        Float "ratio"        Every Gauge   ALL                    "Share of time in which memory was read or written, mean over the last heatsink_window_seconds, as a ratio";
        9242 heatsink_memory_utilization_max_ratio       MEMORY_UTILIZATION_MAX_RATIO       Use       Exporter        Float "ratio"        Every Gauge   ALL                    "Share of time in which memory was read or written, highest over the last heatsink_window_seconds, as a ratio";
        9243 heatsink_framebuffer_used_min_bytes         FRAMEBUFFER_USED_MIN_BYTES         Memory    Exporter        Float "B"            Every Gauge   ALL                    "Framebuffer memory in use, lowest over the last heatsink_window_seconds, in bytes";
        9244 heatsink_framebuffer_used_mean_bytes        FRAMEBUFFER_USED_MEAN_BYTES        Memory    Exporter        Float "B"            Every Gauge   ALL                    "Framebuffer memory in use, mean over the last heatsink_window_seconds, in bytes";
        9245 heatsink_framebuffer_used_max_bytes         FRAMEBUFFER_USED_MAX_BYTES         Memory    Exporter        Float "B"            Every Gauge   ALL                    "Framebuffer memory in use, highest over the last heatsink_window_seconds, in bytes";
    }
    WindowLength {
        9246 heatsink_window_seconds                     WINDOW_SECONDS                     Heatsink  Exporter        Float "s"            Every Gauge   ALL MONITORING         "Length of the window of lowest, mean and highest values, in seconds", series "1 per node";
    }
    History "The recorded past: incidents, and whether the history is written" {
        9263 heatsink_incidents_total                    INCIDENTS_TOTAL                    Heatsink  Exporter        Int   "count"        Every Counter ALL MONITORING         "Incidents since heatsink started by the kind of their first trigger, as a count", series "1 per node and kind";
        9264 heatsink_last_incident_timestamp_seconds    LAST_INCIDENT_TIMESTAMP_SECONDS    Heatsink  Exporter        Float "s"            Every Gauge   ALL MONITORING         "When the newest incident began, earlier runs of heatsink included, in seconds since 1970", series "1 per node";
        9265 heatsink_history_writable                   HISTORY_WRITABLE                   Heatsink  Exporter        Int   "flag"         Every Gauge   ALL MONITORING         "Whether the history was written to its folder the last time, 0 or 1", series "1 per node";
        9266 heatsink_history_size_bytes                 HISTORY_SIZE_BYTES                 Heatsink  Exporter        Int   "B"            Every Gauge   ALL MONITORING         "Size of the history in its folder, in bytes", series "1 per node";
        9267 heatsink_history_written_bytes_total        HISTORY_WRITTEN_BYTES_TOTAL        Heatsink  Exporter        Int   "B"            Every Counter ALL MONITORING         "Bytes of the history that were written to its folder, as a count", series "1 per node";
        9268 heatsink_history_oldest_timestamp_seconds   HISTORY_OLDEST_TIMESTAMP_SECONDS   Heatsink  Exporter        Float "s"            Every Gauge   ALL MONITORING         "When the oldest part of the history was recorded, in seconds since 1970", series "1 per node";
        9269 heatsink_history_last_sync_timestamp_seconds HISTORY_LAST_SYNC_TIMESTAMP_SECONDS Heatsink  Exporter        Float "s"            Every Gauge   ALL MONITORING         "When all of the history was last synced to disk, in seconds since 1970", series "1 per node";
        9270 heatsink_history_errors_total               HISTORY_ERRORS_TOTAL               Heatsink  Exporter        Int   "count"        Every Counter ALL MONITORING         "Errors of the folder of the history by reason, as a count", series "1 per node and reason";
        9271 heatsink_history_rows_lost_total            HISTORY_ROWS_LOST_TOTAL            Heatsink  Exporter        Int   "rows"         Every Counter ALL MONITORING         "Rows of the history that were never written to its folder, as a count", series "1 per node";
        9272 heatsink_history_memory_bytes               HISTORY_MEMORY_BYTES               Heatsink  Exporter        Int   "B"            Every Gauge   ALL MONITORING         "Size of the history in memory, in bytes", series "1 per node";
    }
    MachineLabels "Labels: the value becomes a label of every series of the part that has it. Remove the # of a row to read it." {
         878 dev  NVSWITCH_DEVICE_UUID                            Identity  SwitchLink      Text  "text"         Slow  Label   MACHINE                "UUID of the NVSwitch, or of its link", aka NVSWITCH_UUID;
         877 dev  NVSWITCH_LINK_DEVICE_LINK_SID                   Nvlink    SwitchLink      Text  "text"         Slow  Label   MACHINE                "System id of what the switch's link leads to", aka NVSWITCH_LINK_REMOTE_LINK_SID;
        1140 dev  CPU_VENDOR                                      Identity  Cpu             Text  "text"         Slow  Label   MACHINE                "Maker of the CPU";
        1141 dev  CPU_MODEL                                       Identity  Cpu             Text  "text"         Slow  Label   MACHINE                "Model of the CPU";
    }
    SwitchPower "NVSwitches: heat, voltage, power" {
         858 dev  NVSWITCH_TEMPERATURE_CURRENT                    Heat      Switch          Int   "°C"           Every Gauge   MACHINE                "Temperature of the switch, in degrees Celsius", aka NVSWITCH_TEMP_CELSIUS;
         859 dev  NVSWITCH_TEMPERATURE_LIMIT_SLOWDOWN             Heat      Switch          Int   "°C"           Slow  Gauge   MACHINE                "Temperature at which the switch slows down, in degrees Celsius", aka NVSWITCH_TEMP_SLOWDOWN_CELSIUS;
         860 dev  NVSWITCH_TEMPERATURE_LIMIT_SHUTDOWN             Heat      Switch          Int   "°C"           Slow  Gauge   MACHINE                "Temperature at which the switch shuts down, in degrees Celsius", aka NVSWITCH_TEMP_SHUTDOWN_CELSIUS;
         701 dev  NVSWITCH_VOLTAGE_MVOLT                          Power     Switch          Int   "mV"           Every Gauge   MACHINE                "Supply voltage of the switch, in millivolts";
         705 dev  NVSWITCH_POWER_VDD                              Power     Switch          Int   "W"            Every Gauge   MACHINE                "Power drawn by the switch on its VDD rail, in watts", aka NVSWITCH_POWER_VDD_WATTS;
         706 dev  NVSWITCH_POWER_DVDD                             Power     Switch          Int   "W"            Every Gauge   MACHINE                "Power drawn by the switch on its DVDD rail, in watts", aka NVSWITCH_POWER_DVDD_WATTS;
         707 dev  NVSWITCH_POWER_HVDD                             Power     Switch          Int   "W"            Every Gauge   MACHINE                "Power drawn by the switch on its HVDD rail, in watts", aka NVSWITCH_POWER_HVDD_WATTS;
         702 dev  NVSWITCH_CURRENT_IDDQ                           Power     Switch          Int   "raw"          Slow  Gauge   MACHINE                "Quiescent current of the switch, as the chip gives it";
         703 dev  NVSWITCH_CURRENT_IDDQ_REV                       Power     Switch          Int   "raw"          Slow  Gauge   MACHINE                "Revision of the quiescent current of the switch, as the chip gives it";
         704 dev  NVSWITCH_CURRENT_IDDQ_DVDD                      Power     Switch          Int   "raw"          Slow  Gauge   MACHINE                "Quiescent current of the switch on its DVDD rail, as the chip gives it";
    }
    SwitchErrors "NVSwitches: errors, traffic." {
         856 dev  NVSWITCH_FATAL_ERRORS                           Errors    Switch          Int   "code"         Every Gauge   MACHINE                "Code of the newest fatal SXid of the switch; there is none as long as nothing happened", aka SXID_FATAL_ERROR;
         857 dev  NVSWITCH_NON_FATAL_ERRORS                       Errors    Switch          Int   "code"         Every Gauge   MACHINE                "Code of the newest SXid of the switch that was not fatal; there is none as long as nothing happened", aka SXID_NON_FATAL_ERROR;
         864 dev  NVSWITCH_RESET_REQUIRED                         Errors    Switch          Int   "flag"         Slow  Gauge   MACHINE                "Whether the switch has to be reset, 0 or 1";
         861 dev  NVSWITCH_THROUGHPUT_TX                          Nvlink    Switch          Int   "raw"          Every Counter MACHINE                "Traffic sent by all links of the switch, added up in a unit of the hardware's own";
         862 dev  NVSWITCH_THROUGHPUT_RX                          Nvlink    Switch          Int   "raw"          Every Counter MACHINE                "Traffic received by all links of the switch, added up in a unit of the hardware's own";
    }
    SwitchIdentity "NVSwitches: which is which" {
         863 dev  NVSWITCH_PHYS_ID                                Identity  Switch          Int   "number"       Slow  Gauge   MACHINE                "Physical number of the switch", aka NVSWITCH_PHYSICAL_ID;
         866 dev  NVSWITCH_PCIE_DOMAIN                            Identity  Switch          Int   "number"       Slow  Gauge   MACHINE                "PCI domain number of the switch";
         867 dev  NVSWITCH_PCIE_BUS                               Identity  Switch          Int   "number"       Slow  Gauge   MACHINE                "PCI bus number of the switch";
         868 dev  NVSWITCH_PCIE_DEVICE                            Identity  Switch          Int   "number"       Slow  Gauge   MACHINE                "PCI device number of the switch";
         869 dev  NVSWITCH_PCIE_FUNCTION                          Identity  Switch          Int   "number"       Slow  Gauge   MACHINE                "PCI function number of the switch";
    }
    SwitchLinks "NVLinks of NVSwitches: state, and what they lead to" {
         865 dev  NVSWITCH_LINK_ID                                Nvlink    SwitchLink      Int   "number"       Slow  Gauge   MACHINE                "Number of the switch's link";
         870 dev  NVSWITCH_LINK_STATUS                            Nvlink    SwitchLink      Int   "enum"         Slow  Gauge   MACHINE                "State of the switch's link: -1 not known, 0 off, 1 safe mode, 2 active, 3 error";
         871 dev  NVSWITCH_LINK_TYPE                              Nvlink    SwitchLink      Int   "enum"         Slow  Gauge   MACHINE                "Kind of device that the switch's link leads to: through NSCQ 1 GPU, 2 switch; through NVSDM 1 adapter, 2 switch, 5 GPU";
         872 dev  NVSWITCH_LINK_REMOTE_PCIE_DOMAIN                Nvlink    SwitchLink      Int   "number"       Slow  Gauge   MACHINE                "PCI domain number of what the switch's link leads to";
         873 dev  NVSWITCH_LINK_REMOTE_PCIE_BUS                   Nvlink    SwitchLink      Int   "number"       Slow  Gauge   MACHINE                "PCI bus number of what the switch's link leads to";
         874 dev  NVSWITCH_LINK_REMOTE_PCIE_DEVICE                Nvlink    SwitchLink      Int   "number"       Slow  Gauge   MACHINE                "PCI device number of what the switch's link leads to";
         875 dev  NVSWITCH_LINK_REMOTE_PCIE_FUNCTION              Nvlink    SwitchLink      Int   "number"       Slow  Gauge   MACHINE                "PCI function number of what the switch's link leads to";
         876 dev  NVSWITCH_LINK_DEVICE_LINK_ID                    Nvlink    SwitchLink      Int   "number"       Slow  Gauge   MACHINE                "Number that the switch's link has at its other end", aka NVSWITCH_LINK_REMOTE_LINK_ID;
    }
    SwitchLinkErrors "NVLinks of NVSwitches: traffic, errors" {
         780 dev  NVSWITCH_LINK_THROUGHPUT_TX                     Nvlink    SwitchLink      Int   "raw"          Every Counter MACHINE                "Traffic sent by the switch's link, added up in a unit of the hardware's own";
         781 dev  NVSWITCH_LINK_THROUGHPUT_RX                     Nvlink    SwitchLink      Int   "raw"          Every Counter MACHINE                "Traffic received by the switch's link, added up in a unit of the hardware's own";
         782 dev  NVSWITCH_LINK_FATAL_ERRORS                      Nvlink    SwitchLink      Int   "code"         Every Gauge   MACHINE                "Code of the newest fatal SXid of the switch's link; there is none as long as nothing happened";
         783 dev  NVSWITCH_LINK_NON_FATAL_ERRORS                  Nvlink    SwitchLink      Int   "code"         Every Gauge   MACHINE                "Code of the newest SXid of the switch's link that was not fatal; there is none as long as nothing happened";
         784 dev  NVSWITCH_LINK_REPLAY_ERRORS                     Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Replays of the switch's link, as a count", aka NVSWITCH_LINK_REPLAY_ERROR_TOTAL;
         785 dev  NVSWITCH_LINK_RECOVERY_ERRORS                   Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Recoveries of the switch's link, as a count", aka NVSWITCH_LINK_RECOVERY_ERROR_TOTAL;
         786 dev  NVSWITCH_LINK_FLIT_ERRORS                       Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Flit errors of the switch's link, as a count", aka NVSWITCH_LINK_FLIT_ERROR_TOTAL;
         787 dev  NVSWITCH_LINK_CRC_ERRORS                        Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "CRC errors of the switch's link on all lanes, as a count", aka NVSWITCH_LINK_CRC_ERROR_TOTAL;
         788 dev  NVSWITCH_LINK_ECC_ERRORS                        Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "ECC errors of the switch's link on all lanes, as a count", aka NVSWITCH_LINK_ECC_ERROR_TOTAL;
         809 dev  NVSWITCH_LINK_CRC_ERRORS_LANE0                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "CRC errors of the switch's link on lane 0, as a count", aka NVSWITCH_LINK_CRC_ERROR_L0_TOTAL;
         810 dev  NVSWITCH_LINK_CRC_ERRORS_LANE1                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "CRC errors of the switch's link on lane 1, as a count", aka NVSWITCH_LINK_CRC_ERROR_L1_TOTAL;
         811 dev  NVSWITCH_LINK_CRC_ERRORS_LANE2                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "CRC errors of the switch's link on lane 2, as a count", aka NVSWITCH_LINK_CRC_ERROR_L2_TOTAL;
         812 dev  NVSWITCH_LINK_CRC_ERRORS_LANE3                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "CRC errors of the switch's link on lane 3, as a count", aka NVSWITCH_LINK_CRC_ERROR_L3_TOTAL;
         817 dev  NVSWITCH_LINK_CRC_ERRORS_LANE4                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "CRC errors of the switch's link on lane 4, as a count", aka NVSWITCH_LINK_CRC_ERROR_L4_TOTAL;
         818 dev  NVSWITCH_LINK_CRC_ERRORS_LANE5                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "CRC errors of the switch's link on lane 5, as a count", aka NVSWITCH_LINK_CRC_ERROR_L5_TOTAL;
         819 dev  NVSWITCH_LINK_CRC_ERRORS_LANE6                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "CRC errors of the switch's link on lane 6, as a count", aka NVSWITCH_LINK_CRC_ERROR_L6_TOTAL;
         820 dev  NVSWITCH_LINK_CRC_ERRORS_LANE7                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "CRC errors of the switch's link on lane 7, as a count", aka NVSWITCH_LINK_CRC_ERROR_L7_TOTAL;
         813 dev  NVSWITCH_LINK_ECC_ERRORS_LANE0                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "ECC errors of the switch's link on lane 0, as a count", aka NVSWITCH_LINK_ECC_ERROR_L0_TOTAL;
         814 dev  NVSWITCH_LINK_ECC_ERRORS_LANE1                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "ECC errors of the switch's link on lane 1, as a count", aka NVSWITCH_LINK_ECC_ERROR_L1_TOTAL;
         815 dev  NVSWITCH_LINK_ECC_ERRORS_LANE2                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "ECC errors of the switch's link on lane 2, as a count", aka NVSWITCH_LINK_ECC_ERROR_L2_TOTAL;
         816 dev  NVSWITCH_LINK_ECC_ERRORS_LANE3                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "ECC errors of the switch's link on lane 3, as a count", aka NVSWITCH_LINK_ECC_ERROR_L3_TOTAL;
         821 dev  NVSWITCH_LINK_ECC_ERRORS_LANE4                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "ECC errors of the switch's link on lane 4, as a count", aka NVSWITCH_LINK_ECC_ERROR_L4_TOTAL;
         822 dev  NVSWITCH_LINK_ECC_ERRORS_LANE5                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "ECC errors of the switch's link on lane 5, as a count", aka NVSWITCH_LINK_ECC_ERROR_L5_TOTAL;
         823 dev  NVSWITCH_LINK_ECC_ERRORS_LANE6                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "ECC errors of the switch's link on lane 6, as a count", aka NVSWITCH_LINK_ECC_ERROR_L6_TOTAL;
         824 dev  NVSWITCH_LINK_ECC_ERRORS_LANE7                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "ECC errors of the switch's link on lane 7, as a count", aka NVSWITCH_LINK_ECC_ERROR_L7_TOTAL;
    }
    SwitchLinkLatency "NVLinks of NVSwitches: packets by how long they took, for each virtual channel" {
         789 dev  NVSWITCH_LINK_LATENCY_LOW_VC0                   Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of low latency on virtual channel 0 of the switch's link, as a count";
         790 dev  NVSWITCH_LINK_LATENCY_LOW_VC1                   Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of low latency on virtual channel 1 of the switch's link, as a count";
         791 dev  NVSWITCH_LINK_LATENCY_LOW_VC2                   Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of low latency on virtual channel 2 of the switch's link, as a count";
         792 dev  NVSWITCH_LINK_LATENCY_LOW_VC3                   Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of low latency on virtual channel 3 of the switch's link, as a count";
         793 dev  NVSWITCH_LINK_LATENCY_MEDIUM_VC0                Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of medium latency on virtual channel 0 of the switch's link, as a count";
         794 dev  NVSWITCH_LINK_LATENCY_MEDIUM_VC1                Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of medium latency on virtual channel 1 of the switch's link, as a count";
         795 dev  NVSWITCH_LINK_LATENCY_MEDIUM_VC2                Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of medium latency on virtual channel 2 of the switch's link, as a count";
         796 dev  NVSWITCH_LINK_LATENCY_MEDIUM_VC3                Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of medium latency on virtual channel 3 of the switch's link, as a count";
         797 dev  NVSWITCH_LINK_LATENCY_HIGH_VC0                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of high latency on virtual channel 0 of the switch's link, as a count";
         798 dev  NVSWITCH_LINK_LATENCY_HIGH_VC1                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of high latency on virtual channel 1 of the switch's link, as a count";
         799 dev  NVSWITCH_LINK_LATENCY_HIGH_VC2                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of high latency on virtual channel 2 of the switch's link, as a count";
         800 dev  NVSWITCH_LINK_LATENCY_HIGH_VC3                  Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of high latency on virtual channel 3 of the switch's link, as a count";
         801 dev  NVSWITCH_LINK_LATENCY_PANIC_VC0                 Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of alarming latency on virtual channel 0 of the switch's link, as a count";
         802 dev  NVSWITCH_LINK_LATENCY_PANIC_VC1                 Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of alarming latency on virtual channel 1 of the switch's link, as a count";
         803 dev  NVSWITCH_LINK_LATENCY_PANIC_VC2                 Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of alarming latency on virtual channel 2 of the switch's link, as a count";
         804 dev  NVSWITCH_LINK_LATENCY_PANIC_VC3                 Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets of alarming latency on virtual channel 3 of the switch's link, as a count";
         805 dev  NVSWITCH_LINK_LATENCY_COUNT_VC0                 Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets whose latency was measured on virtual channel 0 of the switch's link, as a count", aka NVSWITCH_LINK_LATENCY_SAMPLE_VC0_TOTAL;
         806 dev  NVSWITCH_LINK_LATENCY_COUNT_VC1                 Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets whose latency was measured on virtual channel 1 of the switch's link, as a count", aka NVSWITCH_LINK_LATENCY_SAMPLE_VC1_TOTAL;
         807 dev  NVSWITCH_LINK_LATENCY_COUNT_VC2                 Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets whose latency was measured on virtual channel 2 of the switch's link, as a count", aka NVSWITCH_LINK_LATENCY_SAMPLE_VC2_TOTAL;
         808 dev  NVSWITCH_LINK_LATENCY_COUNT_VC3                 Nvlink    SwitchLink      Int   "count"        Slow  Counter MACHINE                "Packets whose latency was measured on virtual channel 3 of the switch's link, as a count", aka NVSWITCH_LINK_LATENCY_SAMPLE_VC3_TOTAL;
    }
    CpuPower "CPUs: heat, power" {
        1110 dev  CPU_TEMP_CURRENT                                Heat      Cpu             Float "°C"           Every Gauge   MACHINE                "Temperature of the CPU, in degrees Celsius", aka CPU_TEMP_CELSIUS;
        1111 dev  CPU_TEMP_WARNING                                Heat      Cpu             Float "°C"           Slow  Gauge   MACHINE                "Temperature at which the CPU is held back, in degrees Celsius", aka CPU_TEMP_WARNING_CELSIUS;
        1112 dev  CPU_TEMP_CRITICAL                               Heat      Cpu             Float "°C"           Slow  Gauge   MACHINE                "Temperature that is critical for the CPU, in degrees Celsius", aka CPU_TEMP_CRITICAL_CELSIUS;
        1130 dev  CPU_POWER_UTIL_CURRENT                          Power     Cpu             Float "W"            Every Gauge   MACHINE                "Power drawn by the CPU, in watts", aka CPU_POWER_WATTS;
        1131 dev  CPU_POWER_LIMIT                                 Power     Cpu             Float "W"            Slow  Gauge   MACHINE                "Power limit of the CPU's socket, in watts", aka CPU_POWER_LIMIT_WATTS;
        1132 dev  SYSIO_POWER_UTIL_CURRENT                        Power     Cpu             Float "W"            Every Gauge   MACHINE                "Power drawn by the system I/O of the CPU's socket, in watts";
        1133 dev  MODULE_POWER_UTIL_CURRENT                       Power     Cpu             Float "W"            Every Gauge   MACHINE                "Power drawn by the module that the CPU is on, in watts";
    }
    CpuWork "CPUs and their cores: work. Of a CPU it is the mean of its cores; it has no clock of its own." {
        1100 dev  CPU_UTIL_TOTAL                                  Use       CpuCore         Float "ratio"        Every Gauge   MACHINE                "Share of the processor's time spent on work of any kind, as a ratio";
        1101 dev  CPU_UTIL_USER                                   Use       CpuCore         Float "ratio"        Every Gauge   MACHINE                "Share of the processor's time spent on programs, as a ratio";
        1102 dev  CPU_UTIL_NICE                                   Use       CpuCore         Float "ratio"        Every Gauge   MACHINE                "Share of the processor's time spent on programs of lower priority, as a ratio";
        1103 dev  CPU_UTIL_SYS                                    Use       CpuCore         Float "ratio"        Every Gauge   MACHINE                "Share of the processor's time spent on the kernel, as a ratio";
        1104 dev  CPU_UTIL_IRQ                                    Use       CpuCore         Float "ratio"        Every Gauge   MACHINE                "Share of the processor's time spent on interrupts, as a ratio";
        1120 dev  CPU_CLOCK_CURRENT                               Clocks    CpuCore         Int   "kHz"          Every Gauge   MACHINE                "Clock of the core, in kHz";
    }
    Program "heatsink and its source" {
        // heatsink's own families; the numbers are of this program.
        9201 heatsink_build_info                         BUILD_INFO                         Heatsink  Exporter        Int   "info"         Every Gauge   HEALTH                 "Version of heatsink; always 1", series "1 per node";
        9202 heatsink_source_info                        SOURCE_INFO                        Heatsink  Exporter        Int   "info"         Every Gauge   HEALTH                 "Source of the readings and version of its driver; always 1", series "1 per node";
        9203 heatsink_source_up                          SOURCE_UP                          Heatsink  Exporter        Int   "flag"         Every Gauge   HEALTH                 "Whether the source of the readings is open, 0 or 1", series "1 per node";
    }
    GpuHealth "GPUs" {
        9204 heatsink_gpu_up                             GPU_UP                             Errors    Exporter        Int   "flag"         Every Gauge   HEALTH                 "Whether the GPU answers, 0 or 1";
        9205 heatsink_gpu_down_info                      GPU_DOWN_INFO                      Errors    Exporter        Int   "info"         Every Gauge   HEALTH                 "Why the GPU does not answer; 1 while it does not", series "1 while it is down";
        9206 heatsink_gpus_expected                      GPUS_EXPECTED                      Errors    Exporter        Int   "count"        Every Gauge   HEALTH                 "GPUs that the machine should have by --expected-gpus, as a count", series "1 per node";
        9210 heatsink_read_errors_total                  READ_ERRORS_TOTAL                  Heatsink  Exporter        Int   "count"        Every Counter HEALTH                 "Readings that failed by field and reason, as a count", series "1 per failing field";
    }
    LogHealth "XIDs and the kernel's log" {
        9214 heatsink_xid_source_info                    XID_SOURCE_INFO                    Errors    Exporter        Int   "info"         Every Gauge   HEALTH                 "Source of XIDs: kernel_log, dcgm, sim, or nvml_events, which lacks 79, 119, 120 and a few more; always 1", series "1 per node";
        9220 heatsink_kernel_log_lost_records_total      KERNEL_LOG_LOST_RECORDS_TOTAL      Errors    Exporter        Int   "count"        Every Counter HEALTH                 "Records of the kernel's log that were lost before they were read, as a count", series "1 per node";
    }
    Holders "Who uses the GPUs, where that is asked for: pods, jobs" {
        9254 heatsink_gpu_holder_info                    GPU_HOLDER_INFO                    Heatsink  Exporter        Int   "info"         Every Gauge   HEALTH                 "Who uses the GPU or its instance: a container of a pod, or a job; always 1", series "1 per holder";
        9255 heatsink_gpu_allocated                      GPU_ALLOCATED                      Heatsink  Exporter        Int   "flag"         Every Gauge   HEALTH                 "Whether the GPU or a part of it has a holder, 0 or 1";
        9256 heatsink_attribution_up                     ATTRIBUTION_UP                     Heatsink  Exporter        Int   "flag"         Every Gauge   HEALTH                 "Whether the refresher of holders could read its source the last time, 0 or 1", series "1 per refresher";
        9257 heatsink_attribution_last_success_timestamp_seconds ATTRIBUTION_LAST_SUCCESS_TIMESTAMP_SECONDS Heatsink Exporter Float "s" Every Gauge   HEALTH                 "When the refresher of holders last read its source, in seconds since 1970", series "1 per refresher";
        9258 heatsink_attribution_duration_seconds       ATTRIBUTION_DURATION_SECONDS       Heatsink  Exporter        Float "s"            Every Gauge   HEALTH                 "How long the refresher of holders took the last time, in seconds", series "1 per refresher";
        9259 heatsink_attribution_entries                ATTRIBUTION_ENTRIES                Heatsink  Exporter        Int   "count"        Every Gauge   HEALTH                 "Entries of the refresher's last result that is still used: uses of devices, pods, devices, as a count", series "1 per refresher";
        9260 heatsink_attribution_errors_total           ATTRIBUTION_ERRORS_TOTAL           Heatsink  Exporter        Int   "count"        Every Counter HEALTH                 "Errors of the refresher of holders by reason, as a count", series "1 per refresher and reason";
        9261 heatsink_attribution_pod_labels_cut_total   ATTRIBUTION_POD_LABELS_CUT_TOTAL   Heatsink  Exporter        Int   "count"        Every Counter HEALTH                 "Pod labels that were left out because of the limit per pod, as a count", series "1 per node";
    }
    Process "Configuration and process" {
        9247 heatsink_config_rows_skipped                CONFIG_ROWS_SKIPPED                Heatsink  Exporter        Int   "rows"         Every Gauge   HEALTH                 "Rows of the counters files that were not understood, as a count", series "1 per node";
        9248 heatsink_config_last_reload_successful      CONFIG_LAST_RELOAD_SUCCESSFUL      Heatsink  Exporter        Int   "flag"         Every Gauge   HEALTH                 "Whether the configuration could be read the last time, 0 or 1", series "1 per node";
        9262 heatsink_config_last_reload_success_timestamp_seconds CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS Heatsink Exporter Float "s"         Every Gauge   HEALTH                 "When the configuration was last read and put in force, in seconds since 1970", series "1 per node";
        9249 heatsink_reader_restarts_total              READER_RESTARTS_TOTAL              Heatsink  Exporter        Int   "count"        Every Counter HEALTH                 "Reader threads that ended or could not be started and are started again, as a count", series "1 per node";
        9253 heatsink_http_connections_closed_total      HTTP_CONNECTIONS_CLOSED_TOTAL      Heatsink  Exporter        Int   "count"        Every Counter HEALTH                 "HTTP connections closed because the limit of --max-connections was reached, as a count", series "1 per node";
        9250 process_cpu_seconds_total                   PROCESS_CPU_SECONDS_TOTAL          Heatsink  Exporter        Float "s"            Every Counter HEALTH                 "CPU time that heatsink has used, user and system, in seconds", series "1 per node";
        9251 process_resident_memory_bytes               PROCESS_RESIDENT_MEMORY_BYTES      Heatsink  Exporter        Float "B"            Every Gauge   HEALTH                 "Resident memory of heatsink, in bytes", series "1 per node";
        9252 process_start_time_seconds                  PROCESS_START_TIME_SECONDS         Heatsink  Exporter        Float "s"            Every Gauge   HEALTH                 "When heatsink started, in seconds since 1970", series "1 per node";
    }
}
