//! Lists of what an engine has, read through the source: longer ones than today's, and ones that are
//! said to be longer than they are.
//!
//! One test, for the test library is told by the environment what to be.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::sync::Arc;
use std::time::Duration;

use dcgm::{Address, DcgmSource, Log, Options};
use fake_dcgm::Control;
use model::catalog::counters;
use model::{Renew, Session, Source, Watch};

const ROWS: &str = "DCGM_FI_DEV_GPU_TEMP, gauge, x\n\
                    DCGM_FI_DEV_NVSWITCH_TEMPERATURE_CURRENT, gauge, x\n";

#[test]
fn no_list_is_longer_than_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let nvml = fake_nvml::install_in(folder.path());
    let library = fake_dcgm::install_in(folder.path());
    let engine = Control::new(folder.path().join("engine"));
    engine.clear();
    // SAFETY: nothing else runs yet that reads or writes the environment.
    unsafe {
        std::env::set_var("FAKE_DCGM_NVML", nvml);
        std::env::set_var("FAKE_DCGM_CONTROL", engine.path());
    }
    let watches: Arc<[Watch]> = counters::parse(ROWS.as_bytes()).watches.into();
    let connect = || -> Result<Box<dyn Session>, String> {
        std::thread::sleep(Duration::from_millis(20));
        let mut source = DcgmSource::new(Options {
            library: Some(library.clone()),
            address: Address::parse("localhost:5555").ok(),
            interval: Duration::from_secs(1),
            compute_instances: false,
            fake_gpus: false,
            log: Log::default(),
        });
        source.connect(&watches, Renew::Driver).map_err(|error| error.message)
    };
    let eight: Vec<u32> = (0..8).collect();
    assert_eq!(connect().unwrap().gpus(), eight);

    // A later DCGM may have more places for GPUs than 32.
    engine.set(&["engine lists 48"]);
    assert_eq!(connect().unwrap().gpus(), eight);

    engine.set(&["engine counts gpus 5000"]);
    let error = connect().err().unwrap();
    assert!(error.contains("too little room"), "{error}");

    // There is no switch, whatever number their list is said to have.
    engine.set(&["engine counts entities 100000"]);
    let mut session = connect().unwrap();
    assert_eq!(session.gpus(), eight);
    assert!(session.machine_readers().is_empty());
}
