//! Machines and rows for the tests of what is kept.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use model::Moment;
use tempfile::TempDir;

use crate::event::{Event, What};
use crate::history::{History, Settings};
use crate::incident::{Confidence, Incident, Verdict};
use crate::layout::{GpuInfo, HostInfo, Layout, SignalInfo};
use crate::recording::{Damage, Item, Recording, Row};
use crate::sign::SignKind;
use crate::store::Disk;
use crate::time::{Range, Time};

/// When the tests begin.
pub(crate) const BEGIN: Time = Time(1_790_000_000_000);

/// A layout with as many GPUs and signals.
pub(crate) fn layout(gpus: u32, signals: u16) -> Arc<Layout> {
    let gpu = |index| GpuInfo {
        index: Some(index),
        uuid: Some(format!("GPU-{index:08}-0000-0000-0000-000000000000")),
        ..GpuInfo::default()
    };
    let signal = |number| SignalInfo {
        number,
        name: format!("signal_{number}"),
        unit: String::new(),
        is_of_host: false,
        digits: 0,
        step: 0,
    };
    Arc::new(Layout {
        host: HostInfo { boot_id: Some("boot".to_owned()), ..HostInfo::default() },
        gpus: (0..gpus).map(gpu).collect(),
        signals: (0..signals).map(signal).collect(),
    })
}

/// The row of this second, with numbers that depend on it.
pub(crate) fn row(layout: &Layout, second: i64) -> Row {
    let noise = |column: i64| (second * 7_919 + column * 104_729) % 1_009;
    let value = |column: i64| (noise(column) % 13 != 0).then(|| noise(column) - 500);
    let width = i64::try_from(layout.width()).expect("it is small");
    Row { time: at(second), values: (0..width).map(value).collect() }
}

/// The time of a second.
pub(crate) fn at(second: i64) -> Time {
    Time(BEGIN.0 + second * 1_000)
}

/// The same second on the clock that cannot be set.
pub(crate) fn moment(second: u64) -> Moment {
    Moment::BOOT + Duration::from_secs(1_000 + second)
}

/// An event at this second.
pub(crate) fn event(second: i64) -> Event {
    let what = What::DriverLine { line: format!("line {second}") };
    Event { time: at(second), gpu: None, what }
}

/// Taken for writing while a process is started, and for reading while a directory is opened: until it runs
/// its own program, a new process has the locks of this one.
pub(crate) static STARTING: RwLock<()> = RwLock::new(());

/// Opens a history while no process is being started.
pub(crate) fn open_history(settings: Settings, disk: Disk) -> History {
    let _guard = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    History::open_on(settings, disk)
}

/// A directory in memory, if there is a file system for that: what a sync does is not tested with it.
pub(crate) fn directory() -> TempDir {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    directory.expect("there is room")
}

/// What a recording has in a range.
#[derive(Default, Debug)]
pub(crate) struct Contents {
    pub(crate) layouts: Vec<Arc<Layout>>,
    pub(crate) rows: Vec<Row>,
    pub(crate) events: Vec<Event>,
    pub(crate) damage: Damage,
}

impl Contents {
    /// The seconds of its rows.
    pub(crate) fn seconds(&self) -> Vec<i64> {
        self.rows.iter().map(|row| (row.time.0 - BEGIN.0) / 1_000).collect()
    }
}

/// Reads a recording.
pub(crate) fn read(recording: &dyn Recording, range: Range) -> Contents {
    let mut contents = Contents::default();
    let mut rows = Vec::new();
    let (mut layouts, mut events) = (Vec::new(), Vec::new());
    let damage = recording.read(range, &mut |item| {
        match item {
            Item::Layout(layout) => layouts.push(Arc::clone(layout)),
            Item::Row(row) => rows.push(row.clone()),
            Item::Event(event) => events.push(event.clone()),
        }
        std::ops::ControlFlow::Continue(())
    });
    contents.damage = damage.expect("it can be read");
    (contents.layouts, contents.rows, contents.events) = (layouts, rows, events);
    contents
}

/// An incident that began at this second, with a window of a minute before and after.
pub(crate) fn incident(number: u64, second: i64, is_closed: bool) -> Incident {
    Incident {
        number,
        kind: SignKind::Xid,
        began: at(second),
        last: at(second),
        window: Range { from: at(second - 60), to: at(second + 60) },
        is_closed,
        host: HostInfo::default(),
        gpus: Vec::new(),
        holders: Vec::new(),
        signs: Vec::new(),
        events: Vec::new(),
        events_left_out: 0,
        verdict: Verdict {
            name: "not_known".to_owned(),
            cause: "The cause is not known.".to_owned(),
            evidence: Vec::new(),
            actions: Vec::new(),
            confidence: Confidence::None,
            runbook: None,
            xid: None,
            time: None,
        },
    }
}
