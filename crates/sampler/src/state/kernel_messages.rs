//! Counts what the kernel log reports: XIDs on their GPU once that is identified, and all else at
//! once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{DriverError, DriverLog, LogMessage, LogMessageKind, Moment, When, Xid, XidEvent};

use crate::kernel_log::batch::{Batch, MAX_BATCH, Message};
use crate::kernel_log::line::{self, Event, XidLine};
use crate::kernel_log::oom::{OomFollower, OomKill};
use crate::state::history::History;
use crate::state::log_line::{LogLine, is_logged};
use crate::state::{State, Unpublished};

/// How long XIDs of unknown GPUs are kept. They may stay unknown, as if only some GPUs are selected.
const KEEP_WAITING: Duration = Duration::from_secs(600);

/// How many XIDs of unknown GPUs are kept.
const MAX_WAITING: usize = 4096;

/// On how many GPUs the last XID 79 is remembered.
const MAX_LOSSES: usize = 64;

/// How long after an XID 79 the line that the GPU has fallen off the bus is part of the same event.
const SAME_LOSS: Duration = Duration::from_secs(10);

/// How many lines of the driver that are none of the known events are kept of one minute, so that a flood
/// of them does not take the place of XIDs.
const MAX_DRIVER_LINES: u32 = 30;

const MINUTE: Duration = Duration::from_secs(60);

/// How far the clocks with and without suspend differ at least on a machine that was suspended.
const SUSPENDED: Duration = Duration::from_secs(1);

/// How long GPUs may take to be identified after a session began.
const SETTLING: Duration = Duration::from_secs(5);

/// How long a session is waited for after the start of the sampler.
const START: Duration = Duration::from_secs(60);

/// The time, on all clocks.
#[derive(Clone, Copy)]
pub(crate) struct Clocks {
    pub(crate) now: When,
    /// Since the start of the machine, without suspend: the clock of the kernel log.
    pub(crate) awake: Duration,
}

impl Clocks {
    /// When a message was logged, as far as that is known. A message that `is_old` was logged before
    /// this process looked. The clock of the log stands still while the machine is suspended, so after
    /// a suspend its times cannot be converted.
    fn time_of(&self, message: &Message, is_old: bool) -> Option<When> {
        let Self { now, awake } = *self;
        if !is_old {
            return Some(now);
        }
        let was_suspended = (now.moment - Moment::BOOT).saturating_sub(awake) > SUSPENDED;
        let age = awake.saturating_sub(message.at.filter(|_| !was_suspended)?);
        Some(When { time: now.time.checked_sub(age)?, moment: now.moment.checked_sub(age)? })
    }
}

/// XIDs from the kernel log that are not counted yet, since their GPU is not identified, and what has to be
/// remembered of one message for the next.
#[derive(Default)]
pub(crate) struct XidQueue {
    /// In the order of the log.
    waiting: VecDeque<WaitingXid>,
    /// When the last XID 79 of each GPU was logged, by the clock of the log.
    losses: BTreeMap<String, Duration>,
    oom: OomFollower,
    driver_lines: DriverLines,
}

/// Counts lines of the driver.
#[derive(Default)]
struct DriverLines {
    /// When the minute began, by the clock of the log.
    since: Duration,
    count: u32,
}

impl DriverLines {
    /// Whether there is room for a line that was logged at this time.
    fn take(&mut self, at: Duration) -> bool {
        if at.abs_diff(self.since) >= MINUTE {
            *self = Self { since: at, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count <= MAX_DRIVER_LINES
    }
}

struct WaitingXid {
    xid: XidLine,
    at: Option<When>,
    since: Moment,
    /// Whether it was in the log before this process began.
    is_old: bool,
}

/// What a batch of messages reports, without XIDs that can be counted.
#[derive(Default)]
pub(crate) struct Reports {
    /// All messages, XIDs included.
    messages: Vec<LogMessage>,
    /// Events to count, with the time of each if it is known.
    counted: Vec<(Event, Option<When>)>,
    /// Records that were lost before they could be read.
    lost: u64,
    /// XIDs for which the queue had no room.
    uncounted: u64,
}

impl Reports {
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.counted.is_empty() && self.lost + self.uncounted == 0
    }
}

impl XidQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether there is room for a whole batch.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() + MAX_BATCH <= MAX_WAITING
    }

    /// Parses a batch of messages. XIDs are added to the queue, all else is returned.
    pub(crate) fn parse(&mut self, batch: &Batch, is_old: bool, clocks: Clocks) -> Reports {
        let mut reports = Reports { lost: batch.lost, ..Reports::default() };
        for message in &batch.messages {
            let at = clocks.time_of(message, is_old);
            let logged = message.at.unwrap_or(clocks.awake);
            let Some(event) = line::event(&message.text) else {
                let kind = self.other(message, logged);
                let kind = kind.and_then(|kind| Some((kind, at?.time)));
                let message = kind.map(|(kind, time)| log_message(message, kind, time, is_old));
                reports.messages.extend(message);
                continue;
            };
            if let Event::Driver { pci_bus_id, kind: DriverError::FallenOffBus } = &event
                && self.is_known_loss(pci_bus_id, logged)
            {
                continue;
            }
            let kind = kind_of(&event).and_then(|kind| Some((kind, at?.time)));
            let kept = kind.map(|(kind, time)| log_message(message, kind, time, is_old));
            reports.messages.extend(kept);
            match event {
                Event::Xid(xid) => {
                    self.note_loss(&xid, logged);
                    let since = clocks.now.moment;
                    let is_added = self.add(WaitingXid { xid, at, since, is_old });
                    reports.uncounted += u64::from(!is_added);
                }
                Event::Driver { .. } | Event::Sxid { .. } => {
                    reports.counted.push((event, at));
                }
                Event::Boot => {}
            }
        }
        reports
    }

    /// What a message says that is no event to count.
    fn other(&mut self, message: &Message, logged: Duration) -> Option<LogMessageKind> {
        if let Some(kill) = self.oom.follow(message) {
            let OomKill { pid, name, limited_cgroup, cgroup, anonymous_kb } = kill;
            return Some(LogMessageKind::OomKill {
                pid,
                name,
                limited_cgroup,
                cgroup,
                anonymous_kb,
            });
        }
        let is_of_driver = message.text.trim_start().starts_with("NVRM: ");
        (is_of_driver && self.driver_lines.take(logged)).then_some(LogMessageKind::Driver)
    }

    /// Adds an XID. Returns whether there was room.
    fn add(&mut self, waiting: WaitingXid) -> bool {
        let has_room = self.waiting.len() < MAX_WAITING;
        if has_room {
            self.waiting.push_back(waiting);
        }
        has_room
    }

    /// Remembers that an XID reports that its GPU has fallen off the bus.
    fn note_loss(&mut self, xid: &XidLine, at: Duration) {
        let has_room = self.losses.len() < MAX_LOSSES || self.losses.contains_key(&xid.pci_bus_id);
        if xid.code == 79 && has_room {
            self.losses.insert(xid.pci_bus_id.clone(), at);
        }
    }

    /// Whether an XID 79 has just reported that this GPU has fallen off the bus.
    fn is_known_loss(&self, pci_bus_id: &str, at: Duration) -> bool {
        self.losses.get(pci_bus_id).is_some_and(|since| at.saturating_sub(*since) < SAME_LOSS)
    }
}

impl State {
    /// Whether GPUs are still expected to be identified.
    pub(crate) fn is_identifying(&self, now: Moment) -> bool {
        let is_settling = self.session_began.is_none_or(|began| now - began < SETTLING);
        now - self.epoch < START && is_settling
    }

    /// Counts the reports other than XIDs. Returns the lines for the log.
    pub(crate) fn apply_reports(&mut self, reports: Reports) -> Vec<LogLine> {
        let Reports { messages, counted, lost, uncounted } = reports;
        let published = self.published;
        let log = Arc::make_mut(self.driver_log.get_or_insert_default());
        log.lost += lost + uncounted;
        let counted = counted.into_iter();
        let mut lines: Vec<_> =
            counted.filter_map(|(event, at)| count(log, event, birth(at, published))).collect();
        lines.extend((lost > 0).then_some(LogLine::Lost { records: lost }));
        messages.into_iter().for_each(|message| self.log_messages.add(message));
        lines
    }

    /// Counts the XIDs of the queue whose GPU is identified. Returns the lines for the log, or `None`
    /// if nothing has changed.
    pub(crate) fn count_waiting(
        &mut self,
        queue: &mut XidQueue,
        meaning: fn(u32) -> Xid,
        now: Moment,
    ) -> Option<Vec<LogLine>> {
        let mut lines = Vec::new();
        let before = queue.waiting.len();
        let (window, elapsed) = (self.settings.windows.xids, now - self.epoch);
        let published = self.published;
        queue.waiting.retain(|waiting| {
            let Some((gpu, history)) = self.history_at(&waiting.xid.pci_bus_id) else {
                return now - waiting.since < KEEP_WAITING;
            };
            let xid = meaning(waiting.xid.code);
            let count = record(history, waiting, xid, birth(waiting.at, published));
            // The windows begin with this process.
            if !waiting.is_old {
                history.count_in_window(xid.code, window, elapsed);
            }
            let process = waiting.xid.process.as_ref();
            let process = process.map(|process| (process.pid, process.name.clone()));
            lines.extend(is_logged(count).then_some(LogLine::Xid { gpu, xid, count, process }));
            false
        });
        // XIDs of GPUs that are not served must leave room for those of the others.
        if !self.is_identifying(now) {
            let surplus = queue.waiting.len().saturating_sub(MAX_WAITING - MAX_BATCH);
            queue.waiting.drain(..surplus);
        }
        if queue.waiting.len() == before {
            return None;
        }
        self.mark(Unpublished::AtOnce);
        Some(lines)
    }

    /// The history of the GPU at this address, with its index, if it has one.
    fn history_at(&mut self, pci_bus_id: &str) -> Option<(Option<u32>, &mut History)> {
        let has_address = |gpu: &&mut crate::state::gpu::GpuState| {
            gpu.address().is_some_and(|address| address == pci_bus_id)
        };
        let present = self.gpus.iter_mut().filter(has_address);
        let present = present.map(|gpu| (Some(gpu.index), &mut gpu.history));
        let absent = self.unlisted.iter_mut().chain(&mut self.former);
        let absent = absent.filter(|gpu| gpu.has_address(pci_bus_id));
        present.chain(absent.map(|gpu| (None, &mut gpu.history))).next()
    }
}

/// The birth of a series that begins with an event at this time. A scrape may begin before the event and
/// still show it, if it began after the last snapshot was `published`, which does not have the series.
pub(crate) fn birth(at: Option<When>, published: SystemTime) -> Option<SystemTime> {
    at.map(|at| at.time.min(published))
}

/// Records one XID of a GPU. Returns how many of its code there are.
fn record(history: &mut History, waiting: &WaitingXid, xid: Xid, birth: Option<SystemTime>) -> u64 {
    let XidLine { instance, fault, .. } = &waiting.xid;
    let xids = Arc::make_mut(&mut history.xids);
    if let Some(fault) = fault {
        xids.record_link_fault(fault.clone(), birth);
    }
    let event = XidEvent { xid, instance: *instance, before: None };
    let count = xids.record(event, waiting.at, birth);
    if waiting.is_old {
        // The instance with this number may be another one by now.
        xids.retain_instances(|number| Some(number) != *instance);
    }
    count
}

/// Counts an event that is not an XID. Returns a line for the log if it is worth one.
fn count(log: &mut DriverLog, event: Event, birth: Option<SystemTime>) -> Option<LogLine> {
    let (pci_bus_id, what, count) = match event {
        Event::Driver { pci_bus_id, kind } => {
            let count = log.count_error(&pci_bus_id, kind, birth);
            (pci_bus_id, kind.as_str().to_owned(), count)
        }
        Event::Sxid { pci_bus_id, code, .. } => {
            let count = log.count_sxid(&pci_bus_id, code, birth);
            (pci_bus_id, format!("SXid {code} of an NVSwitch"), count)
        }
        Event::Xid(_) | Event::Boot => return None,
    };
    is_logged(count).then_some(LogLine::KernelLog { pci_bus_id, what, count })
}

/// The longest text of a message that is kept, in bytes.
const MAX_TEXT: usize = 512;

/// What a message says that has an event; `None` of one that is not about the driver.
fn kind_of(event: &Event) -> Option<LogMessageKind> {
    match event {
        Event::Driver { pci_bus_id, kind } => {
            Some(LogMessageKind::DriverError { pci_bus_id: pci_bus_id.clone(), error: *kind })
        }
        Event::Sxid { pci_bus_id, code, severity, link } => Some(LogMessageKind::Sxid {
            pci_bus_id: pci_bus_id.clone(),
            code: *code,
            link: *link,
            severity: *severity,
        }),
        Event::Xid(XidLine { pci_bus_id, code, process, fault, .. }) => Some(LogMessageKind::Xid {
            pci_bus_id: pci_bus_id.clone(),
            code: *code,
            process: process.as_ref().map(|process| (process.pid, process.name.clone())),
            link: fault.as_ref().and_then(|fault| fault.link),
            severity: fault.as_ref().map(|fault| fault.severity),
        }),
        Event::Boot => None,
    }
}

fn log_message(
    message: &Message,
    kind: LogMessageKind,
    time: SystemTime,
    is_old: bool,
) -> LogMessage {
    LogMessage { time, is_old, text: one_line(&message.text), kind }
}

/// The text in one line of bounded length, without control characters.
fn one_line(text: &str) -> Box<str> {
    let mut line = String::new();
    for c in text.trim().chars() {
        let c = if c.is_control() { ' ' } else { c };
        if line.len() + c.len_utf8() > MAX_TEXT {
            break;
        }
        line.push(c);
    }
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_birth_is_the_event_or_the_last_snapshot_before_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let at = |seconds| {
            let age = Duration::from_secs(seconds);
            Some(When { time: now - age, moment: Moment::BOOT })
        };
        let second = Duration::from_secs(1);
        assert_eq!(birth(at(0), now - second), Some(now - second), "seen live");
        assert_eq!(birth(at(500), now), Some(now - 500 * second), "logged before the start");
        assert_eq!(birth(None, now), None, "logged before a suspend");
    }

    fn parse(queue: &mut XidQueue, messages: &[(u64, &str)], is_old: bool) -> Vec<LogMessage> {
        let now = When {
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(10_000),
            moment: Moment::BOOT + Duration::from_secs(1_000),
        };
        let clocks = Clocks { now, awake: Duration::from_secs(1_000) };
        let messages = messages.iter().map(|(seconds, text)| Message {
            at: Some(Duration::from_secs(*seconds)),
            text: (*text).to_owned(),
        });
        let batch = Batch { messages: messages.collect(), lost: 0, is_behind: false };
        queue.parse(&batch, is_old, clocks).messages
    }

    #[test]
    fn messages_are_kept_in_order_with_what_they_say() {
        let mut queue = XidQueue::default();
        let messages = parse(
            &mut queue,
            &[
                (1, "Linux version 6.8.0-45-generic"),
                (2, "usb 1-1: new high-speed USB device"),
                (3, "NVRM: GPU at PCI:0000:0a:00: GPU-8ac0b1ff"),
                (3, "NVRM: Xid (PCI:0000:0a:00): 48, pid=7, name=a, DBE\nx"),
                (
                    4,
                    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=x,pid=7,uid=0",
                ),
                (4, "Memory cgroup out of memory: Killed process 7 (x) total-vm:1kB, anon-rss:2kB"),
                (5, "NVRM: GPU 0000:0a:00.0: RmInitAdapter failed! (0x62:0x65:1860)"),
                (6, "x NVRM: said"),
            ],
            true,
        );
        let of: Vec<(u64, &str)> = messages
            .iter()
            .map(|message| {
                let age = message.time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
                (age.as_secs(), &*message.text)
            })
            .collect();
        assert_eq!(
            of,
            [
                (9_003, "NVRM: GPU at PCI:0000:0a:00: GPU-8ac0b1ff"),
                (9_003, "NVRM: Xid (PCI:0000:0a:00): 48, pid=7, name=a, DBE x"),
                (
                    9_004,
                    "Memory cgroup out of memory: Killed process 7 (x) total-vm:1kB, anon-rss:2kB"
                ),
                (9_005, "NVRM: GPU 0000:0a:00.0: RmInitAdapter failed! (0x62:0x65:1860)"),
            ]
        );
        assert!(messages.iter().all(|message| message.is_old));
        assert_eq!(messages[0].kind, LogMessageKind::Driver);
        let limited_cgroup = Some("/a".to_owned());
        let (name, cgroup, anonymous_kb) = ("x".to_owned(), Some("/a/b".to_owned()), Some(2));
        let kill = LogMessageKind::OomKill { pid: 7, name, limited_cgroup, cgroup, anonymous_kb };
        assert_eq!(messages[2].kind, kill);
        assert!(matches!(messages[3].kind, LogMessageKind::DriverError { .. }));
    }

    #[test]
    fn a_flood_of_lines_of_the_driver_is_cut_and_xids_are_not() {
        let mut queue = XidQueue::default();
        let mut lines = vec![(100, "NVRM: nvAssertFailed: Assertion failed"); 100];
        lines.push((101, "NVRM: Xid (PCI:0000:0a:00): 48, DBE"));
        lines.push((159, "NVRM: still the same minute"));
        lines.push((161, "NVRM: another minute"));
        let messages = parse(&mut queue, &lines, false);
        assert_eq!(messages.len(), MAX_DRIVER_LINES as usize + 2);
        let last: Vec<&str> = messages.iter().rev().take(2).map(|message| &*message.text).collect();
        assert_eq!(last, ["NVRM: another minute", "NVRM: Xid (PCI:0000:0a:00): 48, DBE"]);
    }
}
