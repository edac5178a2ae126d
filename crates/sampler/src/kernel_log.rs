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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, SystemTime};

use model::{DriverError, DriverEvent, Moment, When, Xid, XidEvent};

use crate::board::{Board, History, Shared, XidAuthority};
use crate::merge::{Line, is_worth_a_line};
use line::{Event, XidLine};
use log::{Log, Message};

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

/// How long after the start GPUs are expected to be identified.
const START: Duration = Duration::from_secs(5);

/// How long XIDs of GPUs that are not known are kept: they may never be, as where only some of the
/// GPUs are read.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many XIDs of one GPU that is not known are kept, and of how many GPUs.
const MOST_WAITING: usize = 1024;
const MOST_UNKNOWN: usize = 64;

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
    /// By PCI address, in their order.
    waiting: BTreeMap<String, Vec<Waiting>>,
    /// When the last XID 79 of each GPU was logged.
    losses: BTreeMap<String, Duration>,
}

/// Follows the log until the sampler stops. Drops `opened` once it is known which source counts.
pub(crate) fn run(settings: &KernelLog, shared: &Arc<Shared>, opened: Sender<()>) {
    let began = Moment::now_without_suspend();
    let mut log = open(settings, shared, true);
    drop(opened);
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
        let is_starting = !unknown.waiting.is_empty() && shared.epoch.elapsed() < START;
        let has_room = unknown.waiting.values().all(|waiting| waiting.len() < MOST_WAITING / 2);
        let mut is_behind = false;
        if let Some(open) = log.as_mut().filter(|_| has_room || !is_starting) {
            match open.read() {
                Ok(batch) => {
                    is_behind = batch.is_behind;
                    let reading = Reading { began, is_old: !caught_up };
                    unknown.take(&batch.messages, &reading, batch.lost, shared);
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
        unknown.deliver(settings, shared);
        if !is_behind {
            thread::park_timeout(if is_starting { LOOK_AT_BOARD } else { LOOK });
        }
    }
}

/// Opens the log, and lets XIDs come from it. Later than at the start, what is in it by then has been
/// counted from events.
fn open(settings: &KernelLog, shared: &Shared, is_start: bool) -> Option<Log> {
    let opened = Log::open(&settings.place, &settings.root).and_then(|(mut log, name)| {
        let skipped = if is_start { Ok(()) } else { log.skip() };
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

/// What is known of the messages of one read.
struct Reading {
    /// When this thread began, by the kernel log's clock.
    began: Duration,
    /// Whether the log has not been read to its end yet.
    is_old: bool,
}

impl Reading {
    /// Whether a message was logged before this process began.
    fn is_old(&self, message: &Message) -> bool {
        self.is_old && message.at.is_none_or(|at| at <= self.began)
    }

    /// When a message was logged, if that can be told.
    fn when(&self, message: &Message) -> Option<When> {
        let now = When { time: SystemTime::now(), moment: Moment::now() };
        if !self.is_old(message) {
            return Some(now);
        }
        let age = Moment::now_without_suspend().saturating_sub(message.at?);
        let time = now.time.checked_sub(age)?;
        Some(When { time, moment: now.moment.checked_sub(age)? })
    }
}

impl Unknown {
    /// Takes in what was read: XIDs wait for their GPU, all else is counted.
    fn take(&mut self, messages: &[Message], reading: &Reading, lost: u64, shared: &Shared) {
        let mut events = Vec::new();
        let mut dropped = 0;
        for message in messages {
            let Some(event) = line::event(&message.text) else { continue };
            let at = reading.when(message);
            match event {
                Event::Xid(xid) => {
                    events.extend(at.map(|at| of_xid(&xid, at)));
                    if xid.code == 79 && self.losses.len() < MOST_UNKNOWN {
                        self.losses.insert(xid.pci_bus_id.clone(), clock_of(message));
                    }
                    let is_old = reading.is_old(message);
                    dropped += self.keep(Waiting { xid, at, seen: Moment::now(), is_old });
                }
                Event::Driver { pci_bus_id, kind: DriverError::FallenOffBus }
                    if self.is_told_by_79(&pci_bus_id, message) => {}
                Event::Driver { pci_bus_id, kind } => {
                    let what = kind.as_str().to_owned();
                    events.extend(at.map(|at| of_driver(&pci_bus_id, what, at)));
                    shared.changed(|board| board.driver_log().count_error(&pci_bus_id, kind));
                    tracing::warn!(pci_bus_id, "the driver reports: {}", kind.as_str());
                }
                Event::Sxid { pci_bus_id, code, severity, link } => {
                    let what = format!("sxid {code}");
                    events.extend(at.map(|at| DriverEvent {
                        link,
                        severity,
                        ..of_driver(&pci_bus_id, what, at)
                    }));
                    shared.changed(|board| board.driver_log().count_sxid(&pci_bus_id, code));
                }
                Event::Boot => {}
            }
        }
        if events.is_empty() && lost + dropped == 0 {
            return;
        }
        let mut board = shared.board();
        if lost + dropped > 0 {
            board.driver_log().lost += lost + dropped;
            board.dirty = true;
        }
        board.driver_events.extend(events);
        let surplus = board.driver_events.len().saturating_sub(MOST_EVENTS);
        board.driver_events.drain(..surplus);
        drop(board);
        if lost > 0 {
            tracing::warn!(
                "{lost} records of the kernel's log were lost before they could be read"
            );
        }
    }

    /// Whether an XID 79 said of this GPU, just before, that it has fallen off the bus.
    fn is_told_by_79(&self, pci_bus_id: &str, message: &Message) -> bool {
        let since = |at: &Duration| clock_of(message).saturating_sub(*at);
        self.losses.get(pci_bus_id).is_some_and(|at| since(at) < SAME_LOSS)
    }

    /// Lets an XID wait for its GPU. Says how many had to go for want of room.
    fn keep(&mut self, waiting: Waiting) -> u64 {
        let address = &waiting.xid.pci_bus_id;
        if !self.waiting.contains_key(address) && self.waiting.len() >= MOST_UNKNOWN {
            return 1;
        }
        let of_gpu = self.waiting.entry(address.clone()).or_default();
        if of_gpu.len() >= MOST_WAITING {
            return 1;
        }
        of_gpu.push(waiting);
        0
    }

    /// Counts the XIDs whose GPU is known on the board; the others wait.
    fn deliver(&mut self, settings: &KernelLog, shared: &Shared) {
        if self.waiting.is_empty() {
            return;
        }
        let mut lines = Vec::new();
        let mut board = shared.board();
        self.waiting.retain(|pci_bus_id, waiting| {
            let Some((gpu, history)) = history_of(&mut board, pci_bus_id) else {
                waiting.retain(|waiting| waiting.seen.elapsed() < PATIENCE);
                return !waiting.is_empty();
            };
            for waiting in waiting.drain(..) {
                lines.extend(count(history, &waiting, settings, shared).map(|line| (gpu, line)));
            }
            board.dirty = true;
            board.urgent = true;
            false
        });
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
    let listed = board.gpus.iter_mut().filter(|gpu| gpu.identity.as_deref().is_some_and(is_it));
    let listed = listed.map(|gpu| (Some(gpu.index), &mut gpu.history));
    let unlisted = board.unlisted.iter_mut().chain(&mut board.former);
    let unlisted = unlisted.filter(|gpu| is_it(&gpu.identity)).map(|gpu| (None, &mut gpu.history));
    listed.chain(unlisted).next()
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
    // The windows are of what happened since this process began.
    if !is_old {
        let (window, elapsed) = (shared.settings.windows.xids, shared.epoch.elapsed());
        history.count_in_window(xid.code, window, elapsed);
    }
    let process = process.as_ref().map(|process| (process.pid, process.name.clone()));
    is_worth_a_line(count).then_some(Line::Xid { xid, count, process })
}

fn of_xid(xid: &XidLine, at: When) -> DriverEvent {
    let process = xid.process.as_ref().map(|process| (process.pid, process.name.clone()));
    let fault = xid.fault.as_ref();
    DriverEvent {
        process,
        link: fault.and_then(|fault| fault.link),
        severity: fault.map(|fault| fault.severity),
        ..of_driver(&xid.pci_bus_id, format!("xid {}", xid.code), at)
    }
}

fn of_driver(pci_bus_id: &str, what: String, at: When) -> DriverEvent {
    let pci_bus_id = pci_bus_id.to_owned();
    DriverEvent { time: at.time, pci_bus_id, what, process: None, link: None, severity: None }
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
