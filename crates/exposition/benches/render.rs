//! How long a page takes to render, and how large it is. `cargo bench -p exposition`.

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../tests/exposition/machine.rs"]
mod machine;

use std::hint::black_box;
use std::time::{Duration, Instant};

use exposition::render;
use machine::{float, identity, instance, int, part, settings, snapshot, text, up, watch, xids};
use model::{
    ClockEvent, Entity, Extent, GpuView, Kind, Quantity, Reading, Reason, Snapshot, Watch,
};

/// The field of the first of the made-up watches.
const FIRST: u16 = 300;

fn main() {
    bench("8 GPUs, 40 fields", 2000, &machine(8, 38, |_, _| {}));
    bench("8 GPUs x 18 links, 380 fields", 500, &machine(8, 378, links));
    bench("16 GPUs x 7 instances, 40 fields", 500, &machine(16, 38, instances));
    bench("16 GPUs x 7 instances, 380 fields", 100, &machine(16, 378, instances));
}

/// GPUs that answer all of so many fields, and a last XID.
fn machine(gpus: u32, fields: u16, add: fn(&mut GpuView, u16)) -> Snapshot {
    let gpu = |index: u32| {
        let uuid = format!("GPU-0d2b3c4e-5f60-7182-93a4-b5c6d7e8f9{index:02}");
        let mut readings = vec![text("570.124.06"), Err(Reason::NoData)];
        readings.extend((0..fields).map(|field| reading(index, field)));
        let mut gpu = up(identity(index, &uuid), readings);
        gpu.xids = xids(true, &[]);
        gpu.clock_events =
            [ClockEvent { active: Some(false), seconds: Some(0.0), ..Default::default() }; 9];
        gpu.extents = Quantity::ALL.map(extent).to_vec();
        add(&mut gpu, fields);
        gpu
    };
    snapshot(watches(fields), (0..gpus).map(gpu).collect())
}

fn watches(fields: u16) -> Vec<Watch> {
    let mut watches = vec![
        watch(1, "DCGM_FI_DRIVER_VERSION", Kind::Label, "Driver version."),
        watch(230, "DCGM_FI_DEV_XID_ERRORS", Kind::Gauge, "Last XID."),
    ];
    watches.extend((FIRST..FIRST + fields).map(|field| {
        let name = format!("DCGM_FI_DEV_SOME_FIELD_{field}");
        watch(field, &name, Kind::Gauge, "What this field means (in its unit).")
    }));
    watches
}

/// Half of the fields are real numbers with as many digits as a ratio has.
fn reading(gpu: u32, field: u16) -> Reading {
    match field % 2 {
        0 => int(1_234_567 * i64::from(field)),
        _ => float(f64::from(gpu * 40 + u32::from(field)) / 317.0),
    }
}

fn extent(quantity: Quantity) -> Extent {
    Extent { quantity, min: 1.0, mean: 2.0, max: 3.0, from_driver: true }
}

/// Eighteen links with sixteen fields of their own.
fn links(gpu: &mut GpuView, _fields: u16) {
    let readings = |link| (2..18).map(|position| (position, int(i64::from(link)))).collect();
    gpu.parts = (0..18).map(|link| part(Entity::Link(link), readings(link))).collect();
}

/// Seven instances that have every third field of their own.
fn instances(gpu: &mut GpuView, fields: u16) {
    let own = |place| {
        let fields = (0..fields).step_by(3);
        fields.map(|field| (usize::from(field) + 2, reading(place, field))).collect()
    };
    gpu.parts = (0..7).map(|place| part(instance(0, place, None), own(place))).collect();
}

fn bench(what: &str, pages: u32, snapshot: &Snapshot) {
    let settings = settings();
    let mut times: Vec<Duration> = (0..pages)
        .map(|_| {
            let begin = Instant::now();
            black_box(render(black_box(snapshot), &settings));
            begin.elapsed()
        })
        .collect();
    times.sort();
    let page = render(snapshot, &settings);
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    println!(
        "{what}: {series} series, {} bytes ({} per series; room for {}): median {:?}, 99th \
         percentile {:?}",
        page.len(),
        page.len() / series,
        page.capacity(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
}
