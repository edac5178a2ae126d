//! One GPU as the driver would describe it: raw NVML integers, nothing converted.
//!
//! `None` is what the board does not have: its function answers `NOT_SUPPORTED`. The fields'
//! names and units are those of a fixture, see `fixtures/example.toml`.

mod health;
mod links;
mod memory;
mod mig;

use serde::Deserialize;

pub(crate) use health::{Ecc, RemappedRows, RetiredPages, RowHistogram, SramEcc};
pub(crate) use links::{Fabric, Nvlink, PcieLink, Peers, Ports};
pub(crate) use memory::{Bar1, Memory};
pub(crate) use mig::{ComputeInstance, Instance, Mig, size_of_profile, slices};

use crate::{
    field::{self, Field},
    gpm::Gpm,
    refusal::Refusal,
    samples::Sources,
    xid::Xid,
};

/// One GPU.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Board {
    pub uuid: String,
    pub name: String,
    pub serial: Option<String>,
    pub minor: Option<u32>,
    pub pci: Pci,
    pub architecture: Option<u32>,
    pub brand: Option<u32>,
    pub vbios: Option<String>,
    #[serde(default)]
    pub inforom: Inforom,
    pub persistence_mode: Option<u32>,
    pub compute_mode: Option<u32>,
    pub virtualization_mode: Option<u32>,
    /// Whether it has fallen off the bus.
    #[serde(default)]
    pub lost: bool,
    pub mig: Option<Mig>,
    /// The GPU instances it begins with.
    #[serde(default, rename = "instance")]
    pub instances: Vec<Instance>,

    pub temperature: Option<u32>,
    #[serde(default)]
    pub thresholds: Thresholds,
    pub margin_temperature: Option<i32>,
    pub power_mw: Option<u32>,
    pub power_management_limit_mw: Option<u32>,
    pub default_power_limit_mw: Option<u32>,
    pub power_limit_range_mw: Option<PowerRange>,
    pub enforced_power_limit_mw: Option<u32>,
    pub total_energy_mj: Option<u64>,
    #[serde(default)]
    pub clocks_mhz: Clocks,
    #[serde(default)]
    pub max_clocks_mhz: Clocks,
    #[serde(default)]
    pub application_clocks_mhz: Clocks,
    pub event_reasons: Option<u64>,
    pub performance_state: Option<u32>,
    pub fan_percent: Option<u32>,

    pub utilization: Option<Utilization>,
    pub encoder: Option<Engine>,
    pub decoder: Option<Engine>,
    pub encoder_stats: Option<EncoderStats>,
    pub memory: Option<Memory>,
    pub bar1: Option<Bar1>,
    pub pcie_throughput_kb: Option<PcieThroughput>,
    pub pcie_replay: Option<u32>,
    #[serde(default)]
    pub pcie_link: PcieLink,

    #[serde(default)]
    pub nvlink: Nvlink,
    pub fabric: Option<Fabric>,
    #[serde(default)]
    pub p2p: Peers,

    pub ecc: Option<Ecc>,
    pub sram_ecc: Option<SramEcc>,
    pub remapped_rows: Option<RemappedRows>,
    pub row_histogram: Option<RowHistogram>,
    pub retired_pages: Option<RetiredPages>,
    pub unrepairable_memory: Option<u32>,

    /// The sources of `nvmlDeviceGetSamples`.
    #[serde(default)]
    pub samples: Sources,

    pub vgpu_licence: Option<Licence>,
    pub gpm: Option<Gpm>,
    /// What `nvmlDeviceGetFieldValues` answers; what is not listed is not supported.
    #[serde(default, rename = "field", deserialize_with = "field::listed")]
    pub fields: Vec<Field>,

    /// Bits of `nvmlDeviceGetSupportedEventTypes`.
    pub event_types: Option<u64>,
    /// XIDs that the simulation has reported so far.
    #[serde(skip)]
    pub xids: Vec<Xid>,
}

impl Board {
    /// A field in a scope; one that is listed without a scope answers for any.
    pub(crate) fn field(&self, id: u32, scope: u32) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| field.id == id && field.scope.is_none_or(|known| known == scope))
    }
}

/// Where the GPU is on the bus.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pci {
    #[serde(default)]
    pub domain: u32,
    pub bus: u32,
    #[serde(default)]
    pub device: u32,
    #[serde(default)]
    pub device_id: u32,
    #[serde(default)]
    pub subsystem_id: u32,
}

/// Versions of the infoROM and of its objects.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inforom {
    pub image: Option<String>,
    pub oem: Option<String>,
    pub ecc: Option<String>,
    pub power: Option<String>,
}

/// Temperature thresholds, °C.
#[derive(Deserialize, Clone, Copy, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Thresholds {
    pub shutdown: Option<u32>,
    pub slowdown: Option<u32>,
    pub mem_max: Option<u32>,
    pub gpu_max: Option<u32>,
    pub acoustic_min: Option<u32>,
    pub acoustic_curr: Option<u32>,
    pub acoustic_max: Option<u32>,
    pub gps_curr: Option<u32>,
}

impl Thresholds {
    /// By `nvmlTemperatureThresholds_t`.
    pub(crate) fn of(&self, kind: u32) -> Result<Option<u32>, Refusal> {
        let all = [
            self.shutdown,
            self.slowdown,
            self.mem_max,
            self.gpu_max,
            self.acoustic_min,
            self.acoustic_curr,
            self.acoustic_max,
            self.gps_curr,
        ];
        all.get(kind as usize).copied().ok_or(Refusal::INVALID_ARGUMENT)
    }
}

/// Between what the power limit may be set, mW.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct PowerRange {
    pub min: u32,
    pub max: u32,
}

/// Clocks, MHz.
#[derive(Deserialize, Clone, Copy, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clocks {
    pub graphics: Option<u32>,
    pub sm: Option<u32>,
    pub mem: Option<u32>,
    pub video: Option<u32>,
}

impl Clocks {
    /// By `nvmlClockType_t`.
    pub(crate) fn of(&self, kind: u32) -> Result<Option<u32>, Refusal> {
        let all = [self.graphics, self.sm, self.mem, self.video];
        all.get(kind as usize).copied().ok_or(Refusal::INVALID_ARGUMENT)
    }
}

/// Percent of the last sample period.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Utilization {
    pub gpu: u32,
    pub memory: u32,
}

/// An encoder's or decoder's load, with its sample period in µs.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Engine {
    pub percent: u32,
    pub sampling_us: u32,
}

/// Encoder sessions.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct EncoderStats {
    pub sessions: u32,
    pub average_fps: u32,
    pub average_latency_us: u32,
}

/// PCIe traffic, KB/s.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct PcieThroughput {
    pub tx: u32,
    pub rx: u32,
}

/// What `nvmlDeviceGetGridLicensableFeatures_v4` answers.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Licence {
    pub supported: bool,
    #[serde(default)]
    pub features: Vec<LicensableFeature>,
}

/// One licensable feature.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct LicensableFeature {
    pub code: u32,
    pub state: u32,
    pub enabled: u32,
    #[serde(default)]
    pub product: String,
}
