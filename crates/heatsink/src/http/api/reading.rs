//! Reads the history for requests: on threads of their own, few at a time, and only while the client waits.
//!
//! A request that waits keeps its connection, and an answer its memory until it is sent. Both are limited,
//! so that requests for the history keep no scraper out.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use history::incident::Incident;
use history::recording::{Damage, Item, ReadError, Recording};
use history::time::Range;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::connections::network;

/// The most requests that wait, are answered, or whose answer is not sent yet.
const MOST: usize = 16;

/// The most of these of one network.
const MOST_OF_NETWORK: usize = 8;

/// Requests that are answered from memory at the same time.
const FROM_MEMORY: usize = 2;

/// Requests for which files are read at the same time.
const FROM_FILES: usize = 2;

/// How long a request waits for others that are answered from memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a request waits for others for which files are read.
const PATIENCE_FOR_FILES: Duration = Duration::from_secs(10);

/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Limits how many requests read the history at the same time.
pub(crate) struct HistoryReaders {
    memory: Arc<Semaphore>,
    files: Arc<Semaphore>,
    places: Arc<Places>,
    patience_for_files: Duration,
}

impl Default for HistoryReaders {
    fn default() -> Self {
        let limit = |most| Arc::new(Semaphore::new(most));
        Self {
            memory: limit(FROM_MEMORY),
            files: limit(FROM_FILES),
            places: Arc::default(),
            patience_for_files: PATIENCE_FOR_FILES,
        }
    }
}

/// Why a request is not answered now.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::http) struct Refused {
    /// When to try again.
    pub(super) wait: Duration,
    pub(super) why: &'static str,
}

/// The networks of the requests that are limited; `None` stands for Unix sockets.
#[derive(Default)]
struct Places(Mutex<Vec<Option<IpAddr>>>);

impl Places {
    fn taken(&self) -> MutexGuard<'_, Vec<Option<IpAddr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is limited: until this is dropped.
struct Place {
    places: Arc<Places>,
    network: Option<IpAddr>,
}

impl Place {
    /// A place for a client; `None` if there is none.
    fn take(places: &Arc<Places>, address: Option<IpAddr>) -> Option<Self> {
        let network = address.map(network);
        let mut taken = places.taken();
        let of_network = taken.iter().filter(|other| **other == network).count();
        if taken.len() >= MOST || of_network >= MOST_OF_NETWORK {
            return None;
        }
        taken.push(network);
        drop(taken);
        Some(Self { places: Arc::clone(places), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        let index = taken.iter().position(|network| *network == self.network);
        index.map(|index| taken.swap_remove(index));
    }
}

/// An answer that is not sent yet.
struct Unsent {
    text: Box<str>,
    _place: Place,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl HistoryReaders {
    /// Runs `answer` for this client (`None` at a Unix socket) on a thread for blocking calls. What it
    /// returns counts as unsent until it is dropped.
    ///
    /// # Errors
    ///
    /// If too many others wait or read, or the answer takes too long.
    pub(in crate::http) async fn run<E: Send + 'static>(
        &self,
        client: Option<IpAddr>,
        is_in_memory: bool,
        answer: impl FnOnce(&Read) -> Result<String, E> + Send + 'static,
    ) -> Result<Result<Bytes, E>, Refused> {
        let busy =
            Refused { wait: Duration::from_secs(1), why: "others read the history; try again" };
        let Some(place) = Place::take(&self.places, client) else { return Err(busy) };
        // One that reads memory does not wait behind those that read a slow disk.
        let (limit, patience) = match is_in_memory {
            true => (&self.memory, PATIENCE),
            false => (&self.files, self.patience_for_files),
        };
        let permit = timeout(patience, Arc::clone(limit).acquire_owned()).await;
        let permit = permit.ok().and_then(Result::ok);
        let Some(permit) = permit else { return Err(busy) };
        let read = Read::default();
        // Ends the reading when this future is dropped, because the client has left.
        let _wanted = EndsWhenDropped(read.clone());
        let task = tokio::task::spawn_blocking(move || {
            let text = answer(&read)?.into_boxed_str();
            drop(permit);
            Ok(Bytes::from_owner(Unsent { text, _place: place }))
        });
        let long = Refused { wait: DEADLINE, why: "it takes too long; ask for a shorter time" };
        match timeout(DEADLINE, task).await {
            Ok(Ok(answer)) => Ok(answer),
            // It panicked, or the server ends.
            Ok(Err(_)) => Err(busy),
            Err(_) => Err(long),
        }
    }

    /// Readers that wait for others as long as it takes.
    #[cfg(test)]
    pub(in crate::http) fn patient() -> Self {
        Self { patience_for_files: Duration::MAX, ..Self::default() }
    }
}

/// A reading that can be ended.
#[derive(Clone, Default)]
pub(in crate::http) struct Read {
    has_ended: Arc<AtomicBool>,
}

impl Read {
    /// Whether the client waits for it.
    pub(super) fn is_wanted(&self) -> bool {
        !self.has_ended.load(Ordering::Relaxed)
    }

    /// The recording, as long as the client waits for it.
    pub(super) fn of<'a, R: Recording>(&'a self, recording: &'a R) -> Wanted<'a, R> {
        Wanted { recording, read: self }
    }
}

struct EndsWhenDropped(Read);

impl Drop for EndsWhenDropped {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Relaxed);
    }
}

/// A recording that ends when the client has left.
pub(super) struct Wanted<'a, R> {
    recording: &'a R,
    read: &'a Read,
}

impl<R: Recording> Recording for Wanted<'_, R> {
    fn read(
        &self,
        range: Range,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError> {
        self.recording.read(range, &mut |item| match self.read.is_wanted() {
            true => take(item),
            false => ControlFlow::Break(()),
        })
    }

    fn incidents(&self) -> Result<Vec<Incident>, ReadError> {
        self.recording.incidents()
    }

    fn extent(&self) -> Result<Option<Range>, ReadError> {
        self.recording.extent()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::history::export::made;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    fn text(text: &str) -> Result<String, ()> {
        Ok(text.to_owned())
    }

    /// Waits until it is told to go on.
    fn told(goes: &mpsc::Receiver<()>) -> Result<String, ()> {
        goes.recv().map(|()| "gone".to_owned()).map_err(|_| ())
    }

    fn answered(text: &'static str) -> Result<Result<Bytes, ()>, Refused> {
        Ok(Ok(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn readers_of_files_are_limited_and_memory_is_answered_beside_them() {
        runtime().block_on(async {
            let patience_for_files = Duration::ZERO;
            let readers =
                Arc::new(HistoryReaders { patience_for_files, ..HistoryReaders::default() });
            let (go, goes) = mpsc::channel::<()>();
            let goes = Arc::new(std::sync::Mutex::new(goes));
            let slow = |readers: &Arc<HistoryReaders>| {
                let (readers, goes) = (Arc::clone(readers), Arc::clone(&goes));
                tokio::spawn(async move {
                    readers.run(None, false, move |_| told(&goes.lock().unwrap())).await
                })
            };
            let running = [slow(&readers), slow(&readers)];
            while readers.files.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            let refused = readers.run(None, false, |_| text("")).await.unwrap_err();
            assert_eq!(refused.wait, Duration::from_secs(1));
            assert_eq!(readers.run(None, true, |_| text("7")).await, answered("7"));
            go.send(()).unwrap();
            go.send(()).unwrap();
            for task in running {
                assert_eq!(task.await.unwrap(), answered("gone"));
            }
            assert_eq!(readers.run(None, false, |_| text("8")).await, answered("8"));
        });
    }

    #[test]
    fn a_reader_of_files_waits_for_the_others() {
        runtime().block_on(async {
            let readers = Arc::new(HistoryReaders::default());
            let (go, goes) = mpsc::channel::<()>();
            let goes = Arc::new(std::sync::Mutex::new(goes));
            let read = || {
                let (readers, goes) = (Arc::clone(&readers), Arc::clone(&goes));
                tokio::spawn(async move {
                    readers.run(None, false, move |_| told(&goes.lock().unwrap())).await
                })
            };
            let running = [read(), read(), read()];
            for _ in &running {
                go.send(()).unwrap();
            }
            for task in running {
                assert_eq!(task.await.unwrap(), answered("gone"));
            }
        });
    }

    #[test]
    fn few_requests_wait_and_fewer_of_one_network() {
        let places = Arc::default();
        let take = |address: &str| Place::take(&places, Some(address.parse().unwrap()));
        let mut all: Vec<_> = (0..MOST_OF_NETWORK).map_while(|_| take("2001:db8::1")).collect();
        assert_eq!(all.len(), MOST_OF_NETWORK);
        assert!(take("2001:db8::2").is_none(), "the same network");
        for last in 1..255 {
            all.extend(take(&format!("192.0.2.{last}")));
        }
        assert_eq!(all.len(), MOST);
        assert!(Place::take(&places, None).is_none());
        all.remove(0);
        assert!(Place::take(&places, None).is_some());
    }

    #[test]
    fn a_client_that_leaves_ends_the_reading() {
        let read = Read::default();
        let recording = made::recording();
        let mut taken = 0;
        let wanted = read.of(&recording);
        let leave = &mut Some(EndsWhenDropped(read.clone()));
        wanted
            .read(Range::ALL, &mut |_| {
                taken += 1;
                *leave = None;
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(taken, 1);
    }
}
