//! Durations as Prometheus writes them.

use std::time::Duration;

/// Units, largest first, in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a duration such as `1h30m` or `250ms`.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut milliseconds = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let (_, each) = UNITS.iter().find(|(name, _)| *name == unit)?;
        milliseconds = milliseconds.checked_add(number.parse::<u64>().ok()?.checked_mul(*each)?)?;
        rest = tail;
    }
    (!text.is_empty()).then(|| Duration::from_millis(milliseconds))
}

/// The shortest way to write it: `90m`, `1500ms`. Never less than a millisecond, since Prometheus
/// takes no range of 0.
pub fn write(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
    let fits = |each: &u64| milliseconds.is_multiple_of(*each);
    // Years and weeks are read but not written.
    let unit = UNITS[2..].iter().find(|(_, each)| fits(each));
    unit.map_or_else(String::new, |(name, each)| format!("{}{name}", milliseconds / each))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_writes_is_read() {
        let seconds = |text| parse(text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("5m"), Some(300.0));
        assert_eq!(seconds("1h30m"), Some(5400.0));
        assert_eq!(seconds("250ms"), Some(0.25));
        assert_eq!(seconds("1w"), Some(604_800.0));
        for wrong in ["", "5", "m", "5 m", "-5m", "5q", "99999999999999999999s"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn it_is_written_in_its_largest_whole_unit() {
        let written = |ms| write(Duration::from_millis(ms));
        assert_eq!(written(300_000), "5m");
        assert_eq!(written(5_400_000), "90m");
        assert_eq!(written(86_400_000), "1d");
        assert_eq!(written(1_500), "1500ms");
        assert_eq!(written(0), "1ms");
    }
}
