//! What becomes of a pass on the board: readings, events, samples, and what is derived from them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{
    Entity, FieldId, Health, Moment, Pace, Part, Pass, Quantity, Reading, Reason, Samples,
    SlotIndex, Value, Watch, When, Xid, XidEvent, field,
};

use crate::board::{Extent, History, LaneBoard, Shared};
use crate::clock_events::{self, ClockEvents};
use crate::health;
use crate::plan::Plan;
use crate::rolling::Extents;

/// As long as a driver's own samples are no older than this, none are polled beside them.
const DRIVER_SAMPLES: Duration = Duration::from_secs(5);

/// What a reader brings beside readings.
#[derive(Default)]
pub(crate) struct News {
    /// Whether XIDs are delivered to it.
    pub(crate) delivers_xids: bool,
    pub(crate) xids: Vec<XidEvent>,
    pub(crate) health: Option<Vec<Health>>,
    pub(crate) samples: Vec<Samples>,
    pub(crate) calls: Vec<(&'static str, Duration)>,
}

/// A line for the log.
pub(crate) enum Line {
    Xid { xid: Xid, count: u64, process: Option<(Option<u32>, Option<String>)> },
    Unreadable { watch: Arc<str>, reason: Reason },
}

impl Line {
    pub(crate) fn say(self, gpu: Option<u32>) {
        match self {
            Self::Xid { xid: Xid { code, message, .. }, count, process } => {
                let (pid, process) = process.unwrap_or_default();
                let times =
                    if count == 1 { String::new() } else { format!(", {count} times by now") };
                tracing::warn!(gpu, xid = code, pid, process, "XID: {message}{times}");
            }
            Self::Unreadable { watch, reason } => {
                tracing::warn!(gpu, "cannot read {watch}: {reason}");
            }
        }
    }
}

/// Storms of thousands of XIDs are known: of each code the first is said, the tenth, ...
pub(crate) fn is_worth_a_line(count: u64) -> bool {
    count.checked_ilog10().is_some_and(|power| count == 10u64.pow(power))
}

/// One pass being merged into what is remembered of its GPU.
pub(crate) struct Merge<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) plan: &'a Plan,
    pub(crate) pass: Pass,
    pub(crate) history: &'a mut History,
    /// The slots of the GPU itself that this pass brought, ascending.
    pub(crate) news: Vec<SlotIndex>,
    /// What is to be said afterwards.
    pub(crate) lines: &'a mut Vec<Line>,
}

impl Merge<'_> {
    /// Events, samples and times of calls.
    pub(crate) fn take_news(&mut self, news: News) {
        self.xids(&news.xids);
        if let Some(health) = news.health {
            self.history.health = Some((self.pass.now, health));
        }
        for samples in news.samples {
            self.samples(&samples);
        }
        if self.plan.has(&[field::DRIVER_CALL_DURATION_SECONDS]) && !news.calls.is_empty() {
            Arc::make_mut(&mut self.history.calls).extend(news.calls);
        }
    }

    fn xids(&mut self, events: &[XidEvent]) {
        if events.is_empty() {
            return;
        }
        let window = self.shared.settings.windows.xids;
        let elapsed = self.shared.epoch.elapsed();
        let now = When { time: SystemTime::now(), moment: Moment::now() };
        for event in events {
            let XidEvent { xid, before, .. } = event;
            if let Some(before) = before {
                let age = now.time.duration_since(*before).unwrap_or_default();
                let at = When { time: *before, moment: now.moment - age };
                Arc::make_mut(&mut self.history.xids).note(*event, at);
                continue;
            }
            let count = Arc::make_mut(&mut self.history.xids).record(*event, Some(now));
            self.history.count_in_window(xid.code, window, elapsed);
            if is_worth_a_line(count) {
                self.lines.push(Line::Xid { xid: *xid, count, process: None });
            }
        }
    }

    fn samples(&mut self, samples: &Samples) {
        let epoch = self.shared.epoch;
        if !self.plan.quantities.contains(&samples.quantity) {
            return;
        }
        let extent = self.extent(samples.quantity);
        for (at, value) in &samples.samples {
            // Samples of before this process began say that the driver takes them, and no more.
            extent.from_driver = extent.from_driver.max(Some(*at)).max(Some(epoch));
            if let Some(elapsed) = at.checked_duration_since(epoch) {
                extent.window.add(elapsed, *value, true);
            }
        }
    }

    fn extent(&mut self, quantity: Quantity) -> &mut Extent {
        let window = self.shared.settings.windows.extents;
        let new = || Extent { window: Extents::new(window), from_driver: None };
        self.history.extents.entry(quantity).or_insert_with(new)
    }

    /// The readings of one entity.
    pub(crate) fn part(&mut self, new: &Part, now: Moment, lane: &mut LaneBoard) {
        let kept = lane.part(new);
        kept.part.slower.clone_from(&new.slower);
        kept.part.sampled = new.sampled;
        for (slot, index, read) in new.iter() {
            let is_new = match new.sampled {
                true => read.at.is_some() && read.at != kept.part.at(slot).at,
                false => read.at == Some(now),
            };
            if !is_new {
                continue;
            }
            if new.entity == Entity::Gpu {
                self.news.push(slot);
            }
            let watch = &self.plan.watches[index];
            let judged;
            let reading = if watch.cumulative && read.reading.is_ok() {
                judged = kept.growth.entry(slot).or_default().judge(&read.reading);
                &judged
            } else {
                &read.reading
            };
            // A field that is watched twice fails once.
            if self.plan.positions.get(&watch.field) == Some(&index) {
                self.note_failure(watch, reading);
            }
            // The first sample of a rate has nothing to say yet. What the last session read is
            // still good; it goes when it is late.
            let kept = kept.part.at_mut(slot);
            if *reading != Err(Reason::NoData) || kept.reading.is_err() {
                (kept.reading, kept.at) = (reading.clone(), read.at);
            }
        }
    }

    fn note_failure(&mut self, watch: &Watch, reading: &Reading) {
        let Err(reason) = reading else { return };
        if !matches!(reason, Reason::Failed | Reason::NotPermitted | Reason::Implausible) {
            return;
        }
        let errors = Arc::make_mut(&mut self.history.errors);
        let count = errors.entry((watch.field, *reason)).or_insert(0);
        *count += 1;
        if *count == 1 {
            self.lines.push(Line::Unreadable { watch: Arc::clone(&watch.name), reason: *reason });
        }
    }

    /// What follows from the readings that this pass brought of the GPU itself.
    pub(crate) fn derive(&mut self, part: &Part, now: Moment) {
        let (shared, plan) = (self.shared, self.plan);
        let elapsed = self.pass.elapsed;
        let news = std::mem::take(&mut self.news);
        let read = |field: FieldId| {
            let slot = part.slot(*plan.positions.get(&field)?)?;
            news.binary_search(&slot).is_ok().then_some(&part.at(slot).reading)
        };
        for quantity in &plan.quantities {
            let Some(value) = read(quantity.field()).and_then(number) else { continue };
            let extent = self.extent(*quantity);
            let has_own = |at: Moment| now.saturating_duration_since(at) < DRIVER_SAMPLES;
            if !extent.from_driver.is_some_and(has_own) {
                extent.window.add(elapsed, value, false);
            }
        }
        let mask = read(field::CLOCKS_EVENT_REASONS).filter(|_| plan.has(&clock_events::FAMILIES));
        if let Some(Ok(Value::Int(mask))) = mask {
            // A gap is longer than two readings of the mask are apart.
            let index = plan.positions.get(&field::CLOCKS_EVENT_REASONS).copied();
            let own = index.map(|index| plan.watches[index].pace.period(shared.settings.interval));
            let slot = index.and_then(|index| part.slot(index));
            let slower = slot.and_then(|slot| part.slower.get(&slot)).copied();
            let period = own.max(slower).unwrap_or_default().max(self.pass.cadence);
            let longest = shared.settings.late_after(period);
            let window = shared.settings.windows.clock_events;
            let events = self.history.clock_events.get_or_insert_with(|| ClockEvents::new(window));
            events.sample(now, *mask as u64, longest);
            if plan.has(&[field::EXP_CLOCK_EVENTS_COUNT]) && self.pass.is_due(Pace::Every) {
                events.count(elapsed, *mask as u64);
            }
        }
        if plan.assesses_health() {
            for counter in health::TRENDS {
                if let Some(reading) = read(*counter) {
                    self.history.trends.note(*counter, now, reading);
                }
            }
        }
    }
}

/// The number that a reading is.
fn number(reading: &Reading) -> Option<f64> {
    match reading {
        Ok(Value::Int(int)) => Some(*int as f64),
        Ok(Value::Float(float)) => Some(*float),
        Ok(Value::Text(_)) | Err(_) => None,
    }
}
