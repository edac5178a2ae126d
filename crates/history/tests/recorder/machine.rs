//! Snapshots of a machine that tests change, and a recorder that follows them. No clock is read.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use history::host::HostReading;
use history::layout::HostInfo;
use history::recorder::{self, Observation, Recorded, Recorder};
use history::recording::Row;
use history::time::Time;
use model::{
    Attribution, CLOCK_REASONS, ClockEvent, Down, FieldId, Gpu, GpuView, Identity, Kind,
    LogMessage, Moment, Process, Reading, Reason, Snapshot, SourceView, Value, Watch, Windows,
    XidLog, XidSource, catalog,
};

/// When the recorder begins, on the wall clock.
pub(crate) const BEGIN: Time = Time(1_700_000_000_000);

/// The epoch of the sampler, far in the future: nothing here uses the real clock.
pub(crate) const EPOCH: Moment = Moment::BOOT;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The watches of the default set, with those of the history.
pub(crate) fn watches(interval: Duration) -> Arc<[Watch]> {
    let mut watches = catalog::builtin::Set::Default.watches();
    for (field, pace) in recorder::inputs(&watches) {
        let is_read = |watch: &Watch| {
            watch.field == field && watch.pace.period(interval) <= pace.period(interval)
        };
        if !watches.iter().any(is_read) {
            let (name, help) = ("hidden".into(), "".into());
            watches.push(Watch { field, name, kind: Kind::Hidden, help, pace, cumulative: false });
        }
    }
    watches.into()
}

pub(crate) fn identity(index: u32) -> Identity {
    Identity {
        index: Some(index),
        uuid: Some(format!("GPU-{index}")),
        pci_bus_id: Some(format!("00000000:{:02X}:00.0", 0x1a + index)),
        model_name: Some("NVIDIA H100 80GB HBM3".to_owned()),
        minor: Some(index),
    }
}

/// A machine with a recorder.
pub(crate) struct Machine {
    pub(crate) snapshot: Snapshot,
    pub(crate) recorder: Recorder,
    pub(crate) host: HostReading,
    pub(crate) attribution: Option<Attribution>,
    pub(crate) messages: Vec<LogMessage>,
    /// By how much the wall clock was set forward.
    pub(crate) clock_set: Duration,
}

impl Machine {
    pub(crate) fn new(gpus: u32, interval: Duration) -> Self {
        Self::with_old_messages(gpus, interval, None)
    }

    pub(crate) fn with_old_messages(gpus: u32, interval: Duration, since: Option<Time>) -> Self {
        let watches = watches(interval);
        let gpus = (0..gpus).map(|index| view(index, watches.len())).collect();
        let interval_ms = u64::try_from(interval.as_millis()).expect("it is short");
        let hostname = Some("node-1".to_owned());
        let host = HostInfo { hostname, interval_ms, ..HostInfo::default() };
        Self::on(host, interval, since, watches, gpus)
    }

    /// One whose recording has time that passes `speed` times as fast as the wall clock.
    pub(crate) fn simulated(speed: u64) -> Self {
        let (watches, host) =
            (watches(SECOND), HostInfo { interval_ms: 1000 * speed, ..HostInfo::default() });
        let gpus = vec![view(0, watches.len())];
        Self::on(host, SECOND, None, watches, gpus)
    }

    fn on(
        host: HostInfo,
        interval: Duration,
        since: Option<Time>,
        watches: Arc<[Watch]>,
        gpus: Vec<GpuView>,
    ) -> Self {
        Self {
            snapshot: snapshot(watches, gpus),
            recorder: Recorder::new(host, interval, EPOCH, since),
            host: HostReading::default(),
            attribution: None,
            messages: Vec::new(),
            clock_set: Duration::ZERO,
        }
    }

    /// The wall clock, this long after the epoch.
    pub(crate) fn wall(&self, at: Duration) -> SystemTime {
        BEGIN.to_system() + at + self.clock_set
    }

    /// Ends a pass over a GPU, this long after the epoch, in which all of these fields have this value.
    pub(crate) fn pass(&mut self, gpu: usize, at: Duration, values: &[(FieldId, Value)]) {
        self.snapshot.gpus[gpu].last_success = Some(self.wall(at));
        for (field, value) in values {
            self.set(gpu, *field, Ok(value.clone()));
        }
    }

    /// Changes the readings of a field.
    pub(crate) fn set(&mut self, gpu: usize, field: FieldId, reading: Reading) {
        for (at, watch) in self.snapshot.watches.iter().enumerate() {
            if watch.field == field {
                self.snapshot.gpus[gpu].readings[at] = reading.clone();
            }
        }
    }

    pub(crate) fn down(&mut self, gpu: usize, down: Down) {
        self.snapshot.gpus[gpu].up = Err(down);
    }

    /// Observes the snapshot, this long after the epoch.
    pub(crate) fn observe(&mut self, at: Duration) -> Recorded {
        let wall = self.wall(at);
        let messages = std::mem::take(&mut self.messages);
        self.recorder.observe(Observation {
            time: Time::of(wall),
            wall,
            moment: EPOCH + at,
            snapshot: &self.snapshot,
            attribution: self.attribution.as_ref(),
            messages: &messages,
            host: &|| self.host,
        })
    }
}

pub(crate) fn view(index: u32, watches: usize) -> GpuView {
    GpuView {
        gpu: Gpu { index: Some(index), identity: Some(Arc::new(identity(index))) },
        up: Ok(()),
        readings: vec![Err(Reason::NotSupported); watches],
        parts: Vec::new(),
        xids: Arc::new(XidLog { listening: true, ..XidLog::default() }),
        xids_in_window: Vec::new(),
        clock_events: [ClockEvent::default(); CLOCK_REASONS.len()],
        extents: Vec::new(),
        health: Vec::new(),
        calls: Arc::default(),
        last_success: None,
        pass_duration: None,
        errors: Arc::default(),
        counting_since: None,
    }
}

pub(crate) fn snapshot(watches: Arc<[Watch]>, gpus: Vec<GpuView>) -> Snapshot {
    let window = Duration::from_secs(60);
    Snapshot {
        watches,
        gpus,
        machine: Vec::new(),
        source: SourceView {
            name: "nvml",
            up: Ok(()),
            driver_version: Some("580.82.07".into()),
            needs_restart: None,
        },
        xid_source: Some(XidSource::NvmlEvents),
        driver_log: None,
        reader_restarts: 0,
        process: Process { cpu: None, resident_bytes: None, started: SystemTime::UNIX_EPOCH },
        counting_since: None,
        windows: Windows { extents: window, xids: window, clock_events: window },
        good_until: EPOCH,
    }
}

/// The number of a signal in a row.
pub(crate) fn number(
    recorded: &Recorded,
    row: &Row,
    signal: &str,
    gpu: Option<usize>,
) -> Option<i64> {
    let column = recorded.layout.column(signal, gpu);
    row.values[column.unwrap_or_else(|| panic!("no column {signal} of {gpu:?}"))]
}
