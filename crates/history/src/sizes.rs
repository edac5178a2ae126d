//! How many bytes an hour takes: all signals of eight simulated GPUs under load, with the noise of real ones.

use std::sync::Arc;
use std::time::Duration;

use sim::{GpuState, Scenario, World};

use crate::crashes::Random;
use crate::fixture::{at, layout, moment, read};
use crate::history::{History, Settings};
use crate::layout::{Layout, SignalInfo};
use crate::recording::Row;
use crate::store::StoreSettings;
use crate::time::Range;

const GPUS: u32 = 8;

/// A quantity of a GPU, what a unit of its numbers is, and by how many units its readings jitter. Those of
/// `0` units are as they are.
type Signal = (&'static str, f64, u64, fn(&GpuState) -> f64);

/// The signals of a GPU, each in the resolution in which it is recorded, or a finer one.
#[rustfmt::skip]
const SIGNALS: &[Signal] = &[
    ("up",                    1.0,   0, |gpu| f64::from(u8::from(!gpu.lost))),
    ("gpu_temperature",       1.0,   0, |gpu| gpu.temperature_celsius),
    ("memory_temperature",    1.0,   0, |gpu| gpu.memory_temperature_celsius),
    ("slowdown_temperature",  1.0,   0, |gpu| gpu.slowdown_celsius),
    ("fan",                   1.0,   0, |gpu| gpu.fan_percent.unwrap_or(30.0)),
    ("power",                 0.001, 9_000, |gpu| gpu.power_watts),
    ("power_limit",           0.001, 0, |gpu| gpu.power_limit_watts),
    ("energy",                0.001, 9_000, |gpu| gpu.energy_joules),
    ("sm_clock",              1.0,  30, |gpu| gpu.sm_clock_mhz),
    ("memory_clock",          1.0,   0, |gpu| gpu.memory_clock_mhz),
    ("pstate",                1.0,   0, |_| 0.0),
    ("clock_reasons",         1.0,   0, |gpu| gpu.clock_event_reasons as f64),
    ("slowdown",              0.001, 8, |gpu| 1.0 - gpu.sm_clock_mhz / gpu.max_sm_clock_mhz),
    ("gpu_utilization",       1.0,   3, |gpu| gpu.gpu_utilization),
    ("memory_utilization",    1.0,   5, |gpu| gpu.memory_utilization),
    ("encoder_utilization",   1.0,   0, |gpu| gpu.encoder_utilization),
    ("decoder_utilization",   1.0,   0, |gpu| gpu.decoder_utilization),
    ("memory_total",      1048576.0, 0, |gpu| gpu.memory_total_bytes as f64),
    ("memory_free",       1048576.0, 2, |gpu| (gpu.memory_total_bytes - gpu.memory_used_bytes) as f64),
    ("memory_used",       1048576.0, 2, |gpu| gpu.memory_used_bytes as f64),
    ("memory_reserved",   1048576.0, 0, |gpu| gpu.memory_reserved_bytes as f64),
    ("graphics_active",       0.001, 20, |gpu| gpu.activity.graphics),
    ("sm_active",             0.001, 20, |gpu| gpu.activity.sm),
    ("sm_occupancy",          0.001, 20, |gpu| gpu.activity.occupancy),
    ("tensor_active",         0.001, 20, |gpu| gpu.activity.tensor),
    ("dram_active",           0.001, 20, |gpu| gpu.activity.dram),
    ("pcie_tx",            1000.0, 50_000, |gpu| gpu.pcie_tx_bytes_per_second),
    ("pcie_rx",            1000.0, 50_000, |gpu| gpu.pcie_rx_bytes_per_second),
    ("nvlink_tx",       1000000.0, 2_000, |gpu| gpu.nvlink_tx_bytes_per_second),
    ("nvlink_rx",       1000000.0, 2_000, |gpu| gpu.nvlink_rx_bytes_per_second),
    ("nvlink_bandwidth",      1.0,   0, |_| 0.0),
    ("pcie_replays",          1.0,   0, |gpu| gpu.pcie_replays as f64),
    ("pcie_link_generation",  1.0,   0, |gpu| f64::from(gpu.pcie_generation)),
    ("pcie_link_width",       1.0,   0, |gpu| f64::from(gpu.pcie_lanes)),
    ("ecc_corrected",         1.0,   0, |gpu| gpu.ecc_correctable as f64),
    ("ecc_uncorrected",       1.0,   0, |gpu| gpu.ecc_uncorrectable as f64),
    ("remapped_corrected",    1.0,   0, |gpu| gpu.rows_remapped_correctable as f64),
    ("remapped_uncorrected",  1.0,   0, |gpu| gpu.rows_remapped_uncorrectable as f64),
    ("remap_pending",         1.0,   0, |gpu| f64::from(u8::from(gpu.row_remap_pending))),
    ("remap_failed",          1.0,   0, |gpu| f64::from(u8::from(gpu.row_remap_failed))),
    ("nvlink_errors",         1.0,   0, |gpu| gpu.nvlink_crc_flit_errors as f64),
    ("links_active",          1.0,   0, |gpu| f64::from(gpu.nvlinks)),
    ("xid",                   1.0,   0, |_| 0.0),
    ("down_reason",           1.0,   0, |_| 0.0),
];

fn machine() -> Arc<Layout> {
    let template = layout(GPUS, 0);
    let of_host = (1..=3).map(|number| (number, format!("host_{number}"), true));
    let of_gpu =
        (20..).zip(SIGNALS).map(|(number, (name, ..))| (number, (*name).to_owned(), false));
    let signals = of_host.chain(of_gpu).map(|(number, name, is_of_host)| SignalInfo {
        number,
        name,
        unit: "MiB".to_owned(),
        is_of_host,
        digits: 3,
        step: 0,
    });
    Arc::new(Layout { signals: signals.collect(), ..Layout::clone(&template) })
}

fn row(world: &World, random: &mut Random, second: i64) -> Row {
    let mut values = vec![Some(700_000 + random.below(50) as i64), Some(0), Some(0)];
    for gpu in world.gpus() {
        for (name, unit, noise, value) in SIGNALS {
            let is_gap = *name == "down_reason" || *name == "nvlink_bandwidth";
            let jitter = random.below(noise + 1) as i64 - (noise / 2) as i64;
            let number = (value(gpu) / unit).round() as i64 + jitter;
            values.push((!is_gap).then_some(number));
        }
    }
    Row { time: at(second), values }
}

#[test]
fn an_hour_of_eight_gpus_fits() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = StoreSettings {
        directory: directory.path().to_owned(),
        max_bytes: 320 << 20,
        keep: Duration::from_secs(7 * 24 * 3_600),
    };
    let history = History::open(Settings { store: Some(store), boot_id: None });
    let layout = machine();
    let mut world = World::new(Scenario::steady(GPUS as usize), 7);
    let mut random = Random::new(7);
    let mut rows = Vec::new();
    for second in 0..3_600 {
        world.advance_to(Duration::from_secs(second));
        let second = i64::try_from(second).expect("it is small");
        let row = row(&world, &mut random, second);
        history.append(moment(second.unsigned_abs()), &layout, Some(&row), &[], false);
        rows.push(row);
    }
    history.close();
    let view = history.view();
    let in_memory = view.memory_bytes;
    let written = view.store.as_ref().map(|store| store.bytes_written).expect("there is one");
    let numbers = layout.width() as u64 * 3_600;
    println!(
        "{} columns, an hour: {in_memory} bytes in memory, {written} on disk, {:.2} bits per number; \
         a day: {:.1} MB",
        layout.width(),
        written as f64 * 8.0 / numbers as f64,
        written as f64 * 24.0 / 1e6,
    );
    assert!(in_memory <= 2 << 20, "{in_memory} bytes in memory");
    assert!(written * 24 <= 40_000_000, "{written} bytes an hour on disk");
    assert_eq!(read(&history, Range::ALL).rows, rows);
}
