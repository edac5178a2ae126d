//! Why clocks are low, and for how long, from samples of the driver's mask of clock event reasons.

use std::time::Duration;

use model::{CLOCK_REASONS, ClockEvent, FieldId, Moment, Reading, Reason, Value, field};

use crate::state::rolling::Counts;

/// The families that are derived from the mask.
pub(crate) const FAMILIES: [FieldId; 4] = [
    field::CLOCK_EVENT_ACTIVE,
    field::CLOCK_EVENT_SECONDS_TOTAL,
    field::EXP_CLOCK_EVENTS_COUNT,
    field::EXP_CLOCK_EVENTS_TOTAL,
];

/// The reasons of one GPU since this process began.
#[derive(Clone, Debug)]
pub(crate) struct ClockEvents {
    /// The newest sample.
    last: Option<(Moment, u64)>,
    seconds: [f64; CLOCK_REASONS.len()],
    begun: [u64; CLOCK_REASONS.len()],
    /// The reasons whose time the driver has counted itself. Sampled time never replaces that.
    driver_counted: [bool; CLOCK_REASONS.len()],
    window: Counts,
}

impl ClockEvents {
    pub(crate) fn new(window: Duration) -> Self {
        let (seconds, begun) = ([0.0; CLOCK_REASONS.len()], [0; CLOCK_REASONS.len()]);
        let driver_counted = [false; CLOCK_REASONS.len()];
        Self { last: None, seconds, begun, driver_counted, window: Counts::new(window) }
    }

    /// Takes a sample of the mask. Reasons of the sample before count for the time between the two,
    /// unless that is more than `longest`.
    pub(crate) fn sample(&mut self, at: Moment, mask: u64, longest: Duration) {
        let before = self.last.replace((at, mask));
        let Some((then, before)) = before else { return };
        let between = at.saturating_duration_since(then);
        for (place, reason) in CLOCK_REASONS.iter().enumerate() {
            let (was, is) = (before & reason.mask != 0, mask & reason.mask != 0);
            if was && between <= longest {
                self.seconds[place] += between.as_secs_f64();
            }
            self.begun[place] += u64::from(is && !was);
        }
    }

    /// Whether any count since this process began is not 0.
    pub(crate) fn has_counts(&self) -> bool {
        self.begun.iter().any(|begun| *begun > 0) || self.seconds.iter().any(|time| *time > 0.0)
    }

    /// Counts a sample of the mask into the window.
    pub(crate) fn count(&mut self, elapsed: Duration, mask: u64) {
        for (place, reason) in (0..).zip(&CLOCK_REASONS) {
            if mask & reason.mask != 0 {
                self.window.add(elapsed, place);
            }
        }
    }

    /// Notes which reasons the driver counts the time of itself.
    pub(crate) fn note_counters<'a>(&mut self, read: impl Fn(FieldId) -> Option<&'a Reading>) {
        for (place, reason) in CLOCK_REASONS.iter().enumerate() {
            self.driver_counted[place] |=
                matches!(reason.time.and_then(&read), Some(Ok(Value::Int(_))));
        }
    }

    /// What is known at `elapsed`, with the readings of that moment.
    pub(crate) fn view<'a>(
        &self,
        elapsed: Duration,
        read: impl Fn(FieldId) -> Option<&'a Reading>,
    ) -> [ClockEvent; CLOCK_REASONS.len()] {
        let mask = match read(model::field::CLOCKS_EVENT_REASONS) {
            Some(Ok(Value::Int(mask))) => Some(*mask as u64),
            _ => None,
        };
        let in_window = self.window.at(elapsed);
        std::array::from_fn(|place| {
            let reason = &CLOCK_REASONS[place];
            let sampled = self.last.map(|_| self.seconds[place]);
            let seconds = match reason.time.and_then(&read) {
                Some(Ok(Value::Int(nanos))) => Some(*nanos as f64 / 1e9),
                // The driver's counter cannot be read now: the sampled time would make a jump.
                _ if self.driver_counted[place] => None,
                // The driver has no counter, so the sampled time is the best there is.
                None | Some(Err(Reason::NotServed | Reason::NotSupported)) => sampled,
                Some(_) => None,
            };
            ClockEvent {
                active: mask.map(|mask| mask & reason.mask != 0),
                seconds,
                driver_counted: self.driver_counted[place],
                samples_in_window: in_window.get(&(place as u32)).copied().unwrap_or(0),
                begun: self.begun[place],
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const POWER: usize = 2;
    const HW_SLOWDOWN: usize = 3;

    fn sampled(masks: &[u64]) -> ClockEvents {
        let mut events = ClockEvents::new(300 * SECOND);
        let start = Moment::now();
        for (second, mask) in (0..).zip(masks) {
            events.sample(start + second * SECOND, *mask, 5 * SECOND);
            events.count(second * SECOND, *mask);
        }
        events
    }

    /// The view after a pass that has read `counter`.
    fn view(events: &mut ClockEvents, counter: Option<Reading>) -> [ClockEvent; 9] {
        let mask: Reading = Ok(Value::Int(0x8));
        let read = |field| match field {
            model::field::CLOCKS_EVENT_REASONS => Some(&mask),
            model::field::CLOCKS_EVENT_REASON_SW_POWER_CAP_NS => counter.as_ref(),
            _ => None,
        };
        events.note_counters(read);
        events.view(60 * SECOND, read)
    }

    #[test]
    fn time_and_edges_are_those_between_samples() {
        let mut events = sampled(&[0x8, 0x8, 0, 0x8, 0xC, 0x4, 0]);
        let slowdown = view(&mut events, None)[HW_SLOWDOWN];
        assert_eq!(slowdown.seconds, Some(4.0));
        assert_eq!(slowdown.begun, 1, "the first sample begins nothing");
        assert_eq!(slowdown.samples_in_window, 4);
        assert_eq!(slowdown.active, Some(true));
        assert_eq!(view(&mut events, None)[POWER].active, Some(false));
    }

    #[test]
    fn a_gap_counts_for_nothing() {
        let mut events = sampled(&[0x8]);
        let (then, _) = events.last.unwrap();
        events.sample(then + 60 * SECOND, 0x8, 5 * SECOND);
        assert_eq!(view(&mut events, None)[HW_SLOWDOWN].seconds, Some(0.0));
    }

    #[test]
    fn the_drivers_own_counter_comes_first() {
        let mut events = sampled(&[0x4, 0x4]);
        let mut seconds = |counter| view(&mut events, counter)[POWER].seconds;
        assert_eq!(seconds(Some(Err(Reason::NotSupported))), Some(1.0));
        assert_eq!(seconds(Some(Err(Reason::Failed))), None, "a series must not jump");
        assert_eq!(seconds(Some(Ok(Value::Int(90_500_000_000)))), Some(90.5));
        assert_eq!(seconds(Some(Err(Reason::NotSupported))), None, "nor jump back");
    }
}
