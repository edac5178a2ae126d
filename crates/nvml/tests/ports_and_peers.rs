//! Registers of NVLink ports, and peers as bits, read through the source from a GB200 tray: also
//! where the driver refuses, and with a single watch.
//!
//! One test per process: the test library reads its fixture's path from the environment.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "all of this is a test, the helpers too")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fake_nvml::Control;
use model::catalog::counters;
use model::{Entity, Moment, Pass, Reader, Reading, Readings, Reason, Renew, Source, Value, Watch};
use nvml::{NvmlSource, Options};

const MACHINE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/fixtures/machines/gb200x2.toml");
const CALL: &str = "nvmlDeviceReadPRMCounters_v1";

/// More than the ten minutes after which everything is asked for again.
const LATER: Duration = Duration::from_secs(601);

/// One reader of one GPU, and what it has read.
struct Watched {
    reader: Box<dyn Reader>,
    out: Readings,
    start: Moment,
}

impl Watched {
    fn of(library: &Path, gpu: u32, reader: &str, field: &str) -> Self {
        let watches: Arc<[Watch]> =
            counters::parse(format!("{field}, gauge, x\n").as_bytes()).watches.into();
        let mut source = NvmlSource::new(Some(library.to_owned()), Options::default());
        let mut session = source.connect(&watches, Renew::Driver).unwrap();
        let mut readers = session.readers(gpu);
        readers.retain(|one| one.name() == reader);
        let mut reader = readers.pop().unwrap();
        let start = Moment::now();
        let out = Readings::new(&reader.watches(), start);
        reader.open().unwrap();
        Self { reader, out, start }
    }

    /// Makes a slow pass, and returns whether `CALL` was made in it.
    fn pass(&mut self, at: Duration) -> bool {
        let second = Duration::from_secs(1);
        let now = self.start + at;
        let pass = Pass { now, elapsed: at, previous: None, interval: second, cadence: second };
        self.out.begin(now);
        self.reader.read(pass, &mut self.out).unwrap();
        self.reader.take_call_times().iter().any(|(name, _)| *name == CALL)
    }

    fn of_link(&self, link: u32) -> Reading {
        let parts = self.out.parts();
        let part = parts.iter().find(|part| part.entity == Entity::Link(link)).unwrap();
        part.readings[0].reading.clone()
    }
}

#[test]
fn ports_and_peers() {
    let folder = tempfile::tempdir().unwrap();
    let library = fake_nvml::install_in(folder.path());
    let control = Control::new(folder.path().join("control"));
    control.clear();
    // SAFETY: nothing else runs yet that reads or writes the environment.
    unsafe {
        std::env::set_var("FAKE_NVML_FIXTURE", MACHINE);
        std::env::set_var("FAKE_NVML_CONTROL", control.path());
    }
    let down = "DCGM_FI_DEV_NVLINK_PPCNT_PHYSICAL_LINK_DOWN_TOTAL";
    let mut main = Watched::of(&library, 0, "main", down);
    assert!(main.pass(Duration::ZERO));
    assert_eq!([0, 17].map(|link| main.of_link(link)), [5837, 7853].map(|n| Ok(Value::Int(n))));
    drop(main);

    // What one port does not have, another has.
    let wait = "DCGM_FI_DEV_NVLINK_PPCNT_IBPC_PORT_XMIT_WAIT";
    let mut main = Watched::of(&library, 1, "main", wait);
    assert!(main.pass(Duration::ZERO));
    assert!(main.of_link(16).is_ok());
    assert_eq!(main.of_link(17), Err(Reason::NotSupported));
    drop(main);

    // Refused, and read again after a while only.
    let refusals = [
        ("driver 590.48.01", Reason::NotSupported),
        (&*format!("gpu 0 denied {CALL}"), Reason::NotPermitted),
    ];
    for (command, reason) in refusals {
        control.set(&[command]);
        let mut main = Watched::of(&library, 0, "main", down);
        assert!(main.pass(Duration::ZERO), "{command}");
        assert_eq!(main.of_link(0), Err(reason), "{command}");
        assert!(!main.pass(Duration::from_secs(20)), "{command}");
        control.clear();
        std::thread::sleep(Duration::from_millis(50));
        assert!(!main.pass(Duration::from_secs(40)), "{command}");
        assert_eq!(main.of_link(0), Err(reason), "{command}");
        assert!(main.pass(LATER), "{command}");
        assert_eq!(main.of_link(0), Ok(Value::Int(5837)), "{command}");
    }

    // Peers as bits, without a watch on single connections.
    let mut peers = Watched::of(&library, 1, "peers", "DCGM_FI_DEV_P2P_NVLINK_STATUS");
    peers.pass(Duration::ZERO);
    assert_eq!(peers.out.of_gpu()[0].reading, Ok(Value::Int(0b01)));
    assert_eq!(peers.out.parts().len(), 1);
    control.set(&["gpu 0 lost"]);
    std::thread::sleep(Duration::from_millis(50));
    peers.pass(Duration::from_secs(20));
    assert_eq!(peers.out.of_gpu()[0].reading, Err(Reason::Lost));
}
