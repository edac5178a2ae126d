//! From snapshots to rows and events.

use std::sync::Arc;
use std::time::Duration;

use model::{Attribution, FieldId, LogMessage, Moment, Pace, Snapshot};

use crate::event::Event;
use crate::host::HostReading;
use crate::layout::{HostInfo, Layout};
use crate::recording::Row;
use crate::time::Time;

/// The fields that have to be read for the signals, each with its pace: to be watched as hidden fields.
pub fn inputs() -> Vec<(FieldId, Pace)> {
    Vec::new()
}

/// What there is to record at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The time on the clock of the recording.
    pub time: Time,
    /// The same on the clock that cannot be set.
    pub moment: Moment,
    /// What was read.
    pub snapshot: &'a Snapshot,
    /// Who uses the GPUs; `None` if nothing looks for that.
    pub attribution: Option<&'a Attribution>,
    /// The messages of the kernel log since the last observation.
    pub messages: &'a [LogMessage],
    /// The machine's memory.
    pub host: HostReading,
}

/// What is recorded of it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The layout of the row, the same as before unless it changed.
    pub layout: Arc<Layout>,
    /// The row; `None` if there was one in this interval already.
    pub row: Option<Row>,
    /// The events.
    pub events: Vec<Event>,
}

/// Turns snapshots into rows and events.
#[derive(Debug)]
pub struct Recorder {
    layout: Arc<Layout>,
    interval: Duration,
}

impl Recorder {
    /// A recorder for this machine, with a row per `interval`.
    pub fn new(host: HostInfo, interval: Duration) -> Self {
        let layout = Layout { host, gpus: Vec::new(), signals: Vec::new() };
        Self { layout: Arc::new(layout), interval }
    }

    /// Records what has changed.
    pub fn observe(&mut self, observation: Observation<'_>) -> Recorded {
        let _ = (observation, self.interval);
        Recorded { layout: Arc::clone(&self.layout), row: None, events: Vec::new() }
    }
}
