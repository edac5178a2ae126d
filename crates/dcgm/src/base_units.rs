//! Fields in base units, which came with DCGM 4.7. On an older engine they are computed from the
//! field in another unit.

use model::{FieldId, Reading, Value, field};

use model::field as named;

/// A conversion between units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Conversion {
    /// No conversion.
    None,
    /// MHz to Hz.
    Mega,
    /// Percent to a ratio.
    Percent,
    /// Millijoules to whole joules, rounded down.
    Milli,
    /// MiB to bytes. The engine rounds down to whole MiB.
    Mebi,
    /// Thousands of KiB per second to bytes per second. The engine rounds down.
    ThousandKibi,
}

/// A field in a base unit, the field it is computed from, and the conversion.
#[rustfmt::skip]
const CONVERTED: &[(FieldId, FieldId, Conversion)] = &[
    (field::SM_CLOCK_HERTZ,                   field::SM_CLOCK,                 Conversion::Mega),
    (field::MEMORY_CLOCK_HERTZ,               field::MEM_CLOCK,                Conversion::Mega),
    (field::GPU_ENERGY_JOULES_TOTAL,          field::TOTAL_ENERGY_CONSUMPTION, Conversion::Milli),
    (field::GPU_UTIL_RATIO,                   field::GPU_UTIL,                 Conversion::Percent),
    (field::MEMORY_UTIL_RATIO,                field::MEM_COPY_UTIL,            Conversion::Percent),
    (field::ENC_UTIL_RATIO,                   field::ENC_UTIL,                 Conversion::Percent),
    (field::DEC_UTIL_RATIO,                   field::DEC_UTIL,                 Conversion::Percent),
    (field::FB_CAPACITY_BYTES,                field::FB_TOTAL,                 Conversion::Mebi),
    (field::FB_FREE_BYTES,                    field::FB_FREE,                  Conversion::Mebi),
    (field::FB_USED_BYTES,                    field::FB_USED,                  Conversion::Mebi),
    (field::FB_RESERVED_BYTES,                field::FB_RESERVED,              Conversion::Mebi),
    (named::NVLINK_THROUGHPUT_BYTES_PER_SECOND, field::NVLINK_BANDWIDTH_TOTAL, Conversion::ThousandKibi),
];

/// The field that a field is computed from, and the conversion.
pub(crate) fn source_of(field: FieldId) -> Option<(FieldId, Conversion)> {
    let twin = CONVERTED.iter().find(|(wanted, ..)| *wanted == field);
    twin.map(|(_, source, conversion)| (*source, *conversion))
}

impl Conversion {
    /// Converts a reading.
    pub(crate) fn apply(self, reading: Reading) -> Reading {
        let value = reading?;
        let times = |int: i64, factor: i64| Value::Int(int.saturating_mul(factor));
        Ok(match (self, value) {
            (Self::Mega, Value::Int(int)) => times(int, 1_000_000),
            (Self::Percent, Value::Int(int)) => Value::Float(int as f64 / 100.0),
            (Self::Milli, Value::Int(int)) => Value::Int(int / 1000),
            (Self::Mebi, Value::Int(int)) => times(int, 1_048_576),
            (Self::ThousandKibi, Value::Int(int)) => times(int, 1_024_000),
            (_, value) => value,
        })
    }
}

#[cfg(test)]
mod tests {
    use model::catalog::generation::pairs;

    use super::*;

    #[test]
    fn every_base_unit_of_the_catalogue_can_be_made() {
        for row in model::catalog::FIELDS.iter().filter(|row| (1600..1700).contains(&row.id.0)) {
            let (source, conversion) = source_of(row.id).unwrap_or_else(|| panic!("{}", row.name));
            assert!(model::catalog::by_id(source).is_some());
            assert_ne!(conversion, Conversion::None);
        }
        // The generations of names pair the same fields.
        for pair in pairs().filter(|pair| pair.v4_8.field != pair.v4_9.field) {
            assert_eq!(source_of(pair.v4_9.field).map(|(source, _)| source), Some(pair.v4_8.field));
        }
    }

    #[test]
    fn units() {
        let int = |conversion: Conversion, int| conversion.apply(Ok(Value::Int(int)));
        assert_eq!(int(Conversion::Mega, 1980), Ok(Value::Int(1_980_000_000)));
        assert_eq!(int(Conversion::Percent, 97), Ok(Value::Float(0.97)));
        assert_eq!(int(Conversion::Milli, 1999), Ok(Value::Int(1)));
        assert_eq!(int(Conversion::Mebi, 3), Ok(Value::Int(3_145_728)));
        assert_eq!(int(Conversion::ThousandKibi, 2), Ok(Value::Int(2_048_000)));
        assert_eq!(int(Conversion::None, 2), Ok(Value::Int(2)));
    }
}
