//! Numbers as Grafana writes them: a unit's scale, and three digits that count.

use std::fmt;

use super::clock;

/// A number as it is written, in two parts so that the unit can be smaller.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Written {
    /// The digits, or a word.
    pub(super) number: String,
    /// The unit, with the space before it if there is one.
    pub(super) unit: String,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, self.unit)
    }
}

/// How a unit is written.
enum Form {
    /// The number times this, then this.
    Plain(f64, &'static str),
    /// Divided by a power of a base, with that power's prefix: (base, prefixes, unit, the power
    /// that the number comes in).
    Scaled(f64, &'static [&'static str], &'static str, usize),
    /// A span of time; a second is this many.
    Time(f64),
    /// A span of time in words.
    Words,
    /// A word for zero and one for all else.
    Choice(&'static str, &'static str),
    /// Milliseconds since 1970 as a date and a time.
    Date,
}

const SI: &[&str] = &["", "k", "M", "G", "T", "P", "E"];
const IEC: &[&str] = &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const COUNT: &[&str] = &["", "K", "Mil", "Bil", "Tri", "Quadr"];

const UNITS: &[(&str, Form)] = &[
    ("", Form::Plain(1.0, "")),
    ("none", Form::Plain(1.0, "")),
    ("short", Form::Scaled(1000.0, COUNT, "", 0)),
    ("sishort", Form::Scaled(1000.0, SI, "", 0)),
    ("celsius", Form::Plain(1.0, " °C")),
    ("percent", Form::Plain(1.0, "%")),
    ("percentunit", Form::Plain(100.0, "%")),
    ("bytes", Form::Scaled(1024.0, IEC, "B", 0)),
    ("kbytes", Form::Scaled(1024.0, IEC, "B", 1)),
    ("mbytes", Form::Scaled(1024.0, IEC, "B", 2)),
    ("decbytes", Form::Scaled(1000.0, SI, "B", 0)),
    ("Bps", Form::Scaled(1000.0, SI, "B/s", 0)),
    ("binBps", Form::Scaled(1024.0, IEC, "B/s", 0)),
    ("bps", Form::Scaled(1000.0, SI, "b/s", 0)),
    ("watt", Form::Scaled(1000.0, SI, "W", 0)),
    ("kwatt", Form::Scaled(1000.0, SI, "W", 1)),
    ("watth", Form::Scaled(1000.0, SI, "Wh", 0)),
    ("kwatth", Form::Scaled(1000.0, SI, "Wh", 1)),
    ("joule", Form::Scaled(1000.0, SI, "J", 0)),
    ("hertz", Form::Scaled(1000.0, SI, "Hz", 0)),
    ("ops", Form::Plain(1.0, " ops/s")),
    ("cps", Form::Plain(1.0, " c/s")),
    ("ms", Form::Time(1e3)),
    ("s", Form::Time(1.0)),
    ("m", Form::Time(1.0 / 60.0)),
    ("h", Form::Time(1.0 / 3600.0)),
    ("d", Form::Time(1.0 / 86_400.0)),
    ("dtdurations", Form::Words),
    ("bool", Form::Choice("False", "True")),
    ("bool_yes_no", Form::Choice("No", "Yes")),
    ("bool_on_off", Form::Choice("Off", "On")),
    ("dateTimeAsIso", Form::Date),
];

/// Spans of time: how many seconds, and the unit. Below a minute comes first.
const SPANS: &[(f64, &str)] = &[
    (1e-9, " ns"),
    (1e-6, " µs"),
    (1e-3, " ms"),
    (1.0, " s"),
    (60.0, " mins"),
    (3600.0, " hours"),
    (86_400.0, " days"),
    (604_800.0, " weeks"),
    (31_536_000.0, " years"),
];

const WORDS: &[(f64, &str)] = &[
    (31_536_000.0, "year"),
    (2_628_000.0, "month"),
    (604_800.0, "week"),
    (86_400.0, "day"),
    (3600.0, "hour"),
    (60.0, "minute"),
    (1.0, "second"),
];

/// `value` in the unit with this Grafana name, with so many decimals or as many as show three
/// digits.
pub(super) fn write(value: f64, unit: &str, decimals: Option<usize>) -> Written {
    if !value.is_finite() {
        let number = if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        return Written { number: number.to_owned(), unit: String::new() };
    }
    let known = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, form)| form);
    let plain = |number: String, unit: &str| Written { number, unit: unit.to_owned() };
    match known {
        Some(Form::Plain(times, unit)) => plain(digits(value * times, decimals), unit),
        Some(Form::Scaled(base, prefixes, unit, offset)) => {
            scaled(value, *base, (prefixes, unit), *offset, decimals)
        }
        Some(Form::Time(second)) => span(value / second, decimals),
        Some(Form::Words) => plain(words(value, decimals.unwrap_or(0)), ""),
        Some(Form::Choice(no, yes)) => {
            plain((if value == 0.0 { *no } else { *yes }).to_owned(), "")
        }
        Some(Form::Date) => {
            let (date, clock) = clock::read(value / 1e3);
            plain(format!("{date} {clock}"), "")
        }
        None => own(value, unit, decimals),
    }
}

/// The number that `value` is divided by when it is written in `unit`, so that the marks of an axis
/// are round once they are written: the divisor of the largest value, and its base.
pub(super) fn divisor(value: f64, unit: &str) -> f64 {
    match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, Form::Plain(times, _))) => 1.0 / times,
        Some((_, Form::Scaled(base, prefixes, _, offset))) => {
            base.powi(power(value, *base, prefixes.len(), *offset) as i32 - *offset as i32)
        }
        Some((_, Form::Time(second))) => span_of(value / second).0 * second,
        _ => 1.0,
    }
}

fn power(value: f64, base: f64, powers: usize, offset: usize) -> usize {
    let size = value.abs() * base.powi(offset as i32);
    (1..powers).take_while(|power| size >= base.powi(*power as i32)).count()
}

fn scaled(
    value: f64,
    base: f64,
    (prefixes, unit): (&[&str], &str),
    offset: usize,
    decimals: Option<usize>,
) -> Written {
    let power = power(value, base, prefixes.len(), offset);
    let number = digits(value * base.powi(offset as i32 - power as i32), decimals);
    let unit = format!("{}{unit}", prefixes[power]);
    Written { number, unit: if unit.is_empty() { unit } else { format!(" {unit}") } }
}

fn span_of(seconds: f64) -> (f64, &'static str) {
    let second = SPANS[3];
    if seconds == 0.0 {
        return second;
    }
    SPANS.iter().rev().find(|(size, _)| seconds.abs() >= *size).copied().unwrap_or(SPANS[0])
}

fn span(seconds: f64, decimals: Option<usize>) -> Written {
    let (size, unit) = span_of(seconds);
    let number = digits(seconds / size, decimals);
    let unit = if number == "1" && size > 1.0 { unit.trim_end_matches('s') } else { unit };
    Written { number, unit: unit.to_owned() }
}

/// The largest word that fits, and `more` of those below it.
fn words(seconds: f64, more: usize) -> String {
    let mut left = seconds.abs();
    let first = WORDS.iter().position(|(size, _)| left >= *size).unwrap_or(WORDS.len() - 1);
    let mut parts = Vec::new();
    for (size, word) in WORDS.iter().skip(first).take(more + 1) {
        let count = (left / size).floor();
        left -= count * size;
        parts.push(format!("{count} {word}{}", if count == 1.0 { "" } else { "s" }));
    }
    format!("{}{}", if seconds < 0.0 { "-" } else { "" }, parts.join(", "))
}

/// The units that a dashboard makes up: `suffix: x`, `prefix: x`, `si: x`, or just a word.
fn own(value: f64, unit: &str, decimals: Option<usize>) -> Written {
    let (form, text) = unit.split_once(':').unwrap_or(("suffix", unit));
    match (form, text.trim()) {
        ("si", text) => {
            let mut written = scaled(value, 1000.0, (SI, ""), 0, decimals);
            written.unit = format!(" {}{text}", written.unit.trim());
            written
        }
        ("prefix", text) => {
            Written { number: format!("{text}{}", digits(value, decimals)), unit: String::new() }
        }
        (_, text) => Written { number: digits(value, decimals), unit: format!(" {text}") },
    }
}

/// `value` with so many decimals, or with those that make three digits, and none if it is whole.
fn digits(value: f64, decimals: Option<usize>) -> String {
    let decimals = decimals.unwrap_or_else(|| {
        let needed = (2.0 - value.abs().log10().floor()).clamp(0.0, 9.0);
        if value.fract() == 0.0 { 0 } else { needed as usize }
    });
    let text = format!("{value:.decimals$}");
    let zero = text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.');
    if zero { text.trim_start_matches('-').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(value: f64, unit: &str) -> String {
        write(value, unit, None).to_string()
    }

    #[test]
    fn numbers_have_three_digits_and_their_unit() {
        for (value, unit, text) in [
            (61.27, "celsius", "61.3 °C"),
            (61.0, "celsius", "61 °C"),
            (0.9534, "percentunit", "95.3%"),
            (1.0, "percentunit", "100%"),
            (42.0, "percent", "42%"),
            (0.0, "bytes", "0 B"),
            (1023.0, "bytes", "1023 B"),
            (85_520_809_984.0, "bytes", "79.6 GiB"),
            (85_520_809_984.0, "decbytes", "85.5 GB"),
            (1.5e9, "Bps", "1.50 GB/s"),
            (1024.0, "binBps", "1 KiB/s"),
            (699.7, "watt", "700 W"),
            (5431.0, "watt", "5.43 kW"),
            (12.34, "kwatth", "12.3 kWh"),
            (1234.0, "kwatth", "1.23 MWh"),
            (0.2, "kwatth", "200 Wh"),
            (1.98e9, "hertz", "1.98 GHz"),
            (0.0, "hertz", "0 Hz"),
            (1234.0, "short", "1.23 K"),
            (12.0, "short", "12"),
            (1234.6, "none", "1235"),
            (0.000_009_3, "s", "9.30 µs"),
            (0.25, "s", "250 ms"),
            (59.0, "s", "59 s"),
            (90.0, "s", "1.50 mins"),
            (3600.0, "s", "1 hour"),
            (0.0, "s", "0 s"),
            (36.0, "h", "1.50 days"),
            (0.5, "h", "30 mins"),
            (1.0, "bool", "True"),
            (0.0, "bool", "False"),
            (1_777_636_805_000.0, "dateTimeAsIso", "2026-05-01 12:00:05"),
            (3.0, "suffix: GPUs", "3 GPUs"),
            (3.0, "suffix:GPUs", "3 GPUs"),
            (3.0, "prefix:$", "$3"),
            (3e6, "si:flop", "3 Mflop"),
            (3.0, "rpm", "3 rpm"),
            (f64::NAN, "watt", "NaN"),
            (f64::INFINITY, "watt", "+Inf"),
            (-0.0001, "none", "-0.000100"),
            (-1536.0, "bytes", "-1.50 KiB"),
        ] {
            assert_eq!(auto(value, unit), text, "{value} in {unit}");
        }
    }

    #[test]
    fn decimals_can_be_asked_for() {
        assert_eq!(write(61.25, "celsius", Some(0)).to_string(), "61 °C");
        assert_eq!(write(0.5, "percentunit", Some(1)).to_string(), "50.0%");
        assert_eq!(write(-0.0001, "none", Some(2)).to_string(), "0.00");
    }

    #[test]
    fn durations_are_words() {
        assert_eq!(auto(7265.0, "dtdurations"), "2 hours");
        assert_eq!(write(7265.0, "dtdurations", Some(1)).to_string(), "2 hours, 1 minute");
        assert_eq!(auto(0.4, "dtdurations"), "0 seconds");
        assert_eq!(auto(-90.0, "dtdurations"), "-1 minute");
    }

    #[test]
    fn no_unit_is_there_twice() {
        for (number, (name, _)) in UNITS.iter().enumerate() {
            assert!(UNITS[..number].iter().all(|(other, _)| other != name), "{name}");
        }
    }

    #[test]
    fn a_divisor_is_what_a_number_is_written_with() {
        assert_eq!(divisor(85e9, "bytes"), 1024f64.powi(3));
        assert_eq!(divisor(0.9, "percentunit"), 0.01);
        assert_eq!(divisor(7200.0, "s"), 3600.0);
        assert_eq!(divisor(1234.0, "kwatth"), 1000.0);
        assert_eq!(divisor(5.0, "celsius"), 1.0);
    }
}
