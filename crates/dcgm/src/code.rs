//! What DCGM's return codes mean for a reading.

use std::fmt;

use model::Reason;

/// A return code of DCGM that is not success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Code(pub(crate) i32);

impl Code {
    /// A bad parameter.
    pub(crate) const BAD_PARAMETER: Self = Self(-1);
    /// Out of memory.
    pub(crate) const NO_MEMORY: Self = Self(-4);
    /// Not supported.
    pub(crate) const NOT_SUPPORTED: Self = Self(-6);
    /// The field is not watched.
    pub(crate) const NOT_WATCHED: Self = Self(-16);
    /// A limit of the engine is reached, such as its number of groups.
    pub(crate) const MAX_LIMIT: Self = Self(-24);
    /// The buffer is too small for the answer.
    pub(crate) const INSUFFICIENT_SIZE: Self = Self(-31);
    /// A module of the engine is not loaded.
    pub(crate) const MODULE_NOT_LOADED: Self = Self(-33);

    /// Turns a return code into a result.
    pub(crate) fn check(code: i32) -> Result<(), Self> {
        if code == 0 { Ok(()) } else { Err(Self(code)) }
    }

    /// The reason of a reading that got this code.
    pub(crate) fn reason(self) -> Reason {
        self.row().1
    }

    /// Whether the connection to the engine has ended. A timeout counts as an end.
    pub(crate) fn is_about_the_engine(self) -> bool {
        matches!(self.0, -11 | -21)
    }

    /// Whether the cause may go away: paused, in use, pending, no group left, GPU lost.
    pub(crate) fn is_passing(self) -> bool {
        matches!(self.0, -9 | -18 | -24 | -34 | -54 | -57 | -67)
    }

    /// Its message and its reason.
    fn row(self) -> (&'static str, Reason) {
        match self.0 {
            -1 => ("bad parameter", Reason::Failed),
            -4 => ("no memory", Reason::Failed),
            -5 => ("not configured", Reason::NotSupported),
            -6 => ("not supported", Reason::NotSupported),
            -8 => ("the driver answered with an error", Reason::Failed),
            -9 => ("pending", Reason::NoData),
            -10 => ("not initialised", Reason::Failed),
            -11 => ("no answer in time", Reason::Late),
            -12 => ("another version of DCGM", Reason::Failed),
            -13 => ("unknown field", Reason::NotSupported),
            -14 => ("no data yet", Reason::NoData),
            -15 => ("stale", Reason::Late),
            -16 => ("not watched", Reason::NotSupported),
            -17 => ("no permission", Reason::NotPermitted),
            -18 => ("the GPU is lost", Reason::Lost),
            -19 => ("a reset is required", Reason::Failed),
            -20 => ("no such function", Reason::NotSupported),
            -21 => ("not connected", Reason::Failed),
            -22 => ("the GPU is not supported", Reason::NotSupported),
            -24 => ("no more of these: the engine's limit is reached", Reason::Failed),
            -25 => ("a library is missing", Reason::NotSupported),
            -29 => ("only root may", Reason::NotPermitted),
            -31 => ("too little room for the answer", Reason::Failed),
            -32 => ("not supported for this field", Reason::NotSupported),
            -33 => ("the engine's module for it is not loaded", Reason::NotSupported),
            -34 => ("in use by another process", Reason::NoData),
            -36 => ("profiling is not supported", Reason::NotSupported),
            -37 => ("the profiling library failed", Reason::NotSupported),
            -38 => ("too many profiling fields at a time", Reason::NotSupported),
            -44 => ("the driver is too old for it", Reason::NotSupported),
            -54 => ("paused", Reason::NoData),
            -55 => ("started already", Reason::Failed),
            -56 => ("the driver library is not loaded", Reason::Failed),
            -57 => ("the driver does not answer", Reason::Late),
            -67 => ("the GPU is detached", Reason::Lost),
            _ => ("an error", Reason::Failed),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (DCGM {})", self.row().0, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_words_and_reasons() {
        assert_eq!(Code::check(0), Ok(()));
        assert_eq!(Code(-18).reason(), Reason::Lost);
        assert_eq!(Code(-14).reason(), Reason::NoData);
        assert_eq!(Code(-99).reason(), Reason::Failed);
        assert_eq!(Code(-21).to_string(), "not connected (DCGM -21)");
        assert!(Code(-21).is_about_the_engine() && !Code::MAX_LIMIT.is_about_the_engine());
        assert!(Code::MAX_LIMIT.is_passing() && !Code::NOT_SUPPORTED.is_passing());
    }
}
