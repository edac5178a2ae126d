//! The threads of a sampler. They own the channels, locks and waits.

mod bus;
mod command;
mod kernel_log;
mod process;
mod publisher;
mod reader;
mod reader_pool;
mod session_manager;
mod shared;
mod source;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::{Source, Watch};

use crate::settings::Settings;
pub(crate) use command::Command;
pub(crate) use shared::SharedState;

/// How long opening the kernel log may take before events count instead.
const OPEN_LOG: Duration = Duration::from_secs(1);

/// Starts all threads. Returns what they share, and the session manager with its commands.
///
/// # Errors
///
/// If the system gives no more threads.
pub(crate) fn start(
    source: Box<dyn Source>,
    watches: Arc<[Watch]>,
    settings: Settings,
) -> io::Result<(Arc<SharedState>, Sender<Command>, JoinHandle<()>)> {
    let shared = Arc::new(SharedState::new(source.as_ref(), watches, settings));
    if let Some(bus) = source.bus() {
        let bus = spawn("bus", &shared, move |shared| bus::run(bus, shared))?;
        shared.wake_at_end(bus.thread().clone());
    }
    if let Some(log) = shared.settings.kernel_log.clone() {
        let (opened, is_open) = mpsc::channel();
        let follow = move |shared: &Arc<SharedState>| kernel_log::run(&log, shared, opened);
        let log = spawn("kernel log", &shared, follow)?;
        // An event wakes it.
        let _ = shared.kernel_log_thread.set(log.thread().clone());
        shared.wake_at_end(log.thread().clone());
        // XIDs must be counted from one source. If opening takes long, events count until the log is
        // open.
        if is_open.recv_timeout(OPEN_LOG) == Err(RecvTimeoutError::Timeout) {
            shared.lock().events_counted_first = true;
        }
    }
    let (commands, received) = mpsc::channel();
    let sender = commands.clone();
    let manager = spawn("session manager", &shared, move |shared| {
        session_manager::run(source, shared, &received, sender);
    })?;
    spawn("publisher", &shared, |shared| publisher::run(shared))?;
    Ok((shared, commands, manager))
}

fn spawn(
    name: &str,
    shared: &Arc<SharedState>,
    run: impl FnOnce(&Arc<SharedState>) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared))
}
