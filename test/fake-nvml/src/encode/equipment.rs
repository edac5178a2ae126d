//! Equipment of a simulated board, and values that follow from its state in a complicated way.

use sim::GpuState;

use crate::board::{Bar1, Nvlink, Peers, Ports, RowHistogram};

/// More GPUs than any host has.
const MAX_GPUS: usize = 64;
const P2P_UNKNOWN: u32 = 6;

/// How far it may warm up before it slows down.
pub(super) fn margin(state: &GpuState) -> i32 {
    (state.slowdown_celsius - state.temperature_celsius).round() as i32
}

/// All of the memory is within the host's reach, as on any board of a data centre.
pub(super) fn bar1(state: &GpuState) -> Bar1 {
    const USED: u64 = 6_389_760;
    let total = (state.memory_total_bytes + 1).next_power_of_two();
    Bar1 { total, free: total - USED, used: USED }
}

pub(super) fn nvlink(state: &GpuState) -> Nvlink {
    let none = vec![0; state.nvlinks as usize];
    Nvlink {
        active: (0..state.nvlinks).map(|link| u32::from(link >= state.nvlinks_down)).collect(),
        replay: none.clone(),
        recovery: none.clone(),
        crc_flit: none.clone(),
        crc_data: none,
        ecc_data: Vec::new(),
        prm: Ports::default(),
    }
}

/// Each GPU reaches each other over NVLink; the status of a GPU to itself is "unknown".
pub(super) fn peers(index: usize) -> Peers {
    let mut status = vec![0; MAX_GPUS];
    if let Some(itself) = status.get_mut(index) {
        *itself = P2P_UNKNOWN;
    }
    let same = || status.clone();
    Peers { read: same(), write: same(), nvlink: same(), atomics: same(), pci: same() }
}

/// Each remapped row takes a spare row from another bank.
pub(super) fn row_histogram(state: &GpuState) -> RowHistogram {
    const BANKS: u32 = 2560;
    let taken = count(state.rows_remapped_correctable + state.rows_remapped_uncorrectable);
    let none = u32::from(state.row_remap_failed);
    let high = taken.min(BANKS - none);
    RowHistogram { max: BANKS - high - none, high, partial: 0, low: 0, none }
}

pub(super) fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
