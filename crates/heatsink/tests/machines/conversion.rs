//! From raw numbers to the expected samples, one function for each name in the column `conversion` of
//! `test/fixtures/conversions.csv`.

use toml::Value;

use crate::fixture::Answer;

const MIB: f64 = 1_048_576.0;

/// Readings above these are implausible, and absent.
const MAX_CELSIUS: f64 = 200.0;
const MAX_PERCENT: f64 = 100.0;

/// An expected value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Expected {
    Number(f64),
    /// A counter that grows with each reading, so that its value depends on their number: the first
    /// value and the step, raw.
    Counter {
        first: i64,
        step: i64,
        scale: Scale,
    },
    /// Of a label.
    Text(String),
}

/// The conversion of a whole number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Scale {
    Times(i64),
    /// Rounded down.
    Per(i64),
}

impl Scale {
    pub(crate) fn of(self, raw: i64) -> f64 {
        match self {
            Self::Times(factor) => (raw * factor) as f64,
            Self::Per(divisor) => (raw / divisor) as f64,
        }
    }
}

impl Expected {
    /// Whether a value is the expected one: whole numbers exactly, others to twelve digits.
    pub(crate) fn is(&self, value: f64) -> bool {
        match self {
            Self::Number(number) if number.fract() == 0.0 => value == *number,
            Self::Number(number) => (value - number).abs() <= number.abs() * 1e-12,
            Self::Counter { first, step, scale } => {
                // One reading of all that can have been made in the time of a test.
                let mut readings = (0..10_000).map(|n| scale.of(first + n * step));
                readings.any(|reading| reading == value)
            }
            Self::Text(_) => false,
        }
    }
}

/// Applies the conversion of this name to the raw numbers; `None` for no sample.
///
/// # Panics
///
/// When there is no such conversion, or it does not fit the raw numbers.
pub(crate) fn convert(name: &str, found: Option<&[Answer]>) -> Option<Expected> {
    let known = CONVERSIONS.iter().find(|(known, _)| *known == name);
    let (_, convert) = known.unwrap_or_else(|| panic!("no conversion {name:?}"));
    convert(found)
}

type Convert = fn(Option<&[Answer]>) -> Option<Expected>;

#[rustfmt::skip]
const CONVERSIONS: [(&str, Convert); 23] = [
    ("as_is", |found| counted(found, Scale::Times(1))),
    ("whole", |found| numeric(found, f64::trunc)),
    ("celsius", |found| numeric_up_to(MAX_CELSIUS, found, |raw| raw)),
    ("percent", |found| numeric_up_to(MAX_PERCENT, found, |raw| raw)),
    ("percent_to_ratio", |found| numeric_up_to(MAX_PERCENT, found, |raw| raw / 100.0)),
    ("milli_to_unit", |found| numeric(found, |raw| raw / 1000.0)),
    ("milli_to_whole", |found| counted(found, Scale::Per(1000))),
    ("mib", |found| counted(found, Scale::Per(1_048_576))),
    ("mhz_to_hz", |found| counted(found, Scale::Times(1_000_000))),
    ("mib_per_s_to_bytes", |found| numeric(found, |raw| (raw * MIB).trunc())),
    ("kib_rate_to_mb", |found| rate(found, |kib| (kib / 1000.0).trunc())),
    ("kib_rate_to_bytes", |found| rate(found, |kib| (kib * 1024.0).trunc())),
    ("ber", |found| numeric(found, |raw| bit_error_ratio(raw as u64))),
    ("used_ratio", used_ratio),
    ("count", |found| Some(Expected::Number(one(found)?.as_array()?.len() as f64))),
    ("bool", |found| Some(Expected::Number(if found.is_some() { 1.0 } else { 0.0 }))),
    ("licence", licence),
    ("bits_of_zeros", bits_of_zeros),
    ("text", |found| text(found, str::to_owned)),
    ("nvml_version", |found| text(found, |driver| format!("{}.{driver}", cuda(driver) / 1000))),
    ("cuda_version", |found| Some(Expected::Number(f64::from(cuda(one(found)?.as_str()?))))),
    ("brand", |found| Some(Expected::Text(brand(one(found)?.as_integer()?).to_owned()))),
    ("bus_id", |found| Some(Expected::Text(bus_id(&one(found)?)))),
];

/// The only answer, which is no counter.
fn one(found: Option<&[Answer]>) -> Option<Value> {
    match found? {
        [Answer::Value(value)] => Some(value.clone()),
        other => panic!("one value is needed, not {other:?}"),
    }
}

fn real(value: &Value) -> f64 {
    let whole = value.as_integer().map(|whole| whole as f64);
    whole.or(value.as_float()).unwrap_or_else(|| panic!("not a number: {value}"))
}

fn numeric(found: Option<&[Answer]>, convert: impl Fn(f64) -> f64) -> Option<Expected> {
    Some(Expected::Number(convert(real(&one(found)?))))
}

fn numeric_up_to(
    most: f64,
    found: Option<&[Answer]>,
    convert: impl Fn(f64) -> f64,
) -> Option<Expected> {
    let raw = real(&one(found)?);
    (raw <= most).then(|| Expected::Number(convert(raw)))
}

/// For whole numbers and counters.
fn counted(found: Option<&[Answer]>, scale: Scale) -> Option<Expected> {
    match found? {
        [Answer::Value(Value::Integer(raw))] => Some(Expected::Number(scale.of(*raw))),
        [Answer::Counter { first, step, .. }] => {
            Some(Expected::Counter { first: *first, step: *step, scale })
        }
        other => panic!("one whole number is needed, not {other:?}"),
    }
}

/// Per second; of several counters, the sum.
fn rate(found: Option<&[Answer]>, convert: impl Fn(f64) -> f64) -> Option<Expected> {
    let per_second = |answer: &Answer| match answer {
        Answer::Counter { step, every_us, .. } => *step as f64 * 1e6 / *every_us as f64,
        other => panic!("a counter is needed, not {other:?}"),
    };
    Some(Expected::Number(convert(found?.iter().map(per_second).sum())))
}

/// Bits 8 to 11 are the mantissa, bits 0 to 7 the negated power of ten.
fn bit_error_ratio(packed: u64) -> f64 {
    let (mantissa, exponent) = (packed >> 8 & 0xF, packed & 0xFF);
    format!("{mantissa}e-{exponent}").parse().expect("a number")
}

fn used_ratio(found: Option<&[Answer]>) -> Option<Expected> {
    let memory = one(found)?;
    let part = |key: &str| real(&memory[key]);
    let usable = part("total") - part("reserved");
    (usable > 0.0).then(|| Expected::Number(part("used") / usable))
}

/// Feature 1 is vGPU; a board without licensing has 0.
fn licence(found: Option<&[Answer]>) -> Option<Expected> {
    let licence = one(found)?;
    if licence["supported"].as_bool() == Some(false) {
        return Some(Expected::Number(0.0));
    }
    let features = licence.get("features")?.as_array()?;
    let vgpu = features.iter().find(|feature| feature["code"].as_integer() == Some(1))?;
    Some(Expected::Number(if real(&vgpu["state"]) > 0.0 { 1.0 } else { 0.0 }))
}

/// The places in a list that are 0, as bits.
fn bits_of_zeros(found: Option<&[Answer]>) -> Option<Expected> {
    let list = one(found)?;
    let places = list.as_array()?.iter().enumerate();
    let zeros = places.filter(|(_, value)| value.as_integer() == Some(0));
    Some(Expected::Number(zeros.map(|(place, _)| f64::from(place as u16).exp2()).sum()))
}

fn text(found: Option<&[Answer]>, convert: impl Fn(&str) -> String) -> Option<Expected> {
    Some(Expected::Text(convert(one(found)?.as_str()?)))
}

/// The CUDA version that a driver brings, of those that the machines have.
fn cuda(driver: &str) -> u32 {
    match driver.split('.').next() {
        Some("535") => 12_020,
        Some("550") => 12_040,
        Some("565") => 12_070,
        Some("580") => 13_000,
        Some("595") => 13_020,
        _ => panic!("which CUDA version does driver {driver} bring?"),
    }
}

/// DCGM's names.
fn brand(brand: i64) -> &'static str {
    match brand {
        1 => "Quadro",
        2 => "Tesla",
        3 => "NVS",
        4 => "Grid",
        5 => "GeForce",
        6 => "Titan",
        7 => "NVIDIA Virtual Applications",
        8 => "NVIDIA Virtual PC",
        9 => "NVIDIA Virtual Compute Server",
        10 => "NVIDIA RTX Virtual Workstation",
        11 => "NVIDIA vGaming",
        12 => "Quadro RTX",
        13 => "NVIDIA RTX",
        14 => "NVIDIA",
        15 => "GeForce RTX",
        16 => "Titan RTX",
        _ => "Unknown",
    }
}

/// From the table `pci`.
pub(crate) fn bus_id(pci: &Value) -> String {
    let part = |key: &str| pci.get(key).and_then(Value::as_integer).unwrap_or(0);
    format!("{:08X}:{:02X}:{:02X}.0", part("domain"), part("bus"), part("device"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn shows(name: &str, raw: impl Into<Value>, expected_number: impl Into<Option<f64>>) {
        let expected = convert(name, Some(&[Answer::Value(raw.into())]));
        assert_eq!(expected, expected_number.into().map(Expected::Number), "{name}");
    }

    #[test]
    fn conversions_of_one_number() {
        shows("as_is", -3, -3.0);
        shows("whole", 12.75, 12.0);
        shows("celsius", 200, 200.0);
        shows("celsius", 201, None);
        shows("percent", 100, 100.0);
        shows("percent", 101, None);
        shows("percent_to_ratio", 40.125, 0.40125);
        shows("milli_to_unit", 299_999, 299.999);
        shows("milli_to_whole", 299_999, 299.0);
        shows("mib", 1_048_576 * 3 - 1, 2.0);
        shows("mhz_to_hz", 1755, 1_755_000_000.0);
        shows("mib_per_s_to_bytes", 1.500_000_1, 1_572_864.0);
        shows("ber", 0xA08, 1e-7);
        shows("ber", 0x1D0F, 13e-15);
        shows("count", vec![7, 8], 2.0);
        shows("bits_of_zeros", vec![6, 0, 5, 0], 10.0);
        shows("bits_of_zeros", vec![6], 0.0);
        shows("cuda_version", "550.163.01", 12_040.0);
    }

    #[test]
    fn conversions_to_text() {
        let text_of = |name: &str, raw: Value| match convert(name, Some(&[Answer::Value(raw)])) {
            Some(Expected::Text(text)) => text,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(text_of("text", "a b".into()), "a b");
        assert_eq!(text_of("brand", 15.into()), "GeForce RTX");
        assert_eq!(text_of("nvml_version", "580.95.05".into()), "13.580.95.05");
        let pci = "pci = { domain = 8, bus = 0x1A }".parse::<toml::Table>().unwrap();
        assert_eq!(text_of("bus_id", pci["pci"].clone()), "00000008:1A:00.0");
    }

    #[test]
    fn conversions_of_tables() {
        let table = |text: &str| Value::from(text.parse::<toml::Table>().unwrap());
        shows("used_ratio", table("total = 110\nreserved = 10\nused = 25"), 0.25);
        shows("used_ratio", table("total = 10\nreserved = 10\nused = 0"), None);
        shows("licence", table("supported = false"), 0.0);
        shows("licence", table("supported = true\nfeatures = [{ code = 1, state = 5 }]"), 1.0);
        shows("licence", table("supported = true\nfeatures = [{ code = 2, state = 5 }]"), None);
        shows("bool", table(""), 1.0);
        assert_eq!(convert("bool", None), Some(Expected::Number(0.0)));
        assert_eq!(convert("as_is", None), None);
    }

    #[test]
    fn rates_are_those_of_the_counters_together() {
        let sent = Answer::Counter { first: 5, step: 2_000_999, every_us: 1_000_000 };
        let received = Answer::Counter { first: 7, step: 1_000_000, every_us: 500_000 };
        let both = [sent, received];
        let converted = |name| convert(name, Some(&both)).unwrap();
        assert_eq!(converted("kib_rate_to_mb"), Expected::Number(4000.0));
        assert_eq!(converted("kib_rate_to_bytes"), Expected::Number(4_000_999.0 * 1024.0));
    }

    #[test]
    fn a_counter_is_right_at_any_of_its_readings() {
        let raw = Answer::Counter { first: 1_999, step: 300, every_us: 1 };
        let counter = convert("milli_to_whole", Some(std::slice::from_ref(&raw))).unwrap();
        assert!(counter.is(1.0) && counter.is(2.0) && counter.is(302.0));
        assert!(!counter.is(0.0) && !counter.is(2.5));
        let counter = convert("as_is", Some(&[raw])).unwrap();
        assert!(counter.is(2_299.0) && !counter.is(2_300.0));
    }

    #[test]
    fn whole_numbers_are_compared_exactly_and_others_nearly() {
        assert!(!Expected::Number(1e15).is(1e15 + 1.0));
        assert!(Expected::Number(0.1).is(0.1 + 1e-14) && !Expected::Number(0.1).is(0.1 + 1e-12));
    }
}
