//! Turns a value of the engine into a number, a text or a reason.

use std::ffi::c_int;

use model::catalog::{Field, ValueType};
use model::{Reading, Reason, Value};

use crate::abi::{self, FieldValue};
use crate::{Code, plausible};

/// A decoded value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Raw<'a> {
    Int(i64),
    Float(f64),
    Text(&'a str),
    Absent(Reason),
}

/// The reason of each kind of blank value: unknown, not found, not supported, not permitted. After
/// an unknown or not found value there may still be one.
const BLANKS: [Reason; 4] =
    [Reason::NoData, Reason::NoData, Reason::NotSupported, Reason::NotPermitted];

impl<'a> Raw<'a> {
    /// Decodes a value.
    pub(crate) fn of(value: &'a FieldValue) -> Self {
        // A value of another layout.
        if value.version == abi::OTHER_FIELD_VALUE {
            return Self::Absent(Reason::Failed);
        }
        Self::of_parts(value.status, value.kind, &value.value)
    }

    fn of_parts(status: c_int, kind: u16, words: &'a [u64; 512]) -> Self {
        if let Err(code) = Code::check(status) {
            return Self::Absent(code.reason());
        }
        match kind {
            abi::TYPE_INT | abi::TYPE_TIME => int(words[0].cast_signed()),
            abi::TYPE_FLOAT => float(f64::from_bits(words[0])),
            abi::TYPE_TEXT => text(words),
            // A binary structure is not a reading.
            _ => Self::Absent(Reason::NotSupported),
        }
    }

    /// The reading of `field`.
    pub(crate) fn reading(&self, field: &Field) -> Reading {
        let value = match (self, field.value) {
            (Self::Absent(reason), _) => return Err(*reason),
            (Self::Text(text), ValueType::Text) => Value::Text((*text).into()),
            (Self::Int(int), ValueType::Float) => Value::Float(*int as f64),
            (Self::Int(int), ValueType::Int) => Value::Int(*int),
            (Self::Float(float), ValueType::Int) if float.fract() == 0.0 && float.abs() < 9e15 => {
                Value::Int(*float as i64)
            }
            (Self::Float(float), ValueType::Int | ValueType::Float) => Value::Float(*float),
            // A number instead of a text, or the reverse.
            _ => return Err(Reason::Implausible),
        };
        plausible::judge(field, value)
    }
}

fn int<'a>(int: i64) -> Raw<'a> {
    // Some fields use blank values of 32 bits.
    if let Ok(kind) = usize::try_from(int.wrapping_sub(abi::BLANK_INT_32))
        && kind < BLANKS.len()
    {
        return Raw::Absent(blank(kind));
    }
    match usize::try_from(int.wrapping_sub(abi::BLANK_INT)) {
        Ok(kind) if int >= abi::BLANK_INT => Raw::Absent(blank(kind)),
        _ => Raw::Int(int),
    }
}

fn float<'a>(float: f64) -> Raw<'a> {
    if float.is_nan() {
        return Raw::Absent(Reason::NoData);
    }
    let kind = float - abi::BLANK_FLOAT;
    if (0.0..f64::from(abi::BLANKS)).contains(&kind) {
        return Raw::Absent(blank(kind as usize));
    }
    if float.is_finite() { Raw::Float(float) } else { Raw::Absent(Reason::Implausible) }
}

fn blank(kind: usize) -> Reason {
    BLANKS.get(kind).copied().unwrap_or(Reason::NoData)
}

fn text(words: &[u64; 512]) -> Raw<'_> {
    // SAFETY: the words are 4096 initialised bytes, of which any value is one.
    let bytes = unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), 4096) };
    // A text without an end is invalid.
    let Some(end) = bytes.iter().position(|byte| *byte == 0) else {
        return Raw::Absent(Reason::Implausible);
    };
    match str_of(&bytes[..end]) {
        Ok(text) => Raw::Text(text),
        Err(reason) => Raw::Absent(reason),
    }
}

/// The text of these bytes, or the reason of a blank text.
pub(crate) fn str_of(bytes: &[u8]) -> Result<&str, Reason> {
    if let Some(kind) = abi::BLANK_TEXTS.iter().position(|blank| *blank == bytes) {
        return Err(blank(kind));
    }
    match std::str::from_utf8(bytes).map(str::trim) {
        Ok("") => Err(Reason::NoData),
        Ok(text) => Ok(text),
        Err(_) => Err(Reason::Implausible),
    }
}

/// The text in a member of a structure, up to its zero byte.
pub(crate) fn text_of(bytes: &[u8]) -> Result<&str, Reason> {
    let end = bytes.iter().position(|byte| *byte == 0).ok_or(Reason::Implausible)?;
    str_of(&bytes[..end])
}

#[cfg(test)]
mod tests {
    use model::catalog::by_name;

    use super::*;

    fn words(first: u64) -> [u64; 512] {
        let mut words = [0; 512];
        words[0] = first;
        words
    }

    fn raw(kind: u8, first: u64) -> Raw<'static> {
        Raw::of_parts(0, kind.into(), Box::leak(Box::new(words(first))))
    }

    #[test]
    fn blanks_are_reasons() {
        let int = |n: u64| raw(b'i', abi::BLANK_INT as u64 + n);
        let float = |n: f64| raw(b'd', (abi::BLANK_FLOAT + n).to_bits());
        for (kind, reason) in BLANKS.into_iter().enumerate() {
            assert_eq!(int(kind as u64), Raw::Absent(reason));
            assert_eq!(float(kind as f64), Raw::Absent(reason));
            assert_eq!(str_of(abi::BLANK_TEXTS[kind]), Err(reason));
        }
        assert_eq!(raw(b'i', 0x7fff_fff2), Raw::Absent(Reason::NotSupported));
        assert_eq!(raw(b'i', 0x7fff_fff4), Raw::Int(0x7fff_fff4));
        assert_eq!(raw(b'i', i64::MAX as u64), Raw::Absent(Reason::NoData));
        assert_eq!(raw(b'i', 5), Raw::Int(5));
        assert_eq!(raw(b'i', (-5i64) as u64), Raw::Int(-5));
        assert_eq!(raw(b'd', 0.5f64.to_bits()), Raw::Float(0.5));
        assert_eq!(raw(b'd', f64::NAN.to_bits()), Raw::Absent(Reason::NoData));
        assert_eq!(raw(b'd', f64::INFINITY.to_bits()), Raw::Absent(Reason::Implausible));
        assert_eq!(raw(b'b', 0), Raw::Absent(Reason::NotSupported));
        assert_eq!(Raw::of_parts(-16, b'i'.into(), &words(0)), Raw::Absent(Reason::NotSupported));
    }

    #[test]
    fn texts_end_and_are_utf8() {
        let text = u64::from_ne_bytes(*b"H100 80\0");
        assert_eq!(raw(b's', text), Raw::Text("H100 80"));
        assert_eq!(raw(b's', 0), Raw::Absent(Reason::NoData));
        assert_eq!(
            Raw::of_parts(0, b's'.into(), &[u64::MAX; 512]),
            Raw::Absent(Reason::Implausible)
        );
        assert_eq!(str_of(&[0xff]), Err(Reason::Implausible));
        assert_eq!(text_of(b"abc\0\xff"), Ok("abc"));
        assert_eq!(text_of(b"abc"), Err(Reason::Implausible));
    }

    #[test]
    fn a_number_is_of_its_fields_type() {
        let of = |name, raw: Raw| raw.reading(by_name(name).unwrap());
        assert_eq!(of("DCGM_FI_DEV_POWER_USAGE", Raw::Int(70)), Ok(Value::Float(70.0)));
        assert_eq!(of("DCGM_FI_DEV_GPU_TEMP", Raw::Float(41.0)), Ok(Value::Int(41)));
        assert_eq!(of("DCGM_FI_DEV_GPU_TEMP", Raw::Text("41")), Err(Reason::Implausible));
        assert_eq!(of("DCGM_FI_DEV_GPU_TEMP", Raw::Int(255)), Err(Reason::Implausible));
    }
}
