//! How times are written: as a local time, and as a distance from the end.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::time::{Range, Time};

/// The minus sign.
const MINUS: &str = "−";

/// A local time with its zone: `2026-11-30 03:12:44 CET`.
pub fn local(time: Time, zone: &TimeZone) -> String {
    shown(time, zone, "%Y-%m-%d %H:%M:%S %Z")
}

/// A local time of day: `03:12:44`.
pub(super) fn time_of_day(time: Time, zone: &TimeZone) -> String {
    shown(time, zone, "%H:%M:%S")
}

/// A range in local time; a day and a zone that both have are written once.
pub fn local_range(range: Range, zone: &TimeZone) -> String {
    let is_same = |format| shown(range.from, zone, format) == shown(range.to, zone, format);
    let begin = if is_same("%Z") { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S %Z" };
    let end = if is_same("%Y-%m-%d") { "%H:%M:%S %Z" } else { "%Y-%m-%d %H:%M:%S %Z" };
    format!("{} to {}", shown(range.from, zone, begin), shown(range.to, zone, end))
}

fn shown(time: Time, zone: &TimeZone, format: &str) -> String {
    match Timestamp::from_millisecond(time.0) {
        Ok(timestamp) => timestamp.to_zoned(zone.clone()).strftime(format).to_string(),
        Err(_) => format!("{} ms after 1970", time.0),
    }
}

/// A distance from the end: `−1:02:11`, `−0:04.2`, `0:00`, `+0:12`. Below ten seconds it has tenths. It is cut
/// to what is shown, towards the end.
pub(super) fn relative(time: Time, end: Time) -> String {
    let millis = time.0.saturating_sub(end.0);
    let sign = if millis < 0 { MINUS } else { "+" };
    let tenths = millis.unsigned_abs() / 100;
    let seconds = tenths / 10;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, seconds) {
        (0, _) if tenths == 0 => "0:00".to_owned(),
        (0, 0..10) => format!("{sign}0:{:02}.{}", seconds % 60, tenths % 10),
        (0, _) => format!("{sign}{minutes}:{:02}", seconds % 60),
        _ => format!("{sign}{hours}:{minutes:02}:{:02}", seconds % 60),
    }
}

/// A duration in words: `12 s`, `3 min`, `1 h 2 min`, `5 d 3 h`.
pub fn duration(millis: i64) -> String {
    let seconds = millis.unsigned_abs() / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match seconds {
        0..120 => format!("{seconds} s"),
        120..3600 => two(minutes, "min", seconds % 60, "s"),
        3600..86_400 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_from_the_end() {
        let end = Time(1_000_000_000);
        let cases = [
            (0, "0:00"),
            (-12, "0:00"),
            (-4_250, "−0:04.2"),
            (-10_999, "−0:10"),
            (-3_731_000, "−1:02:11"),
            (12_000, "+0:12"),
            (100 * 3_600_000, "+100:00:00"),
        ];
        for (millis, expected) in cases {
            assert_eq!(relative(Time(end.0 + millis), end), expected);
        }
        assert!(relative(Time(i64::MIN), Time(i64::MAX)).starts_with(MINUS));
    }

    #[test]
    fn local_times_name_their_zone_and_the_day_once() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let begin = Time(1_796_000_000_000);
        let hour = Time(begin.0 + 3_600_000);
        let day = Time(begin.0 + 86_400_000);
        assert_eq!(local(begin, &zone), "2026-11-30 01:53:20 CET");
        let range = |to| local_range(Range { from: begin, to }, &zone);
        assert_eq!(range(hour), "2026-11-30 01:53:20 to 02:53:20 CET");
        assert_eq!(range(day), "2026-11-30 01:53:20 to 2026-12-01 01:53:20 CET");
        // The hour that is there twice.
        let summer = Time(1_792_889_700_000);
        let winter = Time(summer.0 + 10 * 60_000);
        assert_eq!(
            local_range(Range { from: summer, to: winter }, &zone),
            "2026-10-25 02:55:00 CEST to 02:05:00 CET"
        );
        assert_eq!(local(Time(i64::MAX), &zone), format!("{} ms after 1970", i64::MAX));
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let cases = [
            (90_000, "90 s"),
            (180_000, "3 min"),
            (3_731_000, "1 h 2 min"),
            (86_400_000 * 5 + 3_600_000 * 3, "5 d 3 h"),
        ];
        for (millis, expected) in cases {
            assert_eq!(duration(millis), expected);
        }
    }
}
