//! Fields by number, and watches: the fields that are read, with their names and types on the page.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The number of a field, as DCGM numbers them (`203` is GPU utilisation).
///
/// The [`catalog`](crate::catalog) has a row for each; [`field`](crate::field) has a constant for each.
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
    /// A value that may go up or down or be reset at any time.
    Untyped,
    /// Not a family of its own: its value becomes a label of every series of the GPU.
    Label,
    /// Not on the page: read to derive other families from it.
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
    /// Every ten seconds (or per interval, if that is longer), for values that rarely change, such as
    /// ECC totals, remapped rows and versions.
    Slow,
    /// At the interval of its row in a counters file.
    At(Duration),
}

/// The interval of slow watches, if the collection interval is not longer.
pub const SLOW_INTERVAL: Duration = Duration::from_secs(10);

impl Pace {
    /// The time from one reading to the next, with this collection interval.
    pub fn period(self, interval: Duration) -> Duration {
        match self {
            Self::Every => interval,
            Self::Slow => interval.max(SLOW_INTERVAL),
            Self::At(period) => period,
        }
    }
}

/// A field that is read, with its name and type on the page.
#[derive(Clone, PartialEq, Debug)]
pub struct Watch {
    /// The field.
    pub field: FieldId,
    /// The name of the family (or of the label) on the page.
    pub name: Arc<str>,
    /// Its type on the page.
    pub kind: Kind,
    /// Its help text, unescaped.
    pub help: Arc<str>,
    /// How often it is read.
    pub pace: Pace,
    /// Whether its values only grow by nature, whatever its type on the page. A value that falls is
    /// then implausible.
    pub cumulative: bool,
}
