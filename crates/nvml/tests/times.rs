//! The times of clock event reasons, read through the source: none grows faster than time passes.
//!
//! One test per process: the test library reads its fixture's path from the environment.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::sync::Arc;
use std::time::Duration;

use fake_nvml::Control;
use model::catalog::counters;
use model::{Moment, Pass, Reading, Readings, Reason, Renew, Source, Value, Watch};
use nvml::{NvmlSource, Options};

const MACHINE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/fixtures/machines/h100x2.toml");

/// The fixture's value of NVML's number 251 on GPU 0, in ns.
const BEFORE: i64 = 109_566_822_285;

/// A time, and another field made from the entry of another.
const FIELDS: &str = "DCGM_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS, counter, x\n\
                      DCGM_FI_DEV_POWER_VIOLATION, counter, x\n";

#[test]
fn a_time_that_grows_faster_than_time_passes_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let library = fake_nvml::install_in(folder.path());
    let control = Control::new(folder.path().join("control"));
    control.clear();
    // SAFETY: nothing else runs yet that reads or writes the environment.
    unsafe {
        std::env::set_var("FAKE_NVML_FIXTURE", MACHINE);
        std::env::set_var("FAKE_NVML_CONTROL", control.path());
    }
    let watches: Arc<[Watch]> = counters::parse(FIELDS.as_bytes()).watches.into();
    let mut source = NvmlSource::new(Some(library), Options::default());
    let mut session = source.connect(&watches, Renew::Driver).unwrap();
    let mut readers = session.readers(0);
    readers.retain(|one| one.name() == "main");
    let mut reader = readers.pop().unwrap();
    reader.open().unwrap();
    let start = Moment::now();
    let mut out = Readings::new(&reader.watches(), start);
    let mut passes = 0;
    let mut read = || -> [Reading; 2] {
        let second = Duration::from_secs(1);
        let elapsed = second * 10 * passes;
        let previous = (passes > 0).then(|| elapsed - second * 10);
        passes += 1;
        let now = start + elapsed;
        let pass = Pass { now, elapsed, previous, interval: second, cadence: second };
        out.begin(now);
        reader.read(pass, &mut out).unwrap();
        [0, 1].map(|slot| out.of_gpu()[slot].reading.clone())
    };
    let nonsense = |field: u32, nanos: i64| {
        control.set(&[&format!("nonsense 0 field {field} {nanos}")]);
        std::thread::sleep(Duration::from_millis(20));
    };
    let [time, violation] = read();
    assert_eq!(time, Ok(Value::Int(BEFORE)));
    assert!(violation.is_ok());
    nonsense(251, BEFORE + 60_000_000_000);
    assert_eq!(read(), [Err(Reason::Implausible), violation.clone()], "a minute in no time");
    nonsense(251, BEFORE + 60_200_000_000);
    assert_eq!(read(), [Ok(Value::Int(BEFORE + 60_200_000_000)), violation]);
    nonsense(74, i64::MAX);
    let [_, violation] = read();
    assert_eq!(violation, Err(Reason::Implausible));
}
