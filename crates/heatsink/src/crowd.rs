//! Who is connected: a bounded crowd, in which the quietest makes room for whoever comes next.
//!
//! A fixed number of places alone would let as many silent clients lock everybody else out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// Connections, at most as many as there are places.
pub(crate) struct Crowd {
    most: usize,
    began: Instant,
    /// In the order in which they came.
    members: Mutex<Vec<Arc<Member>>>,
    /// Told whenever somebody has left.
    left: Notify,
}

struct Member {
    /// When it last asked for something, or came: milliseconds since the crowd began.
    last_asked: AtomicU64,
    leave: Notify,
}

/// A place in the crowd. Dropping it gives it back, so it has to be dropped after the connection.
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    member: Arc<Member>,
}

impl Crowd {
    /// Nobody yet, and this many places.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            began: Instant::now(),
            members: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// A place for a connection. If there is none, whoever has been quiet longest is told to leave,
    /// and gone before this returns: what connections cost is bounded at every moment.
    pub(crate) async fn join(self: &Arc<Self>) -> Place {
        loop {
            // Listens before it looks, so that nobody leaves unheard in between.
            let left = self.left.notified();
            if let Some(place) = self.join_or_make_room(Instant::now()) {
                return place;
            }
            left.await;
        }
    }

    /// A place, or else the quietest is told to leave.
    fn join_or_make_room(self: &Arc<Self>, now: Instant) -> Option<Place> {
        let mut members = self.members();
        if members.len() < self.most {
            let last_asked = AtomicU64::new(self.millis(now));
            let member = Arc::new(Member { last_asked, leave: Notify::new() });
            members.push(Arc::clone(&member));
            return Some(Place { crowd: Arc::clone(self), member });
        }
        // Of those that are quiet for as long, the first is the one that came first.
        let quietest =
            members.iter().min_by_key(|member| member.last_asked.load(Ordering::Relaxed));
        if let Some(quietest) = quietest {
            quietest.leave.notify_one();
        }
        None
    }

    /// Waits until everybody has left.
    pub(crate) async fn emptied(&self) {
        loop {
            let left = self.left.notified();
            if self.members().is_empty() {
                return;
            }
            left.await;
        }
    }

    fn members(&self) -> MutexGuard<'_, Vec<Arc<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

impl Place {
    /// Notes that the client asked for something. In the way of every request, hence without a
    /// lock.
    pub(crate) fn asked(&self, now: Instant) {
        self.member.last_asked.store(self.crowd.millis(now), Ordering::Relaxed);
    }

    /// Waits until the place is needed for somebody else.
    pub(crate) async fn told_to_leave(&self) {
        self.member.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.members().retain(|member| !Arc::ptr_eq(member, &self.member));
        self.crowd.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::*;

    /// Whether this is over by now.
    fn is_over(future: impl Future) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// A crowd whose members came one second after another.
    fn full(most: usize) -> (Arc<Crowd>, Vec<Place>) {
        let crowd = Crowd::new(most);
        let came = |second| crowd.join_or_make_room(crowd.began + Duration::from_secs(second));
        let places = (0..most as u64).map(|second| came(second).expect("a place")).collect();
        (crowd, places)
    }

    #[test]
    fn nobody_leaves_while_there_are_places() {
        let (crowd, mut places) = full(3);
        assert!(places.iter().all(|place| !is_over(place.told_to_leave())));
        places.remove(1);
        assert!(is_over(crowd.join()));
        assert!(places.iter().all(|place| !is_over(place.told_to_leave())));
    }

    #[test]
    fn whoever_has_been_quiet_longest_makes_room() {
        let (crowd, mut places) = full(3);
        places[0].asked(crowd.began + Duration::from_secs(10));
        let mut newcomer = pin!(crowd.join());
        let mut context = Context::from_waker(Waker::noop());
        assert!(newcomer.as_mut().poll(&mut context).is_pending());
        let told: Vec<bool> = places.iter().map(|place| is_over(place.told_to_leave())).collect();
        assert_eq!(told, [false, true, false]);
        // Its task ends, and with it its place.
        places.remove(1);
        let Poll::Ready(_place) = newcomer.as_mut().poll(&mut context) else {
            panic!("somebody has left, and still there is no place")
        };
        assert_eq!(crowd.members().len(), 3);
    }

    #[test]
    fn of_equals_the_first_to_come_is_the_first_to_go() {
        let (crowd, places) = full(3);
        let now = crowd.began + Duration::from_secs(10);
        places.iter().for_each(|place| place.asked(now));
        assert!(crowd.join_or_make_room(now).is_none());
        assert!(is_over(places[0].told_to_leave()));
        assert!(!is_over(places[1].told_to_leave()));
    }

    #[test]
    fn a_crowd_is_empty_once_all_have_left() {
        let (crowd, mut places) = full(2);
        let mut emptied = pin!(crowd.emptied());
        let mut context = Context::from_waker(Waker::noop());
        while let Some(place) = places.pop() {
            assert!(emptied.as_mut().poll(&mut context).is_pending());
            drop(place);
        }
        assert!(emptied.as_mut().poll(&mut context).is_ready());
    }
}
