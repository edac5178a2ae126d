//! One entry of `nvmlDeviceGetFieldValues`: its type, and its value at each reading.

use std::sync::atomic::{AtomicU64, Ordering};

use nvml_wrapper_sys::bindings as nvml;
use serde::{Deserialize, Deserializer, de::Error};

use crate::refusal::Refusal;

/// Timestamp of the first reading where none is given, so that readings are the same in each run.
pub(crate) const FIRST_TIMESTAMP_US: i64 = 1_700_000_000_000_000;

const SECOND_US: i64 = 1_000_000;

/// A field that a board has.
#[derive(Debug)]
pub(crate) struct Field {
    pub id: u32,
    /// The scope it answers for; `None` for any scope.
    pub scope: Option<u32>,
    pub kind: Kind,
    readings: Readings,
}

/// Which member of `nvmlValue_t` holds the value.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    F64,
    U32,
    Ulong,
    U64,
    I64,
    I32,
    U16,
}

/// A value before it is put into its C type.
#[derive(Deserialize, Clone, Copy, PartialEq, Debug)]
#[serde(untagged)]
pub(crate) enum Number {
    Integer(i64),
    Float(f64),
}

/// One reading.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Reading {
    Value {
        timestamp_us: i64,
        number: Number,
    },
    /// Success, and yet nothing filled in, as drivers did for ECC counters with ECC off.
    Unfilled,
    Refused(Refusal),
}

#[derive(Debug)]
enum Readings {
    /// The same at each reading.
    Fixed(Reading),
    /// One point after the other; past the last, the last step again and again.
    Script { points: Vec<(i64, Number)>, next: AtomicU64 },
}

impl Field {
    /// A value of this moment.
    pub(crate) fn sampled(id: u32, kind: Kind, timestamp_us: i64, value: u64) -> Self {
        let number = Number::Integer(value.cast_signed());
        Self {
            id,
            scope: None,
            kind,
            readings: Readings::Fixed(Reading::Value { timestamp_us, number }),
        }
    }

    /// A counter that grows by `per_second` with each reading, and its timestamp by a second.
    pub(crate) fn counting(
        id: u32,
        kind: Kind,
        timestamp_us: i64,
        value: u64,
        per_second: u64,
    ) -> Self {
        let (value, per_second) = (value.cast_signed(), per_second.cast_signed());
        let points = vec![
            (timestamp_us, Number::Integer(value)),
            (timestamp_us + SECOND_US, Number::Integer(value + per_second)),
        ];
        Self { id, scope: None, kind, readings: Readings::script(points) }
    }

    /// The same, for one scope.
    pub(crate) fn in_scope(self, scope: u32) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// The next reading.
    pub(crate) fn read(&self) -> Reading {
        match &self.readings {
            Readings::Fixed(reading) => *reading,
            Readings::Script { points, next } => {
                let (timestamp_us, number) = point(points, next.fetch_add(1, Ordering::Relaxed));
                Reading::Value { timestamp_us, number }
            }
        }
    }
}

impl Readings {
    fn script(points: Vec<(i64, Number)>) -> Self {
        Self::Script { points, next: AtomicU64::new(0) }
    }
}

/// The `n`th point; past the end of the list, the last step is repeated.
fn point(points: &[(i64, Number)], n: u64) -> (i64, Number) {
    if let Some(listed) = usize::try_from(n).ok().and_then(|n| points.get(n)) {
        return *listed;
    }
    let (last, step) = match points {
        [] => ((FIRST_TIMESTAMP_US, Number::Integer(0)), (SECOND_US, Number::Integer(0))),
        [only] => (*only, (SECOND_US, Number::Integer(0))),
        [.., before, last] => (*last, (last.0 - before.0, last.1.minus(before.1))),
    };
    let steps = n.saturating_sub((points.len() as u64).saturating_sub(1)).cast_signed();
    (last.0 + step.0 * steps, last.1.plus_times(step.1, steps))
}

impl Number {
    fn minus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Self::Integer(a.wrapping_sub(b)),
            (a, b) => Self::Float(a.as_f64() - b.as_f64()),
        }
    }

    fn plus_times(self, step: Self, times: i64) -> Self {
        match (self, step) {
            (Self::Integer(a), Self::Integer(b)) => {
                Self::Integer(a.wrapping_add(b.wrapping_mul(times)))
            }
            (a, b) => Self::Float(a.as_f64() + b.as_f64() * times as f64),
        }
    }

    fn as_f64(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }

    fn as_i64(self) -> i64 {
        match self {
            Self::Integer(integer) => integer,
            Self::Float(float) => float as i64,
        }
    }
}

impl Kind {
    /// The value type and the value as C has them; what does not fit is cut off as C would.
    pub(crate) fn encode(self, number: Number) -> (nvml::nvmlValueType_t, nvml::nvmlValue_t) {
        // The widest member first, so that no byte of the union is left undefined.
        let mut value = nvml::nvmlValue_t { ullVal: 0 };
        let integer = number.as_i64();
        let kind = match self {
            Self::F64 => {
                value.dVal = number.as_f64();
                nvml::nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE
            }
            Self::U32 => {
                value.uiVal = integer as u32;
                nvml::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT
            }
            Self::Ulong => {
                value.ulVal = integer.cast_unsigned();
                nvml::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG
            }
            Self::U64 => {
                value.ullVal = integer.cast_unsigned();
                nvml::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG
            }
            Self::I64 => {
                value.sllVal = integer;
                nvml::nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_LONG_LONG
            }
            Self::I32 => {
                value.siVal = integer as i32;
                nvml::nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_INT
            }
            Self::U16 => {
                value.usVal = integer as u16;
                nvml::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_SHORT
            }
        };
        (kind, value)
    }
}

/// The fields that a fixture lists, those of an entry for several scopes one by one.
pub(crate) fn listed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Field>, D::Error> {
    let mut fields = Vec::new();
    for mut text in Vec::<FieldText>::deserialize(deserializer)? {
        match text.by_scope.take() {
            None => fields.push(text.field()),
            Some(scopes) => fields.extend((0..).zip(scopes).map(|(scope, value)| {
                let (value, readings) = match value {
                    InScope::Value(value) => (Some(value), None),
                    InScope::Readings(values) => {
                        let at = (0..).map(|second| FIRST_TIMESTAMP_US + second * SECOND_US);
                        (None, Some(at.zip(values).collect()))
                    }
                };
                FieldText { scope: Some(scope), value, readings, ..text.clone() }.field()
            })),
        }
    }
    fields.into_iter().collect::<Result<_, _>>().map_err(D::Error::custom)
}

/// A field as a fixture writes it.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct FieldText {
    id: u32,
    scope: Option<u32>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    value: Option<Number>,
    readings: Option<Vec<(i64, Number)>>,
    by_scope: Option<Vec<InScope>>,
    #[serde(default)]
    unfilled: bool,
    nvml_return: Option<u32>,
}

/// The value of a field in one of several scopes.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum InScope {
    /// The same at each reading.
    Value(Number),
    /// Values a second apart.
    Readings(Vec<Number>),
}

/// An entry with too few keys, or too many.
#[derive(thiserror::Error, Debug)]
#[error(
    "field {0} needs type with value, readings or by_scope, or unfilled, or nvml_return, and no more"
)]
pub(crate) struct InvalidField(u32);

impl FieldText {
    fn field(self) -> Result<Field, InvalidField> {
        let Self { id, scope, kind, value, readings, by_scope, unfilled, nvml_return } = self;
        if by_scope.is_some() {
            return Err(InvalidField(id));
        }
        let (kind, readings) = match (kind, value, readings, unfilled, nvml_return) {
            (Some(kind), Some(value), None, false, None) => {
                (kind, Readings::script(vec![(FIRST_TIMESTAMP_US, value)]))
            }
            (Some(kind), None, Some(points), false, None) if !points.is_empty() => {
                (kind, Readings::script(points))
            }
            (_, None, None, true, None) => (Kind::F64, Readings::Fixed(Reading::Unfilled)),
            (_, None, None, false, Some(code)) => {
                (Kind::F64, Readings::Fixed(Reading::Refused(Refusal(code))))
            }
            _ => return Err(InvalidField(id)),
        };
        Ok(Field { id, scope, kind, readings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_goes_on_by_its_last_step() {
        let script = [(10, Number::Integer(1)), (20, Number::Integer(4)), (25, Number::Integer(6))];
        let read: Vec<_> = (0..5).map(|n| point(&script, n)).collect();
        let expected = [(10, 1), (20, 4), (25, 6), (30, 8), (35, 10)];
        assert_eq!(read, expected.map(|(at, value)| (at, Number::Integer(value))));
    }

    #[test]
    fn a_single_value_stays_while_its_timestamp_goes_on() {
        let script = [(10, Number::Float(0.5))];
        assert_eq!(point(&script, 2), (10 + 2 * SECOND_US, Number::Float(0.5)));
    }

    #[test]
    fn integers_keep_their_bits() {
        let (_, value) = Kind::U64.encode(Number::Integer(-1));
        // SAFETY: encode() wrote this member of the union.
        assert_eq!(unsafe { value.ullVal }, u64::MAX);
        let (_, value) = Kind::U32.encode(Number::Integer(0xFF));
        // SAFETY: encode() wrote this member of the union.
        assert_eq!(unsafe { value.uiVal }, 0xFF);
    }
}
