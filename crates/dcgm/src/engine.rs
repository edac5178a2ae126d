//! Which engine is read: one inside this process, or a host engine.

use crate::address::Address;

/// What an embedded engine logs.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Log {
    /// The file; none for DCGM's default.
    pub file: Option<std::ffi::OsString>,
    /// DCGM's level: 0 none, 1 fatal, 2 error, 3 warning, 4 info, 5 debug, 6 verbose.
    pub severity: i32,
}

/// The engine to connect with.
#[derive(Clone, Debug)]
pub(crate) enum Engine {
    /// An engine inside this process.
    Embedded(Log),
    /// A host engine that already runs.
    Remote(Address),
}

impl Engine {
    /// Its name in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Embedded(_) => "the embedded engine".to_owned(),
            Self::Remote(address) => format!("the host engine at {address}"),
        }
    }

    /// Whether it certainly runs on this machine.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Embedded(_) => true,
            Self::Remote(address) => address.is_local(),
        }
    }
}
