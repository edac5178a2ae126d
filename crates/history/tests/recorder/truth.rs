//! Every recorded sample of a simulated hour is what the simulation said at that second.

use std::sync::Arc;
use std::time::Duration;

use history::event::What;
use history::host::HostReading;
use history::recorder::Recorded;
use history::recording::Row;
use model::{
    Down, Entity, GpuView, Moment, PartView, Pass, Reader, Readings, Renew, Session, Source,
    XidSource,
};
use sim::{GpuState, Options, Scenario, SimSource, World};

use crate::machine::{BEGIN, EPOCH, Machine, SECOND, millis, number, watches};

const SEED: u64 = 7;
const HOUR: u32 = 3600;

/// Reads one simulated GPU as the sampler does.
struct SimGpu {
    reader: Box<dyn Reader>,
    readings: Readings,
    /// The last pass; `None` before the first one, and after the GPU was lost.
    previous: Option<Duration>,
    is_open: bool,
}

impl SimGpu {
    fn new(session: &mut dyn Session, gpu: u32) -> Self {
        let reader = session.readers(gpu).remove(0);
        let readings = Readings::new(&reader.watches(), EPOCH);
        Self { reader, readings, previous: None, is_open: false }
    }

    /// One pass; the view of the GPU after it.
    fn pass(&mut self, elapsed: Duration, view: &mut GpuView) {
        let now = Moment::now() + Duration::from_secs(1 << 30) + elapsed;
        if !self.is_open {
            match self.reader.open() {
                Ok(identity) => view.gpu.identity = identity,
                Err(reason) => return view.up = Err(Down::from(reason)),
            }
            self.is_open = true;
        }
        self.readings.begin(now);
        let (previous, interval, cadence) = (self.previous, SECOND, SECOND);
        let pass = Pass { now, elapsed, previous, interval, cadence };
        let result = self.reader.read(pass, &mut self.readings);
        for event in self.reader.take_xids() {
            Arc::make_mut(&mut view.xids).record(event, None, None);
        }
        if let Err(reason) = result {
            (self.previous, self.is_open) = (None, false);
            self.readings.clear();
            view.up = Err(Down::from(reason));
            return;
        }
        self.previous = Some(elapsed);
        view.up = Ok(());
        view.last_success = Some((BEGIN.after(elapsed)).to_system());
        let parts = self.readings.parts();
        for (_, watch, reading) in parts[0].iter() {
            view.readings[watch.0] = reading.reading.clone();
        }
        let others = parts.iter().filter(|part| part.entity != Entity::Gpu);
        view.parts = others
            .map(|part| PartView {
                entity: part.entity.clone(),
                watches: Arc::clone(&part.watches),
                readings: part.readings.iter().map(|timed| timed.reading.clone()).collect(),
            })
            .collect();
    }
}

/// What the simulation says of a GPU, at one second.
struct Truth<'a> {
    now: &'a GpuState,
    /// A second earlier; `None` if the GPU was not read then.
    before: Option<&'a GpuState>,
    /// At the last time when slow fields were read.
    slow: &'a GpuState,
    last_xid: u32,
}

impl Truth<'_> {
    /// Each signal that the simulation has, in units of its resolution.
    fn numbers(&self) -> Vec<(&'static str, Option<i64>)> {
        let Self { now, before, slow, last_xid } = *self;
        let whole = |x: f64| Some(x.round() as i64);
        let count = |n: u64| Some(n as i64);
        let mib = |bytes: u64| Some((bytes >> 20) as i64);
        let ratio = |of: fn(&GpuState) -> f64| {
            Some(((of(now) - of(before?)).clamp(0.0, 1.0) * 10_000.0).round() as i64)
        };
        // Whole bytes a second, in steps of a million.
        let traffic =
            |of: fn(&GpuState) -> f64| Some(((of(now) - of(before?)).trunc() / 1e6).round() as i64);
        let allocatable = now.memory_total_bytes - now.memory_reserved_bytes;
        let slowdown = now.sm_clock_mhz.round() / now.max_sm_clock_mhz.round();
        let nvlink = |gpu: &GpuState| gpu.nvlink_tx_bytes + gpu.nvlink_rx_bytes;
        let errors = slow.nvlink_crc_flit_errors
            + slow.nvlink_crc_data_errors
            + slow.nvlink_replays
            + slow.nvlink_recoveries;
        vec![
            ("up", Some(1)),
            ("down_reason", None),
            ("gpu_temperature", whole(now.temperature_celsius)),
            ("memory_temperature", whole(now.memory_temperature_celsius)),
            ("slowdown_temperature", whole(slow.slowdown_celsius)),
            ("fan", now.fan_percent.and_then(whole)),
            ("power", whole(now.power_watts * 1000.0)),
            ("power_limit", whole(slow.power_limit_watts.floor() * 1000.0)),
            ("energy", Some((now.energy_joules * 1000.0) as i64)),
            ("sm_clock", whole(now.sm_clock_mhz)),
            ("memory_clock", whole(now.memory_clock_mhz)),
            ("clock_reasons", count(now.clock_event_reasons)),
            ("slowdown", whole(slowdown * 10_000.0)),
            ("gpu_utilization", whole(now.gpu_utilization * 100.0)),
            ("memory_utilization", whole(now.memory_utilization * 100.0)),
            ("encoder_utilization", whole(now.encoder_utilization * 100.0)),
            ("decoder_utilization", whole(now.decoder_utilization * 100.0)),
            ("memory_total", mib(now.memory_total_bytes)),
            ("memory_free", mib(allocatable - now.memory_used_bytes)),
            ("memory_used", mib(now.memory_used_bytes)),
            ("memory_reserved", mib(now.memory_reserved_bytes)),
            ("graphics_active", ratio(|gpu| gpu.activity_seconds.graphics)),
            ("sm_active", ratio(|gpu| gpu.activity_seconds.sm)),
            ("sm_occupancy", ratio(|gpu| gpu.activity_seconds.occupancy)),
            ("tensor_active", ratio(|gpu| gpu.activity_seconds.tensor)),
            ("dram_active", ratio(|gpu| gpu.activity_seconds.dram)),
            ("pcie_tx", traffic(|gpu| gpu.pcie_tx_bytes)),
            ("pcie_rx", traffic(|gpu| gpu.pcie_rx_bytes)),
            (
                "nvlink_bandwidth",
                before.map(|before| ((nvlink(now) - nvlink(before)) / 1024.0 / 1000.0) as i64),
            ),
            ("pcie_replays", count(slow.pcie_replays)),
            ("pcie_link_generation", count(slow.pcie_generation.into())),
            ("pcie_link_width", count(slow.pcie_lanes.into())),
            ("ecc_corrected", count(slow.ecc_correctable)),
            ("ecc_uncorrected", count(slow.ecc_uncorrectable)),
            ("remapped_corrected", count(slow.rows_remapped_correctable)),
            ("remapped_uncorrected", count(slow.rows_remapped_uncorrectable)),
            ("remap_pending", count(slow.row_remap_pending.into())),
            ("remap_failed", count(slow.row_remap_failed.into())),
            ("nvlink_errors", count(errors)),
            ("links_active", count(slow.nvlinks.into())),
            ("xid", count(last_xid.into())),
            // The simulation has no power states.
            ("pstate", None),
        ]
    }
}

/// The numbers of a GPU that is lost.
fn lost(name: &str, last_xid: u32) -> Option<i64> {
    match name {
        "up" => Some(0),
        "down_reason" => Some(1),
        "xid" => (last_xid != 0).then_some(last_xid.into()),
        _ => None,
    }
}

/// What a machine says in each second: memory that becomes less, and for some minutes no pressure.
fn host_at(second: u32) -> HostReading {
    let share = f64::from(second % 997) / 10.0;
    HostReading {
        memory_available_mib: Some(i64::from(900_000 - 17 * second)),
        memory_pressure_some: (second % 600 > 60).then_some(share),
        memory_pressure_full: (second % 600 > 60).then_some(share / 4.0),
    }
}

/// The same as it is recorded: whole MiB, and percent in hundredths.
fn host_numbers(host: HostReading) -> [(&'static str, Option<i64>); 3] {
    let hundredths = |percent: Option<f64>| percent.map(|percent| (percent * 100.0).round() as i64);
    [
        ("memory_available", host.memory_available_mib),
        ("memory_pressure_some", hundredths(host.memory_pressure_some)),
        ("memory_pressure_full", hundredths(host.memory_pressure_full)),
    ]
}

fn check(recorded: &Recorded, row: &Row, gpu: usize, name: &str, expected: Option<i64>) {
    let found = number(recorded, row, name, Some(gpu));
    assert_eq!(found, expected, "{name} of GPU {gpu} at {} s", (row.time.0 - BEGIN.0) / 1000);
}

#[test]
fn every_sample_of_an_hour_is_what_the_simulation_said() {
    let mut machine = Machine::new(8, SECOND);
    machine.snapshot.xid_source = Some(XidSource::Sim);
    let mut source = SimSource::new(World::new(Scenario::story(), SEED), Options::default());
    let mut session = source.connect(&watches(SECOND), Renew::Driver).unwrap();
    let mut gpus: Vec<SimGpu> = (0..8).map(|gpu| SimGpu::new(session.as_mut(), gpu)).collect();
    let mut world = World::new(Scenario::story(), SEED);
    let mut before: Vec<Option<GpuState>> = vec![None; 8];
    let mut slow: Vec<Option<GpuState>> = vec![None; 8];
    let (mut samples, mut xids) = (0, Vec::new());
    for second in 0..HOUR {
        let at = SECOND * second;
        for (gpu, view) in gpus.iter_mut().zip(&mut machine.snapshot.gpus) {
            gpu.pass(at, view);
        }
        machine.host = host_at(second);
        let recorded = machine.observe(at + millis(10));
        let row = recorded.row.as_ref().expect("a row per second");
        assert_eq!(row.time, BEGIN.after(at));
        for (name, expected) in host_numbers(machine.host) {
            assert_eq!(number(&recorded, row, name, None), expected, "{name} at {second} s");
        }
        world.advance_to(at);
        for (gpu, now) in world.gpus().iter().enumerate() {
            let last_xid = world.events(gpu).last().map_or(0, |event| event.code);
            if now.lost {
                (before[gpu], slow[gpu]) = (None, None);
                for signal in recorded.layout.signals.iter().filter(|signal| !signal.is_of_host) {
                    check(&recorded, row, gpu, &signal.name, lost(&signal.name, last_xid));
                }
                continue;
            }
            if second % 10 == 0 || slow[gpu].is_none() {
                slow[gpu] = Some(now.clone());
            }
            let slow = slow[gpu].as_ref().unwrap();
            let truth = Truth { now, before: before[gpu].as_ref(), slow, last_xid };
            let numbers = truth.numbers();
            let of_gpu = recorded.layout.signals.iter().filter(|signal| !signal.is_of_host);
            assert_eq!(of_gpu.count(), numbers.len(), "a signal that the truth does not have");
            for (name, expected) in numbers {
                check(&recorded, row, gpu, name, expected);
                samples += usize::from(expected.is_some());
            }
            before[gpu] = Some(now.clone());
        }
        // A snapshot that is published for something urgent has no row.
        let urgent = machine.observe(at + millis(400));
        assert_eq!(urgent.row, None);
        for event in recorded.events.iter().chain(&urgent.events) {
            if let What::Xid { code, .. } = event.what {
                let gpu = event.gpu.as_ref().and_then(|gpu| gpu.index).unwrap();
                xids.push((gpu as usize, code, event.time));
            }
        }
    }
    assert!(samples > 1_000_000, "{samples}");
    let mut expected = Vec::new();
    for gpu in 0..8 {
        for event in world.events(gpu) {
            let seconds = event.at.as_secs_f64().ceil();
            let time = BEGIN.after(Duration::from_secs_f64(seconds) + millis(10));
            expected.push((gpu, event.code, time));
        }
    }
    xids.sort_unstable();
    expected.sort_unstable();
    assert!(!expected.is_empty());
    assert_eq!(xids, expected);
}
