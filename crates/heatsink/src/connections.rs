//! A limit on open connections. At the limit, the connection that has been idle longest is closed
//! to make room for the new one.
//!
//! With a limit alone, clients that connect and send nothing could keep all others out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The time between two warnings that the limit was reached.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Holds the number of open connections at or below a limit.
pub(crate) struct ConnectionLimiter {
    limit: usize,
    started: Instant,
    state: Mutex<State>,
    /// Notified when a connection is closed.
    closed: Notify,
}

#[derive(Default)]
struct State {
    /// The oldest first.
    open: Vec<Arc<Connection>>,
    /// How many were closed because the limit was reached.
    evicted: u64,
    last_warning: Option<Instant>,
}

struct Connection {
    /// When its last request came, or when it was accepted: milliseconds since the limiter was
    /// created.
    last_active: AtomicU64,
    evict: Notify,
}

/// Counts as one open connection until it is dropped, so it is dropped after the connection.
pub(crate) struct Permit {
    limiter: Arc<ConnectionLimiter>,
    connection: Arc<Connection>,
}

impl ConnectionLimiter {
    /// A limiter without connections.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            started: Instant::now(),
            state: Mutex::default(),
            closed: Notify::new(),
        })
    }

    /// A permit for a new connection. At the limit, closes the connection that has been idle longest,
    /// and waits until it is closed.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Permit {
        let mut evicts = true;
        loop {
            // Registers before it looks, so that no close in between is missed.
            let closed = self.closed.notified();
            if let Some(permit) = self.try_acquire(Instant::now()) {
                return permit;
            }
            if std::mem::take(&mut evicts) {
                self.evict(Instant::now());
            }
            closed.await;
        }
    }

    fn try_acquire(self: &Arc<Self>, now: Instant) -> Option<Permit> {
        let mut state = self.state();
        if state.open.len() >= self.limit {
            return None;
        }
        let last_active = AtomicU64::new(self.millis(now));
        let connection = Arc::new(Connection { last_active, evict: Notify::new() });
        state.open.push(Arc::clone(&connection));
        Some(Permit { limiter: Arc::clone(self), connection })
    }

    /// Tells the connection that has been idle longest to close; of several, the oldest.
    fn evict(&self, now: Instant) {
        let mut state = self.state();
        let last_active =
            |connection: &&Arc<Connection>| connection.last_active.load(Ordering::Relaxed);
        let Some(connection) = state.open.iter().min_by_key(last_active) else { return };
        connection.evict.notify_one();
        state.evicted += 1;
        let warns = state.last_warning.is_none_or(|last| now - last >= WARNING_INTERVAL);
        if warns {
            state.last_warning = Some(now);
        }
        let evicted = state.evicted;
        drop(state);
        if warns {
            tracing::warn!(
                "the limit of {} HTTP connections is reached: the one that has been idle longest is \
                 closed for each new one; {evicted} so far",
                self.limit
            );
        }
    }

    /// How many connections were closed because the limit was reached.
    pub(crate) fn evicted(&self) -> u64 {
        self.state().evicted
    }

    /// Waits until no connection is open.
    pub(crate) async fn drained(&self) {
        loop {
            let closed = self.closed.notified();
            if self.state().open.is_empty() {
                return;
            }
            closed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

impl Permit {
    /// Notes that a request came. Takes no lock, since every request calls it.
    pub(crate) fn touch(&self, now: Instant) {
        self.connection.last_active.store(self.limiter.millis(now), Ordering::Relaxed);
    }

    /// Waits until the connection is to be closed for a new one.
    pub(crate) async fn evicted(&self) {
        self.connection.evict.notified().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.state().open.retain(|open| !Arc::ptr_eq(open, &self.connection));
        self.limiter.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Whether the future is ready now.
    fn is_ready(future: impl Future) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn evicted(permits: &[Permit]) -> Vec<bool> {
        permits.iter().map(|permit| is_ready(permit.evicted())).collect()
    }

    /// A limiter at its limit; the connections were accepted one second after another.
    fn full(limit: usize) -> (Arc<ConnectionLimiter>, Vec<Permit>) {
        let limiter = ConnectionLimiter::new(limit);
        let accept = |second| limiter.try_acquire(limiter.started + Duration::from_secs(second));
        let permits = (0..limit as u64).map(|second| accept(second).expect("a permit")).collect();
        (limiter, permits)
    }

    #[test]
    fn below_the_limit_no_connection_is_closed() {
        let (limiter, mut permits) = full(3);
        permits.remove(1);
        assert!(is_ready(limiter.acquire()));
        assert_eq!(evicted(&permits), [false, false]);
        assert_eq!(limiter.evicted(), 0);
    }

    #[test]
    fn at_the_limit_the_connection_idle_longest_is_closed() {
        let (limiter, mut permits) = full(3);
        permits[0].touch(limiter.started + Duration::from_secs(10));
        let mut new = pin!(limiter.acquire());
        let mut context = Context::from_waker(Waker::noop());
        assert!(new.as_mut().poll(&mut context).is_pending());
        assert_eq!(evicted(&permits), [false, true, false]);
        assert_eq!(limiter.evicted(), 1);
        // Its task ends, which drops its permit.
        permits.remove(1);
        let Poll::Ready(_permit) = new.as_mut().poll(&mut context) else {
            panic!("a connection was closed, and there is no permit")
        };
        assert_eq!(limiter.state().open.len(), 3);
        assert_eq!(limiter.evicted(), 1);
    }

    #[test]
    fn of_connections_idle_for_as_long_the_oldest_is_closed() {
        let (limiter, permits) = full(3);
        let now = limiter.started + Duration::from_secs(10);
        permits.iter().for_each(|permit| permit.touch(now));
        limiter.evict(now);
        assert_eq!(evicted(&permits), [true, false, false]);
    }

    #[test]
    fn the_log_has_one_warning_a_minute() {
        let (limiter, _permits) = full(1);
        let warned_at = |second| {
            let now = limiter.started + Duration::from_secs(second);
            limiter.evict(now);
            limiter.state().last_warning == Some(now)
        };
        assert_eq!([0, 1, 59, 60, 61, 120].map(warned_at), [true, false, false, true, false, true]);
        assert_eq!(limiter.evicted(), 6);
    }

    #[test]
    fn it_is_drained_once_all_connections_are_closed() {
        let (limiter, mut permits) = full(2);
        let mut drained = pin!(limiter.drained());
        let mut context = Context::from_waker(Waker::noop());
        while let Some(permit) = permits.pop() {
            assert!(drained.as_mut().poll(&mut context).is_pending());
            drop(permit);
        }
        assert!(drained.as_mut().poll(&mut context).is_ready());
    }
}
