//! What heatsink adds to the driver calls: eight GPUs, 10,000 passes and more, every reading on its
//! way from the driver call to a published snapshot, against the same calls alone.
//!
//! Both sides call the test library in this process. The difference in processor time, divided by
//! the readings, is the overhead: conversions, the GPU state, the publisher and its snapshots. It is
//! measured with passes back to back, as the bare calls are, and once more with a thread that
//! sleeps 10 ms and wakes for each pass, where the kernel's price of waking a thread is in it. PCIe
//! samples and XID events have readers of their own and are left out of both sides.

#![allow(unsafe_code)]

use std::ffi::c_uint;
use std::fs;
use std::mem::MaybeUninit;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use model::catalog::builtin::Set;
use model::{
    FieldId, Identity, Outdated, Pace, Pass, Reader, ReaderKind, Readings, Reason, Renew, Samples,
    Session, Source, SourceError, Watch, WatchIndex, Windows, XidEvent, field,
};
use nvml::{NvmlSource, Options};
use nvml_wrapper_sys::bindings::{self as sys, NvmlLib, field_id as fi};
use sampler::{Sampler, Settings};

const GPUS: usize = 8;
const PASSES: u64 = 10_000;

/// Back to back: the next pass is always due.
const AT_ONCE: Duration = Duration::from_nanos(1);
const PACED: Duration = Duration::from_millis(10);

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = fake_nvml::install_in(folder.path());
    let watches = watches();
    let is_gpm = |watch: &&Watch| watch.name.starts_with("DCGM_FI_PROF");
    let every = watches.iter().filter(|watch| watch.pace == Pace::Every && !is_gpm(watch)).count();
    println!("{GPUS} GPUs, {} watches, {every} readings in an ordinary pass", watches.len());
    for (name, interval, passes, target) in [
        ("back to back", AT_ONCE, 50 * PASSES, "  (target <= 300)"),
        ("a thread woken for each pass", PACED, PASSES, ""),
    ] {
        let mut overheads: Vec<f64> = (0..3)
            .map(|_| {
                let (whole, passes) = sampled(&library, &watches, interval, passes);
                let whole = whole / passes as f64;
                let bare = bare(&library) / PASSES as f64;
                println!(
                    "  {passes} passes: {:.2} us each, bare {:.2} us",
                    whole * 1e6,
                    bare * 1e6
                );
                (whole - bare) / every as f64 * 1e9
            })
            .collect();
        overheads.sort_by(f64::total_cmp);
        println!("overhead, {name}: {:.0} ns CPU a reading{target}", overheads[1]);
    }
}

/// The default set, without what background readers read, and without the fan that an H100 does not have.
fn watches() -> Arc<[Watch]> {
    let of_other_readers =
        [field::PCIE_TX_THROUGHPUT, field::PCIE_RX_THROUGHPUT, field::XID_ERRORS, field::FAN_SPEED];
    let default = Set::Default.watches();
    default.into_iter().filter(|watch| !of_other_readers.contains(&watch.field)).collect()
}

/// Processor time of the whole way, and the passes that it was spent on.
fn sampled(library: &Path, watches: &Arc<[Watch]>, interval: Duration, passes: u64) -> (f64, u64) {
    let count = Arc::new(AtomicU64::new(0));
    let source = NvmlSource::new(Some(library.to_owned()), Options::default());
    let source = Counting { inner: Box::new(source) as Box<dyn Source>, count: Arc::clone(&count) };
    let (extents, minutes) = (Duration::ZERO, Duration::from_secs(300));
    let settings = Settings {
        windows: Windows { extents, xids: minutes, clock_events: minutes },
        ..Settings::new(interval)
    };
    let sampler = Sampler::start(Box::new(source), Arc::clone(watches), settings).expect("threads");
    while sampler.snapshot().gpus.iter().filter(|view| view.up.is_ok()).count() < GPUS {
        thread::sleep(Duration::from_millis(1));
    }
    let (before, first) = (cpu(), count.load(Ordering::Relaxed));
    while count.load(Ordering::Relaxed) < first + passes {
        thread::sleep(Duration::from_millis(20));
    }
    let (spent, last) = (cpu() - before, count.load(Ordering::Relaxed));
    assert!(sampler.stop(Duration::from_secs(2)), "a lane is stuck");
    (spent, last - first)
}

/// Counts passes of main readers.
struct Counting<T> {
    inner: T,
    count: Arc<AtomicU64>,
}

impl Source for Counting<Box<dyn Source>> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn serves(&self, field: FieldId) -> bool {
        self.inner.serves(field)
    }

    fn connect(
        &mut self,
        watches: &Arc<[Watch]>,
        renew: Renew,
    ) -> Result<Box<dyn Session>, SourceError> {
        let inner = self.inner.connect(watches, renew)?;
        Ok(Box::new(Counting { inner, count: Arc::clone(&self.count) }))
    }
}

impl Session for Counting<Box<dyn Session>> {
    fn driver_version(&self) -> Option<Arc<str>> {
        self.inner.driver_version()
    }

    fn gpus(&self) -> Vec<u32> {
        self.inner.gpus()
    }

    fn readers(&mut self, gpu: u32) -> Vec<Box<dyn Reader>> {
        let counting = |inner| Box::new(Counting { inner, count: Arc::clone(&self.count) });
        self.inner
            .readers(gpu)
            .into_iter()
            .map(|inner| counting(inner) as Box<dyn Reader>)
            .collect()
    }

    fn outdated(&mut self) -> Option<Outdated> {
        self.inner.outdated()
    }
}

impl Reader for Counting<Box<dyn Reader>> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn kind(&self) -> ReaderKind {
        self.inner.kind()
    }

    fn watches(&self) -> Arc<[WatchIndex]> {
        self.inner.watches()
    }

    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason> {
        self.inner.open()
    }

    fn delivers_xids(&self) -> bool {
        self.inner.delivers_xids()
    }

    fn take_xids(&mut self) -> Vec<XidEvent> {
        self.inner.take_xids()
    }

    fn take_samples(&mut self) -> Vec<Samples> {
        self.inner.take_samples()
    }

    fn take_call_times(&mut self) -> Vec<(&'static str, Duration)> {
        self.inner.take_call_times()
    }

    fn read(&mut self, pass: Pass, out: &mut Readings) -> Result<(), Reason> {
        let is_main = self.inner.kind() == ReaderKind::Main;
        self.count.fetch_add(u64::from(is_main), Ordering::Relaxed);
        self.inner.read(pass, out)
    }
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
        let before = cpu();
        for _ in 0..PASSES / GPUS as u64 {
            handles.iter().for_each(|handle| pass(&lib, *handle));
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
    let entries = [
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
        for (value, (id, scope)) in values.iter_mut().zip(entries) {
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
