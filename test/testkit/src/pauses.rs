//! Times without those in which the machine stood still.
//!
//! A busy or virtual machine may run nothing of a test and of what it tests for seconds. A thread that
//! sleeps for short times notices that, because it wakes late. What a test asserts of a time holds for
//! the time that the machine ran.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the thread sleeps each time.
const SLEEP: Duration = Duration::from_millis(20);

/// The machine stood still if the thread wakes later than this.
const LATE: Duration = Duration::from_millis(100);

/// After a pause of this length, readings may be late.
const LONG: Duration = Duration::from_millis(500);

/// So long after such a pause, none is late any more.
const AFTER: Duration = Duration::from_secs(5);

/// The longest wait for that, on a machine that stands still again and again.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the thread has noticed.
struct Pauses {
    /// When the thread woke last.
    woke: Instant,
    /// How long the machine has stood still until then.
    total: Duration,
    /// When the last long pause ended.
    last: Option<Instant>,
}

impl Pauses {
    /// Notes that the thread, or one in place of it, runs at `now`.
    fn note(&mut self, now: Instant) {
        let late = now.saturating_duration_since(self.woke).saturating_sub(SLEEP);
        if late > LATE {
            self.total += late;
        }
        if late > LONG {
            self.last = Some(now);
        }
        self.woke = self.woke.max(now);
    }
}

/// The pauses until now. The thread may wake after the one that asks.
fn pauses() -> MutexGuard<'static, Pauses> {
    static PAUSES: OnceLock<&'static Mutex<Pauses>> = OnceLock::new();
    let pauses = PAUSES.get_or_init(|| {
        let pauses = Pauses { woke: Instant::now(), total: Duration::ZERO, last: None };
        let pauses: &'static Mutex<Pauses> = Box::leak(Box::new(Mutex::new(pauses)));
        let watch = move || {
            loop {
                thread::sleep(SLEEP);
                lock(pauses).note(Instant::now());
            }
        };
        thread::Builder::new().name("pauses".to_owned()).spawn(watch).expect("a thread");
        pauses
    });
    let mut pauses = lock(pauses);
    pauses.note(Instant::now());
    pauses
}

fn lock(pauses: &Mutex<Pauses>) -> MutexGuard<'_, Pauses> {
    pauses.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the machine stood still so lately that readings may be late.
pub fn may_be_late() -> bool {
    pauses().last.is_some_and(|at| at.elapsed() < AFTER)
}

/// Does something when no reading may be late because the machine stood still, and again if it stood still
/// meanwhile. Returns what it did last, and the time of that.
pub fn in_time<T>(action: impl Fn() -> T) -> (T, Duration) {
    let until = Instant::now() + PATIENCE;
    loop {
        while may_be_late() && Instant::now() < until {
            thread::sleep(SLEEP);
        }
        let watch = Stopwatch::start();
        let result = action();
        let was_paused = pauses().last.is_some_and(|at| at > watch.began);
        if !was_paused && !may_be_late() || Instant::now() >= until {
            return (result, watch.elapsed());
        }
    }
}

/// Measures a time without the pauses of the machine in it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    began: Instant,
    paused: Duration,
}

impl Stopwatch {
    /// Starts one.
    pub fn start() -> Self {
        let paused = pauses().total;
        Self { began: Instant::now(), paused }
    }

    /// How long the machine has run since the start.
    pub fn elapsed(&self) -> Duration {
        let paused = pauses().total - self.paused;
        self.began.elapsed().saturating_sub(paused)
    }

    /// Whether the machine stood still since the start.
    pub fn was_paused(&self) -> bool {
        pauses().total > self.paused
    }
}

/// Sleeps until the machine has run for this time.
pub fn sleep(time: Duration) {
    let watch = Stopwatch::start();
    loop {
        let left = time.saturating_sub(watch.elapsed());
        if left.is_zero() {
            return;
        }
        thread::sleep(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_what_is_longer_than_a_sleep_and_counted_once() {
        let at = Instant::now();
        let mut pauses = Pauses { woke: at, total: Duration::ZERO, last: None };
        let millis = Duration::from_millis;
        pauses.note(at + millis(60));
        assert_eq!((pauses.total, pauses.last), (Duration::ZERO, None));
        pauses.note(at + millis(380));
        assert_eq!((pauses.total, pauses.last), (millis(300), None));
        let end = at + millis(3400);
        pauses.note(end);
        assert_eq!((pauses.total, pauses.last), (millis(3300), Some(end)));
        // Two threads note it, the second with an earlier time.
        pauses.note(at + millis(3390));
        pauses.note(end);
        assert_eq!(pauses.total, millis(3300));
    }

    #[test]
    fn a_time_without_pauses_is_not_longer_than_it_took() {
        let (began, watch) = (Instant::now(), Stopwatch::start());
        thread::sleep(Duration::from_millis(30));
        assert!(watch.elapsed() <= began.elapsed());
    }
}
