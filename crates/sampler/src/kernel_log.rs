//! The kernel's log: what the driver says there of GPUs and NVSwitches.
//!
//! The driver writes every XID to the kernel's log; its events leave some out. So where the log can be
//! read, XIDs are counted from it and from nothing else, and an event only makes this thread look at
//! once. Where it cannot, they are counted from events. A line and an event have nothing to be matched
//! by, so it is never both.
//!
//! - `log`: where it is read from; `journal`, `kmsg`, `text`: its forms.
//! - `line`: what one message says.

mod journal;
mod kmsg;
mod line;
mod log;
mod text;

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, SystemTime};

use model::{DriverError, DriverEvent, DriverLog, Moment, When, Xid, XidEvent};

use crate::board::{Board, History, Shared, XidAuthority};
use crate::merge::{Line, is_worth_a_line};
use line::{Event, XidLine};
use log::{Batch, Log, Message};

/// Which log is read, and what its codes mean.
#[derive(Clone, Debug)]
pub struct KernelLog {
    /// Where it is.
    pub place: Place,
    /// Below which `dev`, `var` and `run` are looked at: `/`, or the host's root in a container.
    pub root: PathBuf,
    /// The meaning of a code.
    pub meaning: fn(u32) -> Xid,
}

/// Where the kernel's log is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// From `/dev/kmsg`, or else from the journal. Text files are never chosen by themselves: any
    /// user can write a line that looks like the kernel's into them.
    Auto,
    /// From `/dev/kmsg`.
    Kmsg,
    /// From the files of systemd's journal.
    Journal,
    /// From a text file, a folder of the journal, or a device like `/dev/kmsg`.
    Path(PathBuf),
}

impl KernelLog {
    /// Whether it can be read: what it is called, or why not and what would make it readable.
    ///
    /// # Errors
    ///
    /// One line that says why it cannot be read.
    pub fn probe(&self) -> Result<String, String> {
        let (mut log, name) = Log::open(&self.place, &self.root)?;
        log.read().map_err(|error| format!("cannot read {name}: {error}"))?;
        Ok(name)
    }
}

/// From one look at the log to the next; and while XIDs wait for their GPU to be identified, which
/// it is soon after the start.
const LOOK: Duration = Duration::from_millis(200);
const LOOK_AT_BOARD: Duration = Duration::from_millis(5);

/// From one try to open a log that cannot be read to the next.
const RETRY: Duration = Duration::from_secs(10);

/// How long after the session began GPUs are expected to be identified, and how long after the start
/// of this process a session is waited for.
const SETTLING: Duration = Duration::from_secs(5);
const START: Duration = Duration::from_secs(60);

/// How long XIDs of GPUs that are not known are kept: they may never be, as where only some of the
/// GPUs are read.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many XIDs are kept whose GPU is not known.
const MOST_WAITING: usize = 4096;

/// Of how many GPUs the last XID 79 is remembered.
const MOST_LOSSES: usize = 64;

/// How long after an XID 79 the line that the GPU has fallen off the bus is part of the same event.
const SAME_LOSS: Duration = Duration::from_secs(10);

/// How many of the last events are kept.
const MOST_EVENTS: usize = 256;

/// An XID whose GPU is not known yet.
struct Waiting {
    xid: XidLine,
    at: Option<When>,
    seen: Moment,
    /// Whether it was in the log before this process began.
    is_old: bool,
}

/// What has been read and not been counted.
#[derive(Default)]
struct Unknown {
    /// In their order.
    waiting: VecDeque<Waiting>,
    /// When the last XID 79 of each GPU was logged.
    losses: BTreeMap<String, Duration>,
}

/// Follows the log until the sampler stops. Drops `opened` once it is known which source counts.
pub(crate) fn run(settings: &KernelLog, shared: &Arc<Shared>, opened: Sender<()>) {
    let mut opened = Some(opened);
    loop {
        let follow = AssertUnwindSafe(|| follow(settings, shared, &mut opened));
        if catch_unwind(follow).is_ok() {
            return;
        }
        // Whatever a log can do to a parser, XIDs are counted.
        tracing::error!("reading the kernel's log went wrong; XIDs come from events for a while");
        shared.changed(|board| {
            board.xid_authority = XidAuthority::Events;
            board.log_is_late = true;
        });
        opened = None;
        thread::park_timeout(RETRY);
        if shared.board().stopping {
            return;
        }
    }
}

fn follow(settings: &KernelLog, shared: &Shared, opened: &mut Option<Sender<()>>) {
    let mut log = open(settings, shared, opened.is_some());
    *opened = None;
    let mut tried = Moment::now();
    let mut unknown = Unknown::default();
    let mut caught_up = log.is_none();
    loop {
        if shared.board().stopping {
            return;
        }
        if log.is_none() && tried.elapsed() >= RETRY {
            tried = Moment::now();
            log = open(settings, shared, false);
        }
        // The log itself keeps what is not read yet, while GPUs are being identified.
        let is_starting = !unknown.waiting.is_empty() && is_starting(shared);
        let has_room = unknown.waiting.len() + log::MOST_AT_ONCE <= MOST_WAITING;
        let mut is_behind = false;
        if let Some(open) = log.as_mut().filter(|_| has_room || !is_starting) {
            match open.read() {
                Ok(batch) => {
                    is_behind = batch.is_behind;
                    unknown.take(&batch, !caught_up, shared);
                    caught_up |= !is_behind;
                }
                Err(error) => {
                    tracing::warn!(
                        "the kernel's log cannot be read any more: {error}; XIDs come from events"
                    );
                    shared.changed(|board| board.xid_authority = XidAuthority::Events);
                    log = None;
                }
            }
        }
        unknown.deliver(settings, is_starting, shared);
        if !is_behind {
            thread::park_timeout(if is_starting { LOOK_AT_BOARD } else { LOOK });
        }
    }
}

/// Whether GPUs are still expected to be identified.
fn is_starting(shared: &Shared) -> bool {
    let began = shared.board().session_began;
    shared.epoch.elapsed() < START && began.is_none_or(|began| began.elapsed() < SETTLING)
}

/// Opens the log, and lets XIDs come from it. What is in it by then has been counted from events,
/// unless it is opened at the start.
fn open(settings: &KernelLog, shared: &Shared, is_start: bool) -> Option<Log> {
    let opened = Log::open(&settings.place, &settings.root).and_then(|(mut log, name)| {
        let is_new = is_start && !shared.board().log_is_late;
        let skipped = if is_new { Ok(()) } else { log.skip() };
        skipped.map_err(|error| format!("cannot read {name}: {error}"))?;
        Ok((log, name))
    });
    match opened {
        Ok((log, name)) => {
            tracing::info!("XIDs come from the kernel's log: {name}");
            shared.changed(|board| {
                board.xid_authority = XidAuthority::KernelLog;
                board.driver_log.get_or_insert_default();
            });
            Some(log)
        }
        Err(why) if is_start => {
            tracing::warn!("the kernel's log cannot be read, so XIDs come from events: {why}");
            None
        }
        Err(why) => {
            tracing::debug!("the kernel's log: {why}");
            None
        }
    }
}

/// When a message was logged, if that can be told: one that `is_old` was logged before this process
/// looked. The log's clock stands still while the machine is suspended, so after that it cannot.
fn when(message: &Message, is_old: bool) -> Option<When> {
    let now = When { time: SystemTime::now(), moment: Moment::now() };
    if !is_old {
        return Some(now);
    }
    let awake = Moment::now_without_suspend();
    let was_suspended = (now.moment - Moment::BOOT).saturating_sub(awake) > SUSPENDED;
    let age = awake.saturating_sub(message.at.filter(|_| !was_suspended)?);
    Some(When { time: now.time.checked_sub(age)?, moment: now.moment.checked_sub(age)? })
}

/// How far both clocks are apart on a machine that was suspended.
const SUSPENDED: Duration = Duration::from_secs(1);

impl Unknown {
    /// Takes in what was read: XIDs wait for their GPU, all else is counted.
    fn take(&mut self, batch: &Batch, is_old: bool, shared: &Shared) {
        let (mut events, mut lines, mut counted) = (Vec::new(), Vec::new(), Vec::new());
        let mut lost = batch.lost;
        for message in &batch.messages {
            let Some(event) = line::event(&message.text) else { continue };
            let at = when(message, is_old);
            match event {
                Event::Xid(xid) => {
                    events.extend(at.map(|at| of_xid(&xid, at)));
                    self.note_loss(&xid, message);
                    lost += self.keep(Waiting { xid, at, seen: Moment::now(), is_old });
                }
                Event::Driver { pci_bus_id, kind: DriverError::FallenOffBus }
                    if self.is_told_by_79(&pci_bus_id, message) => {}
                event @ (Event::Driver { .. } | Event::Sxid { .. }) => {
                    events.extend(at.and_then(|at| of_driver(&event, at)));
                    counted.push(event);
                }
                Event::Boot => {}
            }
        }
        if events.is_empty() && counted.is_empty() && lost == 0 {
            return;
        }
        shared.changed(|board| {
            let log = board.driver_log();
            log.lost += lost;
            for event in counted {
                lines.extend(count_in(log, event));
            }
            board.driver_events.extend(events);
            let surplus = board.driver_events.len().saturating_sub(MOST_EVENTS);
            board.driver_events.drain(..surplus);
        });
        for (pci_bus_id, what, count) in lines {
            tracing::warn!(pci_bus_id, count, "the kernel's log reports: {what}");
        }
        if batch.lost > 0 {
            let lost = batch.lost;
            tracing::warn!(
                "{lost} records of the kernel's log were lost before they could be read"
            );
        }
    }

    /// Remembers that an XID says that its GPU has fallen off the bus.
    fn note_loss(&mut self, xid: &XidLine, message: &Message) {
        let has_room = self.losses.len() < MOST_LOSSES || self.losses.contains_key(&xid.pci_bus_id);
        if xid.code == 79 && has_room {
            self.losses.insert(xid.pci_bus_id.clone(), clock_of(message));
        }
    }

    /// Whether an XID 79 said of this GPU, just before, that it has fallen off the bus.
    fn is_told_by_79(&self, pci_bus_id: &str, message: &Message) -> bool {
        let since = |at: &Duration| clock_of(message).saturating_sub(*at);
        self.losses.get(pci_bus_id).is_some_and(|at| since(at) < SAME_LOSS)
    }

    /// Lets an XID wait for its GPU. Says how many had to go for want of room.
    fn keep(&mut self, waiting: Waiting) -> u64 {
        let has_room = self.waiting.len() < MOST_WAITING;
        if has_room {
            self.waiting.push_back(waiting);
        }
        u64::from(!has_room)
    }

    /// Counts the XIDs whose GPU is known on the board; the others wait.
    fn deliver(&mut self, settings: &KernelLog, is_starting: bool, shared: &Shared) {
        if self.waiting.is_empty() {
            return;
        }
        let mut lines = Vec::new();
        let mut board = shared.board();
        let before = self.waiting.len();
        self.waiting.retain(|waiting| {
            let Some((gpu, history)) = history_of(&mut board, &waiting.xid.pci_bus_id) else {
                return waiting.seen.elapsed() < PATIENCE;
            };
            lines.extend(count(history, waiting, settings, shared).map(|line| (gpu, line)));
            false
        });
        // XIDs of GPUs that are not served here must leave room for those of the others.
        let most = MOST_WAITING - log::MOST_AT_ONCE;
        let surplus = if is_starting { 0 } else { self.waiting.len().saturating_sub(most) };
        self.waiting.drain(..surplus);
        if self.waiting.len() == before {
            return;
        }
        board.dirty = true;
        board.urgent = true;
        drop(board);
        shared.wake.notify_all();
        lines.into_iter().for_each(|(gpu, line)| line.say(gpu));
    }
}

/// The clock of a message: the log's own, or ours where it has none.
fn clock_of(message: &Message) -> Duration {
    message.at.unwrap_or_else(Moment::now_without_suspend)
}

/// What is remembered of the GPU at this address, with its index, if it has one.
fn history_of<'b>(
    board: &'b mut Board,
    pci_bus_id: &str,
) -> Option<(Option<u32>, &'b mut History)> {
    let is_it = |identity: &model::Identity| identity.pci_bus_id.as_deref() == Some(pci_bus_id);
    let placed = board.gpus.iter_mut().filter(|gpu| gpu.identity.as_deref().is_some_and(is_it));
    let placed = placed.map(|gpu| (Some(gpu.index), &mut gpu.history));
    let absent = board.unlisted.iter_mut().chain(&mut board.former);
    let absent = absent.filter(|gpu| is_it(&gpu.identity)).map(|gpu| (None, &mut gpu.history));
    placed.chain(absent).next()
}

/// Counts one XID. Says what is worth a line.
fn count(
    history: &mut History,
    waiting: &Waiting,
    settings: &KernelLog,
    shared: &Shared,
) -> Option<Line> {
    let Waiting { xid: XidLine { code, instance, process, fault, .. }, at, is_old, .. } = waiting;
    let xid = (settings.meaning)(*code);
    let xids = Arc::make_mut(&mut history.xids);
    if let Some(fault) = fault {
        xids.record_link_fault(fault.clone());
    }
    let count = xids.record(XidEvent { xid, instance: *instance, before: None }, *at);
    if *is_old {
        // The instance that has this number now may be another one.
        xids.retain_instances(|number| Some(number) != *instance);
    }
    // The windows are of what happened since this process began.
    if !is_old {
        let (window, elapsed) = (shared.settings.windows.xids, shared.epoch.elapsed());
        history.count_in_window(xid.code, window, elapsed);
    }
    let process = process.as_ref().map(|process| (process.pid, process.name.clone()));
    is_worth_a_line(count).then_some(Line::Xid { xid, count, process })
}

/// Counts an event that is no XID. Says what it is about, what it is, and how many there are, where
/// that is worth a line.
fn count_in(log: &mut DriverLog, event: Event) -> Option<(String, String, u64)> {
    let (pci_bus_id, what, count) = match event {
        Event::Driver { pci_bus_id, kind } => {
            let count = log.count_error(&pci_bus_id, kind);
            (pci_bus_id, kind.as_str().to_owned(), count)
        }
        Event::Sxid { pci_bus_id, code, .. } => {
            let count = log.count_sxid(&pci_bus_id, code);
            (pci_bus_id, format!("SXid {code} of an NVSwitch"), count)
        }
        Event::Xid(_) | Event::Boot => return None,
    };
    is_worth_a_line(count).then_some((pci_bus_id, what, count))
}

fn of_xid(xid: &XidLine, at: When) -> DriverEvent {
    let process = xid.process.as_ref().map(|process| (process.pid, process.name.clone()));
    let fault = xid.fault.as_ref();
    DriverEvent {
        time: at.time,
        pci_bus_id: xid.pci_bus_id.clone(),
        what: format!("xid {}", xid.code),
        process,
        link: fault.and_then(|fault| fault.link),
        severity: fault.map(|fault| fault.severity),
    }
}

fn of_driver(event: &Event, at: When) -> Option<DriverEvent> {
    let (pci_bus_id, what, link, severity) = match event {
        Event::Driver { pci_bus_id, kind } => (pci_bus_id, kind.as_str().to_owned(), None, None),
        Event::Sxid { pci_bus_id, code, severity, link } => {
            (pci_bus_id, format!("sxid {code}"), *link, *severity)
        }
        Event::Xid(_) | Event::Boot => return None,
    };
    let pci_bus_id = pci_bus_id.clone();
    Some(DriverEvent { time: at.time, pci_bus_id, what, process: None, link, severity })
}

/// Where the log is by default, and what it is called on the command line.
impl Place {
    /// What the command line says: `auto`, `kmsg`, `journal` or a path.
    pub fn parse(text: &str) -> Self {
        match text {
            "auto" => Self::Auto,
            "kmsg" => Self::Kmsg,
            "journal" => Self::Journal,
            path => Self::Path(Path::new(path).to_owned()),
        }
    }
}
