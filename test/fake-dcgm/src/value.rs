//! Values in DCGM's types; a value that is not there is a blank one.

use model::{Reading, Reason};

use crate::faults::FieldFault;

/// The type of a field's values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Type {
    Int,
    Float,
    Text,
}

impl Type {
    /// DCGM's letter for it.
    pub(crate) fn letter(self) -> u8 {
        match self {
            Self::Int => b'i',
            Self::Float => b'd',
            Self::Text => b's',
        }
    }

    /// How many bytes a value has; 0 where that varies.
    pub(crate) fn size(self) -> u8 {
        if self == Self::Text { 0 } else { 8 }
    }
}

/// Why a value is blank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blank {
    Plain = 0,
    NotSupported = 2,
    NotPermitted = 3,
}

/// Room for the value in the interface.
pub(crate) const ROOM: usize = 4096;

pub(crate) const BLANK_INT32: i32 = 0x7FFF_FFF0;
pub(crate) const BLANK_TEXT: &str = "<<<NULL>>>";
const BLANK_INT: i64 = 0x7FFF_FFFF_FFFF_FFF0;
const BLANK_FLOAT: f64 = (1_u64 << 47) as f64;

/// One value, or a blank.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Int(i64),
    Float(f64),
    Text(String),
    Blank(Blank),
}

impl Value {
    /// What the engine stores for a reading; none while there is no value yet.
    pub(crate) fn of(reading: &Reading) -> Option<Self> {
        Some(match reading {
            Ok(model::Value::Int(value)) => Self::Int(*value),
            Ok(model::Value::Float(value)) => Self::Float(*value),
            Ok(model::Value::Text(text)) => Self::Text(text.to_string()),
            Err(Reason::NoData) => return None,
            Err(Reason::NotSupported | Reason::NotServed) => Self::Blank(Blank::NotSupported),
            Err(Reason::NotPermitted) => Self::Blank(Blank::NotPermitted),
            Err(_) => Self::Blank(Blank::Plain),
        })
    }

    /// The value that a fault command gives a field of type `of`.
    pub(crate) fn commanded(fault: &FieldFault, of: Type) -> Option<Self> {
        match (fault, of) {
            (FieldFault::Blank, _) => Some(Self::Blank(Blank::Plain)),
            (FieldFault::Value(text), Type::Int) => text.parse().ok().map(Self::Int),
            (FieldFault::Value(text), Type::Float) => text.parse().ok().map(Self::Float),
            (FieldFault::Value(text), Type::Text) => Some(Self::Text(text.clone())),
            _ => None,
        }
    }

    /// The bytes of the interface, for a field of this type.
    pub(crate) fn write(&self, of: Type, room: &mut [u8; ROOM]) {
        match of {
            Type::Int => room[..8].copy_from_slice(&self.as_int().to_ne_bytes()),
            Type::Float => room[..8].copy_from_slice(&self.as_float().to_ne_bytes()),
            Type::Text => {
                let text = self.as_text();
                let length = text.len().min(ROOM - 1);
                room[..length].copy_from_slice(&text.as_bytes()[..length]);
                room[length] = 0;
            }
        }
    }

    fn as_int(&self) -> i64 {
        match self {
            Self::Int(value) => *value,
            Self::Float(value) => *value as i64,
            Self::Text(_) => BLANK_INT,
            Self::Blank(blank) => BLANK_INT + *blank as i64,
        }
    }

    fn as_float(&self) -> f64 {
        match self {
            Self::Int(value) => *value as f64,
            Self::Float(value) => *value,
            Self::Text(_) => BLANK_FLOAT,
            Self::Blank(blank) => BLANK_FLOAT + f64::from(*blank as u8),
        }
    }

    fn as_text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Int(_) | Self::Float(_) | Self::Blank(Blank::Plain) => BLANK_TEXT,
            Self::Blank(Blank::NotSupported) => "<<<NOT_SUPPORTED>>>",
            Self::Blank(Blank::NotPermitted) => "<<<NOT_PERM>>>",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: &Value, of: Type) -> [u8; 8] {
        let mut room = [0xFF; ROOM];
        value.write(of, &mut room);
        room[..8].try_into().unwrap()
    }

    #[test]
    fn each_type_has_its_blanks() {
        let blank = Value::of(&Err(Reason::NotPermitted)).unwrap();
        assert_eq!(i64::from_ne_bytes(bytes(&blank, Type::Int)), 0x7FFF_FFFF_FFFF_FFF3);
        assert_eq!(f64::from_ne_bytes(bytes(&blank, Type::Float)), 140_737_488_355_331.0);
        assert_eq!(&bytes(&blank, Type::Text), b"<<<NOT_P");
        assert_eq!(Value::of(&Err(Reason::NoData)), None);
    }

    #[test]
    fn a_value_is_written_in_the_type_of_its_field() {
        assert_eq!(f64::from_ne_bytes(bytes(&Value::Int(3), Type::Float)), 3.0);
        assert_eq!(i64::from_ne_bytes(bytes(&Value::Int(3), Type::Int)), 3);
        assert_eq!(&bytes(&Value::Text("abc".to_owned()), Type::Text)[..4], b"abc\0");
    }
}
