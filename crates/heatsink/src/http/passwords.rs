//! Passwords are hashed on a thread of its own, because that takes up to seconds of a processor. Requests
//! wait in a queue for each address, and the queues take turns: many wrong passwords from one
//! address do not delay others by more than one check each.
//!
//! In a queue the newest request is first. A client that sends one request at a time, as Prometheus does,
//! is then served between those of a client that sends many.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use web_config::PasswordTag;

use crate::connections::network;

/// The most requests that wait.
const MAX_WAITING: usize = 128;

/// The most requests of one address that wait: a fraction of the connections, since one that waits cannot
/// be closed to make room.
const MAX_OF_ADDRESS: usize = 32;

/// The thread that hashes, from the first password on.
#[derive(Default)]
pub(crate) struct Passwords {
    queues: Arc<Mutex<Queues>>,
    /// Wakes the thread, and ends it when it is dropped; `None` before the first password.
    thread: Mutex<Option<SyncSender<()>>>,
}

/// The password is not known yet: try again later.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// Tells whether a password is right, once that is known.
type Answer = watch::Sender<Option<bool>>;

/// A name and a password that have to be hashed.
struct Check {
    /// The same for the same name and password; without it every request has a check of its own.
    tag: Option<PasswordTag>,
    run: Box<dyn FnOnce() -> bool + Send>,
    /// A receiver is a request that waits.
    answer: Answer,
}

/// The checks of one address, the oldest first.
struct Queue {
    /// `None` stands for Unix sockets.
    network: Option<IpAddr>,
    checks: Vec<Check>,
}

#[derive(Default)]
struct Queues {
    /// The one whose turn it is first. None is empty.
    queues: VecDeque<Queue>,
    /// The check that is being run.
    running: Option<Running>,
}

struct Running {
    network: Option<IpAddr>,
    tag: PasswordTag,
    answer: Answer,
}

impl Passwords {
    /// Runs a check, and returns whether the password is right. Requests of one address with the same tag
    /// wait for one check.
    ///
    /// # Errors
    ///
    /// When it takes longer than `patience`, or newer requests take its place in a full queue.
    pub(super) async fn check(
        &self,
        tag: Option<PasswordTag>,
        run: impl FnOnce() -> bool + Send + 'static,
        address: Option<IpAddr>,
        patience: Duration,
    ) -> Result<bool, Busy> {
        let thread = self.thread().map_err(|error| {
            tracing::warn!("no thread to check passwords with: {error}");
            Busy
        })?;
        let check = Check { tag, run: Box::new(run), answer: Answer::new(None) };
        let answer = lock(&self.queues).join(address.map(network), check);
        let mut answer = answer.ok_or(Busy)?;
        // If it is full, the thread has not looked since the last time.
        let _ = thread.try_send(());
        let answered = timeout(patience, answer.wait_for(Option::is_some)).await;
        answered.ok().and_then(|answer| *answer.ok()?).ok_or(Busy)
    }

    fn thread(&self) -> io::Result<SyncSender<()>> {
        let mut thread = lock(&self.thread);
        if let Some(wake) = thread.as_ref() {
            return Ok(wake.clone());
        }
        let (wake, woken) = sync_channel(1);
        let queues = Arc::clone(&self.queues);
        thread::Builder::new().name("passwords".to_owned()).spawn(move || {
            while woken.recv().is_ok() {
                run_all(&queues);
            }
        })?;
        Ok(thread.insert(wake).clone())
    }
}

/// Runs checks until none waits.
fn run_all(queues: &Mutex<Queues>) {
    loop {
        let Some(Check { run, answer, .. }) = lock(queues).next() else { return };
        let is_right = run();
        // Before the answer, so that the client's next request waits for a check of its own.
        lock(queues).running = None;
        answer.send_replace(Some(is_right));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queues {
    /// Adds a request, which waits for its check or for the same one; `None` if there is no room.
    fn join(
        &mut self,
        network: Option<IpAddr>,
        check: Check,
    ) -> Option<watch::Receiver<Option<bool>>> {
        self.forget_closed();
        if let Some(running) = &self.running
            && running.network == network
            && Some(running.tag) == check.tag
        {
            let has_room = running.answer.receiver_count() < MAX_OF_ADDRESS;
            return has_room.then(|| running.answer.subscribe());
        }
        if self.queues.iter().map(Queue::requests).sum::<usize>() >= MAX_WAITING {
            self.queues.iter_mut().max_by_key(|queue| queue.requests())?.checks.remove(0);
            self.forget_closed();
        }
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.network == network) {
            return queue.join(check);
        }
        let answer = check.answer.subscribe();
        self.queues.push_back(Queue { network, checks: vec![check] });
        Some(answer)
    }

    /// The next check to run; `None` if none waits.
    fn next(&mut self) -> Option<Check> {
        self.forget_closed();
        let mut queue = self.queues.pop_front()?;
        let check = queue.checks.pop()?;
        self.running = check.tag.map(|tag| Running {
            network: queue.network,
            tag,
            answer: check.answer.clone(),
        });
        if !queue.checks.is_empty() {
            self.queues.push_back(queue);
        }
        Some(check)
    }

    /// Drops checks that no client waits for.
    fn forget_closed(&mut self) {
        for queue in &mut self.queues {
            queue.checks.retain(|check| !check.answer.is_closed());
        }
        self.queues.retain(|queue| !queue.checks.is_empty());
    }
}

impl Queue {
    fn requests(&self) -> usize {
        self.checks.iter().map(|check| check.answer.receiver_count()).sum()
    }

    /// Adds a request: to the same check if that waits, which is the newest then. In a full queue it takes
    /// the place of the oldest other check; `None` if there is no other.
    fn join(&mut self, check: Check) -> Option<watch::Receiver<Option<bool>>> {
        let is_same = |other: &Check| check.tag.is_some() && other.tag == check.tag;
        while self.requests() >= MAX_OF_ADDRESS {
            let oldest = self.checks.iter().position(|other| !is_same(other))?;
            self.checks.remove(oldest);
        }
        let check = match self.checks.iter().position(is_same) {
            Some(index) => self.checks.remove(index),
            None => check,
        };
        let answer = check.answer.subscribe();
        self.checks.push(check);
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{LazyLock, Mutex};

    use hyper::header::HeaderValue;
    use tempfile::TempDir;
    use tokio::task::{JoinHandle, yield_now};
    use web_config::{Access, Authentication, WebConfig};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(test);
    }

    fn address(last: usize) -> Option<IpAddr> {
        Some(IpAddr::from([127, 0, 0, last as u8]))
    }

    /// The tag of a password, one of a few.
    fn tag(password: usize) -> Option<PasswordTag> {
        static ACCESS: LazyLock<Arc<Access>> = LazyLock::new(|| {
            let folder = TempDir::new().expect("a folder");
            let path = folder.path().join("web.yml");
            let hash = "$2b$04$gORJG8qSMc.ALw3cYP0zce4Wsjibp5ooZRsu5TLuH207f1gLyuJ0W";
            fs::write(&path, format!("basic_auth_users: {{a: {hash}}}")).expect("a file");
            Access::new(WebConfig::load(&path).expect("it is valid"))
        });
        // `a:0`, `a:1`, ... in Base64.
        let digits = ["MA", "MQ", "Mg", "Mw", "NA", "NQ", "Ng", "Nw", "OA", "OQ"];
        let header = format!("Basic YTpw{}==", digits[password]);
        let header = HeaderValue::from_str(&header).expect("a header");
        match ACCESS.authenticate(Some(&header)) {
            Authentication::Unknown(check) => check.tag(),
            other => panic!("{other:?}"),
        }
    }

    /// A check that ends once something is sent, and gives that.
    fn held() -> (Sender<bool>, impl FnOnce() -> bool + Send + 'static) {
        let (sender, receiver) = channel();
        (sender, move || receiver.recv().unwrap_or(false))
    }

    /// Begins to wait for a check.
    async fn begin(
        passwords: &Arc<Passwords>,
        tag: Option<PasswordTag>,
        check: impl FnOnce() -> bool + Send + 'static,
        address: Option<IpAddr>,
    ) -> JoinHandle<Result<bool, Busy>> {
        let passwords = Arc::clone(passwords);
        let wait = async move { passwords.check(tag, check, address, PATIENCE).await };
        let task = tokio::spawn(wait);
        yield_now().await;
        task
    }

    /// Waits until the thread runs a check and nothing waits.
    async fn until_all_run(passwords: &Passwords) {
        while !lock(&passwords.queues).queues.is_empty() {
            yield_now().await;
        }
    }

    #[test]
    fn a_check_tells_whether_the_password_is_right() {
        run(async {
            let passwords = Passwords::default();
            assert!(lock(&passwords.thread).is_none(), "no thread without passwords");
            for is_right in [true, false, true] {
                let answer = passwords.check(tag(0), move || is_right, None, PATIENCE).await;
                assert_eq!(answer, Ok(is_right));
            }
        });
    }

    #[test]
    fn requests_with_the_same_password_wait_for_one_check() {
        run(async {
            let passwords = Arc::new(Passwords::default());
            let (finish, check) = held();
            let mut all = vec![begin(&passwords, tag(0), check, address(1)).await];
            until_all_run(&passwords).await;
            // The first one is being checked, and the others of the second password wait.
            let not_run = || panic!("it is checked twice");
            all.push(begin(&passwords, tag(0), not_run, address(1)).await);
            all.push(begin(&passwords, tag(1), || true, address(1)).await);
            all.push(begin(&passwords, tag(1), not_run, address(1)).await);
            finish.send(true).expect("it runs");
            for answer in all {
                assert_eq!(answer.await.expect("no panic"), Ok(true));
            }
        });
    }

    #[test]
    fn without_a_tag_each_request_is_checked() {
        run(async {
            let passwords = Arc::new(Passwords::default());
            let (finish, check) = held();
            let first = begin(&passwords, None, check, address(1)).await;
            let second = begin(&passwords, None, || false, address(1)).await;
            let third = begin(&passwords, None, || true, address(1)).await;
            finish.send(true).expect("it runs");
            assert_eq!(first.await.expect("no panic"), Ok(true));
            assert_eq!(second.await.expect("no panic"), Ok(false));
            assert_eq!(third.await.expect("no panic"), Ok(true));
        });
    }

    #[test]
    fn addresses_take_turns_and_the_newest_request_of_each_is_first() {
        run(async {
            let passwords = Arc::new(Passwords::default());
            let order = Arc::new(Mutex::new(Vec::new()));
            let (finish, check) = held();
            let mut all = vec![begin(&passwords, None, check, None).await];
            until_all_run(&passwords).await;
            for (of, name) in [(1, "1a"), (1, "1b"), (1, "1c"), (2, "2a"), (3, "3a"), (3, "3b")] {
                let order = Arc::clone(&order);
                let check = move || {
                    order.lock().unwrap().push(name);
                    true
                };
                all.push(begin(&passwords, None, check, address(of)).await);
            }
            finish.send(true).expect("it runs");
            for answer in all {
                assert_eq!(answer.await.expect("no panic"), Ok(true));
            }
            assert_eq!(*order.lock().unwrap(), ["1c", "2a", "3b", "1b", "3a", "1a"]);
        });
    }

    #[test]
    fn in_a_full_queue_the_oldest_request_gives_way() {
        run(async {
            let passwords = Arc::new(Passwords::default());
            let (finish, check) = held();
            let first = begin(&passwords, None, check, None).await;
            until_all_run(&passwords).await;
            let mut all = Vec::new();
            for _ in 0..MAX_OF_ADDRESS + 10 {
                all.push(begin(&passwords, None, || false, address(1)).await);
            }
            // One of the same address, and one of another, with the right password.
            let same = begin(&passwords, tag(1), || true, address(1)).await;
            let other = begin(&passwords, tag(1), || true, address(2)).await;
            finish.send(true).expect("it runs");
            let mut answers = Vec::new();
            for answer in all {
                answers.push(answer.await.expect("no panic"));
            }
            let (busy, checked) = answers.split_at(11);
            assert!(busy.iter().all(|answer| *answer == Err(Busy)), "{answers:?}");
            assert!(checked.iter().all(|answer| *answer == Ok(false)), "{answers:?}");
            for answer in [first, same, other] {
                assert_eq!(answer.await.expect("no panic"), Ok(true));
            }
        });
    }

    #[test]
    fn the_number_of_requests_that_wait_is_limited() {
        run(async {
            let passwords = Arc::new(Passwords::default());
            let (finish, check) = held();
            let first = begin(&passwords, None, check, None).await;
            until_all_run(&passwords).await;
            let mut all = Vec::new();
            for number in 0..10 * MAX_WAITING {
                let of = address(number % 50);
                all.push(begin(&passwords, tag(number % 7), || true, of).await);
                let waiting =
                    |queues: &Queues| queues.queues.iter().map(Queue::requests).collect::<Vec<_>>();
                let waiting = waiting(&lock(&passwords.queues));
                assert!(waiting.iter().sum::<usize>() <= MAX_WAITING, "{waiting:?}");
                assert!(waiting.iter().all(|count| *count <= MAX_OF_ADDRESS), "{waiting:?}");
            }
            finish.send(true).expect("it runs");
            assert_eq!(first.await.expect("no panic"), Ok(true));
            for answer in all {
                let answer = answer.await.expect("no panic");
                assert!(matches!(answer, Ok(true) | Err(Busy)));
            }
            // There is room again.
            assert_eq!(passwords.check(tag(8), || true, address(9), PATIENCE).await, Ok(true));
        });
    }

    #[test]
    fn a_client_that_waits_no_longer_is_not_checked() {
        run(async {
            let passwords = Arc::new(Passwords::default());
            let (finish, check) = held();
            let first = begin(&passwords, None, check, address(1)).await;
            until_all_run(&passwords).await;
            let brief = Duration::from_millis(1);
            let (started, starts) = channel();
            let check = move || started.send(()).is_ok();
            assert_eq!(passwords.check(tag(2), check, address(2), brief).await, Err(Busy));
            finish.send(true).expect("it is being checked");
            assert_eq!(first.await.expect("no panic"), Ok(true));
            assert_eq!(passwords.check(tag(3), || true, address(3), PATIENCE).await, Ok(true));
            assert!(starts.try_recv().is_err(), "the second one was given up before its turn");
        });
    }
}
