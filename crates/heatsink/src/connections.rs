//! A limit on open connections. At the limit, an idle connection is closed to make room for the new one:
//! of the address that has the most connections, the one that has been idle longest. If each of them has
//! a response in progress, there is no room.
//!
//! With a limit alone, clients that connect and send nothing could keep all others out; and one client
//! with many connections could, if addresses were not compared.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The time between two warnings of one kind.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// A client that reads nothing of a response for this long is idle. Longer than a few packets take.
const STALLED: Duration = Duration::from_millis(100);

/// How long a client of HTTP/2 may take to read a response. Until then the response keeps a page in
/// memory that may be replaced already. As long as Prometheus waits for a scrape by default.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

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
    open: Vec<Arc<Activity>>,
    /// How many were closed because the limit was reached.
    evicted: u64,
    /// How many were refused because the limit was reached.
    refused: u64,
    last_warning: Option<Instant>,
}

/// What a connection is doing.
pub(crate) struct Activity {
    /// The network of the client, see [`network`]; `None` at a Unix socket.
    network: Option<IpAddr>,
    /// When the limiter was created, which the times below count from.
    started: Instant,
    /// When it was accepted, its last request came, or it last took a part of a response: milliseconds.
    last_active: AtomicU64,
    /// Requests whose response is not known yet.
    answering: AtomicU32,
    /// Responses that are not written to the socket or to its buffers: since when, in milliseconds.
    unsent: Mutex<Vec<u64>>,
    /// Whether the client does not read what waits to be written.
    is_blocked: AtomicBool,
    evict: Notify,
}

/// Counts as one open connection until it is dropped, so it is dropped after the connection.
pub(crate) struct Permit {
    limiter: Arc<ConnectionLimiter>,
    activity: Arc<Activity>,
}

/// A request whose response is not known yet: until this is dropped.
pub(crate) struct Answering(Arc<Activity>);

/// A response that is not sent yet: until this is dropped.
pub(crate) struct Unsent {
    activity: Arc<Activity>,
    since: u64,
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

    /// A permit for a new connection from this address, `None` for a Unix socket. At the limit, closes an
    /// idle connection and waits until it is closed; `None` if none is idle.
    pub(crate) async fn acquire(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Permit> {
        let mut evicts = true;
        loop {
            // Created before the count is read, so that a close in between is not missed.
            let closed = self.closed.notified();
            if let Some(permit) = self.try_acquire(address, Instant::now()) {
                return Some(permit);
            }
            if std::mem::take(&mut evicts) {
                let is_evicted = self.evict(Instant::now());
                self.warn(Instant::now());
                if !is_evicted {
                    return None;
                }
            }
            closed.await;
        }
    }

    fn try_acquire(self: &Arc<Self>, address: Option<IpAddr>, now: Instant) -> Option<Permit> {
        let mut state = self.state();
        if state.open.len() >= self.limit {
            return None;
        }
        let activity = Arc::new(Activity::new(address, self.started, now));
        state.open.push(Arc::clone(&activity));
        Some(Permit { limiter: Arc::clone(self), activity })
    }

    /// Closes an idle connection because the limit is reached. Returns whether there is one.
    fn evict(&self, now: Instant) -> bool {
        let is_evicted = self.close_idle(now);
        let mut state = self.state();
        match is_evicted {
            true => state.evicted += 1,
            false => state.refused += 1,
        }
        is_evicted
    }

    /// Tells an idle connection of the address with the most connections to close: the one that has been
    /// idle longest, of several the oldest. Returns whether there is one.
    pub(crate) fn close_idle(&self, now: Instant) -> bool {
        let state = self.state();
        let mut counts: HashMap<_, usize> = HashMap::new();
        for open in &state.open {
            *counts.entry(open.network).or_default() += 1;
        }
        let idle = state.open.iter().filter_map(|open| {
            let count = counts.get(&open.network).copied().unwrap_or_default();
            Some(((Reverse(count), open.idle_since(now)?), open))
        });
        let first = idle.min_by_key(|(order, _)| *order);
        first.inspect(|(_, open)| open.evict.notify_one()).is_some()
    }

    /// Logs that the limit is reached, unless it did so recently.
    fn warn(&self, now: Instant) {
        let mut state = self.state();
        if !may_warn(&mut state.last_warning, now) {
            return;
        }
        let (evicted, refused) = (state.evicted, state.refused);
        drop(state);
        tracing::warn!(
            "the limit of {} HTTP connections is reached: for each new one, an idle one is closed, of \
             the address that has the most; {evicted} so far, and {refused} new ones were refused \
             because none was idle",
            self.limit
        );
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
}

/// Whether the last warning was long enough ago for another one, which is noted.
pub(crate) fn may_warn(last: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= WARNING_INTERVAL);
    if is_due {
        *last = Some(now);
    }
    is_due
}

/// The address, or, as one client of IPv6 has many, the first half of it.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let half = u128::from(address) >> 64 << 64;
            Ipv6Addr::from(half).into()
        }
        address => address,
    }
}

impl Activity {
    fn new(address: Option<IpAddr>, started: Instant, now: Instant) -> Self {
        let activity = Self {
            network: address.map(network),
            started,
            last_active: AtomicU64::new(0),
            answering: AtomicU32::new(0),
            unsent: Mutex::default(),
            is_blocked: AtomicBool::new(false),
            evict: Notify::new(),
        };
        activity.touch(now);
        activity
    }

    /// Notes that a request comes.
    pub(crate) fn answering(self: &Arc<Self>, now: Instant) -> Answering {
        self.touch(now);
        self.answering.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// Notes that the client takes a part of a response, or that it does not.
    pub(crate) fn sent(&self, is_blocked: bool, now: Instant) {
        if !is_blocked {
            self.touch(now);
        }
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// Whether the client takes longer than it may to read one of its responses.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        let now = self.millis(now);
        let is_overdue =
            |since: &u64| now.saturating_sub(*since) > RESPONSE_TIMEOUT.as_millis() as u64;
        self.unsent().iter().any(is_overdue)
    }

    fn unsent(&self) -> MutexGuard<'_, Vec<u64>> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when it has been idle, in milliseconds; `None` while a response is in progress.
    fn idle_since(&self, now: Instant) -> Option<u64> {
        let is_answering = self.answering.load(Ordering::Relaxed) > 0;
        let last_active = self.last_active.load(Ordering::Relaxed);
        let is_sending = !self.unsent().is_empty() || self.is_blocked.load(Ordering::Relaxed);
        let is_stalled = self.millis(now).saturating_sub(last_active) >= STALLED.as_millis() as u64;
        (!is_answering && (!is_sending || is_stalled)).then_some(last_active)
    }

    fn touch(&self, now: Instant) {
        self.last_active.store(self.millis(now), Ordering::Relaxed);
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

impl Answering {
    /// The response is known, and is to be sent.
    pub(crate) fn unsent(self, now: Instant) -> Unsent {
        let activity = Arc::clone(&self.0);
        let since = activity.millis(now);
        activity.unsent().push(since);
        Unsent { activity, since }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Unsent {
    /// Notes that the client takes a part.
    pub(crate) fn sent(&self, now: Instant) {
        self.activity.touch(now);
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        let mut unsent = self.activity.unsent();
        let index = unsent.iter().position(|since| *since == self.since);
        index.map(|index| unsent.swap_remove(index));
    }
}

impl Permit {
    /// What its connection is doing.
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Waits until the connection is to be closed for a new one.
    pub(crate) async fn evicted(&self) {
        self.activity.evict.notified().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.state().open.retain(|open| !Arc::ptr_eq(open, &self.activity));
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
        let accept =
            |second| limiter.try_acquire(None, limiter.started + Duration::from_secs(second));
        let permits = (0..limit as u64).map(|second| accept(second).expect("a permit")).collect();
        (limiter, permits)
    }

    #[test]
    fn below_the_limit_no_connection_is_closed() {
        let (limiter, mut permits) = full(3);
        permits.remove(1);
        assert!(is_ready(limiter.acquire(None)));
        assert_eq!(evicted(&permits), [false, false]);
        assert_eq!(limiter.evicted(), 0);
    }

    #[test]
    fn at_the_limit_the_connection_idle_longest_is_closed() {
        let (limiter, mut permits) = full(3);
        permits[0].activity.touch(limiter.started + Duration::from_secs(10));
        let mut new = pin!(limiter.acquire(None));
        let mut context = Context::from_waker(Waker::noop());
        assert!(new.as_mut().poll(&mut context).is_pending());
        assert_eq!(evicted(&permits), [false, true, false]);
        assert_eq!(limiter.evicted(), 1);
        // Its task ends, which drops its permit.
        permits.remove(1);
        let Poll::Ready(Some(_permit)) = new.as_mut().poll(&mut context) else {
            panic!("a connection was closed, and there is no permit")
        };
        assert_eq!(limiter.state().open.len(), 3);
        assert_eq!(limiter.evicted(), 1);
    }

    #[test]
    fn of_connections_idle_for_as_long_the_oldest_is_closed() {
        let (limiter, permits) = full(3);
        let now = limiter.started + Duration::from_secs(10);
        permits.iter().for_each(|permit| permit.activity.touch(now));
        assert!(limiter.evict(now));
        assert_eq!(evicted(&permits), [true, false, false]);
    }

    #[test]
    fn a_connection_with_a_response_in_progress_is_not_closed() {
        let (limiter, permits) = full(2);
        let now = limiter.started + Duration::from_secs(10);
        // The oldest waits for its response, the other has to read it.
        let first = permits[0].activity.answering(now);
        let second = permits[1].activity.answering(now).unsent(now);
        assert!(!limiter.evict(now));
        assert!(is_ready(limiter.acquire(None)), "there is no room, and nothing to wait for");
        assert_eq!(evicted(&permits), [false, false]);
        drop(second);
        assert!(limiter.evict(now));
        assert_eq!(evicted(&permits), [false, true]);
        drop(first);
        assert!(limiter.evict(now));
        assert_eq!(evicted(&permits), [true, false]);
        assert_eq!(limiter.evicted(), 2);
    }

    #[test]
    fn a_client_that_reads_nothing_of_its_response_is_idle() {
        let (limiter, permits) = full(1);
        let activity = &permits[0].activity;
        let at = |millis| limiter.started + Duration::from_millis(millis);
        activity.sent(true, at(0));
        assert_eq!([0, 99, 100].map(|millis| limiter.evict(at(millis))), [false, false, true]);
        activity.sent(false, at(150));
        activity.sent(true, at(151));
        assert_eq!([249, 250].map(|millis| limiter.evict(at(millis))), [false, true]);
        // HTTP/2: the socket can be written, and the client has no room for the response.
        activity.sent(false, at(300));
        let unsent = activity.answering(at(300)).unsent(at(300));
        assert_eq!([399, 400].map(|millis| limiter.evict(at(millis))), [false, true]);
        unsent.sent(at(500));
        assert!(!limiter.evict(at(500)));
        assert_eq!([10_300, 10_301].map(|millis| activity.is_overdue(at(millis))), [false, true]);
        drop(unsent);
        assert!(!activity.is_overdue(at(90_000)));
    }

    #[test]
    fn each_response_has_its_own_time_however_they_overlap() {
        let (limiter, permits) = full(1);
        let activity = &permits[0].activity;
        let at = |second| limiter.started + Duration::from_secs(second);
        let mut newest = activity.answering(at(0)).unsent(at(0));
        for second in (4..300).step_by(4) {
            // The next one begins before the last one ends.
            newest = activity.answering(at(second)).unsent(at(second));
            assert!(!activity.is_overdue(at(second + 4)), "{second}");
        }
        // One that stalls is overdue, whatever comes after it.
        let _quick = activity.answering(at(307)).unsent(at(307));
        assert!(activity.is_overdue(at(307)));
        drop(newest);
        assert!(!activity.is_overdue(at(307)));
    }

    #[test]
    fn the_address_with_the_most_connections_loses_one() {
        let limiter = ConnectionLimiter::new(6);
        let address = |text: &str| Some(text.parse().expect("an address"));
        let at = |second| limiter.started + Duration::from_secs(second);
        let clients = [
            address("192.0.2.1"),
            None,
            address("2001:db8::1"),
            address("2001:db8::2"),
            address("2001:db8::3"),
            address("2001:db8:0:1::1"),
        ];
        let accept = |(second, client)| limiter.try_acquire(client, at(second)).expect("a permit");
        let mut permits: Vec<Permit> = (0..).zip(clients).map(accept).collect();
        // Others have been idle for longer.
        assert!(limiter.close_idle(at(10)));
        assert_eq!(evicted(&permits), [false, false, true, false, false, false]);
        // None of it is idle.
        permits.remove(2);
        let _busy = [2, 3].map(|index| permits[index].activity.answering(at(10)));
        assert!(limiter.close_idle(at(10)));
        assert_eq!(evicted(&permits), [true, false, false, false, false]);
        assert_eq!(limiter.evicted(), 0, "the limit was not reached");
    }

    #[test]
    fn addresses_of_one_client_of_ipv6_count_as_one() {
        let parse = |text: &str| network(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:1"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_ne!(parse("10.0.0.1"), parse("10.0.0.2"));
    }

    #[test]
    fn the_log_has_one_warning_a_minute() {
        let (limiter, _permits) = full(1);
        let warned_at = |second| {
            let now = limiter.started + Duration::from_secs(second);
            limiter.warn(now);
            limiter.state().last_warning == Some(now)
        };
        assert_eq!([0, 1, 59, 60, 61, 120].map(warned_at), [true, false, false, true, false, true]);
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
