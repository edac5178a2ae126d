//! Readings: a value or the reason why there is none, never a sentinel.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A value, in the unit of its field.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A real number; no source returns NaN or an infinity.
    Float(f64),
    /// A text: a version, a serial number.
    Text(Text),
}

/// A text behind one pointer, so that a [`Reading`] stays small: there are thousands, and few are texts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text(Arc<Box<str>>);

impl<T: Into<Box<str>>> From<T> for Text {
    fn from(text: T) -> Self {
        Self(Arc::new(text.into()))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

const _: () = assert!(size_of::<Reading>() == 16);

/// Why there is no value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// This source cannot read it on any GPU.
    NotServed,
    /// This GPU or driver does not have it.
    NotSupported,
    /// The driver requires permissions that this process lacks.
    NotPermitted,
    /// No value yet: a rate before its second sample, an event that has not happened.
    NoData,
    /// The GPU has fallen off the bus or is being reset.
    Lost,
    /// The value is older than two of its own intervals, or the call has not returned.
    Late,
    /// The driver answered with an error.
    Failed,
    /// The driver returned an impossible value: 255 °C, 808334905 %, a count that fell.
    Implausible,
}

impl Reason {
    /// The word used in labels, logs and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotServed => "not_served",
            Self::NotSupported => "not_supported",
            Self::NotPermitted => "not_permitted",
            Self::NoData => "no_data",
            Self::Lost => "lost",
            Self::Late => "late",
            Self::Failed => "failed",
            Self::Implausible => "implausible",
        }
    }

    /// Whether the reason persists until the machine or the driver changes.
    pub fn is_lasting(self) -> bool {
        matches!(self, Self::NotServed | Self::NotSupported | Self::NotPermitted)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A value or the reason why there is none.
pub type Reading = Result<Value, Reason>;

/// Why a whole GPU has no readings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Down {
    /// A call to it did not return, or its readings are too old.
    Late,
    /// It has fallen off the bus or is being reset.
    Lost,
    /// It is configured, or was there before, and the driver does not list it.
    Missing,
    /// It is on the PCI bus and belongs to the driver, which does not list it.
    NotInitialized,
    /// Its reader thread could not be started, or ended; it is started again.
    NoThread,
    /// The driver denies this process access.
    NotPermitted,
    /// The driver answers with errors.
    Failed,
    /// It has not answered yet.
    Starting,
    /// The source itself is down, so nothing is known of the GPU.
    SourceDown,
}

impl Down {
    /// The word used in labels and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Lost => "lost",
            Self::Missing => "missing",
            Self::NotInitialized => "not_initialized",
            Self::NoThread => "no_thread",
            Self::NotPermitted => "not_permitted",
            Self::Failed => "failed",
            Self::Starting => "starting",
            Self::SourceDown => "source_down",
        }
    }
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<Reason> for Down {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Lost => Self::Lost,
            Reason::Late => Self::Late,
            Reason::NotPermitted => Self::NotPermitted,
            Reason::NoData => Self::Starting,
            Reason::NotServed | Reason::NotSupported | Reason::Failed | Reason::Implausible => {
                Self::Failed
            }
        }
    }
}
