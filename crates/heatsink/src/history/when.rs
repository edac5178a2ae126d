//! Times as people type them.

use anyhow::{Result, bail};
use history::time::Time;
use jiff::civil::{Date, DateTime, Time as Clock};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// What a message says of times.
const EXAMPLES: &str =
    "write 03:12, 2026-11-30 03:12:44, yesterday 03:12, 2026-11-30T03:12:44Z, -2h, or now";

/// The units of `-2h`, in seconds.
const UNITS: [(char, i64); 5] =
    [('s', 1), ('m', 60), ('h', 3600), ('d', 24 * 3600), ('w', 7 * 24 * 3600)];

/// A time in the time zone of the machine: `03:12` (the last such moment), `03:12:44`, `2026-11-30 03:12`,
/// `yesterday 03:12`, `2026-11-30T03:12:44Z`, `-2h`, `now`.
///
/// # Errors
///
/// If it is none of these; the message has examples.
pub(crate) fn parse(text: &str, now: Time) -> Result<Time> {
    parse_in(text, now, &TimeZone::system())
}

fn parse_in(text: &str, now: Time, zone: &TimeZone) -> Result<Time> {
    let moment = Timestamp::from_millisecond(now.0).ok();
    let time = moment.and_then(|moment| read(text.trim(), moment, zone));
    let Some(time) = time else { bail!("`{text}` is not a time; {EXAMPLES}") };
    Ok(Time(time.as_millisecond()))
}

fn read(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if text == "now" {
        return Some(now);
    }
    if let Some(distance) = text.strip_prefix('-').or_else(|| text.strip_prefix('−')) {
        return now.checked_sub(distance_of(distance)?).ok();
    }
    if let Some(clock) = clock_of(text) {
        return last_such(clock, now, zone);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    let today = now.to_zoned(zone.clone()).date();
    let (day, clock) = text.split_once([' ', 'T']).unwrap_or((text, "00:00"));
    let day = match day {
        "today" => today,
        "yesterday" => today.yesterday().ok()?,
        _ => day_of(day)?,
    };
    let time = DateTime::from_parts(day, clock_of(clock.trim())?);
    // A time that the clock skipped is as long after the skip as it says; of two, the first.
    zone.to_ambiguous_timestamp(time).compatible().ok()
}

/// `2026-11-30`.
fn day_of(text: &str) -> Option<Date> {
    let is_day = text.len() == 10 && text.bytes().all(|c| c.is_ascii_digit() || c == b'-');
    text.parse().ok().filter(|_| is_day)
}

/// `03:12`, `3:12`, `03:12:44`, `03:12:44.5`.
fn clock_of(text: &str) -> Option<Clock> {
    let (hour, rest) = text.split_once(':')?;
    let number = |text: &str| {
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
        text.parse::<i8>().ok().filter(|_| is_number)
    };
    let (minute, second) = rest.split_once(':').unwrap_or((rest, "0"));
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    let is_fraction = fraction.len() <= 9 && fraction.bytes().all(|c| c.is_ascii_digit());
    let nanos: i32 = format!("{fraction:0<9}").parse().ok().filter(|_| is_fraction)?;
    Clock::new(number(hour)?, number(minute)?, number(second)?, nanos).ok()
}

/// The last moment at which the clock showed this, up to now.
fn last_such(clock: Clock, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let mut day = now.to_zoned(zone.clone()).date();
    // A day may have skipped it.
    for _ in 0..3 {
        let time = zone.to_ambiguous_timestamp(DateTime::from_parts(day, clock));
        let is_skipped = matches!(time.offset(), AmbiguousOffset::Gap { .. });
        if !is_skipped {
            let (first, second) = (time.earlier().ok(), time.later().ok());
            let moment = [second, first].into_iter().flatten().find(|moment| *moment <= now);
            if moment.is_some() {
                return moment;
            }
        }
        day = day.yesterday().ok()?;
    }
    None
}

/// `2h`, `90s`, `1h30m`.
fn distance_of(text: &str) -> Option<SignedDuration> {
    let mut seconds: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(end);
        let unit = after.chars().next()?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let part = number.parse::<i64>().ok()?.checked_mul(*factor)?;
        seconds = seconds.checked_add(part)?;
        rest = after.get(unit.len_utf8()..)?;
    }
    (!text.is_empty()).then(|| SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Berlin's rules.
    fn zone() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn time(text: &str) -> Time {
        Time(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn times_as_people_type_them() {
        // 10:00 in winter.
        let now = time("2026-11-30T09:00:00.500Z");
        let cases = [
            ("now", "2026-11-30T09:00:00.500Z"),
            (" now ", "2026-11-30T09:00:00.500Z"),
            ("03:12", "2026-11-30T02:12:00Z"),
            ("3:12", "2026-11-30T02:12:00Z"),
            ("03:12:44", "2026-11-30T02:12:44Z"),
            ("03:12:44.25", "2026-11-30T02:12:44.25Z"),
            // The last such moment.
            ("10:00", "2026-11-30T09:00:00Z"),
            ("10:01", "2026-11-29T09:01:00Z"),
            ("23:59", "2026-11-29T22:59:00Z"),
            ("2026-11-29 03:12", "2026-11-29T02:12:00Z"),
            ("2026-11-29T03:12", "2026-11-29T02:12:00Z"),
            ("2026-11-29 03:12:44", "2026-11-29T02:12:44Z"),
            ("2026-07-01 03:12", "2026-07-01T01:12:00Z"),
            ("2026-11-29", "2026-11-28T23:00:00Z"),
            ("2027-01-01 00:00", "2026-12-31T23:00:00Z"),
            ("yesterday 03:12", "2026-11-29T02:12:00Z"),
            ("yesterday", "2026-11-28T23:00:00Z"),
            ("today 03:12", "2026-11-30T02:12:00Z"),
            ("2026-11-30T03:12:44Z", "2026-11-30T03:12:44Z"),
            ("2026-11-30T03:12:44+01:00", "2026-11-30T02:12:44Z"),
            ("2026-11-30 03:12:44.5-02:00", "2026-11-30T05:12:44.5Z"),
            ("-2h", "2026-11-30T07:00:00.500Z"),
            ("-90s", "2026-11-30T08:58:30.500Z"),
            ("-1h30m", "2026-11-30T07:30:00.500Z"),
            ("-2d", "2026-11-28T09:00:00.500Z"),
            ("-1w", "2026-11-23T09:00:00.500Z"),
            // 02:30 was skipped on 29 March, and there twice on 25 October.
            ("2026-03-29 02:30", "2026-03-29T01:30:00Z"),
            ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),
        ];
        for (text, expected) in cases {
            let parsed = parse_in(text, now, &zone()).unwrap();
            assert_eq!(parsed, time(expected), "{text}");
        }
    }

    #[test]
    fn a_time_of_day_is_the_last_one_also_when_clocks_change() {
        let cases = [
            // 02:30 was not there this day.
            ("02:30", "2026-03-29T10:00:00Z", "2026-03-28T01:30:00Z"),
            ("03:30", "2026-03-29T10:00:00Z", "2026-03-29T01:30:00Z"),
            // It was there twice; at the last question only once yet.
            ("02:30", "2026-10-25T10:00:00Z", "2026-10-25T01:30:00Z"),
            ("02:30", "2026-10-25T01:00:00Z", "2026-10-25T00:30:00Z"),
        ];
        for (text, now, expected) in cases {
            let parsed = parse_in(text, time(now), &zone()).unwrap();
            assert_eq!(parsed, time(expected), "{text} at {now}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_examples() {
        let now = time("2026-11-30T09:00:00Z");
        let wrong = [
            "",
            "3",
            "24:00",
            "03:60",
            "3 o'clock",
            "03:12:60",
            "0003:12",
            "+03:12",
            "03:-1",
            "-",
            "-2",
            "-2y",
            "-h",
            "-2h3",
            "2h",
            "-99999999999999999999s",
            "-9999999999w",
            "tomorrow 03:12",
            "2026-13-01 03:12",
            "2026-11-30 3",
            "30.11.2026 03:12",
            "noon",
        ];
        for text in wrong {
            let parsed = parse_in(text, now, &zone());
            let message = parsed.expect_err(text).to_string();
            assert_eq!(message, format!("`{text}` is not a time; {EXAMPLES}"));
        }
        assert!(parse_in("03:12", Time(i64::MAX), &zone()).is_err());
    }
}
