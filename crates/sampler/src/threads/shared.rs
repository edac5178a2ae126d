//! What all threads of one sampler share: the state behind its lock, and the current snapshot.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use model::{Moment, Snapshot, Source, Watch, When};

use super::process;
use crate::settings::Settings;
use crate::state::{State, Unpublished};

/// What all threads of one sampler share.
pub(crate) struct SharedState {
    pub(crate) settings: Arc<Settings>,
    /// Ticks are counted from this moment.
    pub(crate) epoch: Moment,
    /// The source's advice for the log when all GPUs are late.
    pub(crate) when_all_are_late: Option<&'static str>,
    /// Held for microseconds, and never while something is logged.
    state: Mutex<State>,
    /// Wakes the publisher.
    pub(crate) wake: Condvar,
    /// The thread that reads the kernel log.
    pub(crate) kernel_log_thread: OnceLock<Thread>,
    /// The threads to wake at the end.
    parked: Mutex<Vec<Thread>>,
    stopping: AtomicBool,
    /// How many readers of earlier sessions are still inside the driver.
    pub(crate) stuck_readers: AtomicUsize,
    pub(crate) current: ArcSwap<Snapshot>,
    /// Wakes the threads that wait for a snapshot.
    published: Condvar,
}

impl SharedState {
    pub(crate) fn new(source: &dyn Source, watches: Arc<[Watch]>, settings: Settings) -> Self {
        let now = Moment::now();
        let settings = Arc::new(settings);
        let process = process::usage(settings.started);
        let mut state = State::new(source.name(), watches, Arc::clone(&settings), process, now);
        state.source_assesses_health = source.judges_health();
        let snapshot = Snapshot { good_until: now, ..state.snapshot(now) };
        Self {
            settings,
            epoch: now,
            when_all_are_late: source.when_all_are_late(),
            state: Mutex::new(state),
            wake: Condvar::new(),
            kernel_log_thread: OnceLock::new(),
            parked: Mutex::default(),
            stopping: AtomicBool::new(false),
            stuck_readers: AtomicUsize::new(0),
            current: ArcSwap::from_pointee(snapshot),
            published: Condvar::new(),
        }
    }

    /// The state. A thread that panicked has not left it half-written: passes are applied whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes the publisher.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        state.mark(Unpublished::AtOnce);
        drop(state);
        self.wake.notify_all();
        result
    }

    /// Builds a snapshot of what is good at `now`, and makes it the current one.
    pub(crate) fn publish(&self, now: Moment) -> Arc<Snapshot> {
        let mut state = self.lock();
        let snapshot = Arc::new(state.publish(When { time: SystemTime::now(), moment: now }));
        // Stored under the lock, so that an older snapshot never replaces a newer one.
        self.current.store(Arc::clone(&snapshot));
        drop(state);
        self.published.notify_all();
        snapshot
    }

    /// Waits for another snapshot than `last`, at most for `timeout`, and returns the newest one; `None`
    /// once the sampler stops.
    pub(crate) fn next_snapshot(
        &self,
        last: Option<&Arc<Snapshot>>,
        timeout: Duration,
    ) -> Option<Arc<Snapshot>> {
        let is_last = |_: &mut State| {
            let is_same = |last: &Arc<_>| Arc::ptr_eq(&self.current.load(), last);
            !self.is_stopping() && last.is_some_and(is_same)
        };
        drop(self.published.wait_timeout_while(self.lock(), timeout, is_last));
        (!self.is_stopping()).then(|| self.current.load_full())
    }

    /// Forgets GPUs that have been missing for this long.
    pub(crate) fn forget_missing(&self, after: Duration) {
        let mut state = self.lock();
        if state.forget_missing(after, Moment::now()) {
            state.mark(Unpublished::AtTick);
        }
    }

    /// Wakes a thread at the end.
    pub(crate) fn wake_at_end(&self, thread: Thread) {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    /// Asks all threads to end.
    pub(crate) fn stop(&self) {
        self.change(|_| self.stopping.store(true, Ordering::SeqCst));
        self.published.notify_all();
        let parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        parked.iter().for_each(Thread::unpark);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
