//! The session manager: opens the source, starts its readers, and opens it again when the session no
//! longer fits.
//!
//! A session is given up only for a better one. As long as any GPU answers, the next session is opened
//! while the readers of this one go on, and they end when it is there. Whether a new session would
//! read a GPU that is lost is tested in a separate process first.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use model::{Moment, Outdated, ReaderKind, Renew, Session, Source, SourceError};
use thiserror::Error;

use super::command::{Command, InForce, OpenRequest, Opened};
use super::reader_pool::ReaderPool;
use super::shared::SharedState;
use super::source::SourceThread;
use crate::backoff::Backoff;
use crate::settings::DownGpu;
use crate::state::plan::Plan;
use crate::state::reader::Target;
use crate::state::recovery::{Action, Recovery};

/// From one look at the session to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// The waits between tries to open a source without a session. One try costs little.
const RECONNECT: Backoff =
    Backoff { wait: Duration::from_millis(500), factor: 2, max: Duration::from_secs(2) };

/// The same while there is a session that works.
const IMPROVE: Backoff =
    Backoff { wait: Duration::from_secs(2), factor: 2, max: Duration::from_secs(60) };

/// The session is kept, since there are no threads for the readers of a new one.
#[derive(Debug, Error)]
#[error("the session stays, since there are no threads for a new one: {0}")]
struct NoThreads(io::Error);

struct SessionManager<'a> {
    shared: &'a Arc<SharedState>,
    /// Sends to `received`, for probes.
    commands: Sender<Command>,
    source: SourceThread,
    /// Whether the source is being opened.
    is_opening: bool,
    session: Option<Box<dyn Session>>,
    readers: ReaderPool,
    recovery: Recovery,
    /// What is to be read.
    plan: Arc<Plan>,
    /// The plans that are not in force yet, the oldest first, and what to call when they come into force.
    waiting: Vec<(Arc<Plan>, InForce)>,
    /// The last error that was logged of opening the source.
    logged_error: String,
}

/// Runs until it is stopped.
pub(crate) fn run(
    source: Box<dyn Source>,
    shared: &Arc<SharedState>,
    received: &Receiver<Command>,
    commands: Sender<Command>,
) {
    let source = SourceThread::start(source, commands.clone());
    if let Some(error) = source.error() {
        let message = format!("no thread to open the driver with: {error}");
        tracing::error!("{message}");
        shared.change(|state| state.source.up = Err(message));
    }
    let plan = shared.change(|state| {
        state.list(&[], Moment::now());
        Arc::clone(&state.plan)
    });
    let mut manager = SessionManager {
        shared,
        readers: ReaderPool::new(shared, commands.clone()),
        commands,
        source,
        is_opening: false,
        session: None,
        recovery: Recovery::new(&shared.settings),
        plan,
        waiting: Vec::new(),
        logged_error: String::new(),
    };
    let mut request = Some(reconnect());
    loop {
        if !manager.is_opening
            && let Some(request) = request.take_if(|request| request.due <= Moment::now())
        {
            manager.open(request);
        }
        let next_open = request.as_ref().filter(|_| !manager.is_opening).map(|request| request.due);
        let due = [next_open, manager.readers.next_restart()].into_iter().flatten();
        let pause = due.map(|due| due - Moment::now()).fold(INTERVAL, Duration::min);
        match received.recv_timeout(pause) {
            Ok(Command::ChangePlan(plan, in_force)) => {
                manager.waiting.push((Arc::clone(&plan), in_force));
                manager.plan = plan;
                // If the driver cannot be opened once more, other watches can still be read through
                // the session that there is.
                let renew = manager.session.as_ref().map_or(Renew::Driver, |_| Renew::Watches);
                request = Some(improve(renew, "other watches"));
            }
            Ok(Command::Opened(opened)) => {
                manager.is_opening = false;
                request = request.or(manager.note_opened(*opened));
            }
            Ok(Command::ReaderEnded(id)) => manager.readers.note_ended(id),
            Ok(Command::Probed { helps }) => {
                manager.recovery.is_probing = false;
                if helps && manager.session.is_some() {
                    let why = "another process reads the GPU that is down";
                    request = Some(improve(Renew::Driver, why));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
        }
        if let Some(session) = manager.session.take() {
            request = manager.check(session, request);
        }
        if let Some(session) = &mut manager.session {
            manager.readers.restart(session.as_mut());
        }
        if let Some(after) = shared.settings.forget_missing {
            shared.forget_missing(after);
        }
    }
    let session = manager.session.take();
    manager.give_up(session);
    let SessionManager { source, readers, commands, .. } = manager;
    drop((readers, commands));
    // If a thread is inside the driver, this does not return either.
    source.join();
}

/// A request to open a source without a session.
fn reconnect() -> OpenRequest {
    OpenRequest { backoff: RECONNECT, ..improve(Renew::Driver, "") }
}

/// A request to open a source again.
fn improve(renew: Renew, why: impl Into<String>) -> OpenRequest {
    OpenRequest { renew, why: why.into(), backoff: IMPROVE, due: Moment::now() }
}

impl SessionManager<'_> {
    fn open(&mut self, request: OpenRequest) {
        // The readers of a session go on until there is another one. While they do, it does not
        // matter how long that takes.
        if self.session.is_none() {
            self.shared.change(|state| state.connecting_since = Some(Moment::now()));
        } else {
            tracing::info!("opening the source again: {}", request.why);
        }
        self.is_opening = self.source.open(request, Arc::clone(&self.plan));
    }

    /// Changes over to the session that was opened. Returns what to open next.
    fn note_opened(&mut self, Opened { mut request, plan, result }: Opened) -> Option<OpenRequest> {
        let is_gap = self.session.is_none();
        let (error, is_gap) = match result {
            Ok(session) => match self.change_over(session, &plan, request.renew) {
                Ok(()) => {
                    self.logged_error.clear();
                    let is_old = !Arc::ptr_eq(&plan, &self.plan);
                    return is_old.then(|| improve(Renew::Watches, "other watches"));
                }
                Err(error) => (SourceError::new(error.to_string()), false),
            },
            Err(error) => (error, is_gap),
        };
        self.note_error(error, is_gap);
        request.due = Moment::now() + request.backoff.next();
        Some(request)
    }

    /// Logs an error, and shows it if there is no session.
    fn note_error(&mut self, SourceError { message, needs_restart }: SourceError, is_gap: bool) {
        if message != self.logged_error {
            tracing::warn!("{message}; trying again until it works");
            self.logged_error.clone_from(&message);
        }
        if is_gap {
            self.shared.change(|state| {
                state.connecting_since = None;
                state.source.up = Err(message);
                let since = state.source.needs_restart.unwrap_or_else(Moment::now);
                state.source.needs_restart = needs_restart.then_some(since);
            });
        }
    }

    /// Changes over to a new session: the readers of the old one end, and those of the new one take
    /// over what has been read.
    ///
    /// # Errors
    ///
    /// If there are no threads for the new readers, and there is an old session: that one stays.
    fn change_over(
        &mut self,
        mut session: Box<dyn Session>,
        plan: &Arc<Plan>,
        renew: Renew,
    ) -> Result<(), NoThreads> {
        let gpus = session.gpus();
        let mut prepared = Vec::new();
        // If only the plan is another, readers that wait for events go on: no event is missed.
        let keeps = |kind| renew == Renew::Watches && kind == ReaderKind::Events;
        for target in gpus.iter().copied().map(Target::Gpu).chain([Target::Machine]) {
            prepared.extend(self.readers.prepare(session.as_mut(), target, |reader| {
                !(keeps(reader.kind()) && self.readers.is_running(target, reader.name()))
            }));
        }
        if self.session.is_some()
            && let Some(at) = prepared.iter().position(|prepared| prepared.thread.is_err())
            && let Err(error) = prepared.swap_remove(at).thread
        {
            self.source.close(Some(session));
            return Err(NoThreads(error));
        }
        let driver_version = session.driver_version();
        let name = self.shared.lock().source.name;
        tracing::info!(
            source = name,
            driver = driver_version.as_deref().unwrap_or("unknown"),
            gpus = gpus.len(),
            "reading"
        );
        // Readers that wait for events take longest to end, so they end first while the others read.
        if renew == Renew::Driver {
            self.readers.end(|kind| kind == ReaderKind::Events);
        }
        self.readers.end(|kind| kind != ReaderKind::Events);
        // First, since some of them may have been read for other purposes.
        if let Some(at) = self.waiting.iter().position(|(waiting, _)| Arc::ptr_eq(waiting, plan)) {
            let own = self.waiting.drain(..=at).next_back();
            if let Some((_, in_force)) = own {
                in_force();
            }
        }
        let has_other_gpus = self.shared.change(|state| {
            state.connecting_since = None;
            state.source.up = Ok(());
            state.source.needs_restart = None;
            state.source.driver_version = driver_version;
            if !Arc::ptr_eq(&state.plan, plan) {
                state.change_plan(plan);
            }
            let has_other_gpus = state.listed != gpus.len();
            state.list(&gpus, Moment::now());
            has_other_gpus
        });
        self.readers.begin_session(has_other_gpus);
        prepared.into_iter().for_each(|prepared| self.readers.start(prepared));
        let before = self.session.replace(session);
        self.shared.change(|state| state.session_began = Some(Moment::now()));
        self.source.close(before);
        Ok(())
    }

    /// Checks whether the session still fits, and keeps it if so. Returns what to open.
    fn check(
        &mut self,
        mut session: Box<dyn Session>,
        request: Option<OpenRequest>,
    ) -> Option<OpenRequest> {
        self.readers.replace_returned(session.as_mut());
        match session.outdated() {
            Some(Outdated::Over(why)) => {
                tracing::info!("the session is over: {why}");
                self.give_up(Some(session));
                return Some(reconnect());
            }
            Some(Outdated::Improvable(why)) if request.is_none() && !self.is_opening => {
                self.session = Some(session);
                return Some(improve(Renew::Driver, why));
            }
            Some(Outdated::Improvable(_)) | None => {}
        }
        let action = self.recovery.next(&self.shared.lock(), !self.is_opening, Moment::now());
        match action {
            Some(Action::Reopen(why)) => {
                tracing::info!("opening the source again: {why}");
                self.give_up(Some(session));
                return Some(reconnect());
            }
            Some(Action::Probe(gpu)) => self.probe(gpu),
            None => {}
        }
        self.session = Some(session);
        request
    }

    /// Ends all readers, and closes the session.
    fn give_up(&mut self, session: Option<Box<dyn Session>>) {
        self.readers.end(|_| true);
        self.source.close(session);
    }

    /// Tests in a separate process whether a new session would read a GPU that is down.
    fn probe(&mut self, gpu: DownGpu) {
        let Some(probe) = self.shared.settings.probe.clone() else { return };
        let commands = self.commands.clone();
        let spawned = thread::Builder::new().name("gpu probe".to_owned()).spawn(move || {
            let result = (probe.0)(&gpu);
            let gpu = gpu.index;
            match &result {
                Ok(()) => tracing::info!(gpu, "a new session would read the GPU that is down"),
                Err(why) => tracing::debug!(gpu, "a new session would not help: {why}"),
            }
            // Fails only after the session manager has ended.
            let _ = commands.send(Command::Probed { helps: result.is_ok() });
        });
        self.recovery.is_probing = spawned.is_ok();
    }
}
