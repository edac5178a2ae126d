//! A simulated GPU in the integers of a driver.

mod equipment;

use std::{sync::Arc, time::Duration};

use sim::{Activity, GpuState};

use crate::{
    board::{
        Board, Clocks, Ecc, EncoderStats, Engine, Fabric, Inforom, Licence, Memory, Mig, Pci,
        PcieLink, PcieThroughput, PowerRange, RemappedRows, SramEcc, Thresholds, Utilization,
    },
    field::{Field, Kind},
    gpm::{Gpm, METRICS},
    samples::{Source, Sources},
    xid::Xid,
};

/// Whether simulated time runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// Counters and timestamps are those of the last step of the simulation.
    Running,
    /// The state does not change; counters of field values grow by one second per reading.
    Frozen,
}

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * 1024.0;
const HOPPER: u32 = 9;
const BRAND_NVIDIA: u32 = 14;
const FABRIC_COMPLETED: u8 = 3;
const FABRIC_HEALTHY: u8 = 1;
const LINK_ACTIVE: u64 = 1;
const LINK_DOWN: u64 = 0;
/// How often the driver puts a sample into its buffers.
const SAMPLE_PERIOD: Duration = Duration::from_millis(100);
const SAMPLING_US: u32 = 167_000;
/// ECC errors of both kinds, performance state, XID, clocks.
const EVENT_TYPES: u64 = 0x1F;

/// The board of GPU `index` in this `state`, at simulated time `at`.
pub(crate) fn board(
    index: usize,
    state: &GpuState,
    xids: Vec<Xid>,
    at: Duration,
    timestamp_us: i64,
    pace: Pace,
) -> Board {
    let sm_clock = Some(rounded(state.sm_clock_mhz));
    let memory_clock = Some(rounded(state.memory_clock_mhz));
    let max_sm_clock = Some(rounded(state.max_sm_clock_mhz));
    let power_limit_mw = Some(rounded(state.power_limit_watts * 1e3));
    let engine = |share| Some(Engine { percent: percent(share), sampling_us: SAMPLING_US });
    let sampled = |value| Some(Source::steady(SAMPLE_PERIOD, value));
    let in_use = state.memory_reserved_bytes + state.memory_used_bytes;
    Board {
        uuid: state.uuid.clone(),
        name: state.model_name.clone(),
        serial: Some(serial(&state.uuid)),
        minor: u32::try_from(index).ok(),
        pci: Pci {
            bus: state.pci_bus.into(),
            device_id: 0x2330_10DE,
            subsystem_id: 0x16C1_10DE,
            ..Pci::default()
        },
        architecture: Some(HOPPER),
        brand: Some(BRAND_NVIDIA),
        vbios: Some("96.00.74.00.01".into()),
        inforom: Inforom {
            image: Some("G520.0200.00.05".into()),
            oem: Some("2.1".into()),
            ecc: Some("7.16".into()),
            power: None,
        },
        persistence_mode: Some(1),
        compute_mode: Some(0),
        virtualization_mode: Some(0),
        lost: state.lost,
        mig: Some(Mig::new(false)),
        // They are made by command: the simulation knows whole GPUs.
        instances: Vec::new(),
        temperature: Some(rounded(state.temperature_celsius)),
        thresholds: Thresholds {
            shutdown: Some(rounded(state.shutdown_celsius)),
            slowdown: Some(rounded(state.slowdown_celsius)),
            mem_max: Some(rounded(state.max_memory_celsius)),
            ..Thresholds::default()
        },
        margin_temperature: Some(equipment::margin(state)),
        power_mw: Some(rounded(state.power_watts * 1e3)),
        power_management_limit_mw: power_limit_mw,
        default_power_limit_mw: power_limit_mw,
        power_limit_range_mw: power_limit_mw.map(|max| PowerRange { min: max.min(200_000), max }),
        enforced_power_limit_mw: power_limit_mw,
        total_energy_mj: Some(millijoules(state.energy_joules)),
        clocks_mhz: Clocks { graphics: sm_clock, sm: sm_clock, mem: memory_clock, video: None },
        max_clocks_mhz: Clocks { graphics: max_sm_clock, sm: max_sm_clock, ..Clocks::default() },
        application_clocks_mhz: Clocks {
            graphics: max_sm_clock,
            mem: memory_clock,
            ..Clocks::default()
        },
        event_reasons: Some(state.clock_event_reasons),
        performance_state: Some(0),
        fan_percent: state.fan_percent.map(rounded),
        utilization: Some(Utilization {
            gpu: percent(state.gpu_utilization),
            memory: percent(state.memory_utilization),
        }),
        encoder: engine(state.encoder_utilization),
        decoder: engine(state.decoder_utilization),
        encoder_stats: Some(EncoderStats { sessions: 0, average_fps: 0, average_latency_us: 0 }),
        memory: Some(Memory {
            total: state.memory_total_bytes,
            reserved: state.memory_reserved_bytes,
            free: state.memory_total_bytes.saturating_sub(in_use),
            used: state.memory_used_bytes,
        }),
        pcie_throughput_kb: Some(PcieThroughput {
            tx: (state.pcie_tx_bytes_per_second / 1e3) as u32,
            rx: (state.pcie_rx_bytes_per_second / 1e3) as u32,
        }),
        pcie_replay: u32::try_from(state.pcie_replays).ok(),
        pcie_link: PcieLink {
            generation: Some(state.pcie_generation),
            width: Some(state.pcie_lanes),
            max_generation: Some(state.max_pcie_generation),
            max_width: Some(state.max_pcie_lanes),
        },
        bar1: Some(equipment::bar1(state)),
        nvlink: equipment::nvlink(state),
        fabric: Some(Fabric {
            state: FABRIC_COMPLETED,
            health_summary: FABRIC_HEALTHY,
            ..Fabric::default()
        }),
        p2p: equipment::peers(index),
        ecc: Some(Ecc { current: 1, pending: 1 }),
        sram_ecc: Some(SramEcc {
            threshold_exceeded: state.sram_threshold_exceeded.into(),
            ..SramEcc::default()
        }),
        remapped_rows: Some(RemappedRows {
            corrected: equipment::count(state.rows_remapped_correctable),
            uncorrected: equipment::count(state.rows_remapped_uncorrectable),
            pending: state.row_remap_pending.into(),
            failed: state.row_remap_failed.into(),
        }),
        row_histogram: Some(equipment::row_histogram(state)),
        // Hopper remaps rows, and retires no pages; and this driver is older than the flag.
        retired_pages: None,
        unrepairable_memory: None,
        samples: Sources {
            power_mw: sampled(rounded(state.power_watts * 1e3)),
            gpu_utilization: sampled(percent(state.gpu_utilization)),
            memory_utilization: sampled(percent(state.memory_utilization)),
            sm_clock_mhz: sm_clock.and_then(sampled),
            memory_clock_mhz: memory_clock.and_then(sampled),
        },
        vgpu_licence: Some(Licence::default()),
        gpm: Some(gpm(state, at, pace)),
        fields: fields(state, timestamp_us, pace),
        event_types: Some(EVENT_TYPES),
        xids,
    }
}

fn fields(state: &GpuState, timestamp_us: i64, pace: Pace) -> Vec<Field> {
    let flag = |kind, id, value| Field::sampled(id, kind, timestamp_us, value);
    let counter = |id, total: u64, per_second: u64| match pace {
        Pace::Running => Field::sampled(id, Kind::U64, timestamp_us, total),
        Pace::Frozen => Field::counting(id, Kind::U64, timestamp_us, total, per_second),
    };
    let whole = |number: f64| number.max(0.0) as u64;
    let (cor, unc) = (state.ecc_correctable, state.ecc_uncorrectable);
    let mut fields = vec![
        // ECC mode, current and pending.
        flag(Kind::U32, 1, 1),
        flag(Kind::U32, 2, 1),
        // ECC totals, volatile and aggregate; the board is as old as the simulation.
        flag(Kind::U64, 3, cor),
        flag(Kind::U64, 4, unc),
        flag(Kind::U64, 5, cor),
        flag(Kind::U64, 6, unc),
        // NVLink errors over all links: checksums of flits and of data, replays, recoveries.
        flag(Kind::U64, 38, state.nvlink_crc_flit_errors),
        flag(Kind::U64, 45, state.nvlink_crc_data_errors),
        flag(Kind::U64, 52, state.nvlink_replays),
        flag(Kind::U64, 59, state.nvlink_recoveries),
        flag(Kind::U32, 82, rounded(state.memory_temperature_celsius).into()),
        // Energy is a total that people read, not one that a rate is made of: it is frozen with
        // the rest, so that a page of a frozen simulation is always the same.
        flag(Kind::U64, 83, millijoules(state.energy_joules)),
        flag(Kind::U32, 91, state.nvlinks.into()),
        flag(Kind::U32, 94, state.pcie_replays),
        flag(Kind::U32, 142, state.rows_remapped_correctable),
        flag(Kind::U32, 143, state.rows_remapped_uncorrectable),
        flag(Kind::U32, 144, state.row_remap_pending.into()),
        flag(Kind::U32, 145, state.row_remap_failed.into()),
        // Power averaged over a second, and of this instant: the simulation has one of them.
        flag(Kind::U32, 185, rounded(state.power_watts * 1e3).into()),
        flag(Kind::U32, 186, rounded(state.power_watts * 1e3).into()),
        counter(197, whole(state.pcie_tx_bytes), whole(state.pcie_tx_bytes_per_second)),
        counter(198, whole(state.pcie_rx_bytes), whole(state.pcie_rx_bytes_per_second)),
        flag(Kind::U32, 230, state.recovery_action.into()),
    ];
    let link_state = |link| if link < state.nvlinks_down { LINK_DOWN } else { LINK_ACTIVE };
    fields.extend(
        (0..state.nvlinks).map(|link| flag(Kind::U32, 165, link_state(link)).in_scope(link)),
    );
    // NVLink in KiB: field, then bytes so far and bytes per second over all links.
    for (id, bytes, bytes_per_second) in [
        (138, state.nvlink_tx_bytes, state.nvlink_tx_bytes_per_second),
        (139, state.nvlink_rx_bytes, state.nvlink_rx_bytes_per_second),
    ] {
        let (kib, rate) = (bytes / KIB, bytes_per_second / KIB);
        fields.push(counter(id, whole(kib), whole(rate)).in_scope(u32::MAX));
        let links = f64::from(state.nvlinks);
        fields.extend(
            (0..state.nvlinks)
                .map(|link| counter(id, whole(kib / links), whole(rate / links)).in_scope(link)),
        );
    }
    fields
}

fn gpm(state: &GpuState, at: Duration, pace: Pace) -> Gpm {
    match pace {
        Pace::Running => Gpm::Integrals {
            at,
            totals: metrics(
                &state.activity_seconds,
                [state.pcie_tx_bytes, state.pcie_rx_bytes],
                [state.nvlink_rx_bytes, state.nvlink_tx_bytes],
            ),
        },
        Pace::Frozen => gpm_of_moment(state),
    }
}

/// GPM whose metrics are those of this moment.
pub(crate) fn gpm_of_moment(state: &GpuState) -> Gpm {
    Gpm::Listed(Arc::new(
        metrics(
            &state.activity,
            [state.pcie_tx_bytes_per_second, state.pcie_rx_bytes_per_second],
            [state.nvlink_rx_bytes_per_second, state.nvlink_tx_bytes_per_second],
        )
        .into(),
    ))
}

/// In the order of [`METRICS`]: shares as percent, bytes as MiB.
fn metrics(
    activity: &Activity,
    pcie_tx_rx: [f64; 2],
    nvlink_rx_tx: [f64; 2],
) -> [(u32, f64); METRICS.len()] {
    let values = [
        activity.graphics * 100.0,
        activity.sm * 100.0,
        activity.occupancy * 100.0,
        activity.tensor * 100.0,
        activity.dram * 100.0,
        pcie_tx_rx[0] / MIB,
        pcie_tx_rx[1] / MIB,
        nvlink_rx_tx[0] / MIB,
        nvlink_rx_tx[1] / MIB,
    ];
    std::array::from_fn(|i| (METRICS[i].0, values[i]))
}

fn rounded(number: f64) -> u32 {
    number.round() as u32
}

fn percent(share: f64) -> u32 {
    rounded((share * 100.0).clamp(0.0, 100.0))
}

/// Only whole ones: a counter does not show what is not complete.
fn millijoules(joules: f64) -> u64 {
    (joules * 1e3) as u64
}

/// Thirteen digits that follow from the UUID.
fn serial(uuid: &str) -> String {
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    format!("165{:010}", u64::from_str_radix(&digits, 16).unwrap_or(0) % 10_000_000_000)
}
