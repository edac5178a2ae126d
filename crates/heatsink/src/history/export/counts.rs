//! What a page counts from events and from samples of the clock reasons, followed through a recording.

use std::collections::BTreeMap;

use history::event::{Event, PreviousRun, What};
use history::incident::Incident;
use history::layout::{GpuInfo, Layout};
use history::recording::Row;
use history::time::Time;
use model::catalog::xid;
use model::{CLOCK_REASONS, XidSource};

/// The signal that reasons are counted from.
pub(super) const REASONS: &str = "clock_reasons";

/// The signal that has a value only while XIDs of its GPU would be seen.
const LAST_XID: &str = "xid";

/// Rows are this many milliseconds early or late.
const JITTER_MS: u64 = 50;

/// GPUs that are read less often than this are not read: the longest cadence of a page.
const LONGEST_CADENCE_MS: u64 = 5000;

/// A number that is counted here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Count {
    /// XIDs of the GPU with this code.
    Xids(u32),
    /// When the last of them came, in seconds since 1970.
    LastXid(u32),
    /// XIDs of the GPU that are critical.
    CriticalXids,
    /// Seconds in which the driver gave a reason for low clocks: a position in [`CLOCK_REASONS`].
    Reason(usize),
    /// 1, once any GPU has had an XID with this code.
    Meaning(u32),
    /// 1, while XIDs of GPUs are counted from a source.
    XidSource,
    /// When the newest incident began, in seconds since 1970.
    LastIncident,
}

impl Count {
    /// The code of the XID that a label of the series is made of.
    pub(super) fn code(self) -> Option<u32> {
        match self {
            Self::Xids(code) | Self::LastXid(code) | Self::Meaning(code) => Some(code),
            Self::CriticalXids | Self::Reason(_) | Self::XidSource | Self::LastIncident => None,
        }
    }

    /// Whether it needs the rows, besides the events.
    pub(super) fn needs_rows(self) -> bool {
        matches!(self, Self::Reason(_) | Self::CriticalXids)
    }
}

/// The counts at one moment of a recording.
#[derive(Clone, Default, Debug)]
pub(super) struct Counts {
    gpus: Vec<(GpuInfo, OfGpu)>,
    /// When incidents began, the first one first.
    incidents: Vec<Time>,
}

/// The counts of a GPU.
#[derive(Clone, Default, Debug)]
struct OfGpu {
    xids: BTreeMap<u32, Xids>,
    /// The time of the newest row in which XIDs would be seen.
    listened: Option<Time>,
    /// The newest sample of the reasons, and the time of its row.
    sampled: Option<(Time, u64)>,
    /// The time between that sample and the one before.
    cadence_ms: u64,
    seconds: [f64; CLOCK_REASONS.len()],
}

/// XIDs with one code.
#[derive(Clone, Copy, Debug)]
struct Xids {
    /// Since the process began that records.
    new: u64,
    /// Before that, and since the machine was started.
    earlier: u64,
    last: Time,
}

impl Xids {
    /// How many a page counts: from the kernel log those since the machine was started, from all else those since
    /// the process began.
    fn counted(&self, layout: &Layout) -> u64 {
        let source = layout.host.xid_source.as_deref().and_then(XidSource::parse);
        let earlier = if source == Some(XidSource::KernelLog) { self.earlier } else { 0 };
        self.new.saturating_add(earlier)
    }
}

impl Counts {
    /// Nothing is counted yet. The incidents are known from the beginning.
    pub(super) fn new(incidents: &[Incident]) -> Self {
        let mut incidents: Vec<Time> = incidents.iter().map(|incident| incident.began).collect();
        incidents.sort();
        Self { incidents, ..Self::default() }
    }

    /// Takes an event.
    pub(super) fn take(&mut self, event: &Event) {
        match (&event.what, &event.gpu) {
            (What::Started { before }, _) => self.start(before.as_ref()),
            (What::Xid { code, count, .. }, Some(gpu)) => {
                let none = Xids { new: 0, earlier: 0, last: event.time };
                let xids = self.of_mut(gpu).xids.entry(*code).or_insert(none);
                xids.new = xids.new.saturating_add(*count);
                xids.last = xids.last.max(event.time);
            }
            _ => {}
        }
    }

    /// A process begins, after the run `before`.
    fn start(&mut self, before: Option<&PreviousRun>) {
        if before.is_some_and(|before| before.machine_restarted) {
            self.gpus.clear();
        }
        for (_, of_gpu) in &mut self.gpus {
            let xids = std::mem::take(&mut of_gpu.xids);
            *of_gpu = OfGpu { xids, ..OfGpu::default() };
            for xids in of_gpu.xids.values_mut() {
                xids.earlier = xids.earlier.saturating_add(std::mem::take(&mut xids.new));
            }
        }
    }

    /// Takes a row.
    pub(super) fn take_row(&mut self, row: &Row, layout: &Layout) {
        let interval_ms = layout.host.interval_ms;
        for (column, signal) in layout.columns().enumerate() {
            let name = &*signal.signal.name;
            if name != REASONS && name != LAST_XID {
                continue;
            }
            let Some(gpu) = signal.gpu.and_then(|gpu| layout.gpus.get(gpu)) else { continue };
            let Some(number) = row.values.get(column).copied().flatten() else { continue };
            let of_gpu = self.of_mut(gpu);
            match name {
                LAST_XID => of_gpu.listened = Some(row.time),
                _ => of_gpu.sample(row.time, number.cast_unsigned(), interval_ms),
            }
        }
    }

    /// The codes of all XIDs that are counted.
    pub(super) fn xid_codes(&self) -> impl Iterator<Item = u32> {
        self.gpus.iter().flat_map(|(_, of_gpu)| of_gpu.xids.keys().copied())
    }

    /// The value of a count at the time of a row; `None` where a page has none. `gpu` is the GPU, for counts of
    /// one.
    pub(super) fn value(
        &self,
        count: Count,
        gpu: Option<&GpuInfo>,
        time: Time,
        layout: &Layout,
    ) -> Option<f64> {
        let of_gpu = || self.of(gpu?);
        Some(match count {
            Count::Xids(code) => {
                let xids = of_gpu()?.xids.get(&code)?;
                Some(xids.counted(layout)).filter(|count| *count > 0)? as f64
            }
            Count::LastXid(code) => {
                let xids = of_gpu()?.xids.get(&code)?;
                Some(xids).filter(|xids| xids.counted(layout) > 0).map(|xids| seconds(xids.last))?
            }
            Count::CriticalXids => {
                let of_gpu = of_gpu()?;
                let critical = of_gpu.xids.iter().filter(|(code, _)| xid::lookup(**code).critical);
                let counted = critical.map(|(_, xids)| xids.counted(layout));
                let count = counted.fold(0, u64::saturating_add);
                // 0 only while one would be seen.
                Some(count).filter(|count| *count > 0 || of_gpu.listened == Some(time))? as f64
            }
            Count::Reason(place) => {
                let of_gpu = of_gpu()?;
                // Only while the driver gives reasons.
                of_gpu.sampled.filter(|(at, _)| *at == time)?;
                *of_gpu.seconds.get(place)?
            }
            Count::Meaning(code) => {
                let mut xids = self.gpus.iter().filter_map(|(_, of_gpu)| of_gpu.xids.get(&code));
                xids.find(|xids| xids.counted(layout) > 0).map(|_| 1.0)?
            }
            Count::XidSource => {
                layout.host.xid_source.as_ref()?;
                1.0
            }
            Count::LastIncident => {
                let begun = self.incidents.partition_point(|began| *began <= time);
                seconds(*self.incidents.get(begun.checked_sub(1)?)?)
            }
        })
    }

    fn of(&self, gpu: &GpuInfo) -> Option<&OfGpu> {
        let known = self.gpus.iter().find(|(known, _)| known.is_same(gpu));
        known.map(|(_, of_gpu)| of_gpu)
    }

    fn of_mut(&mut self, gpu: &GpuInfo) -> &mut OfGpu {
        let place = self.gpus.iter().position(|(known, _)| known.is_same(gpu));
        let place = place.unwrap_or_else(|| {
            self.gpus.push((gpu.clone(), OfGpu::default()));
            self.gpus.len() - 1
        });
        &mut self.gpus[place].1
    }
}

impl OfGpu {
    /// Takes a sample of the reasons. As on a page, those of the sample before count until this one, unless that
    /// is longer ago than twice the time between samples, which slow passes make longer than an interval.
    fn sample(&mut self, time: Time, mask: u64, interval_ms: u64) {
        let Some((then, before)) = self.sampled.replace((time, mask)) else { return };
        let passed = u64::try_from(time.0.saturating_sub(then.0)).unwrap_or(0);
        let cadence = self.cadence_ms.min(LONGEST_CADENCE_MS).max(interval_ms);
        self.cadence_ms = passed;
        if passed > cadence.saturating_mul(2).max(1000).saturating_add(JITTER_MS) {
            return;
        }
        for (seconds, reason) in self.seconds.iter_mut().zip(&CLOCK_REASONS) {
            if before & reason.mask != 0 {
                *seconds += passed as f64 / 1000.0;
            }
        }
    }
}

fn seconds(time: Time) -> f64 {
    time.0 as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;

    fn xid(at: i64, gpu: u32, code: u32, count: u64) -> Event {
        let message = String::new();
        let what = What::Xid { code, message, process: None, link: None, line: None, count };
        Event { time: Time(at), gpu: Some(made::gpu(gpu)), what }
    }

    fn started(machine_restarted: bool) -> Event {
        let before = Some(PreviousRun { was_stopped: true, machine_restarted, last: Time(0) });
        Event { time: Time(5_000), gpu: None, what: What::Started { before } }
    }

    fn layout_of(source: XidSource) -> Layout {
        let mut layout = Layout::clone(&made::layout(&[LAST_XID], &[0, 1]));
        layout.host.xid_source = Some(source.as_str().to_owned());
        layout
    }

    #[test]
    fn xids_are_counted_by_code_and_gpu() {
        let layout = layout_of(XidSource::KernelLog);
        let mut counts = Counts::new(&[]);
        for event in [xid(1_000, 0, 48, 1), xid(2_500, 0, 48, 20), xid(2_000, 1, 13, 1)] {
            counts.take(&event);
        }
        let row = Row { time: Time(9_000), values: vec![Some(48), Some(13)] };
        counts.take_row(&row, &layout);
        let value = |count, gpu| counts.value(count, Some(&made::gpu(gpu)), Time(9_000), &layout);
        assert_eq!(value(Count::Xids(48), 0), Some(21.0));
        assert_eq!(value(Count::LastXid(48), 0), Some(2.5));
        assert_eq!(value(Count::Xids(48), 1), None);
        assert_eq!(value(Count::CriticalXids, 0), Some(21.0));
        assert_eq!(value(Count::CriticalXids, 1), Some(0.0));
        let later = counts.value(Count::CriticalXids, Some(&made::gpu(1)), Time(10_000), &layout);
        assert_eq!(later, None, "none would be seen in this row");
        assert_eq!(value(Count::Meaning(13), 0), Some(1.0));
        assert_eq!(value(Count::Meaning(79), 0), None);
        assert_eq!(value(Count::XidSource, 0), Some(1.0));
        let without = made::layout(&[], &[0]);
        assert_eq!(counts.value(Count::XidSource, None, Time(0), &without), None);
    }

    #[test]
    fn xids_of_the_kernel_log_are_counted_until_the_machine_is_started_again() {
        for (source, restarted, expected) in [
            (XidSource::KernelLog, false, [Some(3.0), Some(6.0), Some(1.0)]),
            (XidSource::KernelLog, true, [Some(2.0), Some(6.0), None]),
            (XidSource::NvmlEvents, false, [Some(2.0), Some(6.0), None]),
        ] {
            let layout = layout_of(source);
            let mut counts = Counts::new(&[]);
            counts.take(&xid(1_000, 0, 48, 1));
            counts.take(&started(restarted));
            let value = |counts: &Counts, count| {
                counts.value(count, Some(&made::gpu(0)), Time(9_000), &layout)
            };
            let meaning = value(&counts, Count::Meaning(48));
            counts.take(&xid(6_000, 0, 48, 2));
            let (count, last) =
                (value(&counts, Count::Xids(48)), value(&counts, Count::LastXid(48)));
            assert_eq!([count, last, meaning], expected, "{source:?} {restarted}");
        }
    }

    #[test]
    fn a_reason_counts_from_sample_to_sample() {
        let layout = made::layout(&[REASONS], &[0]);
        let power = CLOCK_REASONS.iter().position(|reason| reason.name == "power_cap").unwrap();
        let mut counts = Counts::new(&[]);
        let mut at = |ms, mask| {
            counts.take_row(&Row { time: Time(ms), values: vec![mask] }, &layout);
            counts.value(Count::Reason(power), Some(&made::gpu(0)), Time(ms), &layout)
        };
        assert_eq!(at(0, Some(4)), Some(0.0));
        assert_eq!(at(1_000, Some(4)), Some(1.0));
        assert_eq!(at(2_500, Some(0)), Some(2.5));
        assert_eq!(at(3_500, Some(4)), Some(2.5));
        assert_eq!(at(4_500, None), None, "not known now");
        assert_eq!(at(5_500, Some(4)), Some(4.5), "one sample is missing");
        assert_eq!(at(65_500, Some(4)), Some(4.5), "a minute is missing");
        assert_eq!(at(65_000, Some(4)), Some(4.5), "the clock was set back");
    }

    #[test]
    fn a_gpu_that_is_read_slowly_has_its_reasons_counted() {
        let mut layout = Layout::clone(&made::layout(&[REASONS], &[0]));
        let seconds = |layout: &Layout, every: i64| {
            let mut counts = Counts::new(&[]);
            for row in 0..100 {
                let mask = (row % every == 0).then_some(4);
                counts.take_row(&Row { time: Time(row * 1_000), values: vec![mask] }, layout);
            }
            let last = Time((99 / every) * every * 1_000);
            counts.value(Count::Reason(2), Some(&made::gpu(0)), last, layout)
        };
        assert_eq!(seconds(&layout, 1), Some(99.0));
        assert_eq!(seconds(&layout, 2), Some(98.0));
        assert_eq!(seconds(&layout, 3), Some(96.0), "without the first time");
        assert_eq!(seconds(&layout, 30), Some(0.0), "a GPU that is down most of the time");
        layout.host.interval_ms = u64::MAX;
        assert_eq!(seconds(&layout, 1), Some(99.0));
    }

    #[test]
    fn the_last_incident_is_known_from_its_begin() {
        let (first, second) = (made::incident(1), made::incident(2));
        let began = first.began;
        let layout = made::layout(&[], &[]);
        let counts = Counts::new(&[second, first]);
        let value = |time| counts.value(Count::LastIncident, None, time, &layout);
        assert_eq!(value(Time(began.0 - 1)), None);
        assert_eq!(value(began), Some(began.0 as f64 / 1000.0));
        assert_eq!(Counts::new(&[]).value(Count::LastIncident, None, began, &layout), None);
    }
}
