//! A folder with a week of eight GPUs, and one incident near its end.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use history::history::{History, Settings};
use history::incident::Incident;
use history::layout::{GpuInfo, HostInfo, Layout, SignalInfo};
use history::recording::Row;
use history::sign::{Sign, SignKind};
use history::signal::{SIGNALS, Shape};
use history::store::StoreSettings;
use history::time::{Range, Time};
use history::verdict;
use model::Moment;

const GPUS: u32 = 8;
const DAYS: u64 = 7;
const SECONDS: u64 = DAYS * 24 * 3600;

/// What was recorded.
pub(crate) struct Week {
    /// Signals of a GPU.
    pub(crate) signals: usize,
    /// Bytes of the last hour in memory.
    pub(crate) memory_bytes: u64,
    /// Bytes of the folder.
    pub(crate) folder_bytes: u64,
}

/// Records a week that ends now.
pub(crate) fn record(folder: &Path) -> Week {
    let store = StoreSettings {
        directory: folder.to_owned(),
        max_bytes: 1 << 30,
        keep: Duration::from_secs((DAYS + 1) * 24 * 3600),
    };
    let history = History::open(Settings { store: Some(store), boot_id: None });
    let layout = Arc::new(layout());
    let mut columns = columns(&layout);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (moment, began) = (Moment::now(), Time::of(SystemTime::now()).before(seconds(SECONDS)));
    for second in 0..SECONDS {
        let time = began.after(seconds(second));
        let values = columns.iter_mut().map(|column| Some(column.next(&mut random))).collect();
        history.append(moment + seconds(second), &layout, Some(&Row { time, values }), &[], false);
    }
    history.record_incident(&incident(&layout, began.after(seconds(SECONDS - 1800))));
    history.close();
    let view = history.view();
    Week {
        signals: layout.signals.iter().filter(|signal| !signal.is_of_host).count(),
        memory_bytes: view.memory_bytes,
        folder_bytes: view.store.as_ref().map_or(0, |store| store.bytes),
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn layout() -> Layout {
    let gpu = |index: u32| GpuInfo {
        index: Some(index),
        uuid: Some(format!("GPU-00000000-0000-0000-0000-{index:012}")),
        pci_bus_id: Some(format!("00000000:{:02X}:00.0", 0x1a + index)),
        model_name: Some("NVIDIA H100 80GB HBM3".to_owned()),
        ..GpuInfo::default()
    };
    Layout {
        host: HostInfo { source: "sim".to_owned(), interval_ms: 1000, ..HostInfo::default() },
        gpus: (0..GPUS).map(gpu).collect(),
        signals: SIGNALS.iter().map(SignalInfo::from).collect(),
    }
}

/// The numbers of one column, one after the other.
struct Column {
    shape: Shape,
    base: i64,
    /// How far a number is from the base at most.
    noise: i64,
    /// How much a counter grows each second; 0 for one that seldom grows.
    rate: i64,
    total: i64,
}

fn columns(layout: &Layout) -> Vec<Column> {
    let column = |signal: &SignalInfo| {
        let encode = |value: f64| signal.resolution().encode_float(value).unwrap_or_default();
        // In the unit of the signal: about what a busy GPU shows, and how much that moves.
        let (base, noise, rate) = match signal.unit.as_str() {
            "°C" => (62.0, 1.0, 0.0),
            "W" => (640.0, 40.0, 0.0),
            "mJ" => (0.0, 40_000.0, 640_000.0),
            "MHz" => (1900.0, 30.0, 0.0),
            "MiB" => (57_000.0, 0.0, 0.0),
            "%" => (97.0, 3.0, 0.0),
            "ratio" => (0.6, 0.1, 0.0),
            "B/s" => (75e9, 5e9, 0.0),
            _ => (1.0, 0.0, 0.0),
        };
        let (base, noise, rate) = (encode(base), encode(noise), encode(rate));
        Column { shape: signal.shape(), base, noise, rate, total: 0 }
    };
    layout.columns().map(|of| column(of.signal)).collect()
}

impl Column {
    fn next(&mut self, random: &mut Random) -> i64 {
        let noise = random.within(self.noise);
        match self.shape {
            Shape::Gauge => self.base + noise,
            Shape::Counter if self.rate > 0 => {
                self.total += self.rate + noise;
                self.total
            }
            Shape::Counter => {
                self.total += i64::from(random.is_one_in(4096));
                self.total
            }
            // The power cap comes and goes.
            Shape::Flags => i64::from(random.is_one_in(8)) * 4,
            Shape::Code => self.base,
        }
    }
}

/// A generator of numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From `-most` to `most`.
    fn within(&mut self, most: i64) -> i64 {
        (self.next() % (2 * most.unsigned_abs() + 1)).cast_signed() - most
    }

    fn is_one_in(&mut self, many: u64) -> bool {
        self.next().is_multiple_of(many)
    }
}

/// GPU 2 was slowed by heat until this time.
fn incident(layout: &Layout, last: Time) -> Incident {
    let began = last.before(seconds(1800));
    let gpu = layout.gpus[2].clone();
    let sign = Sign {
        kind: SignKind::HeatSlowdown,
        gpu: Some(gpu.clone()),
        xid: None,
        from: began,
        to: Some(last),
        is_trigger: true,
        text: "GPU 2 was slowed by heat for 30 min".to_owned(),
    };
    Incident {
        number: 1,
        kind: SignKind::HeatSlowdown,
        began,
        last,
        window: Range { from: began.before(seconds(600)), to: last.after(seconds(120)) },
        is_closed: true,
        host: layout.host.clone(),
        gpus: vec![gpu],
        holders: Vec::new(),
        verdict: verdict::of(std::slice::from_ref(&sign)),
        signs: vec![sign],
        events: Vec::new(),
        events_left_out: 0,
    }
}
