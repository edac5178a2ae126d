//! What a page counts from events and from samples of the clock reasons, followed through a recording.

use std::collections::BTreeMap;

use history::event::{Event, What};
use history::incident::Incident;
use history::layout::{GpuInfo, Layout};
use history::recording::Row;
use history::time::Time;
use model::CLOCK_REASONS;

/// The signal that reasons are counted from.
pub(super) const REASONS: &str = "clock_reasons";

/// A number that is counted here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Count {
    /// XIDs of the GPU with this code.
    Xids(u32),
    /// When the last of them came, in seconds since 1970.
    LastXid(u32),
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
            Self::Reason(_) | Self::XidSource | Self::LastIncident => None,
        }
    }
}

/// The counts at one moment of a recording.
#[derive(Clone, Default, Debug)]
pub(super) struct Counts {
    gpus: Vec<(GpuInfo, OfGpu)>,
    /// When the process began whose recording this is.
    started: Option<Time>,
    /// When incidents began, the first one first.
    incidents: Vec<Time>,
}

/// The counts of a GPU since the process that recorded them began.
#[derive(Clone, Default, Debug)]
struct OfGpu {
    xids: BTreeMap<u32, Xids>,
    /// The newest sample of the reasons, and the time of its row.
    sampled: Option<(Time, u64)>,
    seconds: [f64; CLOCK_REASONS.len()],
}

/// XIDs with one code.
#[derive(Clone, Copy, Debug)]
struct Xids {
    count: u64,
    last: Time,
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
            // A process counts from 0.
            (What::Started { .. }, _) => {
                self.gpus.clear();
                self.started = Some(event.time);
            }
            (What::Xid { code, count, .. }, Some(gpu)) => {
                // A page shows one from before the start, and does not count it.
                let is_old = self.started.is_some_and(|started| event.time < started);
                let count = if is_old { 0 } else { *count };
                let new = Xids { count: 0, last: event.time };
                let xids = self.of_mut(gpu).xids.entry(*code).or_insert(new);
                xids.count = xids.count.saturating_add(count);
                xids.last = xids.last.max(event.time);
            }
            _ => {}
        }
    }

    /// Takes the reasons of a row. As on a page, a reason counts from one sample to the next, unless one is
    /// missing between them.
    pub(super) fn take_row(&mut self, row: &Row, layout: &Layout) {
        let longest = (2 * layout.host.interval_ms).max(1000);
        for (column, signal) in layout.columns().enumerate() {
            if signal.signal.name != REASONS {
                continue;
            }
            let Some(gpu) = signal.gpu.and_then(|gpu| layout.gpus.get(gpu)) else { continue };
            let Some(mask) = row.values.get(column).copied().flatten() else { continue };
            let mask = mask.cast_unsigned();
            let of_gpu = self.of_mut(gpu);
            let before = of_gpu.sampled.replace((row.time, mask));
            let Some((then, before)) = before else { continue };
            let passed = u64::try_from(row.time.0.saturating_sub(then.0)).unwrap_or(0);
            if passed > longest {
                continue;
            }
            for (seconds, reason) in of_gpu.seconds.iter_mut().zip(&CLOCK_REASONS) {
                if before & reason.mask != 0 {
                    *seconds += passed as f64 / 1000.0;
                }
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
            Count::Xids(code) => of_gpu()?.xids.get(&code)?.count as f64,
            Count::LastXid(code) => seconds(of_gpu()?.xids.get(&code)?.last),
            Count::Reason(place) => {
                let of_gpu = of_gpu()?;
                // Only while the driver gives reasons.
                of_gpu.sampled.filter(|(at, _)| *at == time)?;
                *of_gpu.seconds.get(place)?
            }
            Count::Meaning(code) => {
                self.gpus.iter().find(|(_, of_gpu)| of_gpu.xids.contains_key(&code))?;
                1.0
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

    #[test]
    fn xids_are_counted_from_the_start_of_a_process() {
        let mut layout = Layout::clone(&made::layout(&[], &[0, 1]));
        layout.host.xid_source = Some("kernel_log".to_owned());
        let mut counts = Counts::new(&[]);
        let value = |counts: &Counts, count, gpu| {
            counts.value(count, Some(&made::gpu(gpu)), Time(9_000), &layout)
        };
        for event in [xid(1_000, 0, 48, 1), xid(2_500, 0, 48, 20), xid(2_000, 1, 13, 1)] {
            counts.take(&event);
        }
        assert_eq!(value(&counts, Count::Xids(48), 0), Some(21.0));
        assert_eq!(value(&counts, Count::LastXid(48), 0), Some(2.5));
        assert_eq!(value(&counts, Count::Xids(48), 1), None);
        assert_eq!(value(&counts, Count::Meaning(13), 0), Some(1.0));
        assert_eq!(value(&counts, Count::Meaning(79), 0), None);
        let started = What::Started { before: None };
        counts.take(&Event { time: Time(5_000), gpu: None, what: started });
        assert_eq!(value(&counts, Count::Xids(48), 0), None);
        counts.take(&xid(4_000, 0, 79, 1));
        assert_eq!(value(&counts, Count::Xids(79), 0), Some(0.0), "from before the start");
        assert_eq!(value(&counts, Count::LastXid(79), 0), Some(4.0));
        assert_eq!(value(&counts, Count::XidSource, 0), Some(1.0));
        let without = made::layout(&[], &[0]);
        assert_eq!(counts.value(Count::XidSource, None, Time(0), &without), None);
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
