//! Time to render a page, its size, and the time with compression relative to zlib at level 1 for the
//! same bytes. `cargo bench -p exposition`.

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../tests/exposition/machine.rs"]
mod machine;

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use exposition::{Format, Layout, render, render_in_chunks};
use flate2::Compression;
use flate2::write::GzEncoder;
use machine::{float, identity, instance, int, part, settings, snapshot, text, up, watch, xids};
use model::catalog::builtin::Set;
use model::catalog::{Field, ValueType};
use model::{
    ClockEvent, Entity, Extent, GpuView, Kind, Quantity, Reading, Reason, Snapshot, Watch,
};

/// The field of the first synthetic watch.
const FIRST: u16 = 300;

fn main() {
    bench("8 GPUs, default set", 2000, &of_set(8, Set::Default));
    bench("8 GPUs, all", 200, &of_set(8, Set::All));
    bench("8 GPUs, 40 fields", 2000, &machine(8, 38, |_, _| {}));
    bench("8 GPUs x 18 links, 380 fields", 500, &machine(8, 378, links));
    bench("16 GPUs x 7 instances, 40 fields", 500, &machine(16, 38, instances));
    bench("16 GPUs x 7 instances, 380 fields", 100, &machine(16, 378, instances));
}

/// GPUs with a reading for each field of a built-in set.
fn of_set(gpus: u32, set: Set) -> Snapshot {
    let mut watches = set.watches();
    watches.extend(Set::Health.watches());
    let gpu = |index: u32| {
        let readings = watches.iter().map(|watch| value(index, model::catalog::by_id(watch.field)));
        gpu(index, readings.collect())
    };
    let gpus = (0..gpus).map(gpu).collect();
    Snapshot { watches: watches.into(), ..snapshot(vec![], gpus) }
}

/// A number with a typical number of digits for this kind.
fn value(gpu: u32, field: Option<&Field>) -> Reading {
    let Some(field) = field else { return Err(Reason::NoData) };
    let number = gpu * 40 + u32::from(field.id.0);
    match (field.value, field.unit) {
        (ValueType::Text, _) => text("570.124.06"),
        (ValueType::Float, "ratio") => float(f64::from(number % 317) / 317.0),
        (ValueType::Float, _) => float(f64::from(number * 1000 + gpu) / 1000.0),
        (ValueType::Int, _) => int(i64::from(number * 100)),
    }
}

/// GPUs with readings for this many fields, and a last XID.
fn machine(gpus: u32, fields: u16, add: fn(&mut GpuView, u16)) -> Snapshot {
    let gpu = |index: u32| {
        let mut readings = vec![text("570.124.06"), Err(Reason::NoData)];
        readings.extend((0..fields).map(|field| reading(index, field)));
        let mut gpu = gpu(index, readings);
        add(&mut gpu, fields);
        gpu
    };
    snapshot(watches(fields), (0..gpus).map(gpu).collect())
}

/// A GPU that is up, with these readings.
fn gpu(index: u32, readings: Vec<Reading>) -> GpuView {
    let uuid = format!("GPU-0d2b3c4e-5f60-7182-93a4-b5c6d7e8f9{index:02}");
    let mut gpu = up(identity(index, &uuid), readings);
    gpu.xids = xids(true, &[]);
    let seconds = Some(f64::from(index) * 1000.123);
    let event = ClockEvent { active: Some(false), seconds, ..Default::default() };
    gpu.clock_events = [event; 9];
    gpu.extents = Quantity::ALL.map(extent).to_vec();
    gpu
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

/// Readings, half of them floats with as many digits as a ratio.
fn reading(gpu: u32, field: u16) -> Reading {
    match field % 2 {
        0 => int(1_234_567 * i64::from(field)),
        _ => float(f64::from(gpu * 40 + u32::from(field)) / 317.0),
    }
}

fn extent(quantity: Quantity) -> Extent {
    Extent { quantity, min: 1.0, mean: 2.0, max: 3.0, from_driver: true }
}

/// Eighteen links with sixteen fields each.
fn links(gpu: &mut GpuView, _fields: u16) {
    let readings = |link| (2..18).map(|position| (position, int(i64::from(link)))).collect();
    gpu.parts = (0..18).map(|link| part(Entity::Link(link), readings(link))).collect();
}

/// Seven instances with readings for every third field.
fn instances(gpu: &mut GpuView, fields: u16) {
    let own = |place| {
        let fields = (0..fields).step_by(3);
        fields.map(|field| (usize::from(field) + 2, reading(place, field))).collect()
    };
    gpu.parts = (0..7).map(|place| part(instance(0, place, None), own(place))).collect();
}

fn bench(what: &str, pages: u32, snapshot: &Snapshot) {
    let (settings, layout) = (settings(), Layout::new(&snapshot.watches, Format::Text));
    let page = render(snapshot, None, &settings);
    let rendering = median(pages, || {
        let mut page = Vec::with_capacity(page.len());
        render_in_chunks(black_box(snapshot), None, &settings, &layout, |part| {
            page.extend_from_slice(part);
        });
        black_box(page);
    });
    // The same compression as in the server.
    let whole = median(pages, || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
        render_in_chunks(black_box(snapshot), None, &settings, &layout, |part| {
            encoder.write_all(part).expect("memory takes it");
        });
        black_box(encoder.finish().expect("memory takes it"));
    });
    let zlib = median(pages, || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
        encoder.write_all(black_box(page.as_bytes())).expect("memory takes it");
        black_box(encoder.finish().expect("memory takes it"));
    });
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    println!(
        "{what}: {series} series, {} bytes: rendered in {rendering:?}, with compression {whole:?}, which \
         is {:.2} times zlib's first level ({zlib:?}); target for the default set: <= 1.5",
        page.len(),
        whole.as_secs_f64() / zlib.as_secs_f64(),
    );
}

/// The median time of the runs.
fn median(runs: u32, mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
