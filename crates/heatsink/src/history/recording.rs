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
use model::{LogMessage, Moment, Snapshot};
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
/// what was before, until it is open.
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
            true => {
                let hostname = host.hostname.clone();
                Some(start_disk(Arc::clone(&history), clock, hostname, end.clone())?)
            }
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
    hostname: Option<String>,
    end: Sender<Infallible>,
) -> io::Result<Receiver<Opened>> {
    let (open, opened) = mpsc::sync_channel(1);
    thread::Builder::new().name("history disk".to_owned()).spawn(move || {
        let open_and_recall = || {
            history.open_directory();
            let before = history.previous_run().filter(|_| history.is_of_host(hostname.as_deref()));
            let tracker = recall(&history, clock);
            // Nothing takes it after the end.
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
    // Those before the first layout, which comes with a row.
    let mut first_events: Vec<Event> = Vec::new();
    let read = history.read(lately, &mut |item| {
        match (item, &layout) {
            (Item::Layout(new), _) => {
                for event in first_events.drain(..) {
                    tracker.recall(event.time, new, None, std::slice::from_ref(&event));
                }
                layout = Some(Arc::clone(new));
            }
            (Item::Row(row), Some(layout)) => tracker.recall(row.time, layout, Some(row), &[]),
            (Item::Event(event), Some(layout)) => {
                tracker.recall(event.time, layout, None, std::slice::from_ref(event));
            }
            (Item::Event(event), None) => first_events.push(event.clone()),
            (Item::Row(_), None) => {}
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
    /// What the run before left, while the folder is being opened.
    opened: Option<Receiver<Opened>>,
    /// Messages of the kernel log from before the start, until then.
    old_messages: Vec<LogMessage>,
    /// Whether this run has incidents.
    has_incidents: bool,
    /// What is recorded before all that is known by then.
    started: Option<What>,
    layout: Option<Arc<Layout>>,
    last_recorded: Option<Moment>,
}

impl State {
    fn new(recorder: Recorder, tracker: Tracker, opened: Option<Receiver<Opened>>) -> Self {
        Self {
            recorder,
            tracker,
            started: opened.is_none().then_some(What::Started { before: None }),
            opened,
            old_messages: Vec::new(),
            has_incidents: false,
            layout: None,
            last_recorded: None,
        }
    }

    /// Begins with what the run before left, if the folder is open by then: what is so is told again.
    fn take_opened(&mut self, patience: Duration, now: Time) {
        let Some(opened) = &self.opened else { return };
        let before = match opened.recv_timeout(patience) {
            Ok(Opened { before, tracker }) => {
                if !self.has_incidents {
                    self.tracker = tracker;
                }
                before
            }
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => None,
        };
        self.opened = None;
        self.recorder.begin_again(since(before, now));
        self.started = Some(What::Started { before });
    }

    /// The messages that can be recorded now. Whether those from before the start are new is known once the folder
    /// is open.
    fn messages(&mut self, mut new: Vec<LogMessage>) -> Vec<LogMessage> {
        if self.opened.is_some() {
            self.old_messages.extend(new.extract_if(.., |message| message.is_old));
            return new;
        }
        let mut messages = std::mem::take(&mut self.old_messages);
        messages.append(&mut new);
        messages
    }
}

impl Writer {
    /// Records until the sampler stops.
    fn run(mut self, opened: Option<Receiver<Opened>>) {
        let tracker = Tracker::new(self.history.next_incident());
        let epoch = self.watcher.epoch();
        let recorder = Recorder::new(self.host.clone(), self.interval, epoch, None);
        let mut state = State::new(recorder, tracker, opened);
        // It is open at once, unless the disk hangs.
        state.take_opened(OPENING, self.now());
        while let Some(snapshot) = self.next_snapshot(&state) {
            if state.opened.is_some() {
                state.take_opened(Duration::ZERO, self.now());
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
            let started = state.opened.is_some().then_some(What::Started { before: None });
            let event = |what| Event { time, gpu: None, what };
            let mut last: Vec<_> = started.map(event).into_iter().collect();
            last.extend(state.recorder.end());
            last.push(event(What::Stopped));
            self.history.record(moment, &layout, None, &last, true);
        }
        self.history.end();
    }

    fn observe(&mut self, state: &mut State, snapshot: &Snapshot) {
        let (wall, moment) = (SystemTime::now(), Moment::now());
        let time = self.clock.at(wall, moment);
        let attribution = self.holders.as_ref().map(|holders| holders.current(moment));
        let (messages, left_out) = self.watcher.log_messages();
        let messages = state.messages(messages);
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
        state.has_incidents |= !incidents.is_empty();
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

    fn now(&self) -> Time {
        self.clock.at(SystemTime::now(), Moment::now())
    }

    /// The next snapshot, or the same again when a row must not wait any longer.
    fn next_snapshot(&mut self, state: &State) -> Option<Arc<Snapshot>> {
        let patience = state.recorder.patience(Moment::now());
        self.watcher.next(WAIT.min(patience))
    }
}

#[cfg(test)]
mod tests {
    use history::layout::GpuInfo;
    use model::LogMessageKind;

    use super::*;

    fn state(opened: Option<Receiver<Opened>>) -> State {
        let second = Duration::from_secs(1);
        let recorder = Recorder::new(HostInfo::default(), second, Moment::BOOT, None);
        State::new(recorder, Tracker::new(1), opened)
    }

    #[test]
    fn what_was_before_is_recorded_when_the_folder_is_open() {
        let now = Time(1_790_000_000_000);
        let before = Some(PreviousRun {
            was_stopped: false,
            machine_restarted: true,
            last: now.before(Duration::from_secs(60)),
        });
        let message = |is_old| LogMessage {
            time: now.to_system(),
            is_old,
            text: "line".into(),
            kind: LogMessageKind::Driver,
        };
        for has_incidents in [false, true] {
            let (open, opened) = mpsc::sync_channel(1);
            let mut state = state(Some(opened));
            state.has_incidents = has_incidents;
            state.take_opened(Duration::ZERO, now);
            assert_eq!(state.started, None, "not known yet");
            assert_eq!(state.messages(vec![message(true), message(false)]), [message(false)]);
            open.try_send(Opened { before, tracker: Tracker::new(7) }).ok().unwrap();
            state.take_opened(Duration::ZERO, now);
            assert_eq!(state.messages(vec![message(false)]), [message(true), message(false)]);
            assert_eq!(state.messages(Vec::new()), []);
            let what = state.started.take().unwrap();
            assert_eq!(what, What::Started { before });
            let started = Event { time: now, gpu: None, what };
            let gpus = vec![GpuInfo::default()];
            let layout = Layout { host: HostInfo::default(), gpus, signals: Vec::new() };
            let incidents = state.tracker.observe(now, &Arc::new(layout), None, &[started]);
            let numbers: Vec<u64> = incidents.iter().map(|incident| incident.number).collect();
            assert_eq!(numbers, [if has_incidents { 1 } else { 7 }]);
        }
    }

    #[test]
    fn a_run_without_a_folder_that_can_be_opened_begins_as_well() {
        let none = Some(What::Started { before: None });
        assert_eq!(state(None).started, none);
        let (open, opened) = mpsc::sync_channel(1);
        let mut state = state(Some(opened));
        drop(open);
        state.take_opened(Duration::ZERO, Time(0));
        assert_eq!((state.started, state.opened.is_none()), (none, true));
    }

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
