//! Growth of counters from one reading to the next, and the time between the two.
//!
//! The driver's time stamps are of the wall clock, which can be set. So a stamp is believed only where
//! the clock that cannot be set agrees.

use std::time::{Duration, SystemTime};

use model::{Moment, Reading, Reason};

use crate::convert;
use crate::entry::{self, Entry};

/// The most by which the time between two stamps differs from the time that passed, beyond a tenth of
/// it: drivers read some counters now and then, and answer with the last reading.
const STAMP_SLACK: Duration = Duration::from_millis(250);

/// The most by which a time grows beyond the time that passed, beyond a tenth of it: drivers may add
/// to it in steps.
const TIME_SLACK: Duration = Duration::from_secs(1);

/// That tenth, as a divisor.
const SLACK_SHARE: u32 = 10;

/// A stamp that is further from the wall clock's time is of another clock.
const SAME_CLOCK_MICROS: u64 = 3_600_000_000;

/// When a call was made and answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallMoment {
    began: Moment,
    answered: Moment,
    /// The wall clock's time when it was answered: µs since 1970.
    wall: i64,
}

impl CallMoment {
    /// A call that was made at `began`, and is answered now.
    pub(crate) fn since(began: Moment) -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let wall = i64::try_from(wall.as_micros()).unwrap_or(i64::MAX);
        Self { began, answered: Moment::now(), wall }
    }

    /// The least and the most time that can lie between a reading in an earlier call and one in this
    /// call.
    fn time_since(&self, earlier: &Self) -> (Duration, Duration) {
        (
            self.began.saturating_duration_since(earlier.answered),
            self.answered.saturating_duration_since(earlier.began),
        )
    }
}

/// The sum of some entries, and when it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Total {
    sum: u64,
    stamp: Stamp,
    call: CallMoment,
}

/// The driver's own time of a reading, in µs.
#[derive(Clone, Copy, Debug)]
enum Stamp {
    /// No time stamp.
    Absent,
    /// Of the wall clock, which can be set.
    Wall(i64),
    /// Of another clock, which is not set.
    Other(i64),
}

impl Total {
    fn of(entries: &[Entry], call: CallMoment) -> Result<Self, Reason> {
        let mut sum = 0u64;
        for entry in entries {
            sum = sum.wrapping_add(entry::unsigned(entry)?);
        }
        let stamp = match entries[0].timestamp {
            0 => Stamp::Absent,
            stamp if stamp.abs_diff(call.wall) <= SAME_CLOCK_MICROS => Stamp::Wall(stamp),
            stamp => Stamp::Other(stamp),
        };
        Ok(Self { sum, stamp, call })
    }

    /// The µs since an earlier one; `None` where they are not known.
    fn micros_since(&self, earlier: &Self) -> Option<u64> {
        use Stamp::{Absent, Other, Wall};
        let (least, most) = self.call.time_since(&earlier.call);
        let slack = STAMP_SLACK + most / SLACK_SHARE;
        let range = least.saturating_sub(slack)..=most + slack;
        let micros = match (earlier.stamp, self.stamp) {
            (Absent, Absent) => {
                let passed = self.call.answered - earlier.call.answered;
                u64::try_from(passed.as_micros()).ok()
            }
            (Absent, _) | (_, Absent) => None,
            (Other(then), Other(now)) => between(then, now),
            (Wall(then) | Other(then), Wall(now) | Other(now)) => {
                between(then, now).filter(|micros| range.contains(&Duration::from_micros(*micros)))
            }
        };
        micros.filter(|micros| *micros > 0)
    }

    /// The most time that can have passed since an earlier one.
    fn most_since(&self, earlier: &Self) -> Duration {
        let (_, most) = self.call.time_since(&earlier.call);
        match (earlier.stamp, self.stamp) {
            (Stamp::Other(then), Stamp::Other(now)) => {
                most.max(Duration::from_micros(between(then, now).unwrap_or(0)))
            }
            _ => most,
        }
    }
}

fn between(then: i64, now: i64) -> Option<u64> {
    u64::try_from(now.checked_sub(then)?).ok()
}

/// By how many KiB the sum of `entries` grew since it was last read, and in how many µs.
pub(crate) fn rate(
    entries: &[Entry],
    call: CallMoment,
    last: &mut Option<Total>,
) -> Result<(u64, u64), Reason> {
    let now = Total::of(entries, call)?;
    let before = last.replace(now).ok_or(Reason::NoData)?;
    // A counter that fell was reset, so the growth is not known.
    let grown = now.sum.checked_sub(before.sum).ok_or(Reason::NoData)?;
    now.micros_since(&before).map(|micros| (grown, micros)).ok_or(Reason::NoData)
}

/// A time in ns that adds up. One that grows faster than time passes counts something else.
pub(crate) fn time(entry: &Entry, call: CallMoment, last: &mut Option<Total>) -> Reading {
    let now = Total::of(std::slice::from_ref(entry), call)?;
    if let Some(before) = last.replace(now) {
        let most = now.most_since(&before);
        let grown = Duration::from_nanos(now.sum.saturating_sub(before.sum));
        if grown > most + TIME_SLACK + most / SLACK_SHARE {
            return Err(Reason::Implausible);
        }
    }
    convert::int(now.sum)
}

#[cfg(test)]
mod tests {
    use model::Value;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// The wall clock of these tests: a day in 2026.
    const WALL: i64 = 1_780_000_000_000_000;

    fn entry(value: u64, timestamp: i64) -> Entry {
        let mut entry = entry::answer(3, |number| number.ullVal = value);
        entry.timestamp = timestamp;
        entry
    }

    /// A call at so many seconds, with the wall clock so far ahead.
    fn call(at: f64, ahead: i64) -> CallMoment {
        let at = Duration::from_secs_f64(at);
        let moment = Moment::BOOT + SECOND * 1000 + at;
        CallMoment { began: moment, answered: moment, wall: WALL + at.as_micros() as i64 + ahead }
    }

    #[test]
    fn a_rate_needs_two_readings_and_a_counter_that_grew() {
        let mut last = None;
        let mut rate = |rx, tx, at| rate(&[entry(rx, at), entry(tx, at)], call(0.0, 0), &mut last);
        assert_eq!(rate(5, 7, 1_000_000), Err(Reason::NoData));
        assert_eq!(rate(105, 57, 3_000_000), Ok((150, 2_000_000)));
        assert_eq!(rate(1, 57, 4_000_000), Err(Reason::NoData));
        assert_eq!(rate(2, 57, 5_000_000), Ok((1, 1_000_000)));
        assert_eq!(rate(3, 57, 5_000_000), Err(Reason::NoData));
    }

    #[test]
    fn a_clock_that_is_set_costs_one_rate() {
        for ahead in [9, -9, 2 * 3600, -2 * 3600, 300_000_000].map(|seconds| seconds * 1_000_000) {
            let mut last = None;
            let mut rate = |at: f64, ahead| {
                let call = call(at, ahead);
                rate(&[entry(at as u64 * 100, call.wall)], call, &mut last)
            };
            assert_eq!(rate(0.0, 0), Err(Reason::NoData));
            assert_eq!(rate(1.0, 0), Ok((100, 1_000_000)));
            assert_eq!(rate(2.0, ahead), Err(Reason::NoData), "{ahead}");
            assert_eq!(rate(3.0, ahead), Ok((100, 1_000_000)), "{ahead}");
        }
    }

    #[test]
    fn a_stamp_may_be_a_little_older_than_its_answer() {
        let mut last = None;
        let mut rate = |at, stamp| rate(&[entry(0, WALL + stamp)], call(at, 0), &mut last);
        assert_eq!(rate(0.0, -100_000), Err(Reason::NoData));
        assert_eq!(rate(1.0, 1_000_000), Ok((0, 1_100_000)));
        assert_eq!(rate(1.1, 1_000_000), Err(Reason::NoData), "read again");
        assert_eq!(rate(2.0, 1_900_000), Ok((0, 900_000)));
    }

    #[test]
    fn a_stamp_that_is_an_hour_off_is_of_either_clock() {
        let mut last = None;
        let hour = SAME_CLOCK_MICROS as i64;
        let mut rate = |at: f64, off| {
            let call = call(at, 0);
            rate(&[entry(0, call.wall - hour + off)], call, &mut last)
        };
        assert_eq!(rate(0.0, 1_000), Err(Reason::NoData));
        assert_eq!(rate(1.0, -1_000), Ok((0, 998_000)));
        assert_eq!(rate(2.0, 1_000), Ok((0, 1_002_000)));
    }

    #[test]
    fn a_call_that_takes_long_makes_no_clock_wrong() {
        let mut last = None;
        let mut rate = |began, answered, stamp| {
            let call = CallMoment { began: call(began, 0).began, ..call(answered, 0) };
            rate(&[entry(0, WALL + stamp)], call, &mut last)
        };
        assert_eq!(rate(0.0, 0.0, 0), Err(Reason::NoData));
        assert_eq!(rate(1.0, 6.0, 1_000_000), Ok((0, 1_000_000)), "stamped before it hung");
        assert_eq!(rate(7.0, 7.0, 7_000_000), Ok((0, 6_000_000)));
    }

    #[test]
    fn without_stamps_and_with_those_of_another_clock_nothing_can_be_set() {
        let (mut last, mut other) = (None, None);
        for at in [0.0, 1.0] {
            // The frozen test library goes on by a second whenever it is read.
            let own = 1_700_000_000_000_000 + (at * 5e6) as i64;
            let found = [
                rate(&[entry(0, 0)], call(at, at as i64 * 9_000_000), &mut last),
                rate(&[entry(0, own)], call(at, 0), &mut other),
            ];
            if at > 0.0 {
                assert_eq!(found, [Ok((0, 1_000_000)), Ok((0, 5_000_000))]);
            }
        }
    }

    #[test]
    fn a_time_grows_no_faster_than_time_passes() {
        let mut last = None;
        let mut time = |at, seconds: f64| {
            let nanos = (seconds * 1e9) as u64;
            time(&entry(nanos, 0), call(at, 0), &mut last)
        };
        let whole = |seconds: f64| Ok(Value::Int((seconds * 1e9) as i64));
        assert_eq!(time(0.0, 7e5), whole(7e5), "from before");
        assert_eq!(time(10.0, 7e5 + 10.0), whole(7e5 + 10.0));
        assert_eq!(time(11.0, 7e5 + 12.0), whole(7e5 + 12.0), "added in steps");
        assert_eq!(time(12.0, 7e5 + 20.0), Err(Reason::Implausible));
        assert_eq!(time(13.0, 7e5 + 20.5), whole(7e5 + 20.5), "and goes on from there");
        assert_eq!(time(14.0, 3.0), whole(3.0), "begun again");
        let ones = entry(u64::MAX, 0);
        assert_eq!(super::time(&ones, call(15.0, 0), &mut None), Err(Reason::Implausible));
    }
}
