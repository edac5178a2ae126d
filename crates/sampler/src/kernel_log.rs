//! XIDs in the kernel's log: what happened before anybody listened, and which NVLink it was.
//!
//! The driver writes each XID to the kernel's log as well as telling those who listen. A line in the
//! log has nothing to match it to an event by, so it is counted only where nobody listened to its
//! GPU; otherwise it only adds what the event does not say.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use model::{LinkFault, Moment, Xid};

use crate::board::{Board, Shared};
use crate::merge::is_worth_a_line;

/// Where the kernel's log is, and what its codes mean.
#[derive(Clone, Debug)]
pub struct KernelLog {
    /// `/dev/kmsg`, or a file in its format.
    pub path: PathBuf,
    /// The meaning of a code.
    pub meaning: fn(u32) -> Xid,
}

/// From one look at the log to the next; and while XIDs wait for their GPU to be identified, which
/// it is soon after the start.
const LOOK: Duration = Duration::from_millis(200);
const LOOK_AT_BOARD: Duration = Duration::from_millis(5);

/// How long after the start GPUs are expected to be identified.
const START: Duration = Duration::from_secs(5);

/// For how long after somebody last listened to a GPU an XID in the log counts as heard: the driver
/// writes the line and tells the listeners at about the same time, and those who wait for events
/// are seen to listen twice a second. It is as long until a line is judged: whoever has begun to
/// listen just before it is seen to do so only after it.
const HEARD: Duration = Duration::from_secs(1);

/// How long XIDs of GPUs that nobody has identified are kept: there may be none to come, as where
/// only some of the GPUs are read.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many XIDs of GPUs that nobody has identified yet are kept.
const MOST_WAITING: usize = 4096;

/// A line of the log is at most a kilobyte or so long; a longer one is none of the driver's.
const LONGEST_LINE: usize = 16 * 1024;

/// `open`'s flag for reads that do not wait, as Linux has it on x86-64 and aarch64.
const O_NONBLOCK: i32 = 0o4000;

/// One XID in the log.
#[derive(Clone, PartialEq, Debug)]
struct Entry {
    /// As the board's identities spell it.
    pci_bus_id: String,
    code: u32,
    fault: Option<LinkFault>,
    /// Since the machine was started.
    at: Duration,
}

/// An entry that has not found its GPU yet.
struct Waiting {
    entry: Entry,
    time: SystemTime,
    seen: Moment,
    /// Whether it was in the log before this process began: nobody can have listened then.
    is_old: bool,
}

/// Follows the log until the sampler stops; ends at once where it cannot be read.
pub(crate) fn run(log: &KernelLog, shared: &Arc<Shared>) {
    let opened = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&log.path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => {
            let path = log.path.display();
            tracing::info!("XIDs from before the start are not known: cannot read {path}: {error}");
            return;
        }
    };
    let mut lines = Lines::default();
    let mut waiting: VecDeque<Waiting> = VecDeque::new();
    let began = uptime();
    let mut is_first_look = true;
    loop {
        let more = lines.read_from(&mut file);
        let seen = Moment::now();
        for line in lines.take() {
            if let Some(entry) = entry(&line) {
                // Lines may come while those of before are read.
                let is_old = is_first_look && began.is_none_or(|began| entry.at <= began);
                let age = began.filter(|_| is_old).map_or(Duration::ZERO, |began| {
                    began.saturating_sub(entry.at) + shared.epoch.elapsed()
                });
                let time = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
                waiting.push_back(Waiting { entry, time, seen, is_old });
                if waiting.len() > MOST_WAITING {
                    waiting.pop_front();
                }
            }
        }
        is_first_look &= more;
        // A burst is delivered together.
        if !more && !waiting.is_empty() {
            deliver(&mut waiting, log, shared);
        }
        if shared.board().stopping {
            return;
        }
        if !more {
            let is_soon = !waiting.is_empty() && shared.epoch.elapsed() < START;
            thread::sleep(if is_soon { LOOK_AT_BOARD } else { LOOK });
        }
    }
}

/// Notes the entries whose GPU is known on the board; the others wait.
fn deliver(waiting: &mut VecDeque<Waiting>, log: &KernelLog, shared: &Shared) {
    let mut said = Vec::new();
    let mut board = shared.board();
    let before = waiting.len();
    waiting.retain(|waiting| {
        let age = waiting.seen.elapsed();
        let is_due = waiting.is_old || age > HEARD;
        age < PATIENCE && !(is_due && note(&mut board, waiting, log, shared, &mut said))
    });
    board.dirty |= waiting.len() < before;
    drop(board);
    for (gpu, xid, count) in said {
        let times = if count == 1 { String::new() } else { format!(", {count} times by now") };
        tracing::warn!(gpu, xid = xid.code, "XID in the kernel's log: {}{times}", xid.message);
    }
}

/// Notes one entry, if its GPU is known.
fn note(
    board: &mut Board,
    waiting: &Waiting,
    log: &KernelLog,
    shared: &Shared,
    said: &mut Vec<(u32, Xid, u64)>,
) -> bool {
    let is_its = |pci: &str| pci.eq_ignore_ascii_case(&waiting.entry.pci_bus_id);
    let Some(gpu) = board.gpus.iter_mut().find(|gpu| {
        gpu.identity
            .as_ref()
            .and_then(|identity| identity.pci_bus_id.as_deref())
            .is_some_and(is_its)
    }) else {
        return false;
    };
    let is_in = |(since, last)| since <= waiting.seen && waiting.seen < last + HEARD;
    let is_heard = !waiting.is_old && gpu.history.heard.is_some_and(is_in);
    let xids = Arc::make_mut(&mut gpu.history.xids);
    if let Some(fault) = &waiting.entry.fault {
        xids.record_link_fault(fault.clone());
    }
    if !is_heard {
        let xid = (log.meaning)(waiting.entry.code);
        let count = xids.record_late(xid, waiting.time);
        // The windows are of what happened since this process began.
        if !waiting.is_old {
            let (window, elapsed) = (shared.settings.windows.xids, shared.epoch.elapsed());
            gpu.history.count_in_window(xid.code, window, elapsed);
        }
        if is_worth_a_line(count) {
            said.push((gpu.index, xid, count));
        }
    }
    true
}

/// Since the machine was started.
fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split(' ').next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Puts what is read together to lines. `/dev/kmsg` gives a record at each read, a file anything.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
}

impl Lines {
    /// Reads once. Says whether there may be more at once.
    fn read_from(&mut self, file: &mut File) -> bool {
        let mut chunk = [0; 8192];
        match file.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            // The kernel has overwritten what was not read in time; the next read goes on after it.
            Err(error) => matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted),
        }
    }

    /// The whole lines, without their ends.
    fn take(&mut self) -> Vec<String> {
        let Some(end) = self.buffer.iter().rposition(|byte| *byte == b'\n') else {
            if self.buffer.len() > LONGEST_LINE {
                self.buffer.clear();
            }
            return Vec::new();
        };
        let whole: Vec<u8> = self.buffer.drain(..=end).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }
}

/// The XID that a line of `/dev/kmsg` speaks of: `4,1234,5678901,-;NVRM: Xid (PCI:0000:1a:00): 79,
/// pid=…`, where the third number is µs since the machine was started.
fn entry(line: &str) -> Option<Entry> {
    let (head, text) = line.split_once(';')?;
    let micros: u64 = head.split(',').nth(2)?.parse().ok()?;
    let (_, rest) = text.split_once("NVRM: Xid (PCI:")?;
    let (place, rest) = rest.split_once("): ")?;
    // On a partitioned GPU, the instance may follow.
    let pci = place.split(' ').next()?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let code: u32 = rest[..digits].parse().ok()?;
    let detail = rest[digits..].trim_start_matches(',').trim();
    let fault = link_fault(code, detail);
    Some(Entry { pci_bus_id: bus_id(pci)?, code, fault, at: Duration::from_micros(micros) })
}

/// `0000:1a:00` or `0000:1a:00.0` as identities spell it: `00000000:1A:00.0`.
fn bus_id(pci: &str) -> Option<String> {
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    let mut parts = pci.split(':');
    let (domain, bus, device) = (parts.next()?, parts.next()?, parts.next()?);
    let device = device.split('.').next()?;
    Some(format!("{:08X}:{:02X}:{:02X}.0", hex(domain)?, hex(bus)?, hex(device)?))
}

/// What an NVLink XID (144 to 150) says of the link: `RLW_CTRL Nonfatal XC0 i0 Link 04 (0x…`.
fn link_fault(code: u32, detail: &str) -> Option<LinkFault> {
    if !(144..=150).contains(&code) {
        return None;
    }
    let words: Vec<&str> = detail.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|word| severity(word).is_some())?;
    let unit = at.checked_sub(1).map(|before| words[before])?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if unit.len() > 32 || !unit.chars().all(is_name) {
        return None;
    }
    let link = words.iter().position(|word| *word == "Link").and_then(|link| words.get(link + 1));
    Some(LinkFault {
        code,
        unit: unit.to_owned(),
        severity: severity(words[at])?,
        // "-1" means all links.
        link: link.and_then(|number| number.parse().ok()),
    })
}

fn severity(word: &str) -> Option<&'static str> {
    match word {
        "Fatal" => Some("fatal"),
        "Nonfatal" => Some("nonfatal"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_driver_are_understood() {
        let line = "4,1093,12345678,-;NVRM: Xid (PCI:0000:1a:00): 79, pid='<unknown>', \
                    name=<unknown>, GPU has fallen off the bus.";
        let expected = Entry {
            pci_bus_id: "00000000:1A:00.0".to_owned(),
            code: 79,
            fault: None,
            at: Duration::from_micros(12_345_678),
        };
        assert_eq!(entry(line), Some(expected.clone()));
        let with_function = line.replace("1a:00)", "1a:00.0)");
        assert_eq!(entry(&with_function), Some(expected.clone()));
        let of_instance = line.replace("1a:00)", "1a:00 GPU-I:05)");
        assert_eq!(entry(&of_instance), Some(expected));
    }

    #[test]
    fn faults_of_links_are_told_apart() {
        let line = |detail: &str| {
            entry(&format!("3,1,2,-;NVRM: Xid (PCI:0018:01:00): 145, {detail}"))
                .and_then(|entry| entry.fault)
        };
        let fault = line("RLW_CTRL Nonfatal XC0 i0 Link 04 (0x00000004 0x40000000 0x00000000)");
        let expected = LinkFault {
            code: 145,
            unit: "RLW_CTRL".to_owned(),
            severity: "nonfatal",
            link: Some(4),
        };
        assert_eq!(fault, Some(expected));
        let of_all = line("NETIR_LINK_EVT  Fatal   XC0 i0 Link -1 (0x004505c6)").unwrap();
        assert_eq!((of_all.severity, of_all.link), ("fatal", None));
        assert_eq!(line("something else"), None);
        assert_eq!(line("Fatal"), None);
    }

    #[test]
    fn other_lines_say_nothing() {
        for line in [
            "",
            ";",
            "6,1,2,-;usb 1-1: new device",
            " SUBSYSTEM=pci",
            "6,1,x,-;NVRM: Xid (PCI:0000:1a:00): 79, x",
            "6,1,2,-;NVRM: Xid (PCI:zz:1a:00): 79, x",
            "6,1,2,-;NVRM: Xid (PCI:0000:1a:00): , x",
            "6,1,2,-;NVRM: Xid (PCI:0000:1a:00): 99999999999999, x",
            "6,1,2,-;NVRM: Xid (PCI:1a): 79",
        ] {
            assert_eq!(entry(line), None, "{line}");
        }
    }

    #[test]
    fn lines_are_put_together() {
        let mut lines = Lines { buffer: b"one\ntw".to_vec() };
        assert_eq!(lines.take(), ["one"]);
        lines.buffer.extend_from_slice(b"o\n");
        assert_eq!(lines.take(), ["two"]);
        lines.buffer = vec![b'x'; LONGEST_LINE + 1];
        assert!(lines.take().is_empty());
        assert!(lines.buffer.is_empty(), "what never ends is no line");
    }
}
