//! How raw numbers become readings: conversions that several subjects use. What cannot be is never
//! handed on as a number.

use model::{Reading, Reason, Value};

/// A whole number as it is. One that no `i64` holds is nonsense, not a number.
pub(crate) fn int(raw: impl TryInto<i64>) -> Reading {
    raw.try_into().map(Value::Int).map_err(|_| Reason::Implausible)
}

/// A 32-bit number as it is. All ones means "not available".
pub(crate) fn int32(raw: u32) -> Reading {
    if raw == u32::MAX { Err(Reason::Implausible) } else { int(raw) }
}

/// Percent as they are. Drivers have been seen to answer with values such as 808334905.
pub(crate) fn percent(raw: u32) -> Reading {
    if raw > 100 { Err(Reason::Implausible) } else { int(raw) }
}

/// Percent to a ratio.
pub(crate) fn ratio(percent: u32) -> Reading {
    self::percent(percent)?;
    Ok(Value::Float(f64::from(percent) / 100.0))
}

/// Bytes to whole MiB, rounded down.
pub(crate) fn mebibytes(bytes: u64) -> Reading {
    int(bytes)?;
    int(bytes / (1024 * 1024))
}

/// A text as it is; an empty one is no value.
pub(crate) fn text(raw: String) -> Reading {
    if raw.is_empty() { Err(Reason::NoData) } else { Ok(Value::Text(raw.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_unit_or_become_the_base_unit() {
        assert_eq!(percent(57), Ok(Value::Int(57)));
        assert_eq!(ratio(57), Ok(Value::Float(0.57)));
        assert_eq!(mebibytes(85_520_809_983), Ok(Value::Int(81_558)));
        assert_eq!(text(String::from("96.00.5E")), Ok(Value::Text("96.00.5E".into())));
        assert_eq!(text(String::new()), Err(Reason::NoData));
    }

    #[test]
    fn nonsense_is_never_a_number() {
        for reading in
            [percent(808_334_905), ratio(101), int(u64::MAX), int32(u32::MAX), mebibytes(u64::MAX)]
        {
            assert_eq!(reading, Err(Reason::Implausible));
        }
    }
}
