//! What all refreshers share: the state behind its lock, and the current attribution.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use model::{Attribution, Moment};

use crate::error::RefreshError;
use crate::parts::{Part, PartKind};
use crate::settings::Settings;
use crate::state::{LogLine, State};

/// What all refreshers share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    state: Mutex<State>,
    current: ArcSwap<Attribution>,
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// The refreshers that are to look at once.
    woken: HashSet<&'static str>,
    is_stopping: bool,
}

impl Shared {
    pub(crate) fn new(settings: Settings, kinds: impl IntoIterator<Item = PartKind>) -> Self {
        let state = State::new(settings.max_age, kinds);
        let current = ArcSwap::from_pointee(state.view(Moment::now()));
        let (state, waiting) = (Mutex::new(state), Mutex::default());
        Self { settings, state, current, waiting, wake: Condvar::new() }
    }

    /// Of one refresher, for tests. Nothing is configured.
    #[cfg(test)]
    pub(crate) fn of(kind: PartKind, interval: Duration) -> Arc<Self> {
        let settings = Settings {
            interval,
            max_age: Duration::from_secs(30),
            kubelet: None,
            pods: None,
            dra: None,
            node: None,
            jobs: None,
        };
        Arc::new(Self::new(settings, [kind]))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look has begun.
    pub(crate) fn begin(&self, kind: PartKind, now: Moment) {
        self.lock().begin(kind, now);
    }

    /// A look has ended, or a watch has something new.
    pub(crate) fn end(&self, kind: PartKind, result: Result<Part, RefreshError>) {
        let line = self.change(|state| state.end(kind, result, Moment::now(), SystemTime::now()));
        match line {
            Some(LogLine::Failed(line)) => tracing::warn!("{line}"),
            Some(LogLine::Recovered(line)) => tracing::info!("{line}"),
            None => {}
        }
    }

    /// Changes the state, and publishes what follows from it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        // Stored under the lock, so that an older view never replaces a newer one.
        self.current.store(Arc::new(state.view(Moment::now())));
        result
    }

    /// Who uses the GPUs at `now`.
    pub(crate) fn current(&self, now: Moment) -> Arc<Attribution> {
        let current = self.current.load_full();
        if now <= current.good_until {
            return current;
        }
        let state = self.lock();
        let view = Arc::new(state.view(now));
        self.current.store(Arc::clone(&view));
        view
    }

    /// The last result of a refresher.
    #[cfg(test)]
    pub(crate) fn part(&self, kind: PartKind) -> Option<Part> {
        self.lock().part(kind)
    }

    /// Lets a refresher look at once.
    pub(crate) fn wake(&self, kind: PartKind) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.woken.insert(kind.name());
        self.wake.notify_all();
    }

    /// Waits for this time, until woken, or until the end.
    pub(crate) fn wait(&self, kind: PartKind, time: Duration) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_idle =
            |waiting: &mut Waiting| !waiting.is_stopping && !waiting.woken.contains(kind.name());
        let waited = self.wake.wait_timeout_while(waiting, time, is_idle);
        waited.unwrap_or_else(PoisonError::into_inner).0.woken.remove(kind.name());
    }

    /// Asks all refreshers to end.
    pub(crate) fn stop(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_stopping = true;
        self.wake.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_stopping
    }
}
