//! What happened, in order: events and signs, with those that repeat folded.

use serde::Serialize;

use super::clock::duration;
use super::names::{gpus_of, process_name};
use crate::event::{Event, PreviousRun, What};
use crate::layout::GpuInfo;
use crate::sign::{Sign, SignKind};
use crate::time::Time;
use crate::wording::{BYSTANDER, SENT_AGAIN};

/// Entries of the same kind are folded if each comes at most this long after the one before.
const FOLD_MS: i64 = 10_000;

/// An event and a sign of it are at most this far apart.
const SAME_MS: i64 = 2000;

/// Something that happened, once or several times.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Entry {
    /// When, the first time.
    pub time: Time,
    /// When, the last time.
    pub last: Time,
    /// Milliseconds from the end of the story to `time`: negative before it.
    pub relative_ms: i64,
    /// How often.
    pub count: u64,
    /// Whether it opened the incident or joined it.
    pub is_trigger: bool,
    /// The GPUs.
    pub gpus: Vec<GpuInfo>,
    /// What, in a sentence.
    pub text: String,
    /// The first line of the kernel log that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    #[serde(skip)]
    form: Form,
}

/// What an entry says of its GPUs. Entries with the same form are folded.
#[derive(Clone, PartialEq, Debug)]
enum Form {
    /// An XID, and the process that the driver names.
    Xid { code: u32, message: String, process: Option<String> },
    /// A sentence that begins with the GPU: for one and for several.
    Gpus { one: String, several: String },
    /// A sentence that ends with the GPUs.
    EndsWithGpus(String),
    /// A whole sentence.
    Plain(String),
}

impl Form {
    fn of_gpus(one: impl Into<String>, several: impl Into<String>) -> Self {
        Self::Gpus { one: one.into(), several: several.into() }
    }

    /// Whether an entry with the other form is folded into this one.
    fn folds(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Xid { code, message, .. },
                Self::Xid { code: other, message: other_message, .. },
            ) => code == other && message == other_message,
            _ => self == other,
        }
    }
}

/// The entries of a story that ends at `end`, in order of time.
pub(super) fn tell(events: &[Event], signs: &[Sign], end: Time) -> Vec<Entry> {
    // That a holder goes on is recorded, and did not happen.
    let happened = events.iter().filter(|event| !matches!(event.what, What::HolderGoesOn { .. }));
    let mut entries: Vec<Entry> = happened.map(|event| of_event(event, signs)).collect();
    for sign in signs {
        if !events.iter().any(|event| tells(event, sign)) {
            entries.extend(of_sign(sign));
        }
    }
    // Stable: what came at once stays in the order in which it was recorded.
    entries.sort_by_key(|entry| entry.time);
    let mut story = fold(entries);
    for entry in &mut story {
        entry.relative_ms = entry.time.0.saturating_sub(end.0);
        entry.text = sentence(entry);
    }
    story
}

fn entry(time: Time, gpu: Option<&GpuInfo>, form: Form) -> Entry {
    Entry {
        time,
        last: time,
        relative_ms: 0,
        count: 1,
        is_trigger: false,
        gpus: gpu.cloned().into_iter().collect(),
        text: String::new(),
        line: None,
        form,
    }
}

fn of_event(event: &Event, signs: &[Sign]) -> Entry {
    let form = match &event.what {
        What::Started { before } => Form::Plain(started(before.as_ref())),
        What::Stopped => Form::Plain("heatsink is stopped".to_owned()),
        What::ClockSet { by_ms } => {
            let way = if *by_ms < 0 { "back" } else { "forward" };
            Form::Plain(format!("the clock of the machine is set {way} by {}", duration(*by_ms)))
        }
        What::SourceDown { why } => Form::Plain(format!("GPUs cannot be read any more: {why}")),
        What::SourceUp { driver_version: Some(version) } => {
            Form::Plain(format!("GPUs can be read, with driver {version}"))
        }
        What::SourceUp { driver_version: None } => Form::Plain("GPUs can be read".to_owned()),
        What::GpuDown { reason } => {
            let (one, several) = down(reason);
            Form::of_gpus(format!("is down: {one}"), format!("are down: {several}"))
        }
        What::GpuUp => Form::of_gpus("answers again", "answer again"),
        What::Xid { code, message, process, .. } => Form::Xid {
            code: *code,
            message: message.clone(),
            process: process.as_ref().and_then(process_name),
        },
        What::DriverLine { line } => Form::Plain(line.clone()),
        What::OomKill { process, limited_cgroup, anonymous_kb, .. } => {
            let process = process_name(process).unwrap_or_else(|| "a process".to_owned());
            let why = match limited_cgroup {
                Some(cgroup) => format!("the memory limit of {cgroup} is reached"),
                None => "the machine is out of memory".to_owned(),
            };
            let size = anonymous_kb.map(|kb| {
                let mib = super::quantity::quantity((kb / 1024) as f64, "MiB");
                format!(" (it has {mib})")
            });
            let size = size.unwrap_or_default();
            Form::Plain(format!("the kernel kills {process}{size}: {why}"))
        }
        What::HolderBegan { holder } => Form::EndsWithGpus(format!("{} has", holder.name())),
        What::HolderGoesOn { holder } => Form::EndsWithGpus(format!("{} still has", holder.name())),
        What::HolderEnded { holder } => {
            Form::EndsWithGpus(format!("{} no longer has", holder.name()))
        }
    };
    let sign = signs.iter().find(|sign| tells(event, sign));
    let mut entry = entry(event.time, event.gpu.as_ref(), form);
    entry.is_trigger = sign.is_some_and(|sign| sign.is_trigger);
    match &event.what {
        What::Xid { line, count, .. } => {
            entry.line.clone_from(line);
            entry.count = (*count).max(1);
        }
        What::OomKill { line, .. } => entry.line = Some(line.clone()),
        _ => {}
    }
    entry
}

/// Whether the event says what the sign says.
fn tells(event: &Event, sign: &Sign) -> bool {
    let is_same_gpu = match (&event.gpu, &sign.gpu) {
        (Some(one), Some(other)) => one.is_same(other),
        (None, None) => true,
        _ => false,
    };
    let distance = event.time.0.saturating_sub(sign.from.0).saturating_abs();
    let is_same = match (&event.what, sign.kind.as_str()) {
        (What::Xid { code, .. }, "xid") => is_same_gpu && sign.xid == Some(*code),
        (What::GpuDown { .. }, "gpu_lost" | "gpu_hung" | "gpu_missing") => is_same_gpu,
        // The GPU of the sign is that which the process used.
        (What::OomKill { .. }, "oom_kill") => true,
        (What::Started { before: Some(before) }, "machine_restart") => before.machine_restarted,
        (What::Started { before: Some(before) }, "heatsink_killed") => !before.was_stopped,
        (What::SourceDown { .. }, "source_down") => true,
        (What::HolderEnded { .. }, "holder_ended") => is_same_gpu || sign.gpu.is_none(),
        _ => false,
    };
    is_same && distance <= SAME_MS
}

/// The entries of a sign that no event tells: when it began, and when it ended.
fn of_sign(sign: &Sign) -> Vec<Entry> {
    let told = |time| entry(time, None, Form::Plain(sign.text.clone()));
    let begin = begins(sign).map(|(one, several)| {
        let form = match &sign.gpu {
            Some(_) => Form::of_gpus(one, several),
            None => Form::Plain(one.to_owned()),
        };
        entry(sign.from, None, form)
    });
    let mut entries = match (begin, sign.to) {
        (Some(begin), Some(to)) if to > sign.from => vec![begin, told(to)],
        // What goes on has no end to tell.
        (Some(begin), None) => vec![begin],
        _ => vec![told(sign.from)],
    };
    if let Some(first) = entries.first_mut() {
        first.is_trigger = sign.is_trigger;
    }
    for entry in &mut entries {
        entry.gpus = sign.gpu.clone().into_iter().collect();
    }
    entries
}

/// What is said at the begin of a sign that lasts: of one GPU, or of the machine, and of several GPUs.
#[rustfmt::skip]
fn begins(sign: &Sign) -> Option<(&'static str, &'static str)> {
    Some(match sign.kind {
        SignKind::HeatSlowdown        => ("begins to be slowed by heat", "begin to be slowed by heat"),
        SignKind::PowerBrake          => ("begins to be slowed by a power brake", "begin to be slowed by a power brake"),
        SignKind::PowerCapped         => ("begins to be held back by its power limit", "begin to be held back by their power limits"),
        SignKind::PcieDegraded if sign.text.contains(SENT_AGAIN) => ("sends packets again on PCIe", "send packets again on PCIe"),
        SignKind::PcieDegraded        => ("has a slower PCIe link than before", "have slower PCIe links than before"),
        SignKind::GpuMemoryAlmostFull => ("has its memory almost full", "have their memory almost full"),
        SignKind::FanFailing          => ("is hot while its fan stands still or runs at full speed", "are hot while their fans stand still or run at full speed"),
        SignKind::RemapPending        => ("has a faulty memory row that is replaced at the next reset", "have faulty memory rows that are replaced at the next reset"),
        SignKind::RemapFailed         => ("has a faulty memory row that cannot be replaced", "have faulty memory rows that cannot be replaced"),
        SignKind::EccCorrected        => ("counts corrected memory errors", "count corrected memory errors"),
        SignKind::EccUncorrected      => ("counts an uncorrected memory error", "count uncorrected memory errors"),
        SignKind::NvlinkErrors        => ("counts errors on NVLinks", "count errors on NVLinks"),
        SignKind::HostMemoryPressure  => ("programs begin to wait for memory of the machine", ""),
        _ => return None,
    })
}

fn started(before: Option<&PreviousRun>) -> String {
    let after = match before {
        None => "",
        Some(PreviousRun { was_stopped: true, .. }) => ", after it was stopped",
        Some(PreviousRun { machine_restarted: true, .. }) => {
            ", after it was cut off and the machine was started again"
        }
        Some(_) => ", after it was killed or crashed",
    };
    format!("heatsink starts{after}")
}

/// What a reason of `heatsink_gpu_down_info` means: of one GPU, and of several.
fn down(reason: &str) -> (&str, &str) {
    let of_both = |text| (text, text);
    match reason {
        "late" => (
            "a call to it does not return, or comes back too late",
            "calls to them do not return, or come back too late",
        ),
        "lost" => (
            "it has fallen off the bus, or is being reset",
            "they have fallen off the bus, or are being reset",
        ),
        "missing" => {
            ("the driver does not list it any more", "the driver does not list them any more")
        }
        "not_initialized" => (
            "it is on the bus, and the driver does not list it",
            "they are on the bus, and the driver does not list them",
        ),
        "failed" => of_both("the driver answers with errors"),
        "not_permitted" => of_both("the driver denies access"),
        "source_down" => of_both("nothing can be read from the driver"),
        other => of_both(other),
    }
}

fn fold(entries: Vec<Entry>) -> Vec<Entry> {
    let mut story: Vec<Entry> = Vec::new();
    for entry in entries {
        let near = story
            .iter_mut()
            .rev()
            .take_while(|earlier| entry.time.0.saturating_sub(earlier.time.0) <= FOLD_MS * 60);
        let earlier = near.into_iter().find(|earlier| {
            earlier.form.folds(&entry.form)
                && entry.time.0.saturating_sub(earlier.last.0) <= FOLD_MS
        });
        match earlier {
            Some(earlier) => earlier.add(entry),
            None => story.push(entry),
        }
    }
    story
}

impl Entry {
    fn add(&mut self, other: Self) {
        self.last = other.last;
        self.count = self.count.saturating_add(other.count);
        self.is_trigger |= other.is_trigger;
        for gpu in other.gpus {
            if !self.gpus.iter().any(|known| known.is_same(&gpu)) {
                self.gpus.push(gpu);
            }
        }
        if let (Form::Xid { process, .. }, Form::Xid { process: other, .. }) =
            (&mut self.form, other.form)
            && *process != other
        {
            *process = None;
        }
    }

    /// Whether it is of the driver's other lines, which are left out first.
    pub(super) fn is_detail(&self) -> bool {
        !self.is_trigger && matches!(self.form, Form::Plain(_)) && self.gpus.is_empty()
    }
}

fn sentence(entry: &Entry) -> String {
    let gpus = gpus_of(&entry.gpus);
    // Of eight GPUs once each is not said eight times.
    let is_repeated = entry.count > entry.gpus.len().max(1) as u64;
    let times = if is_repeated { format!(" ×{}", entry.count) } else { String::new() };
    match &entry.form {
        Form::Xid { code, message, process } => {
            let gpus = gpus.map(|gpus| format!(" on {gpus}")).unwrap_or_default();
            let bystander = if BYSTANDER.contains(code) { ", often a bystander" } else { "" };
            let named = |name| format!(" (the driver names {name}{bystander})");
            let process = process.as_ref().map(named);
            let process = process.unwrap_or_default();
            format!("XID {code}{times}{gpus}: {message}{process}")
        }
        Form::Gpus { one, several } => {
            let what = if entry.gpus.len() > 1 { several } else { one };
            format!("{} {what}{times}", gpus.unwrap_or_else(|| "a GPU".to_owned()))
        }
        Form::EndsWithGpus(what) => {
            format!("{what} {}{times}", gpus.unwrap_or_else(|| "a GPU".to_owned()))
        }
        Form::Plain(text) => format!("{text}{times}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Process;

    fn gpu(index: u32) -> GpuInfo {
        GpuInfo { index: Some(index), uuid: Some(format!("GPU-{index}")), ..GpuInfo::default() }
    }

    fn xid(millis: i64, index: u32, code: u32, pid: u32) -> Event {
        let process = Process { pid: Some(pid), name: Some("python".to_owned()) };
        let what = What::Xid {
            code,
            message: "Preemptive cleanup".to_owned(),
            process: Some(process),
            link: None,
            line: None,
            count: 1,
        };
        Event { time: Time(millis), gpu: Some(gpu(index)), what }
    }

    fn sign(kind: SignKind, from: i64, to: Option<i64>) -> Sign {
        Sign {
            kind,
            gpu: Some(gpu(0)),
            xid: (kind == SignKind::Xid).then_some(48),
            from: Time(from),
            to: to.map(Time),
            is_trigger: true,
            text: format!("a sign of {}", kind.as_str()),
        }
    }

    #[test]
    fn repeated_events_are_folded_also_between_others() {
        let mut events: Vec<Event> = (0..31).map(|n| xid(1000 + n, n as u32 % 3, 45, 7)).collect();
        events.insert(1, xid(1000, 5, 48, 7));
        events.push(xid(60_000, 0, 45, 8));
        let story = tell(&events, &[], Time(2000));
        let texts: Vec<_> = story.iter().map(|entry| entry.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "XID 45 ×31 on GPU 0-2: Preemptive cleanup (the driver names python, pid 7)",
                "XID 48 on GPU 5: Preemptive cleanup (the driver names python, pid 7)",
                "XID 45 on GPU 0: Preemptive cleanup (the driver names python, pid 8)",
            ]
        );
        assert_eq!((story[0].relative_ms, story[0].last), (-1000, Time(1030)));
    }

    #[test]
    fn the_process_of_a_timeout_of_the_firmware_is_not_blamed() {
        let [entry] = tell(&[xid(1000, 0, 119, 7)], &[], Time(1000)).try_into().unwrap();
        assert!(entry.text.ends_with("(the driver names python, pid 7, often a bystander)"));
    }

    #[test]
    fn several_gpus_are_told_in_the_plural() {
        let down = |reason: &str, gpus: &[u32]| {
            let what = || What::GpuDown { reason: reason.to_owned() };
            let event = |index| Event { time: Time(0), gpu: Some(gpu(index)), what: what() };
            let events: Vec<_> = gpus.iter().map(|index| event(*index)).collect();
            let [entry] = tell(&events, &[], Time(0)).try_into().unwrap();
            entry.text
        };
        let one = "GPU 0 is down: it has fallen off the bus, or is being reset";
        assert_eq!(down("lost", &[0]), one);
        let several = "GPU 0, 1 are down: they have fallen off the bus, or are being reset";
        assert_eq!(down("lost", &[0, 1]), several);
        for reason in ["late", "lost", "missing", "not_initialized", "failed", "not_permitted"] {
            let text = down(reason, &[0, 1]) + " ";
            assert!(!text.contains(" it ") && !text.contains(" is "), "{text}");
        }
    }

    #[test]
    fn a_slow_link_and_packets_that_are_sent_again_are_told_apart() {
        let replays = Sign {
            text: "GPU 0 counted 81 packets sent again on PCIe in 11 s".to_owned(),
            ..sign(SignKind::PcieDegraded, 700, Some(900))
        };
        let signs = [sign(SignKind::PcieDegraded, 500, Some(900)), replays.clone()];
        let story = tell(&[], &signs, Time(1000));
        let told: Vec<_> = story.iter().map(|entry| entry.text.as_str()).collect();
        let begin =
            ["GPU 0 has a slower PCIe link than before", "GPU 0 sends packets again on PCIe"];
        assert_eq!(told, [begin[0], begin[1], "a sign of pcie_degraded", &replays.text]);
    }

    #[test]
    fn a_sign_is_told_once() {
        let signs = [
            sign(SignKind::Xid, 1500, None),
            sign(SignKind::HeatSlowdown, 500, Some(9000)),
            sign(SignKind::PowerBrake, 700, None),
        ];
        let story = tell(&[xid(1000, 0, 48, 7)], &signs, Time(1000));
        let told: Vec<_> = story
            .iter()
            .map(|entry| (entry.time.0, entry.is_trigger, entry.text.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (500, true, "GPU 0 begins to be slowed by heat"),
                (700, true, "GPU 0 begins to be slowed by a power brake"),
                (
                    1000,
                    true,
                    "XID 48 on GPU 0: Preemptive cleanup (the driver names python, pid 7)"
                ),
                (9000, false, "a sign of heat_slowdown"),
            ]
        );
    }
}
