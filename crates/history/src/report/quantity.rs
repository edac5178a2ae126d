//! How values are written, with their units.

/// A larger form of a unit, used from this value on.
struct Larger {
    unit: &'static str,
    factor: f64,
    name: &'static str,
    digits: usize,
}

/// The largest forms first.
const LARGER: [Larger; 6] = [
    Larger { unit: "MiB", factor: 1_048_576.0, name: "TiB", digits: 1 },
    Larger { unit: "MiB", factor: 1024.0, name: "GiB", digits: 1 },
    Larger { unit: "B/s", factor: 1e9, name: "GB/s", digits: 1 },
    Larger { unit: "B/s", factor: 1e6, name: "MB/s", digits: 1 },
    Larger { unit: "B/s", factor: 1e3, name: "kB/s", digits: 1 },
    // Always: a ratio is shown in percent.
    Larger { unit: "ratio", factor: 0.01, name: "%", digits: 0 },
];

/// A value with its unit: `89 °C`, `79.6 GiB`, `12 %`.
pub(super) fn quantity(value: f64, unit: &str) -> String {
    let (number, name) = written(value, unit, value);
    with_unit(number, name)
}

/// From a value to another with their unit: `61 to 89 °C`.
pub(super) fn from_to(min: f64, max: f64, unit: &str) -> String {
    let (high, name) = written(max, unit, max.abs().max(min.abs()));
    let (low, _) = written(min, unit, max.abs().max(min.abs()));
    if low == high {
        return with_unit(high, name);
    }
    with_unit(format!("{low} to {high}"), name)
}

fn with_unit(number: String, unit: &str) -> String {
    if unit.is_empty() { number } else { format!("{number} {unit}") }
}

/// The number in the form of the unit that suits `scale`, and the name of that form.
fn written(value: f64, unit: &str, scale: f64) -> (String, &str) {
    let larger = LARGER.iter().find(|larger| {
        larger.unit == unit && (larger.factor < 1.0 || scale.abs() >= larger.factor)
    });
    match larger {
        Some(larger) => (rounded(value / larger.factor, larger.digits), larger.name),
        None if unit == "%" && scale.abs() < 10.0 => (rounded(value, 1), unit),
        None => (rounded(value, 0), unit),
    }
}

/// The number with this many decimal digits, or fewer if they are zeros. Never `-0`.
fn rounded(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_a_unit_that_suits_them() {
        let cases = [
            (quantity(89.0, "°C"), "89 °C"),
            (quantity(81_559.0, "MiB"), "79.6 GiB"),
            (quantity(512.0, "MiB"), "512 MiB"),
            (quantity(0.42, "ratio"), "42 %"),
            (quantity(0.25, "%"), "0.2 %"),
            (quantity(100.0, "%"), "100 %"),
            (quantity(-0.2, ""), "0"),
            (from_to(61.0, 89.0, "°C"), "61 to 89 °C"),
            (from_to(12.0, 81_559.0, "MiB"), "0 to 79.6 GiB"),
            (from_to(1980.2, 1979.9, "MHz"), "1980 MHz"),
            (from_to(3.0, 15.0, ""), "3 to 15"),
        ];
        for (written, expected) in cases {
            assert_eq!(written, expected);
        }
    }
}
