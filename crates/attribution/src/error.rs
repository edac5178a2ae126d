//! Why a look failed.

/// Why a look failed. Counted by reason; the message is logged when it changes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct RefreshError {
    pub(crate) reason: ErrorReason,
    /// One line: what failed, and what to do.
    pub(crate) message: String,
}

impl RefreshError {
    pub(crate) fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// The reasons of errors, as they are counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum ErrorReason {
    /// What is looked at is not there: no socket, no folder, connection refused.
    Absent,
    /// The operating system does not permit it.
    NotPermitted,
    /// The API server does not know these credentials (401).
    Unauthorized,
    /// The API server does not permit it (403): a rule is missing.
    Forbidden,
    /// The other side does not have this call.
    Unimplemented,
    /// The other side asked for fewer requests.
    RateLimited,
    /// There was no answer in time.
    Timeout,
    /// The answer is larger than the limit.
    TooLarge,
    /// The answer is not understood.
    Malformed,
    /// Anything else.
    Failed,
}

impl ErrorReason {
    /// As in the label `reason`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::NotPermitted => "not_permitted",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Unimplemented => "unimplemented",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Failed => "failed",
        }
    }

    /// Whether looking again soon would make it worse.
    pub(crate) fn needs_backoff(self) -> bool {
        matches!(self, Self::RateLimited | Self::TooLarge | Self::Unimplemented)
    }
}
