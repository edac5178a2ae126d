//! The result of a comparison.

use std::fmt;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Verdict {
    /// With the distance to the nearer answer.
    Pass(f64),
    /// The distance is more than the tolerance.
    Differs(f64),
    /// For this reason there is no distance.
    Wrong(&'static str),
    /// In both.
    Absent,
    /// Any value is right.
    Free,
    /// `nvidia-smi` has the column, but no longer reads it from the driver.
    NotRead,
}

impl Verdict {
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Differs(_) | Self::Wrong(_))
    }
}

/// A verdict without a distance.
pub(super) fn pass(is_right: bool, reason: &'static str) -> Verdict {
    if is_right { Verdict::Pass(0.0) } else { Verdict::Wrong(reason) }
}

/// A verdict about a distance.
pub(super) fn within(distance: f64, tolerance: f64) -> Verdict {
    if distance <= tolerance { Verdict::Pass(distance) } else { Verdict::Differs(distance) }
}

/// With at most six decimals.
pub(super) fn decimal(value: f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}

/// The columns `verdict` and `difference`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(distance) => write!(f, "pass\t{}", decimal(*distance)),
            Self::Differs(distance) => write!(f, "FAIL\t{}", decimal(*distance)),
            Self::Wrong(reason) => write!(f, "FAIL\t{reason}"),
            Self::Absent => f.write_str("absent\t0"),
            Self::Free => f.write_str("free\t0"),
            Self::NotRead => f.write_str("not read\t0"),
        }
    }
}
