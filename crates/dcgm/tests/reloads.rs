//! Sessions that replace one another faster than their readers start, as after several reloads in a
//! row: no XID is missed.
//!
//! This is one test, because the environment configures the fake library.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use dcgm::{DcgmSource, Log, Options};
use fake_nvml::Control;
use model::catalog::counters;
use model::{Moment, Pass, Reader, ReaderKind, Readings, Renew, Session, Source, Watch};

const SECOND: Duration = Duration::from_secs(1);

/// One pass of the reader of each kind.
fn pass(readers: &mut [Box<dyn Reader>], elapsed: Duration) {
    let now = Moment::now();
    let previous = elapsed.checked_sub(SECOND);
    for reader in readers {
        let mut out = Readings::new(&reader.watches(), now);
        let pass = Pass { now, elapsed, previous, interval: SECOND, cadence: SECOND };
        let _ = reader.open().and_then(|_| reader.read(pass, &mut out));
    }
}

#[test]
fn a_session_that_is_replaced_before_its_first_pass_costs_no_xid() {
    let folder = tempfile::tempdir().unwrap();
    let nvml = fake_nvml::install_in(folder.path());
    let library = fake_dcgm::install_in(folder.path());
    let driver = Control::new(folder.path().join("driver"));
    driver.clear();
    // SAFETY: no other thread reads or writes the environment yet.
    unsafe {
        std::env::set_var("FAKE_DCGM_NVML", nvml);
        std::env::set_var("FAKE_NVML_CONTROL", driver.path());
    }
    let rows = "DCGM_FI_DEV_GPU_TEMP, gauge, x\n";
    let watches: Arc<[Watch]> = counters::parse(rows.as_bytes()).watches.into();
    let mut source = DcgmSource::new(Options {
        library: Some(library),
        address: None,
        interval: SECOND,
        compute_instances: false,
        fake_gpus: false,
        log: Log::default(),
    });
    let mut connect = || -> Box<dyn Session> {
        source.connect(&watches, Renew::Watches).map_err(|error| error.message).unwrap()
    };

    let mut first = connect();
    let mut readers = first.readers(3);
    pass(&mut readers, SECOND);
    drop(connect());
    driver.set(&["gpu 3 xid 48", "gpu 3 xid 31"]);
    std::thread::sleep(Duration::from_millis(200));
    let mut third = connect();
    // The readers of the first session end when those of the third start.
    drop((first, readers));
    let mut readers = third.readers(3);
    let began = Instant::now();
    let mut codes = Vec::new();
    for round in 2.. {
        pass(&mut readers, round * SECOND);
        let events = readers.iter_mut().filter(|reader| reader.kind() == ReaderKind::Events);
        codes.extend(events.flat_map(|reader| reader.take_xids()).map(|event| event.xid.code));
        if codes.len() >= 2 || began.elapsed() > 60 * SECOND {
            break;
        }
    }
    assert_eq!(codes, [48, 31]);
}
