//! How long a page takes to render: eight GPUs, forty watches. `cargo bench -p exposition`.

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../tests/exposition/machine.rs"]
mod machine;

use std::hint::black_box;
use std::time::{Duration, Instant};

use exposition::render;
use machine::{float, identity, int, settings, snapshot, text, up, watch, xids};
use model::Kind;

fn main() {
    const PAGES: u32 = 2000;
    let mut watches = vec![
        watch(1, "DCGM_FI_DRIVER_VERSION", Kind::Label, "Driver version."),
        watch(230, "DCGM_FI_DEV_XID_ERRORS", Kind::Gauge, "Last XID."),
    ];
    for field in 300..338 {
        let name = format!("DCGM_FI_DEV_SOME_FIELD_{field}");
        watches.push(watch(field, &name, Kind::Gauge, "What this field means (in its unit)."));
    }
    let readings = |gpu: u32| {
        let mut readings = vec![text("570.124.06"), Err(model::Reason::NoData)];
        // Half of the fields are real numbers with as many digits as a ratio has.
        readings.extend((0..38).map(|field| match field % 2 {
            0 => int(1_234_567 * i64::from(field)),
            _ => float(f64::from(gpu * 40 + field) / 317.0),
        }));
        readings
    };
    let gpus = (0..8).map(|index| {
        let uuid = format!("GPU-0d2b3c4e-5f60-7182-93a4-b5c6d7e8f9{index:02}");
        let mut gpu = up(identity(index, &uuid), readings(index));
        gpu.xids = xids(true, &[]);
        gpu
    });
    let snapshot = snapshot(watches, gpus.collect());
    let settings = settings();

    let mut times: Vec<Duration> = (0..PAGES)
        .map(|_| {
            let begin = Instant::now();
            black_box(render(black_box(&snapshot), &settings));
            begin.elapsed()
        })
        .collect();
    times.sort();
    let page = render(&snapshot, &settings);
    println!(
        "{} lines, {} bytes (room for {}): median {:?}, 99th percentile {:?}",
        page.lines().count(),
        page.len(),
        page.capacity(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
}
