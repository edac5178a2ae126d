//! Takes the outcome of a reader's pass into the state: readings, events, samples, and what is
//! derived from them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{
    Entity, FieldId, Moment, Pace, Part, Pass, Quantity, ReaderKind, Reading, Readings, Reason,
    Samples, SlotIndex, Value, Watch, When, XidEvent, field,
};

use crate::settings::Settings;
use crate::state::availability::Validity;
use crate::state::clock_events::{self, ClockEvents};
use crate::state::gpu::GpuState;
use crate::state::health;
use crate::state::history::{Extent, History};
use crate::state::kernel_messages::birth;
use crate::state::log_line::{LogLine, is_logged};
use crate::state::outcome::{Applied, Extras, Outcome};
use crate::state::plan::Plan;
use crate::state::reader::{ReaderId, ReaderState};
use crate::state::rolling::Extents;
use crate::state::{State, Unpublished, XidAuthority};

/// While a driver's own samples are no older than this, no readings are added to them.
const DRIVER_SAMPLES: Duration = Duration::from_secs(5);

/// A pass that ends later than this after a tick may miss the snapshot that is made shortly after
/// the tick, so it has one made for itself.
const QUICK: Duration = Duration::from_millis(5);

impl State {
    /// Takes the outcome of a pass of the reader `id`. `None` if no such reader is known any more: its
    /// thread has to end.
    pub(crate) fn apply(
        &mut self,
        id: ReaderId,
        outcome: Outcome<'_>,
        now: When,
    ) -> Option<Applied> {
        let Outcome { pass, took, cadence, result, identity, readings, mut extras } = outcome;
        let kind = self.get_mut(id.target)?.reader_mut(id.number)?.kind;
        if let (Some(index), Some(identity)) = (id.target.gpu(), identity) {
            self.identify(index, identity, now.moment);
        }
        // The kernel log has the XID of every event, and XIDs are counted from one source only.
        let is_in_log = self.xid_authority == XidAuthority::KernelLog;
        let wake_kernel_log = is_in_log && !std::mem::take(&mut extras.xids).is_empty();
        let has_xids = !is_in_log && !extras.xids.is_empty();
        let (plan, settings, epoch) =
            (Arc::clone(&self.plan), Arc::clone(&self.settings), self.epoch);
        let published = self.published;
        let gpu = self.get_mut(id.target)?;
        let GpuState { readers, history, pass_duration, .. } = gpu;
        let reader = readers.iter_mut().find(|reader| reader.number == id.number)?;
        if kind == ReaderKind::Main && result.is_ok() {
            history.last_success = Some(now.time);
            // A tick between two intervals reads less than all.
            if pass.is_due(Pace::Every) {
                *pass_duration = Some(took);
            }
        }
        let opened = pass.previous.is_none();
        let before = (reader.down, reader.delivers_xids);
        (reader.down, reader.delivers_xids) = (result.err(), extras.delivers_xids);
        reader.cadence = cadence;
        let changed = opened || before != (reader.down, reader.delivers_xids);
        let mut applier = Applier {
            plan: &plan,
            settings: &settings,
            epoch,
            published,
            gpu: id.target.gpu(),
            pass,
            now,
            history,
            lines: Vec::new(),
        };
        applier.extras(extras);
        match result {
            Ok(()) => applier.readings(readings, reader),
            // What was read before a loss is not good after it.
            Err(_) => reader.clear(),
        }
        let lines = applier.lines;
        if kind == ReaderKind::Main && result.is_ok() {
            gpu.remember(&plan);
        }
        self.note_listening(id, now.moment);
        let is_news = kind != ReaderKind::Events || changed || has_xids;
        // Passes of main readers that end in time are published together, shortly after the tick.
        let since_tick = (now.moment - epoch).as_nanos() % plan.tick.as_nanos().max(1);
        let is_quick = kind == ReaderKind::Main && since_tick <= QUICK.as_nanos();
        let wake_publisher = changed || (is_news && !is_quick);
        if is_news {
            self.mark(if wake_publisher { Unpublished::AtOnce } else { Unpublished::AtTick });
        }
        Some(Applied { lines, wake_kernel_log, wake_publisher })
    }

    /// Keeps in the log of XIDs whether they would be seen, so that snapshots can share it.
    fn note_listening(&mut self, id: ReaderId, now: Moment) {
        let Some(gpu) = self.gpus.iter().position(|gpu| Some(gpu.index) == id.target.gpu()) else {
            return;
        };
        let listening = self.would_see_xids(&self.gpus[gpu], &mut Validity::new(now));
        self.gpus[gpu].history.set_listening(listening);
    }
}

/// Applies one pass to what is remembered of its GPU.
struct Applier<'a> {
    plan: &'a Plan,
    settings: &'a Settings,
    epoch: Moment,
    published: SystemTime,
    gpu: Option<u32>,
    pass: Pass,
    now: When,
    history: &'a mut History,
    lines: Vec<LogLine>,
}

impl Applier<'_> {
    fn extras(&mut self, extras: Extras) {
        for event in extras.xids {
            self.xid(event);
        }
        if let Some(health) = extras.health {
            self.history.health = Some((self.pass.now, health));
        }
        for samples in extras.samples {
            self.samples(&samples);
        }
        let call_times = extras.call_times;
        if !call_times.is_empty() && self.plan.has(&[field::DRIVER_CALL_DURATION_SECONDS]) {
            Arc::make_mut(&mut self.history.calls).extend(call_times);
        }
    }

    fn xid(&mut self, event: XidEvent) {
        let XidEvent { xid, before, .. } = event;
        let When { time, moment } = self.now;
        let xids = Arc::make_mut(&mut self.history.xids);
        if let Some(before) = before {
            let age = time.duration_since(before).unwrap_or_default();
            xids.note(event, When { time: before, moment: moment - age });
            return;
        }
        let at = Some(self.now);
        let count = xids.record(event, at, birth(at, self.published));
        self.history.count_in_window(xid.code, self.settings.windows.xids, moment - self.epoch);
        if is_logged(count) {
            self.lines.push(LogLine::Xid { gpu: self.gpu, xid, count, process: None });
        }
    }

    fn samples(&mut self, samples: &Samples) {
        let epoch = self.epoch;
        if !self.plan.quantities.contains(&samples.quantity) {
            return;
        }
        let extent = self.extent(samples.quantity);
        for (at, value) in &samples.samples {
            // Samples from before the epoch show that the driver takes them. They are not in the
            // window.
            extent.from_driver = extent.from_driver.max(Some(*at)).max(Some(epoch));
            if let Some(elapsed) = at.checked_duration_since(epoch) {
                extent.window.add(elapsed, *value, true);
            }
        }
    }

    /// Applies the readings of a complete pass.
    fn readings(&mut self, readings: &Readings, reader: &mut ReaderState) {
        reader.last_ok = Some(self.pass.now);
        if self.pass.previous.is_none() {
            reader.parts.iter_mut().for_each(|kept| kept.counters.clear());
        }
        let is_read = |entity: &Entity| readings.parts().iter().any(|part| part.entity == *entity);
        reader.parts.retain(|kept| is_read(&kept.part.entity));
        let mut of_gpu = Vec::new();
        for part in readings.parts() {
            self.part(part, reader, &mut of_gpu);
        }
        if reader.kind == ReaderKind::Main {
            self.derive(&reader.parts[0].part, &of_gpu);
        }
    }

    fn extent(&mut self, quantity: Quantity) -> &mut Extent {
        let window = self.settings.windows.extents;
        let new = || Extent { window: Extents::new(window), from_driver: None };
        self.history.extents.entry(quantity).or_insert_with(new)
    }

    /// Applies the readings of one entity. The slots that are new are added to `of_gpu` if the entity
    /// is the GPU itself.
    fn part(&mut self, new: &Part, reader: &mut ReaderState, of_gpu: &mut Vec<SlotIndex>) {
        let kept = reader.part(&new.entity, &new.watches);
        kept.part.slower.clone_from(&new.slower);
        kept.part.sampled = new.sampled;
        for (slot, index, read) in new.iter() {
            let is_new = match new.sampled {
                true => read.at.is_some() && read.at != kept.part.at(slot).at,
                false => read.at == Some(self.pass.now),
            };
            if !is_new {
                continue;
            }
            if new.entity == Entity::Gpu {
                of_gpu.push(slot);
            }
            let watch = &self.plan.watches[index];
            let checked;
            let reading = if watch.cumulative && read.reading.is_ok() {
                checked = kept.counters.entry(slot).or_default().check(&read.reading);
                &checked
            } else {
                &read.reading
            };
            // A field with two watches fails once.
            if self.plan.positions.get(&watch.field) == Some(&index) {
                self.note_failure(watch, reading);
            }
            // The first sample of a rate has no value yet. What the last session read is still good
            // until it is late.
            let kept = kept.part.at_mut(slot);
            if *reading != Err(Reason::NoData) || kept.reading.is_err() {
                (kept.reading, kept.at) = (reading.clone(), read.at);
            }
        }
    }

    fn note_failure(&mut self, watch: &Watch, reading: &Reading) {
        let Err(reason @ (Reason::Failed | Reason::NotPermitted | Reason::Implausible)) = *reading
        else {
            return;
        };
        let errors = Arc::make_mut(&mut self.history.errors);
        let count = errors.entry((watch.field, reason)).or_insert(0);
        *count += 1;
        if *count == 1 {
            let watch = Arc::clone(&watch.name);
            self.lines.push(LogLine::Unreadable { gpu: self.gpu, watch, reason });
        }
    }

    /// Updates what is derived from the readings of the GPU itself. `slots` are those that this pass
    /// has read, ascending.
    fn derive(&mut self, part: &Part, slots: &[SlotIndex]) {
        let (plan, pass) = (self.plan, self.pass);
        let read = |field: FieldId| {
            let slot = part.slot(*plan.positions.get(&field)?)?;
            slots.binary_search(&slot).is_ok().then_some(&part.at(slot).reading)
        };
        for quantity in &plan.quantities {
            let Some(value) = read(quantity.field()).and_then(number) else { continue };
            let extent = self.extent(*quantity);
            let is_fresh = |at: Moment| pass.now - at < DRIVER_SAMPLES;
            if !extent.from_driver.is_some_and(is_fresh) {
                extent.window.add(pass.elapsed, value, false);
            }
        }
        if plan.has(&clock_events::FAMILIES) {
            if let Some(Ok(Value::Int(mask))) = read(field::CLOCKS_EVENT_REASONS) {
                self.clock_events(part, *mask as u64);
            }
            if let Some(events) = &mut self.history.clock_events {
                events.note_counters(read);
            }
        }
        if plan.assesses_health() {
            for counter in health::TRENDS {
                if let Some(reading) = read(*counter) {
                    self.history.trends.note(*counter, pass.now, reading);
                }
            }
        }
    }

    /// Takes a sample of the mask of clock event reasons.
    fn clock_events(&mut self, part: &Part, mask: u64) {
        let (settings, plan, pass) = (self.settings, self.plan, self.pass);
        // A gap is longer than two readings of the mask are apart.
        let index = plan.positions.get(&field::CLOCKS_EVENT_REASONS).copied();
        let requested = index.map(|index| plan.watches[index].pace.period(settings.interval));
        let slot = index.and_then(|index| part.slot(index));
        let slower = slot.and_then(|slot| part.slower.get(&slot)).copied();
        let period = requested.max(slower).unwrap_or_default().max(pass.cadence);
        let window = settings.windows.clock_events;
        let events = self.history.clock_events.get_or_insert_with(|| ClockEvents::new(window));
        events.sample(pass.now, mask, settings.late_after(period));
        if plan.has(&[field::EXP_CLOCK_EVENTS_COUNT]) && pass.is_due(Pace::Every) {
            events.count(pass.elapsed, mask);
        }
    }
}

/// The number in a reading.
fn number(reading: &Reading) -> Option<f64> {
    match reading {
        Ok(Value::Int(int)) => Some(*int as f64),
        Ok(Value::Float(float)) => Some(*float),
        Ok(Value::Text(_)) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use model::{Down, Kind, Snapshot};

    use super::*;
    use crate::state::reader::Target;
    use crate::state::test_state::*;

    fn fast(test: &TestState, millis: u64) -> Reading {
        test.snapshot(millis).gpus[0].readings[FAST.0].clone()
    }

    #[test]
    fn a_pass_replaces_readings_and_a_failed_one_takes_them_away() {
        let mut test = TestState::new(SECOND);
        test.pass(MAIN, 1000, |readings| readings.set(SlotIndex(0), Ok(Value::Int(62))));
        assert_eq!(fast(&test, 1000), Ok(Value::Int(62)));
        test.fail(MAIN, 2000, Reason::Lost);
        assert_eq!(fast(&test, 2000), Err(Reason::Lost));
        test.pass(MAIN, 3000, |_| {});
        let view = &test.snapshot(3000).gpus[0];
        assert!(view.up.is_ok());
        assert_eq!(view.readings[FAST.0], Err(Reason::NoData), "it was not read again");
    }

    #[test]
    fn a_failed_background_reader_costs_its_own_watches() {
        let mut test = TestState::new(SECOND);
        let background = ReaderId { number: 3, ..MAIN };
        test.add_reader(background, "pcie", ReaderKind::Background, &[SLOW]);
        test.fail(background, 0, Reason::Failed);
        let snapshot = test.snapshot(0);
        assert!(snapshot.gpus[0].up.is_ok());
        assert_eq!(snapshot.gpus[0].readings[SLOW.0], Err(Reason::Failed));
        assert_eq!(snapshot.gpus[0].readings[FAST.0], Ok(Value::Int(61)));
    }

    #[test]
    fn an_unknown_reader_changes_nothing() {
        let mut test = TestState::new(SECOND);
        let before = format!("{:?}", test.snapshot(0));
        let other = ReaderId { number: 9, ..MAIN };
        test.add_reader(other, "other", ReaderKind::Main, &[FAST]);
        test.state.gpu(0).readers.pop();
        assert!(test.pass(other, 0, |_| {}).is_none());
        let absent = ReaderId { target: Target::Gpu(5), ..MAIN };
        assert!(test.pass(absent, 0, |_| {}).is_none());
        assert_eq!(format!("{:?}", test.snapshot(0)), before);
    }

    #[test]
    fn only_news_that_cannot_wait_wakes_the_publisher() {
        let mut test = TestState::new(SECOND);
        let wakes = |applied: Option<Applied>| applied.unwrap().wake_publisher;
        test.state.unpublished = Unpublished::Nothing;
        assert!(!wakes(test.pass(MAIN, 1000, |_| {})), "published shortly after the tick");
        assert_eq!(test.state.unpublished, Unpublished::AtTick);
        assert!(wakes(test.pass(MAIN, 2006, |_| {})), "too late for the snapshot of its tick");
        test.state.unpublished = Unpublished::Nothing;
        assert!(!wakes(test.pass(EVENTS, 2000, |_| {})), "no event");
        assert_eq!(test.state.unpublished, Unpublished::Nothing);
        let extras = Extras { delivers_xids: true, xids: vec![xid(79)], ..Extras::default() };
        assert!(wakes(test.outcome(EVENTS, 2500, Ok(()), extras, |_| {})));
        assert!(wakes(test.fail(MAIN, 3000, Reason::Lost)), "the GPU goes down");
        assert_eq!(test.state.unpublished, Unpublished::AtOnce);
    }

    #[test]
    fn an_xid_is_counted_from_one_source() {
        let mut test = TestState::new(SECOND);
        let event = |test: &mut TestState, millis| {
            let extras = Extras { delivers_xids: true, xids: vec![xid(79)], ..Extras::default() };
            test.outcome(EVENTS, millis, Ok(()), extras, |_| {}).unwrap()
        };
        let count = |snapshot: &Snapshot| snapshot.gpus[0].xids.counts[&79].tally.count;
        let applied = event(&mut test, 100);
        assert!(!applied.wake_kernel_log);
        assert!(matches!(applied.lines[..], [LogLine::Xid { count: 1, gpu: Some(0), .. }]));
        assert_eq!(count(&test.snapshot(100)), 1);
        assert_eq!(test.snapshot(100).gpus[0].xids_in_window, [(79, 1)]);
        test.state.xid_authority = XidAuthority::KernelLog;
        let applied = event(&mut test, 200);
        assert!(applied.wake_kernel_log && applied.lines.is_empty());
        assert_eq!(count(&test.snapshot(200)), 1, "the log has it");
    }

    #[test]
    fn the_birth_of_an_xid_count_is_before_every_scrape_that_shows_it() {
        let mut test = TestState::new(SECOND);
        let birth = |test: &mut TestState, code, published, millis| {
            let event_at = at(test.time(millis)).time;
            test.state.published = event_at + published - SECOND;
            let extras = Extras { xids: vec![xid(code)], ..Extras::default() };
            test.outcome(EVENTS, millis, Ok(()), extras, |_| {}).unwrap();
            let born = test.snapshot(millis).gpus[0].xids.counts[&code].tally.born.unwrap();
            (born, event_at)
        };
        let millis = Duration::from_millis;
        let (first, event_at) = birth(&mut test, 79, millis(400), 5000);
        assert_eq!(first, event_at - millis(600), "the last snapshot without it");
        let (again, _) = birth(&mut test, 79, millis(400), 6000);
        assert_eq!(again, first, "it stays");
        let (second, event_at) = birth(&mut test, 48, 3 * SECOND, 7000);
        assert_eq!(second, event_at, "the wall clock was set back: the event is earlier");
    }

    #[test]
    fn a_counter_that_falls_is_implausible_once_and_its_failure_is_logged_once() {
        let watch = |id| Watch {
            field: FieldId(id),
            name: "counter".into(),
            kind: Kind::Counter,
            help: "".into(),
            pace: Pace::Every,
            cumulative: true,
        };
        let settings = Settings::new(SECOND);
        let mut test = TestState::with_watches(settings, &[watch(312), watch(313), watch(230)]);
        let lines: Vec<_> = (1..)
            .zip([3, 4, 1, 2])
            .map(|(second, count)| {
                let set = |readings: &mut model::Readings| {
                    readings.set(SlotIndex(0), Ok(Value::Int(count)));
                };
                let lines = test.pass(MAIN, 1000 * second, set).unwrap().lines.len();
                (fast(&test, 1000 * second), lines)
            })
            .collect();
        let implausible = Err(Reason::Implausible);
        let value = |int| Ok(Value::Int(int));
        assert_eq!(
            lines,
            [(implausible.clone(), 1), (value(4), 0), (implausible, 0), (value(2), 0)]
        );
        let errors = test.snapshot(4000).gpus[0].errors.clone();
        assert_eq!(errors[&(FieldId(312), Reason::Implausible)], 2);
    }

    #[test]
    fn an_instance_that_is_made_again_has_not_had_the_xids_of_the_one_before() {
        let mut test = TestState::new(SECOND);
        let show = |test: &mut TestState, numbers: &[u32]| {
            test.pass(MAIN, 0, |readings| {
                readings.retain(|_| false);
                for number in numbers {
                    write(readings, &Entity::Instance(instance(*number)), &[FAST]);
                }
            });
            test.snapshot(0)
        };
        show(&mut test, &[3, 4]);
        let of = |code, instance| XidEvent { instance: Some(instance), ..xid(code) };
        record(test.state.gpu(0), of(43, 3));
        record(test.state.gpu(0), of(31, 4));
        let last = |snapshot: &Snapshot, number| {
            snapshot.gpus[0].last_xid_of(&instance(number)).map(|xid| xid.code)
        };
        assert_eq!(last(&show(&mut test, &[3, 4]), 3), Some(43));
        show(&mut test, &[4]);
        let again = show(&mut test, &[3, 4]);
        assert_eq!((last(&again, 3), last(&again, 4)), (Some(0), Some(31)));
        assert_eq!(again.gpus[0].xids.counts[&43].tally.count, 1);
    }

    #[test]
    fn each_change_of_availability_is_reported_once() {
        let mut test = TestState::new(SECOND);
        let report = |test: &mut TestState, millis| -> Vec<_> {
            let lines = test.state.report_availability(test.time(millis)).into_iter();
            let up = lines.map(|line| match line {
                LogLine::Availability { up, .. } => up,
                _ => panic!("another line"),
            });
            up.collect()
        };
        assert_eq!(report(&mut test, 0), [Ok(())]);
        assert_eq!(report(&mut test, 2000), []);
        assert_eq!(report(&mut test, 2001), [Err(Down::Late)]);
        assert!(test.state.are_all_late());
        test.pass(MAIN, 3000, |_| {});
        assert_eq!(report(&mut test, 3000), [Ok(())]);
        assert!(!test.state.are_all_late());
    }
}
