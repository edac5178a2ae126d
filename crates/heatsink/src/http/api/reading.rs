//! Reads the history for requests: on threads of their own, few at a time, and only while somebody waits.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use history::incident::Incident;
use history::recording::{Damage, Item, ReadError, Recording};
use history::time::Range;
use tokio::sync::Semaphore;
use tokio::time::timeout;

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
    patience_for_files: Duration,
}

impl Default for HistoryReaders {
    fn default() -> Self {
        let limit = |most| Arc::new(Semaphore::new(most));
        Self {
            memory: limit(FROM_MEMORY),
            files: limit(FROM_FILES),
            patience_for_files: PATIENCE_FOR_FILES,
        }
    }
}

/// Why a request is not answered now.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Refused {
    /// When to try again.
    pub(super) wait: Duration,
    pub(super) why: &'static str,
}

impl HistoryReaders {
    /// Runs `answer` on a thread for blocking calls.
    ///
    /// # Errors
    ///
    /// If too many others read, or the answer takes too long.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        is_in_memory: bool,
        answer: impl FnOnce(&Read) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let busy =
            Refused { wait: Duration::from_secs(1), why: "others read the history; try again" };
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
            let answer = answer(&read);
            drop(permit);
            answer
        });
        let long = Refused { wait: DEADLINE, why: "it takes too long; ask for a shorter time" };
        match timeout(DEADLINE, task).await {
            Ok(Ok(answer)) => Ok(answer),
            // It panicked, or the server ends.
            Ok(Err(_)) => Err(busy),
            Err(_) => Err(long),
        }
    }
}

/// A reading that can be ended.
#[derive(Clone, Default)]
pub(super) struct Read {
    has_ended: Arc<AtomicBool>,
}

impl Read {
    /// The recording, as long as somebody waits for it.
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

/// A recording that ends when nobody waits for it.
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
        self.recording.read(range, &mut |item| {
            if self.read.has_ended.load(Ordering::Relaxed) {
                return ControlFlow::Break(());
            }
            take(item)
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
                    readers.run(false, move |_| goes.lock().unwrap().recv().is_ok()).await
                })
            };
            let running = [slow(&readers), slow(&readers)];
            while readers.files.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            let refused = readers.run(false, |_| ()).await.unwrap_err();
            assert_eq!(refused.wait, Duration::from_secs(1));
            assert_eq!(readers.run(true, |_| 7).await, Ok(7));
            go.send(()).unwrap();
            go.send(()).unwrap();
            for task in running {
                assert_eq!(task.await.unwrap(), Ok(true));
            }
            assert_eq!(readers.run(false, |_| 8).await, Ok(8));
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
                    readers.run(false, move |_| goes.lock().unwrap().recv().is_ok()).await
                })
            };
            let running = [read(), read(), read()];
            for _ in &running {
                go.send(()).unwrap();
            }
            for task in running {
                assert_eq!(task.await.unwrap(), Ok(true));
            }
        });
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
