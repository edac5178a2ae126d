//! The thread that records: follows the snapshots, finds incidents, and tells of them. Nothing waits for
//! it.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, SystemTime};

use history::event::{Event, What};
use history::history::History;
use history::host::HostReading;
use history::layout::HostInfo;
use history::recorder::{Observation, Recorded, Recorder};
use history::recording::{Item, Recording as _};
use history::time::Range;
use history::tracker::Tracker;
use model::{Moment, Snapshot};
use sampler::{Sampler, SnapshotWatcher};

use super::HistorySetup;
use super::clock::RecordingClock;
use super::pod_events::PodEvents;
use super::tell::{Now, Teller};
use crate::holders::Holders;

/// How long the thread waits for a snapshot at most, so that what was recorded is written in time.
const WAIT: Duration = Duration::from_secs(1);

/// How much of the run before is read at the start: an incident looks back for ten minutes.
const RECALLED: Duration = Duration::from_secs(12 * 60);

/// The thread that records.
pub(crate) struct Recording {
    history: Arc<History>,
    /// Ends when the thread does.
    ended: Receiver<()>,
}

impl Recording {
    /// Starts to record.
    ///
    /// # Errors
    ///
    /// If the system gives no more threads.
    pub(crate) fn start(
        setup: HistorySetup,
        sampler: &Sampler,
        holders: Option<Arc<Holders>>,
        page: &exposition::Settings,
    ) -> io::Result<Self> {
        let HistorySetup { settings, only_memory, clock, interval, root, tell, pod_events } = setup;
        match (&settings.store, only_memory) {
            (Some(store), _) => tracing::info!("the history is in {}", store.directory.display()),
            (None, Some(why)) => tracing::info!("the history is only in memory: {why}"),
            (None, None) => {}
        }
        let host = HostInfo {
            hostname: page.hostname.as_deref().map(str::to_owned),
            heatsink_version: page.version.to_owned(),
            boot_id: settings.boot_id.clone(),
            // In time of the recording: what is further apart is a gap.
            interval_ms: clock.of_duration(interval).as_millis().try_into().unwrap_or(u64::MAX),
            ..HostInfo::default()
        };
        let has_folder = settings.store.is_some();
        let history = Arc::new(History::open(settings));
        let watcher = sampler.watcher();
        let since = history.previous_run().map(|run| run.last);
        let writer = Writer {
            recorder: Recorder::new(host, interval, watcher.epoch(), since),
            watcher,
            holders,
            clock,
            root,
            tracker: Tracker::new(history.next_incident()),
            teller: Teller::new(tell, Arc::clone(&history), has_folder),
            pod_events: pod_events.map(|settings| PodEvents::new(settings, has_folder)),
            history: Arc::clone(&history),
        };
        let (end, ended) = mpsc::channel();
        thread::Builder::new().name("history".to_owned()).spawn(move || {
            writer.run();
            drop(end);
        })?;
        Ok(Self { history, ended })
    }

    /// What was recorded.
    pub(crate) fn history(&self) -> Arc<History> {
        Arc::clone(&self.history)
    }

    /// Waits until the last of it is written, after the sampler was stopped; at most for `timeout`.
    pub(crate) fn finish(self, timeout: Duration) {
        if self.ended.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the last seconds of the history are still being written");
        }
    }
}

/// What the thread has.
struct Writer {
    watcher: SnapshotWatcher,
    holders: Option<Arc<Holders>>,
    clock: RecordingClock,
    root: PathBuf,
    recorder: Recorder,
    tracker: Tracker,
    teller: Teller,
    pod_events: Option<PodEvents>,
    history: Arc<History>,
}

impl Writer {
    /// Records until the sampler stops.
    fn run(mut self) {
        let before = self.history.previous_run();
        self.recall();
        let mut pending = vec![What::Started { before }];
        let mut layout = None;
        while let Some(snapshot) = self.next_snapshot() {
            let (wall, moment) = (SystemTime::now(), Moment::now());
            let time = self.clock.at(wall, moment);
            let attribution = self.holders.as_ref().map(|holders| holders.current(moment));
            let messages = self.watcher.log_messages();
            let Recorded { layout: of_row, row, mut events } = self.recorder.observe(Observation {
                time,
                wall,
                moment,
                snapshot: &snapshot,
                attribution: attribution.as_deref(),
                messages: &messages,
                host: HostReading::now(&self.root),
            });
            let started = pending.drain(..).map(|what| Event { time, gpu: None, what });
            events.splice(0..0, started);
            let incidents = self.tracker.observe(time, &of_row, row.as_ref(), &events);
            let is_urgent = !events.is_empty() || !incidents.is_empty();
            self.history.append(moment, &of_row, row.as_ref(), &events, is_urgent);
            for incident in &incidents {
                self.history.put_incident(incident);
                if let Some(pod_events) = &self.pod_events {
                    pod_events.tell(incident);
                }
            }
            if self.teller.has_work(&incidents) {
                let ongoing = self.tracker.ongoing();
                let now = Now { layout: &of_row, row: row.as_ref(), ongoing: &ongoing };
                self.teller.observe(time, &incidents, now);
            }
            layout = Some(of_row);
        }
        if let Some(layout) = layout {
            let moment = Moment::now();
            let time = self.clock.at(SystemTime::now(), moment);
            let stopped = [Event { time, gpu: None, what: What::Stopped }];
            self.history.append(moment, &layout, None, &stopped, true);
        }
        self.history.close();
    }

    /// Reads what the run before recorded lately, which may explain what comes.
    fn recall(&mut self) {
        let now = self.clock.at(SystemTime::now(), Moment::now());
        let lately = Range { from: now.before(RECALLED), to: now };
        let (tracker, mut layout) = (&mut self.tracker, None);
        let read = self.history.read(lately, &mut |item| {
            match (item, &layout) {
                (Item::Layout(new), _) => layout = Some(Arc::clone(new)),
                (Item::Row(row), Some(layout)) => tracker.recall(row.time, layout, Some(row), &[]),
                (Item::Event(event), Some(layout)) => {
                    tracker.recall(event.time, layout, None, std::slice::from_ref(event));
                }
                (Item::Row(_) | Item::Event(_), None) => {}
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            tracing::debug!("the history of the run before cannot be read: {error}");
        }
    }

    /// The next snapshot, or the same again when a row must not wait any longer.
    fn next_snapshot(&mut self) -> Option<Arc<Snapshot>> {
        let patience = self.recorder.patience(Moment::now());
        self.watcher.next(WAIT.min(patience))
    }
}
