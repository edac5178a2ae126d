//! What can be asked for: a field, and a watch on it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The number of a field, as DCGM numbers them (`203` is GPU utilisation).
///
/// What a number means is in the `catalog` module; [`field`](crate::field) has names for those that
/// code speaks of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FieldId(pub u16);

impl fmt::Display for FieldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The type that a counters file gives a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only grows, until its owner restarts.
    Counter,
    /// A value of which nothing is promised.
    Untyped,
    /// Not a family of its own: its value becomes a label of every series of the GPU.
    Label,
    /// Not on the page at all: read for what is derived from it.
    Hidden,
}

impl Kind {
    /// The word of a `# TYPE` line, or `label`, or `hidden`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Untyped => "untyped",
            Self::Label => "label",
            Self::Hidden => "hidden",
        }
    }
}

/// How often a watch is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Pace {
    /// Once per collection interval.
    Every,
    /// Every ten seconds (or per interval, if that is longer): what changes rarely, such as ECC
    /// totals, remapped rows and versions.
    Slow,
    /// As often as somebody said.
    At(Duration),
}

/// How often slow watches are read, where the interval is not longer.
pub const SLOW_INTERVAL: Duration = Duration::from_secs(10);

impl Pace {
    /// From one reading to the next, with this collection interval.
    pub fn period(self, interval: Duration) -> Duration {
        match self {
            Self::Every => interval,
            Self::Slow => interval.max(SLOW_INTERVAL),
            Self::At(period) => period,
        }
    }
}

/// A field that somebody asked for, under the name and type they asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct Watch {
    /// What to read.
    pub field: FieldId,
    /// The name of the family (or of the label) on the page.
    pub name: Arc<str>,
    /// Its type on the page.
    pub kind: Kind,
    /// Its help text, unescaped.
    pub help: Arc<str>,
    /// How often it is read.
    pub pace: Pace,
    /// Whether its values only grow by nature, whatever type somebody gave it. One that falls is
    /// then doubted.
    pub cumulative: bool,
}
