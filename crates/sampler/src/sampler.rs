//! A running sampler.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::{LogMessage, Moment, Snapshot, Source, Watch};

use crate::settings::Settings;
use crate::state::plan::Plan;
use crate::threads::command::Command;
use crate::threads::shared::SharedState;
use crate::threads::{bus, kernel_log, publisher, session_manager};

/// How long opening the kernel log may take before events count instead.
const OPEN_LOG: Duration = Duration::from_secs(1);

/// A running sampler. Dropping it asks its threads to end, and waits for none of them.
pub struct Sampler {
    shared: Arc<SharedState>,
    commands: Sender<Command>,
    session_manager: JoinHandle<()>,
}

impl Sampler {
    /// Starts to read `watches` from `source`.
    ///
    /// # Errors
    ///
    /// If the system gives no more threads.
    pub fn start(
        source: Box<dyn Source>,
        watches: Arc<[Watch]>,
        settings: Settings,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(SharedState::new(source.as_ref(), watches, settings));
        if let Some(bus) = source.bus() {
            let bus = spawn("bus", &shared, move |shared| bus::run(bus, shared))?;
            shared.wake_at_end(bus.thread().clone());
        }
        if let Some(log) = shared.settings.kernel_log.clone() {
            let (opened, is_open) = mpsc::channel();
            let follow = move |shared: &Arc<_>| kernel_log::run(&log, shared, opened);
            let log = spawn("kernel log", &shared, follow)?;
            // An event wakes it.
            let _ = shared.kernel_log_thread.set(log.thread().clone());
            shared.wake_at_end(log.thread().clone());
            // XIDs must be counted from one source. If opening takes long, events count until the
            // log is open.
            if is_open.recv_timeout(OPEN_LOG) == Err(RecvTimeoutError::Timeout) {
                shared.lock().events_counted_first = true;
            }
        }
        let (commands, received) = mpsc::channel();
        let sender = commands.clone();
        let session_manager = spawn("session manager", &shared, move |shared| {
            session_manager::run(source, shared, &received, sender);
        })?;
        spawn("publisher", &shared, |shared| publisher::run(shared))?;
        Ok(Self { shared, commands, session_manager })
    }

    /// What is known now. Makes no driver call, opens no file, writes no log, and waits for no thread
    /// that does.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let current = self.shared.current.load_full();
        let now = Moment::now();
        if now <= current.good_until {
            return current;
        }
        // The publisher is late, as after the whole process was stopped for a while.
        self.shared.publish(now)
    }

    /// Reads `watches` from now on. What was read and counted so far stays; no event is missed and no
    /// series is absent meanwhile. `in_force` is called just before they are in snapshots, unless those
    /// of a later call are in force before. Readers wait for it: it must not take long.
    pub fn replan(&self, watches: Arc<[Watch]>, in_force: impl FnOnce() + Send + 'static) {
        let plan = Arc::new(Plan::new(watches, &self.shared.settings));
        // Fails only after the session manager has ended.
        let _ = self.commands.send(Command::ChangePlan(plan, Box::new(in_force)));
    }

    /// Forgets the missing GPUs, except those that the settings name.
    pub fn forget_missing(&self) {
        self.shared.forget_missing(Duration::ZERO);
    }

    /// A handle for a thread that follows the snapshots and the kernel log.
    pub fn watcher(&self) -> SnapshotWatcher {
        SnapshotWatcher { shared: Arc::clone(&self.shared), last: None }
    }

    /// Ends all threads, and returns whether all of them ended within `timeout`. Those that did not
    /// are inside the driver.
    pub fn stop(mut self, timeout: Duration) -> bool {
        self.end();
        let until = Moment::now() + timeout;
        while !self.session_manager.is_finished() && Moment::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let stuck = self.shared.stuck_readers.load(Ordering::SeqCst);
        self.session_manager.is_finished() && stuck == 0
    }

    fn end(&mut self) {
        self.shared.stop();
        // Fails only after the session manager has ended.
        let _ = self.commands.send(Command::Stop);
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}

/// Follows the snapshots and the kernel log of a sampler. The sampler never waits for it.
pub struct SnapshotWatcher {
    shared: Arc<SharedState>,
    last: Option<Arc<Snapshot>>,
}

impl SnapshotWatcher {
    /// Waits for another snapshot than the last one, at most for `timeout`, and returns the newest one,
    /// which may be the same; `None` once the sampler has stopped.
    pub fn next(&mut self, timeout: Duration) -> Option<Arc<Snapshot>> {
        let mut snapshot = self.shared.next_snapshot(self.last.as_ref(), timeout)?;
        let now = Moment::now();
        // The publisher is late, as after the whole process was stopped for a while.
        if now > snapshot.good_until {
            snapshot = self.shared.publish(now);
        }
        self.last = Some(Arc::clone(&snapshot));
        Some(snapshot)
    }

    /// The moment from which ticks are counted.
    pub fn epoch(&self) -> Moment {
        self.shared.epoch
    }

    /// The messages of the kernel log since the last call, the oldest first. Each is handed out once,
    /// whichever watcher asks. At most a few hundred are kept from one call to the next; of more, those that
    /// others repeat are left out first. The second is how many were left out, without those from before
    /// this process.
    pub fn log_messages(&mut self) -> (Vec<LogMessage>, u64) {
        self.shared.lock().log_messages.take()
    }
}

fn spawn(
    name: &str,
    shared: &Arc<SharedState>,
    run: impl FnOnce(&Arc<SharedState>) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared))
}
