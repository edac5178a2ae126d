//! Passwords are hashed on a thread of its own, because that takes up to seconds of a processor. Few
//! wait for it, and one of each address, so that many wrong passwords from one do not shut out others.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::connections::network;

/// The most requests that wait or whose password is hashed.
const MAX_WAITING: usize = 16;

/// The thread that hashes, from the first password on.
#[derive(Default)]
pub(crate) struct Passwords {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    waiting: Arc<Waiting>,
}

/// The password is not known yet: try again later.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Busy;

struct Job {
    check: Box<dyn FnOnce() -> bool + Send>,
    done: oneshot::Sender<bool>,
    place: Place,
}

/// The addresses that wait; `None` stands for Unix sockets.
#[derive(Default)]
struct Waiting(Mutex<Vec<Option<IpAddr>>>);

/// Counts as one that waits, until it is dropped.
struct Place {
    waiting: Arc<Waiting>,
    address: Option<IpAddr>,
}

impl Passwords {
    /// Runs a check, and returns whether the password is right.
    ///
    /// # Errors
    ///
    /// When many wait already, or one from this address does, or it takes longer than `patience`.
    pub(super) async fn check(
        &self,
        check: impl FnOnce() -> bool + Send + 'static,
        address: Option<IpAddr>,
        patience: Duration,
    ) -> Result<bool, Busy> {
        let place = Place::take(&self.waiting, address).ok_or(Busy)?;
        let (done, result) = oneshot::channel();
        let job = Job { check: Box::new(check), done, place };
        let jobs = self.jobs().map_err(|error| {
            tracing::warn!("no thread to check passwords with: {error}");
            Busy
        })?;
        jobs.try_send(job).map_err(|_| Busy)?;
        match timeout(patience, result).await {
            Ok(Ok(is_right)) => Ok(is_right),
            _ => Err(Busy),
        }
    }

    fn jobs(&self) -> io::Result<mpsc::Sender<Job>> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = jobs.as_ref() {
            return Ok(jobs.clone());
        }
        let (sender, mut receiver) = mpsc::channel::<Job>(MAX_WAITING);
        thread::Builder::new().name("passwords".to_owned()).spawn(move || {
            while let Some(Job { check, done, place }) = receiver.blocking_recv() {
                // Its client may have gone in the meantime.
                if !done.is_closed() {
                    let is_right = check();
                    // Before the response, so that the client's next request finds its place free.
                    drop(place);
                    let _ = done.send(is_right);
                }
            }
        })?;
        Ok(jobs.insert(sender).clone())
    }
}

impl Waiting {
    fn addresses(&self) -> MutexGuard<'_, Vec<Option<IpAddr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A place, if there is one.
    fn take(waiting: &Arc<Waiting>, address: Option<IpAddr>) -> Option<Self> {
        let address = address.map(network);
        let mut addresses = waiting.addresses();
        if addresses.len() >= MAX_WAITING || addresses.contains(&address) {
            return None;
        }
        addresses.push(address);
        Some(Self { waiting: Arc::clone(waiting), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.addresses().retain(|address| *address != self.address);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(test);
    }

    fn address(last: usize) -> Option<IpAddr> {
        Some(IpAddr::from([127, 0, 0, last as u8]))
    }

    /// A check that ends once something is sent, and gives that.
    fn held() -> (Sender<bool>, impl FnOnce() -> bool + Send + 'static) {
        let (sender, receiver) = channel();
        (sender, move || receiver.recv().unwrap_or(false))
    }

    #[test]
    fn a_check_tells_whether_the_password_is_right() {
        run(async {
            let passwords = Passwords::default();
            assert!(passwords.jobs.lock().unwrap().is_none(), "no thread without passwords");
            assert_eq!(passwords.check(|| true, None, PATIENCE).await, Ok(true));
            // The place is free again.
            assert_eq!(passwords.check(|| false, None, PATIENCE).await, Ok(false));
        });
    }

    #[test]
    fn one_of_each_address_waits_and_others_are_checked() {
        run(async {
            let passwords = Arc::new(Passwords::default());
            let (finish, check) = held();
            let first = Arc::clone(&passwords);
            let first = tokio::spawn(async move { first.check(check, address(1), PATIENCE).await });
            tokio::task::yield_now().await;
            for _ in 0..1000 {
                let refused = passwords.check(|| true, address(1), PATIENCE).await;
                assert_eq!(refused, Err(Busy));
            }
            let other = Arc::clone(&passwords);
            let other =
                tokio::spawn(async move { other.check(|| true, address(2), PATIENCE).await });
            tokio::task::yield_now().await;
            finish.send(true).expect("it waits");
            assert_eq!(first.await.expect("no panic"), Ok(true));
            assert_eq!(other.await.expect("no panic"), Ok(true));
        });
    }

    #[test]
    fn only_a_few_wait() {
        run(async {
            let passwords = Arc::new(Passwords::default());
            let (finish, check) = held();
            let mut checks: Vec<Box<dyn FnOnce() -> bool + Send>> = vec![Box::new(check)];
            checks.resize_with(MAX_WAITING, || Box::new(|| true));
            let waiting: Vec<_> = checks
                .into_iter()
                .enumerate()
                .map(|(index, check)| {
                    let passwords = Arc::clone(&passwords);
                    let wait =
                        async move { passwords.check(check, address(index), PATIENCE).await };
                    tokio::spawn(wait)
                })
                .collect();
            tokio::task::yield_now().await;
            assert_eq!(passwords.check(|| true, address(200), PATIENCE).await, Err(Busy));
            finish.send(true).expect("it waits");
            for check in waiting {
                assert_eq!(check.await.expect("no panic"), Ok(true));
            }
            assert_eq!(passwords.check(|| true, address(200), PATIENCE).await, Ok(true));
        });
    }

    #[test]
    fn a_client_that_waits_no_longer_is_not_checked() {
        run(async {
            let passwords = Passwords::default();
            let (finish, check) = held();
            let brief = Duration::from_millis(1);
            assert_eq!(passwords.check(check, address(1), brief).await, Err(Busy));
            let (started, starts) = channel();
            let check = move || started.send(()).is_ok();
            assert_eq!(passwords.check(check, address(2), brief).await, Err(Busy));
            finish.send(true).expect("it is being checked");
            assert_eq!(passwords.check(|| true, address(3), PATIENCE).await, Ok(true));
            assert!(starts.try_recv().is_err(), "the second one was given up before its turn");
        });
    }
}
