//! Time as it is read, in UTC, and the times that an axis shows.

/// Steps of a time axis in seconds.
const STEPS: &[f64] = &[
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1800.0,
    3600.0,
    7200.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    604_800.0,
    2_592_000.0,
];

const DAY: f64 = 86_400.0;

/// The date and the time of day at `time`, in Unix seconds: `2026-05-01` and `12:00:00`.
pub(super) fn read(time: f64) -> (String, String) {
    let days = (time / DAY).floor();
    let second = (time - days * DAY) as u64;
    let (year, month, day) = date(days as i64);
    let clock = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    (format!("{year:04}-{month:02}-{day:02}"), clock)
}

/// The proleptic Gregorian date so many days after 1970-01-01, by counting from a March so that
/// leap days come last.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The times between `from` and `to` at which an axis `width` pixels wide has a mark, each with
/// what is written there.
pub(super) fn marks(from: f64, to: f64, width: f64) -> Vec<(f64, String)> {
    let most = (width / 70.0).max(1.0);
    let fits = |step: &&f64| (to - from) / **step <= most;
    let step = STEPS.iter().find(fits).copied().unwrap_or(31_536_000.0);
    let mut marks = Vec::new();
    let mut time = (from / step).ceil() * step;
    while time <= to {
        let (date, clock) = read(time);
        let text = match step {
            step if step < 60.0 => clock,
            step if step < DAY => clock[..5].to_owned(),
            _ => date[5..].to_owned(),
        };
        marks.push((time, text));
        time += step;
    }
    marks
}

/// The shortest step in seconds that is round and not below `least`: what Grafana does so that
/// steps stay the same from one refresh to the next.
pub(super) fn round_step(least: f64) -> f64 {
    STEPS.iter().copied().find(|step| *step >= least).unwrap_or(least.ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (time, date, clock) in [
            (0.0, "1970-01-01", "00:00:00"),
            (951_782_400.0, "2000-02-29", "00:00:00"),
            (1_767_225_599.9, "2025-12-31", "23:59:59"),
            (1_777_636_805.0, "2026-05-01", "12:00:05"),
            (-1.0, "1969-12-31", "23:59:59"),
        ] {
            assert_eq!(read(time), (date.to_owned(), clock.to_owned()));
        }
    }

    #[test]
    fn marks_are_round_and_have_room() {
        let texts = |from, to, width| -> Vec<String> {
            marks(from, to, width).into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(texts(0.0, 3600.0, 400.0), ["00:00", "00:15", "00:30", "00:45", "01:00"]);
        assert_eq!(texts(7.0, 90.0, 300.0), ["00:00:30", "00:01:00", "00:01:30"]);
        assert_eq!(texts(0.0, 3.0 * DAY, 400.0), ["01-01", "01-02", "01-03", "01-04"]);
        assert!(texts(0.0, 1e9, 10.0).len() < 40);
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([round_step(0.3), round_step(7.0), round_step(61.0)], [1.0, 10.0, 120.0]);
    }
}
