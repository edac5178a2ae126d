//! What a kubelet does wrong on command.

use std::time::Duration;

/// A call of the pod resources API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `List`.
    List,
    /// `GetAllocatableResources`.
    Allocatable,
}

/// How a call is answered.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Fault {
    /// As it should be.
    #[default]
    None,
    /// Never.
    Hang,
    /// As it should be, but so much later.
    Delay(Duration),
    /// With this error.
    Unimplemented,
    /// With this error.
    ResourceExhausted,
    /// With this error.
    PermissionDenied,
    /// With this error.
    Internal,
}
