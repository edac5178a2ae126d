//! Return codes, and the text of each.

use std::ffi::CStr;

/// What a call answers: 0, or what went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Status(pub(crate) i32);

impl Status {
    pub(crate) const OK: Self = Self(0);
    pub(crate) const BAD_PARAM: Self = Self(-1);
    pub(crate) const GENERIC_ERROR: Self = Self(-3);
    pub(crate) const NOT_SUPPORTED: Self = Self(-6);
    pub(crate) const UNINITIALIZED: Self = Self(-10);
    pub(crate) const TIMEOUT: Self = Self(-11);
    pub(crate) const VER_MISMATCH: Self = Self(-12);
    pub(crate) const UNKNOWN_FIELD: Self = Self(-13);
    pub(crate) const NO_DATA: Self = Self(-14);
    pub(crate) const NOT_WATCHED: Self = Self(-16);
    pub(crate) const GPU_IS_LOST: Self = Self(-18);
    pub(crate) const CONNECTION_NOT_VALID: Self = Self(-21);
    pub(crate) const MAX_LIMIT: Self = Self(-24);
    pub(crate) const DUPLICATE_KEY: Self = Self(-26);
    pub(crate) const INSUFFICIENT_SIZE: Self = Self(-31);
    pub(crate) const MODULE_NOT_LOADED: Self = Self(-33);
    pub(crate) const ALREADY_INITIALIZED: Self = Self(-55);
}

/// The text of a code; none for an unknown code.
pub(crate) fn text(code: i32) -> Option<&'static CStr> {
    TEXTS.iter().find(|(of, _)| of.0 == code).map(|(_, text)| *text)
}

const TEXTS: &[(Status, &CStr)] = &[
    (Status::OK, c"fine"),
    (Status::BAD_PARAM, c"bad argument"),
    (Status::GENERIC_ERROR, c"something failed"),
    (Status::NOT_SUPPORTED, c"not supported"),
    (Status::UNINITIALIZED, c"not initialized"),
    (Status::TIMEOUT, c"timed out"),
    (Status::VER_MISMATCH, c"wrong version of a struct"),
    (Status::UNKNOWN_FIELD, c"unknown field"),
    (Status::NO_DATA, c"no data"),
    (Status::NOT_WATCHED, c"not watched"),
    (Status::GPU_IS_LOST, c"the GPU is lost"),
    (Status::CONNECTION_NOT_VALID, c"the connection is not valid any more"),
    (Status::MAX_LIMIT, c"limit reached"),
    (Status::DUPLICATE_KEY, c"name taken"),
    (Status::INSUFFICIENT_SIZE, c"too little room"),
    (Status::MODULE_NOT_LOADED, c"module not loaded"),
    (Status::ALREADY_INITIALIZED, c"already initialized"),
];
