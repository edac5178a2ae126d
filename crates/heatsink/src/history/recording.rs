//! The threads that record. One follows the snapshots, finds incidents, and tells of them; nothing waits for it.
//! One does all the work on the disk; neither the first nor the start of the program waits for it.

use std::convert::Infallible;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, SystemTime};

use history::event::{Event, PreviousRun, What};
use history::history::History;
use history::host::HostReading;
use history::layout::{HostInfo, Layout};
use history::recorder::{Observation, Recorded, Recorder};
use history::recording::{Item, Recording as _};
use history::time::{Range, Time};
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

/// How long the thread waits at the start for the folder to be opened. After that it records without knowing
/// what was before.
const OPENING: Duration = Duration::from_secs(2);

/// The word for an error of this program.
const PANIC: &str = "panic";

/// The threads that record.
pub(crate) struct Recording {
    history: Arc<History>,
    /// Ends when its threads do.
    ended: Receiver<Infallible>,
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
        let has_directory = settings.store.is_some();
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
        let history = Arc::new(History::new(settings));
        let watcher = sampler.watcher();
        // Both threads have it, and drop it as they end.
        let (end, ended) = mpsc::channel::<Infallible>();
        let opened = match has_directory {
            false => None,
            true => Some(start_disk(Arc::clone(&history), clock, end.clone())?),
        };
        let writer = Writer {
            host,
            interval,
            watcher,
            holders,
            clock,
            root,
            teller: Teller::new(tell, Arc::clone(&history), has_directory),
            pod_events: pod_events.map(|settings| PodEvents::new(settings, has_directory)),
            history: Arc::clone(&history),
        };
        thread::Builder::new().name("history".to_owned()).spawn(move || {
            writer.run(opened);
            drop(end);
        })?;
        Ok(Self { history, ended })
    }

    /// What was recorded.
    pub(crate) fn history(&self) -> Arc<History> {
        Arc::clone(&self.history)
    }

    /// Waits until the last of it is written, after the sampler was stopped; at most for `timeout`. Returns
    /// whether it is.
    pub(crate) fn finish(self, timeout: Duration) -> bool {
        let has_ended = self.ended.recv_timeout(timeout) == Err(RecvTimeoutError::Disconnected);
        if !has_ended {
            tracing::warn!("the last seconds of the history could not be written in time");
        }
        has_ended
    }
}

/// What the run before left that may explain what comes.
struct Opened {
    before: Option<PreviousRun>,
    /// It has seen what was recorded lately.
    tracker: Tracker,
}

/// Starts the thread that does all the work on the disk, which may hang.
fn start_disk(
    history: Arc<History>,
    clock: RecordingClock,
    end: Sender<Infallible>,
) -> io::Result<Receiver<Opened>> {
    let (open, opened) = mpsc::sync_channel(1);
    thread::Builder::new().name("history disk".to_owned()).spawn(move || {
        let open_and_recall = || {
            history.open_directory();
            let (before, tracker) = (history.previous_run(), recall(&history, clock));
            // Nothing takes it if it comes late.
            let _ = open.try_send(Opened { before, tracker });
        };
        if catch_unwind(AssertUnwindSafe(open_and_recall)).is_err() {
            history.count_errors(PANIC, 1);
        }
        drop(open);
        history.write_until_ended();
        drop(end);
    })?;
    Ok(opened)
}

/// A tracker that has seen what the run before recorded lately.
fn recall(history: &History, clock: RecordingClock) -> Tracker {
    let mut tracker = Tracker::new(history.next_incident());
    let now = clock.at(SystemTime::now(), Moment::now());
    let (lately, mut layout) = (Range { from: now.before(RECALLED), to: now }, None);
    let read = history.read(lately, &mut |item| {
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
    tracker
}

/// From when on messages of the kernel log from before the start are new; `None` if none is.
fn since(before: Option<PreviousRun>, now: Time) -> Option<Time> {
    let PreviousRun { machine_restarted, last, .. } = before?;
    Some(match () {
        // The log begins with the machine.
        () if machine_restarted => Time(i64::MIN),
        // The run before had a clock that was wrong, or simulated.
        () if last > now => now.before(RECALLED),
        () => last,
    })
}

/// What the thread has.
struct Writer {
    host: HostInfo,
    interval: Duration,
    watcher: SnapshotWatcher,
    holders: Option<Arc<Holders>>,
    clock: RecordingClock,
    root: PathBuf,
    teller: Teller,
    pod_events: Option<PodEvents>,
    history: Arc<History>,
}

/// What it remembers from one snapshot to the next.
struct State {
    recorder: Recorder,
    tracker: Tracker,
    /// What is recorded before all else.
    started: Option<What>,
    layout: Option<Arc<Layout>>,
    last_recorded: Option<Moment>,
}

impl Writer {
    /// Records until the sampler stops.
    fn run(mut self, opened: Option<Receiver<Opened>>) {
        // It is open at once, unless the disk hangs.
        let first = opened.as_ref().and_then(|opened| opened.recv_timeout(OPENING).ok());
        let mut late = opened.filter(|_| first.is_none());
        let (before, tracker) = match first {
            Some(Opened { before, tracker }) => (before, tracker),
            None => (None, Tracker::new(self.history.next_incident())),
        };
        let hostname = self.host.hostname.as_deref();
        let before = before.filter(|_| self.history.is_of_host(hostname));
        let since = since(before, self.clock.at(SystemTime::now(), Moment::now()));
        let epoch = self.watcher.epoch();
        let mut state = State {
            recorder: Recorder::new(self.host.clone(), self.interval, epoch, since),
            tracker,
            started: Some(What::Started { before }),
            layout: None,
            last_recorded: None,
        };
        while let Some(snapshot) = self.next_snapshot(&state) {
            if late.as_ref().is_some_and(|late| late.try_recv().is_ok()) {
                late = None;
                state.tracker.number_from(self.history.next_incident());
            }
            let observe = || self.observe(&mut state, &snapshot);
            if catch_unwind(AssertUnwindSafe(observe)).is_err() {
                self.history.count_errors(PANIC, 1);
            }
        }
        if let Some(layout) = state.layout {
            let moment = Moment::now();
            let time = self.clock.at(SystemTime::now(), moment);
            let stopped = [Event { time, gpu: None, what: What::Stopped }];
            self.history.record(moment, &layout, None, &stopped, true);
        }
        self.history.end();
    }

    fn observe(&mut self, state: &mut State, snapshot: &Snapshot) {
        let (wall, moment) = (SystemTime::now(), Moment::now());
        let time = self.clock.at(wall, moment);
        let attribution = self.holders.as_ref().map(|holders| holders.current(moment));
        let (messages, left_out) = self.watcher.log_messages();
        if left_out > 0 {
            self.history.count_errors("kernel_messages", left_out);
            tracing::debug!("{left_out} messages of the kernel log came too fast to be recorded");
        }
        let Recorded { layout, row, mut events } = state.recorder.observe(Observation {
            time,
            wall,
            moment,
            snapshot,
            attribution: attribution.as_deref(),
            messages: &messages,
            host: &|| HostReading::now(&self.root),
        });
        let started = state.started.take().map(|what| Event { time, gpu: None, what });
        events.splice(0..0, started);
        let is_new = row.is_some() || !events.is_empty();
        // A snapshot without a row of its own, as there are many in a storm.
        if !is_new && state.last_recorded.is_some_and(|last| moment - last < WAIT) {
            return;
        }
        state.last_recorded = Some(moment);
        let track = || state.tracker.observe(time, &layout, row.as_ref(), &events);
        let incidents = catch_unwind(AssertUnwindSafe(track)).unwrap_or_else(|_| {
            self.history.count_errors(PANIC, 1);
            // What it knew may be half changed.
            state.tracker = Tracker::new(self.history.next_incident());
            Vec::new()
        });
        let is_urgent = !events.is_empty() || !incidents.is_empty();
        self.history.record(moment, &layout, row.as_ref(), &events, is_urgent);
        for incident in &incidents {
            self.history.record_incident(incident);
            if let Some(pod_events) = &self.pod_events {
                pod_events.tell(incident);
            }
        }
        if self.teller.has_work(&incidents) {
            let ongoing = state.tracker.ongoing();
            let now = Now { layout: &layout, row: row.as_ref(), ongoing: &ongoing };
            self.teller.observe(time, &incidents, now);
        }
        state.layout = Some(layout);
    }

    /// The next snapshot, or the same again when a row must not wait any longer.
    fn next_snapshot(&mut self, state: &State) -> Option<Arc<Snapshot>> {
        let patience = state.recorder.patience(Moment::now());
        self.watcher.next(WAIT.min(patience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_new_that_the_run_before_cannot_have_recorded() {
        let now = Time(1_790_000_000_000);
        let earlier = now.before(Duration::from_secs(3600));
        let run = |machine_restarted, last| {
            Some(PreviousRun { was_stopped: false, machine_restarted, last })
        };
        assert_eq!(since(None, now), None);
        assert_eq!(since(run(false, earlier), now), Some(earlier));
        assert!(since(run(true, earlier), now) < Some(Time(0)), "all of this boot");
        let later = now.after(Duration::from_secs(3600));
        assert_eq!(since(run(false, later), now), Some(now.before(RECALLED)), "a wrong clock");
    }
}
