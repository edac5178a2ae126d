//! Recorded values and times as texts and JSON.

use history::layout::SignalInfo;
use history::signal::DOWN_REASONS;
use history::time::Time;
use serde_json::{Number, Value};

/// A time in RFC 3339, in UTC with milliseconds.
pub(super) fn time(time: Time) -> String {
    match jiff::Timestamp::from_millisecond(time.0) {
        Ok(time) => format!("{time:.3}"),
        // Beyond the years that have a name.
        Err(_) => format!("{} ms after 1970", time.0),
    }
}

/// A recorded number as JSON: the word of a reason, else the value, a whole one without a point.
pub(super) fn json(signal: &SignalInfo, number: i64) -> Value {
    if let Some(word) = word(signal, number) {
        return word.into();
    }
    if signal.digits == 0 && signal.step == 0 {
        return number.into();
    }
    let value = signal.resolution().decode(number);
    let whole = value as i64;
    if whole as f64 == value {
        return whole.into();
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// The same as a cell of a table.
pub(super) fn text(signal: &SignalInfo, number: i64) -> String {
    match json(signal, number) {
        Value::String(word) => word,
        value => value.to_string(),
    }
}

/// The word for a number that is only a position in a table.
fn word(signal: &SignalInfo, number: i64) -> Option<&'static str> {
    let place = usize::try_from(number).ok().filter(|_| signal.name == "down_reason")?;
    DOWN_REASONS.get(place).map(|reason| reason.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(name: &str, digits: u8, step: u32) -> SignalInfo {
        let (name, unit) = (name.to_owned(), String::new());
        SignalInfo { number: 1, name, unit, is_of_host: false, digits, step }
    }

    #[test]
    fn values_have_the_digits_that_were_recorded() {
        assert_eq!(text(&signal("power", 3, 0), 512_125), "512.125");
        assert_eq!(text(&signal("power", 3, 0), 512_000), "512");
        assert_eq!(text(&signal("power", 3, 0), -1), "-0.001");
        assert_eq!(text(&signal("energy", 0, 0), i64::MAX), "9223372036854775807");
        assert_eq!(text(&signal("pcie_tx", 0, 1000), 1_234_567), "1234567000");
        assert_eq!(text(&signal("down_reason", 0, 0), 1), "lost");
        assert_eq!(text(&signal("down_reason", 0, 0), 99), "99");
    }

    #[test]
    fn times_are_in_utc_with_milliseconds() {
        assert_eq!(time(Time(1_700_000_000_050)), "2023-11-14T22:13:20.050Z");
        assert_eq!(time(Time(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(Time(i64::MAX)), "9223372036854775807 ms after 1970");
    }
}
