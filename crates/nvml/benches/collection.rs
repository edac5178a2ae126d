//! What heatsink adds to the driver calls: eight GPUs, 10,000 passes, every reading on its way from
//! the driver call to a published snapshot, against the same calls made bare.
//!
//! Both sides call the test library in this process. The difference in processor time, divided by
//! the readings, is the overhead: threads waking for each pass, conversions, the board, the
//! supervisor and its snapshots. PCIe samples and XID events run aside and are left out of both.

use std::ffi::c_uint;
use std::fs;
use std::mem::MaybeUninit;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use catalog::{builtin, counters, field};
use model::{Pace, Watch};
use nvml::NvmlSource;
use nvml_wrapper_sys::bindings::{self as sys, NvmlLib, field_id as fi};
use sampler::{Sampler, Selection, Settings};

const GPUS: usize = 8;
const TICKS: usize = 1250;
const INTERVAL: Duration = Duration::from_millis(10);

/// Profiling samples need 100 ms between them: every tenth tick has one.
const GPM_EVERY: usize = 10;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = fake_nvml::install_in(folder.path());
    let watches = watches();
    let is_gpm = |watch: &&Watch| watch.name.starts_with("DCGM_FI_PROF");
    let every = watches.iter().filter(|watch| watch.pace == Pace::Every && !is_gpm(watch)).count();
    let gpm = watches.iter().filter(is_gpm).count();
    let readings = GPUS * TICKS * every + GPUS * TICKS / GPM_EVERY * gpm;
    println!("{} passes over {GPUS} GPUs, {readings} readings", GPUS * TICKS);

    let mut overheads: Vec<f64> = (0..3)
        .map(|round| {
            let whole = sampled(&library, &watches);
            let bare = bare(&library);
            let overhead = (whole - bare) / readings as f64 * 1e9;
            println!(
                "round {round}: whole {:.0} ns a reading, bare {:.0} ns, overhead {overhead:.0} ns",
                whole / readings as f64 * 1e9,
                bare / readings as f64 * 1e9
            );
            overhead
        })
        .collect();
    overheads.sort_by(f64::total_cmp);
    println!("collection overhead, ns CPU a reading, median: {:.0}  (target <= 300)", overheads[1]);
}

/// The default set, without what runs aside, and without the fan that an H100 does not have.
fn watches() -> Arc<[Watch]> {
    let aside = [
        field::PCIE_TX_THROUGHPUT,
        field::PCIE_RX_THROUGHPUT,
        field::XID_ERRORS,
        field::FAN_SPEED,
    ];
    let default = counters::parse(builtin::DEFAULT.as_bytes()).watches;
    default.into_iter().filter(|watch| !aside.contains(&watch.field)).collect()
}

/// Processor time of the whole way.
fn sampled(library: &Path, watches: &Arc<[Watch]>) -> f64 {
    let source = Box::new(NvmlSource::new(Some(library.to_owned())));
    let settings =
        Settings { interval: INTERVAL, gpus: Selection::All, started: SystemTime::now() };
    let sampler = Sampler::start(source, Arc::clone(watches), settings).expect("threads");
    while sampler.snapshot().gpus.iter().filter(|view| view.up.is_ok()).count() < GPUS {
        thread::sleep(INTERVAL);
    }
    let before = cpu();
    thread::sleep(INTERVAL * TICKS as u32);
    let spent = cpu() - before;
    assert!(sampler.stop(Duration::from_secs(2)), "a lane is stuck");
    spent
}

/// Processor time of the same driver calls, and nothing else.
fn bare(library: &Path) -> f64 {
    // SAFETY: the test library may be loaded at any time.
    let lib = unsafe { NvmlLib::new(library) }.expect("the test library");
    // SAFETY: the symbols are those of NVML's header; the pointers are to live locals.
    unsafe {
        lib.nvmlInit_v2();
        let handles: Vec<sys::nvmlDevice_t> = (0..GPUS as c_uint)
            .map(|index| {
                let mut handle = ptr::null_mut();
                lib.nvmlDeviceGetHandleByIndex_v2(index, &mut handle);
                handle
            })
            .collect();
        let mut samples = [ptr::null_mut(); 2];
        samples.iter_mut().for_each(|sample| {
            lib.nvmlGpmSampleAlloc(sample);
        });
        let mut request = Box::new(MaybeUninit::<sys::nvmlGpmMetricsGet_t>::zeroed().assume_init());
        let before = cpu();
        for tick in 0..TICKS {
            for handle in &handles {
                pass(&lib, *handle);
                if tick % GPM_EVERY == 0 {
                    lib.nvmlGpmSampleGet(*handle, samples[tick / GPM_EVERY % 2]);
                    request.version = sys::NVML_GPM_METRICS_GET_VERSION;
                    request.numMetrics = 7;
                    (request.sample1, request.sample2) = (samples[0], samples[1]);
                    let ids = [1, 2, 3, 5, 10, 20, 21];
                    for (metric, id) in request.metrics.iter_mut().zip(ids) {
                        metric.metricId = id;
                    }
                    lib.nvmlGpmMetricsGet(&mut *request);
                }
            }
        }
        let spent = cpu() - before;
        lib.nvmlShutdown();
        spent
    }
}

/// The calls of one ordinary pass.
///
/// # Safety
///
/// `handle` is a handle of `lib`, which is initialised.
unsafe fn pass(lib: &NvmlLib, handle: sys::nvmlDevice_t) {
    let (mut a, mut b, mut mask) = (0, 0, 0u64);
    let mut rates = sys::nvmlUtilization_t { gpu: 0, memory: 0 };
    let version = (size_of::<sys::nvmlMemory_v2_t>() | 2 << 24) as c_uint;
    let mut memory = sys::nvmlMemory_v2_t { version, total: 0, reserved: 0, free: 0, used: 0 };
    let asked = [
        (fi::NVML_FI_DEV_MEMORY_TEMP, 0),
        (fi::NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, 0),
        (fi::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, u32::MAX),
        (fi::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, u32::MAX),
    ];
    // SAFETY: as the caller promises; the pointers are to live locals of the types that NVML
    // writes, and all-zero field values are valid.
    unsafe {
        lib.nvmlDeviceGetUtilizationRates(handle, &mut rates);
        lib.nvmlDeviceGetEncoderUtilization(handle, &mut a, &mut b);
        lib.nvmlDeviceGetDecoderUtilization(handle, &mut a, &mut b);
        lib.nvmlDeviceGetMemoryInfo_v2(handle, &mut memory);
        lib.nvmlDeviceGetTemperature(handle, 0, &mut a);
        lib.nvmlDeviceGetPowerUsage(handle, &mut a);
        lib.nvmlDeviceGetClockInfo(handle, sys::nvmlClockType_enum_NVML_CLOCK_SM, &mut a);
        lib.nvmlDeviceGetClockInfo(handle, sys::nvmlClockType_enum_NVML_CLOCK_MEM, &mut a);
        lib.nvmlDeviceGetCurrentClocksEventReasons(handle, &mut mask);
        let mut values: [sys::nvmlFieldValue_t; 4] = MaybeUninit::zeroed().assume_init();
        for (value, (id, scope)) in values.iter_mut().zip(asked) {
            (value.fieldId, value.scopeId) = (id, scope);
        }
        lib.nvmlDeviceGetFieldValues(handle, 4, values.as_mut_ptr());
    }
}

/// Processor time of this process so far, all threads that live, in seconds; the kernel counts it
/// in ns. Reading it while the same threads live gives an exact difference.
fn cpu() -> f64 {
    let began = Instant::now();
    let tasks = fs::read_dir("/proc/self/task").expect("the threads");
    let nanos = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    let sum = nanos.sum::<u64>() as f64 / 1e9;
    assert!(began.elapsed() < Duration::from_secs(1));
    sum
}
