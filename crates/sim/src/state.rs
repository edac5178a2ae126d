//! The state of one simulated GPU at one moment, in physical units.

/// The state of one GPU. Rates are of this moment; totals count from the start of the simulation.
#[derive(Clone, PartialEq, Debug)]
pub struct GpuState {
    /// `GPU-` and a UUID, derived from the seed.
    pub uuid: String,
    /// The model name, as from a driver: `NVIDIA H100 80GB HBM3`.
    pub model_name: String,
    /// PCI bus number; domain, device and function are 0.
    pub pci_bus: u8,
    /// Whether it has fallen off the bus. Then nothing of it can be read.
    pub lost: bool,

    /// Core temperature, °C.
    pub temperature_celsius: f64,
    /// Temperature of the memory, °C.
    pub memory_temperature_celsius: f64,
    /// Highest operating temperature of the memory, °C.
    pub max_memory_celsius: f64,
    /// Core temperature at which the driver begins to slow the GPU down, °C.
    pub slowdown_celsius: f64,
    /// Core temperature at which the GPU switches itself off, °C.
    pub shutdown_celsius: f64,
    /// Power drawn by the board, W.
    pub power_watts: f64,
    /// Power limit in force, W.
    pub power_limit_watts: f64,
    /// Energy drawn since the simulation began, J.
    pub energy_joules: f64,
    /// Fan speed, percent of maximum; `None` on a passively cooled board.
    pub fan_percent: Option<f64>,

    /// SM clock, MHz.
    pub sm_clock_mhz: f64,
    /// Highest SM clock, MHz.
    pub max_sm_clock_mhz: f64,
    /// Memory clock, MHz.
    pub memory_clock_mhz: f64,
    /// NVML's clock event reason bits: 0x1 idle, 0x4 power cap, 0x8 hardware slowdown, 0x20
    /// software thermal, 0x40 hardware thermal, 0x80 power brake.
    pub clock_event_reasons: u64,

    /// Share of time a kernel ran, 0 to 1.
    pub gpu_utilization: f64,
    /// Share of time the memory controller was busy, 0 to 1.
    pub memory_utilization: f64,
    /// Share of time the encoder was busy, 0 to 1.
    pub encoder_utilization: f64,
    /// Share of time the decoder was busy, 0 to 1.
    pub decoder_utilization: f64,

    /// Framebuffer, bytes: total.
    pub memory_total_bytes: u64,
    /// Framebuffer, bytes: reserved by the driver.
    pub memory_reserved_bytes: u64,
    /// Framebuffer, bytes: used by processes. Free is total - reserved - used.
    pub memory_used_bytes: u64,

    /// Correctable (single-bit) ECC errors since the simulation began.
    pub ecc_correctable: u64,
    /// Uncorrectable (double-bit) ECC errors since the simulation began.
    pub ecc_uncorrectable: u64,
    /// Memory rows remapped because of correctable errors.
    pub rows_remapped_correctable: u64,
    /// Memory rows remapped because of uncorrectable errors.
    pub rows_remapped_uncorrectable: u64,
    /// Whether a remapping failed.
    pub row_remap_failed: bool,
    /// Whether a remapping waits for a reset.
    pub row_remap_pending: bool,
    /// Whether SRAM errors are past their threshold.
    pub sram_threshold_exceeded: bool,
    /// NVML's number of the recovery action: 0 none, 4 drain and reset.
    pub recovery_action: u32,

    /// PCIe generation that the link runs at.
    pub pcie_generation: u32,
    /// Highest PCIe generation that both GPU and slot support.
    pub max_pcie_generation: u32,
    /// PCIe lanes in use.
    pub pcie_lanes: u32,
    /// Most PCIe lanes that both GPU and slot support.
    pub max_pcie_lanes: u32,
    /// PCIe, bytes per second sent by the GPU.
    pub pcie_tx_bytes_per_second: f64,
    /// PCIe, bytes per second received by the GPU.
    pub pcie_rx_bytes_per_second: f64,
    /// PCIe, bytes sent since the simulation began.
    pub pcie_tx_bytes: f64,
    /// PCIe, bytes received since the simulation began.
    pub pcie_rx_bytes: f64,
    /// PCIe replays since the simulation began.
    pub pcie_replays: u64,
    /// Number of NVLinks.
    pub nvlinks: u32,
    /// How many of them are down: those with the lowest numbers.
    pub nvlinks_down: u32,
    /// NVLink flit checksum errors over all links since the simulation began.
    pub nvlink_crc_flit_errors: u64,
    /// NVLink data checksum errors over all links since the simulation began.
    pub nvlink_crc_data_errors: u64,
    /// NVLink replays over all links since the simulation began.
    pub nvlink_replays: u64,
    /// NVLink recoveries over all links since the simulation began.
    pub nvlink_recoveries: u64,
    /// NVLink over all links, bytes per second sent.
    pub nvlink_tx_bytes_per_second: f64,
    /// NVLink over all links, bytes per second received.
    pub nvlink_rx_bytes_per_second: f64,
    /// NVLink over all links, bytes sent since the simulation began.
    pub nvlink_tx_bytes: f64,
    /// NVLink over all links, bytes received since the simulation began.
    pub nvlink_rx_bytes: f64,

    /// The profiling ratios at this moment.
    pub activity: Activity,
    /// The integral of `activity` over time, in seconds. Its differences give exact averages.
    pub activity_seconds: Activity,
}

/// Shares of time or of capacity, 0 to 1; or their integrals, in seconds.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Activity {
    /// The graphics and compute engine had work.
    pub graphics: f64,
    /// An SM had at least one warp.
    pub sm: f64,
    /// Resident warps, as a share of the maximum.
    pub occupancy: f64,
    /// A tensor pipe was busy.
    pub tensor: f64,
    /// The memory interface moved data.
    pub dram: f64,
}

/// An XID that the simulated driver reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XidEvent {
    /// Time since the simulation began.
    pub at: std::time::Duration,
    /// The number of the XID.
    pub code: u32,
}
