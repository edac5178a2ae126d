//! What a kubelet has been asked.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fault::Call;

/// So long a test waits for requests.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(crate) struct Counts {
    numbers: Mutex<Numbers>,
    changed: Condvar,
}

#[derive(Default)]
struct Numbers {
    lists: usize,
    allocatables: usize,
    connections: usize,
    in_flight: usize,
    most_in_flight: usize,
}

impl Numbers {
    fn requests(&mut self, call: Call) -> &mut usize {
        match call {
            Call::List => &mut self.lists,
            Call::Allocatable => &mut self.allocatables,
        }
    }
}

/// A request, until it is answered or given up.
pub(crate) struct Request(Arc<Counts>);

impl Counts {
    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(self: &Arc<Self>, call: Call) -> Request {
        let mut numbers = self.lock();
        *numbers.requests(call) += 1;
        numbers.in_flight += 1;
        numbers.most_in_flight = numbers.most_in_flight.max(numbers.in_flight);
        self.changed.notify_all();
        Request(Arc::clone(self))
    }

    pub(crate) fn connected(&self) {
        self.lock().connections += 1;
    }

    pub(crate) fn requests(&self, call: Call) -> usize {
        *self.lock().requests(call)
    }

    pub(crate) fn connections(&self) -> usize {
        self.lock().connections
    }

    pub(crate) fn most_in_flight(&self) -> usize {
        self.lock().most_in_flight
    }

    pub(crate) fn wait_for_requests(&self, call: Call, count: usize) {
        let is_short = |numbers: &mut Numbers| *numbers.requests(call) < count;
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, is_short);
        let (mut numbers, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let got = *numbers.requests(call);
        assert!(!timeout.timed_out(), "{got} requests of {call:?}, not {count}");
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
    }
}
