//! A reading is a value or a reason; never a sentinel.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// What was read, in the unit of its field.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A real number; a source never hands out NaN or an infinity.
    Float(f64),
    /// A text: a version, a serial number.
    Text(Arc<str>),
}

/// Why there is no value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// This GPU, driver or source does not have it.
    NotSupported,
    /// The driver wants more rights than this process has.
    NotPermitted,
    /// Nothing to say yet: a rate before its second sample, an event that has not happened.
    NoData,
    /// The GPU has fallen off the bus or is being reset.
    Lost,
    /// The value is older than two of its own intervals, or the call has not come back.
    Late,
    /// The driver answered with an error, or with nonsense.
    Failed,
}

impl Reason {
    /// The word used in labels, logs and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSupported => "not_supported",
            Self::NotPermitted => "not_permitted",
            Self::NoData => "no_data",
            Self::Lost => "lost",
            Self::Late => "late",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A value or the reason why there is none.
pub type Reading = Result<Value, Reason>;

/// Why a whole GPU shows nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Down {
    /// A call to it did not come back, or its readings are too old.
    Late,
    /// It has fallen off the bus or is being reset.
    Lost,
    /// It was asked for, or was there before, and the driver does not list it.
    Missing,
    /// The driver refuses this process.
    NotPermitted,
    /// The driver answers with errors.
    Failed,
    /// Its first answer is still awaited.
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
            Reason::NotSupported | Reason::Failed => Self::Failed,
        }
    }
}

/// A reading and the moment its pass began, so that its age is never understated.
#[derive(Clone, PartialEq, Debug)]
pub struct Slot {
    /// What was read.
    pub reading: Reading,
    /// When the pass that read it began; `None` before the first answer.
    pub at: Option<Instant>,
}

/// Where a reader writes what it read: one slot per watch that it serves.
///
/// Slots that a pass does not write keep their reading and its moment; the sampler lets them
/// expire.
#[derive(Clone, Debug)]
pub struct Readings {
    slots: Vec<Slot>,
    now: Instant,
}

impl Readings {
    /// `len` slots without data, in a pass that begins at `now`.
    pub fn new(len: usize, now: Instant) -> Self {
        Self { slots: vec![Slot { reading: Err(Reason::NoData), at: None }; len], now }
    }

    /// Begins a pass: what is set from here on is stamped with `now`.
    pub fn begin(&mut self, now: Instant) {
        self.now = now;
    }

    /// The moment this pass began.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Writes the reading of slot `index`.
    pub fn set(&mut self, index: usize, reading: Reading) {
        self.slots[index] = Slot { reading, at: Some(self.now) };
    }

    /// Forgets everything, as after a GPU was lost.
    pub fn clear(&mut self) {
        self.slots.fill(Slot { reading: Err(Reason::NoData), at: None });
    }

    /// All slots, in the order of the reader's watches.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }
}
