//! What one pass over a host engine's values costs this process: eight GPUs, forty fields each.
//!
//! The engine is the test library's, in this process; the processor time is that of the thread which
//! asks, so what the library does on it is included, and what its engine does on others is not.

#![allow(unsafe_code)]

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dcgm::{Address, DcgmSource, Log, Options};
use model::catalog::FIELDS;
use model::{Kind, Moment, Pace, Pass, ReaderKind, Readings, Renew, Source, Watch};

const GPUS: u32 = 8;
const FIELDS_OF_EACH: usize = 40;
const INTERVAL: Duration = Duration::from_millis(250);
const PASSES: u32 = 80;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nvml = fake_nvml::install_in(folder.path());
    let library = fake_dcgm::install_in(folder.path());
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var("FAKE_DCGM_NVML", nvml) };
    let mut source = DcgmSource::new(Options {
        library: Some(library),
        address: Address::parse("localhost:5555").ok(),
        interval: INTERVAL,
        compute_instances: false,
        fake_gpus: false,
        log: Log::default(),
    });
    let watches = watches();
    let mut session =
        source.connect(&watches, Renew::Driver).unwrap_or_else(|error| panic!("{}", error.message));
    let mut readers: Vec<_> = session
        .gpus()
        .into_iter()
        .flat_map(|gpu| session.readers(gpu))
        .filter(|reader| reader.kind() == ReaderKind::Main)
        .collect();
    assert_eq!(readers.len(), GPUS as usize);
    let mut outs: Vec<Readings> = readers
        .iter_mut()
        .map(|reader| {
            reader.open().expect("a GPU that answers");
            Readings::new(&reader.watches(), Moment::now())
        })
        .collect();
    let began = Moment::now();
    let before = cpu();
    for pass in 1..=PASSES {
        let elapsed = INTERVAL * pass;
        thread::sleep(elapsed.saturating_sub(began.elapsed()));
        for (reader, out) in readers.iter_mut().zip(&mut outs) {
            let now = Moment::now();
            out.begin(now);
            let previous = Some(elapsed - INTERVAL);
            let pass = Pass { now, elapsed, previous, interval: INTERVAL, cadence: INTERVAL };
            reader.read(pass, out).expect("a GPU that answers");
        }
    }
    // The kernel counts a thread's time when it goes to sleep.
    thread::sleep(INTERVAL);
    let spent = (cpu() - before).as_secs_f64() * 1e3 / f64::from(PASSES);
    let is_fresh = |at: Option<Moment>| at.is_some_and(|at| at.elapsed() < INTERVAL * 3);
    let slots = outs.iter().flat_map(|out| out.of_gpu());
    let fresh = slots.filter(|slot| slot.reading.is_ok() && is_fresh(slot.at)).count();
    println!(
        "{GPUS} GPUs, {FIELDS_OF_EACH} fields each; {fresh} numbers fresh after the last pass"
    );
    println!("a pass: {spent:.3} ms of this thread's CPU, mean of {PASSES}  (target <= 3)");
}

/// Forty numbers that a simulated H100 has.
fn watches() -> Arc<[Watch]> {
    let is_number = |name: &str| {
        !name.contains("_VER") && !name.contains("PCIE_TX_T") && !name.contains("PCIE_RX_T")
    };
    FIELDS
        .iter()
        .filter(|row| (100..400).contains(&row.id.0) && row.kind != Kind::Label)
        .filter(|row| row.id.0 != 230 && is_number(row.name))
        .take(FIELDS_OF_EACH)
        .map(|row| Watch {
            field: row.id,
            name: row.name.into(),
            kind: row.kind,
            help: "".into(),
            pace: Pace::Every,
            cumulative: false,
        })
        .collect()
}

/// Processor time of this thread.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("a kernel that counts");
    let nanos = text.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}
