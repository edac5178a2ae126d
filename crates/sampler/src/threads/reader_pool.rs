//! The reader threads: starts them, ends them, starts those again that end, and keeps track of those
//! that are stuck in the driver.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::{Moment, Reader, ReaderKind, Session};

use super::command::Command;
use super::reader::{EndNotice, ReaderThread};
use super::shared::SharedState;
use crate::backoff::Backoff;
use crate::state::reader::{BusySince, ReaderId, ReaderState, Target};

/// How long after a thread could not be started, or ended, the next one is started.
const RESTART: Backoff =
    Backoff { wait: Duration::from_millis(500), factor: 2, max: Duration::from_secs(30) };

/// How long threads may take to end before they count as stuck: longer than the longest wait for
/// events.
const END: Duration = Duration::from_millis(900);

/// How long a thread may be inside the driver before the end of it is not waited for.
const HANG: Duration = Duration::from_millis(700);

/// All reader threads.
pub(crate) struct ReaderPool {
    shared: Arc<SharedState>,
    /// Gets [`Command::ReaderEnded`].
    commands: Sender<Command>,
    running: Vec<RunningReader>,
    /// The threads of earlier sessions that are still inside the driver.
    stuck: Vec<RunningReader>,
    restarts: Vec<Restart>,
    last_number: u64,
}

/// A reader thread.
struct RunningReader {
    id: ReaderId,
    name: &'static str,
    kind: ReaderKind,
    busy: Arc<BusySince>,
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: JoinHandle<()>,
    /// If it is stuck, whether no second reader of its name is started for the target. Once indexes
    /// may have shifted, the GPU of the thread may have another one.
    blocks: bool,
}

impl RunningReader {
    fn is(&self, target: Target, name: &str) -> bool {
        self.id.target == target && self.name == name
    }
}

/// A reader, and a thread that waits to run it, or why there is none.
pub(crate) struct PreparedReader {
    target: Target,
    reader: Box<dyn Reader>,
    pub(crate) thread: io::Result<(Sender<ReaderThread>, JoinHandle<()>)>,
}

/// A target some of whose readers have no thread.
struct Restart {
    target: Target,
    backoff: Backoff,
    /// When to start them; `None` while they run.
    due: Option<Moment>,
    last_started: Moment,
}

impl ReaderPool {
    pub(crate) fn new(shared: &Arc<SharedState>, commands: Sender<Command>) -> Self {
        Self {
            shared: Arc::clone(shared),
            commands,
            running: Vec::new(),
            stuck: Vec::new(),
            restarts: Vec::new(),
            last_number: 0,
        }
    }

    pub(crate) fn is_running(&self, target: Target, name: &str) -> bool {
        let is_it = |it: &RunningReader| it.is(target, name) && !it.thread.is_finished();
        self.running.iter().any(is_it)
    }

    fn is_stuck(&self, target: Target, name: &str) -> bool {
        self.stuck.iter().any(|stuck| stuck.blocks && stuck.is(target, name))
    }

    /// The readers of a target that are needed, each with a thread that waits.
    pub(crate) fn prepare(
        &self,
        session: &mut dyn Session,
        target: Target,
        is_needed: impl Fn(&dyn Reader) -> bool,
    ) -> Vec<PreparedReader> {
        let mut readers = match target {
            Target::Gpu(gpu) if self.shared.settings.gpus.includes(gpu) => session.readers(gpu),
            Target::Gpu(_) => Vec::new(),
            Target::Machine => session.machine_readers(),
        };
        readers.retain(|reader| is_needed(reader.as_ref()));
        let prepare = |reader: Box<dyn Reader>| {
            let (start, started) = mpsc::channel::<ReaderThread>();
            let name = format!("{target} {}", reader.name());
            let spawned = thread::Builder::new().name(name).spawn(move || {
                // Without a reader, the thread is not needed.
                if let Ok(reader) = started.recv() {
                    reader.run();
                }
            });
            PreparedReader { target, reader, thread: spawned.map(|thread| (start, thread)) }
        };
        readers.into_iter().map(prepare).collect()
    }

    /// Starts a reader on its thread, unless one of an earlier session is stuck: a second one would be
    /// stuck as well.
    pub(crate) fn start(&mut self, PreparedReader { target, reader, thread }: PreparedReader) {
        let (name, kind) = (reader.name(), reader.kind());
        if self.is_stuck(target, name) {
            return;
        }
        self.last_number += 1;
        let id = ReaderId { target, number: self.last_number };
        let busy = Arc::new(BusySince::new(self.shared.epoch));
        let watches = reader.watches();
        let tick = self.shared.change(|state| {
            let tick = state.plan.tick;
            let new = ReaderState::new(id.number, name, kind, &watches, &busy, tick);
            let settings = Arc::clone(&state.settings);
            state.add(target).take_over(new, &settings, Moment::now());
            tick
        });
        match thread {
            Ok((start, thread)) => {
                let (stop, stopped) = mpsc::channel();
                let reader = ReaderThread {
                    id,
                    reader,
                    busy: Arc::clone(&busy),
                    shared: Arc::clone(&self.shared),
                    tick,
                    cadence: tick,
                    stopped,
                    _end: EndNotice { id, commands: self.commands.clone() },
                };
                // The thread waits for nothing else.
                let _ = start.send(reader);
                let (stop, blocks) = (Some(stop), true);
                self.running.push(RunningReader { id, name, kind, busy, stop, thread, blocks });
            }
            Err(error) => self.lose(id, &format!("no thread can be started: {error}")),
        }
    }

    /// Starts the readers of a target that are not running.
    fn start_absent(&mut self, session: &mut dyn Session, target: Target) {
        let prepared = self.prepare(session, target, |reader| {
            !self.is_stuck(target, reader.name()) && !self.is_running(target, reader.name())
        });
        prepared.into_iter().for_each(|prepared| self.start(prepared));
    }

    /// Notes that a thread has ended, which happens by itself only if something is wrong.
    pub(crate) fn note_ended(&mut self, id: ReaderId) {
        let Some(at) = self.running.iter().position(|running| running.id == id) else { return };
        let name = self.running.swap_remove(at).name;
        self.lose(id, &format!("the thread of its reader `{name}` ended"));
    }

    /// Notes that a reader has no thread, and plans a restart.
    fn lose(&mut self, id: ReaderId, why: &str) {
        let (target, now) = (id.target, Moment::now());
        self.shared.change(|state| {
            state.lose_thread(id);
            state.reader_restarts += 1;
        });
        let known = self.restarts.iter().position(|restart| restart.target == target);
        let at = known.unwrap_or_else(|| {
            tracing::error!("{target}: {why}; started again until it works");
            self.restarts.push(Restart { target, backoff: RESTART, due: None, last_started: now });
            self.restarts.len() - 1
        });
        let restart = &mut self.restarts[at];
        if now - restart.last_started > RESTART.max * 2 {
            restart.backoff = RESTART;
        }
        // Several readers of one target may end at once.
        if restart.due.is_none() {
            restart.due = Some(now + restart.backoff.next());
        }
        tracing::debug!("{target}: {why}");
    }

    /// When readers have to be started again.
    pub(crate) fn next_restart(&self) -> Option<Moment> {
        self.restarts.iter().filter_map(|restart| restart.due).min()
    }

    /// Starts the readers without a thread again, where that is due.
    pub(crate) fn restart(&mut self, session: &mut dyn Session) {
        let now = Moment::now();
        let mut targets = Vec::new();
        for restart in &mut self.restarts {
            if restart.due.is_some_and(|due| due <= now) {
                (restart.due, restart.last_started) = (None, now);
                targets.push(restart.target);
            }
        }
        targets.into_iter().for_each(|target| self.start_absent(session, target));
    }

    /// Ends the readers of these kinds. Those that do not end are stuck in the driver:
    /// they are left there, with all that they hold.
    pub(crate) fn end(&mut self, which: impl Fn(ReaderKind) -> bool) {
        let ending = self.running.extract_if(.., |running| which(running.kind));
        let mut ending: Vec<RunningReader> = ending.collect();
        ending.iter_mut().for_each(|reader| reader.stop = None);
        // A thread that hangs is not waited for: the readings of the others grow old meanwhile.
        let is_awaited = |reader: &RunningReader| {
            let hangs = reader.busy.since().is_some_and(|since| since.elapsed() > HANG);
            !reader.thread.is_finished() && !hangs
        };
        let until = Moment::now() + END;
        while ending.iter().any(is_awaited) && Moment::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        self.stuck.extend(ending.into_iter().filter(|reader| !reader.thread.is_finished()));
        self.shared.stuck_readers.store(self.stuck.len(), Ordering::SeqCst);
        self.shared.change(|state| {
            for (target, reader) in state.readers_mut() {
                reader.delivers_xids &= self.is_running(target, reader.name);
                reader.stuck = self.is_stuck(target, reader.name);
            }
        });
    }

    /// Forgets planned restarts before all readers of a session are started. If the session has
    /// another number of GPUs, indexes may have shifted, and stuck readers block no others.
    pub(crate) fn begin_session(&mut self, has_other_gpus: bool) {
        self.restarts.clear();
        self.stuck.iter_mut().for_each(|stuck| stuck.blocks &= !has_other_gpus);
    }

    /// Replaces the stuck readers that have returned, and so have ended.
    pub(crate) fn replace_returned(&mut self, session: &mut dyn Session) {
        let before: Vec<Target> = self.stuck.iter().map(|stuck| stuck.id.target).collect();
        self.stuck.retain(|stuck| !stuck.thread.is_finished());
        if self.stuck.len() == before.len() {
            return;
        }
        self.shared.stuck_readers.store(self.stuck.len(), Ordering::SeqCst);
        let listed = session.gpus();
        let is_there = |target: &Target| target.gpu().is_none_or(|gpu| listed.contains(&gpu));
        for target in before.into_iter().filter(is_there) {
            self.start_absent(session, target);
        }
    }
}
