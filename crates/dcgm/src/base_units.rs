//! Fields in base units, which came with DCGM 4.7. On an older engine they are computed from the
//! field in another unit.

use model::catalog::{FIELDS, Field, by_id};
use model::{FieldId, Reading, Value};

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

/// The field that a field in a base unit is computed from, and the conversion.
pub(crate) fn source_of(field: FieldId) -> Option<(&'static Field, Conversion)> {
    let source = FIELDS.iter().find(|row| row.base_unit == Some(field))?;
    let conversion = Conversion::between(source.unit, by_id(field)?.unit)?;
    Some((source, conversion))
}

impl Conversion {
    /// The conversion between two units of the field table.
    fn between(from: &str, to: &str) -> Option<Self> {
        match (from, to) {
            ("MHz", "Hz") => Some(Self::Mega),
            ("%", "ratio") => Some(Self::Percent),
            ("mJ", "J") => Some(Self::Milli),
            ("MiB", "B") => Some(Self::Mebi),
            ("1000 KiB/s", "B/s") => Some(Self::ThousandKibi),
            _ => None,
        }
    }

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
    fn every_base_unit_of_the_catalogue_has_a_conversion() {
        for row in FIELDS.iter().filter(|row| (1600..1700).contains(&row.id.0)) {
            assert!(source_of(row.id).is_some(), "{}", row.name);
        }
        // The generations of names pair the same fields.
        for pair in pairs().filter(|pair| pair.v4_8.field != pair.v4_9.field) {
            assert_eq!(
                source_of(pair.v4_9.field).map(|(source, _)| source.id),
                Some(pair.v4_8.field)
            );
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
