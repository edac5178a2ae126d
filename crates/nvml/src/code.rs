//! What the driver's return codes mean for a reading.

use std::fmt;

use model::Reason;
use nvml_wrapper_sys::bindings as sys;

/// A return code of NVML that is not success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Code(pub(crate) u32);

impl Code {
    /// The GPU has fallen off the bus.
    pub(crate) const GPU_IS_LOST: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST);
    /// The library and the kernel's module are of different versions.
    pub(crate) const LIB_RM_VERSION_MISMATCH: Self =
        Self(sys::nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH);
    /// The library does not have the function.
    pub(crate) const FUNCTION_NOT_FOUND: Self =
        Self(sys::nvmlReturn_enum_NVML_ERROR_FUNCTION_NOT_FOUND);
    /// No such thing, or nothing new.
    pub(crate) const NOT_FOUND: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_NOT_FOUND);
    /// An argument that the driver does not take: a number that is too high.
    pub(crate) const INVALID_ARGUMENT: Self =
        Self(sys::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
    /// The GPU, or the driver, does not have it.
    pub(crate) const NOT_SUPPORTED: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED);
    /// The buffer is too small.
    pub(crate) const INSUFFICIENT_SIZE: Self =
        Self(sys::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE);
    /// The library knows another version of the structure.
    pub(crate) const ARGUMENT_VERSION_MISMATCH: Self =
        Self(sys::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    /// An error without a code of its own.
    pub(crate) const UNKNOWN: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_UNKNOWN);
    /// There is no value now.
    pub(crate) const NO_DATA: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_NO_DATA);
    /// Nothing came within the time that was given.
    pub(crate) const TIMEOUT: Self = Self(sys::nvmlReturn_enum_NVML_ERROR_TIMEOUT);

    /// The code of a call, or success.
    pub(crate) fn check(code: sys::nvmlReturn_t) -> Result<(), Self> {
        if code == sys::nvmlReturn_enum_NVML_SUCCESS { Ok(()) } else { Err(Self(code)) }
    }

    /// Why a reading that got this code is absent.
    pub(crate) fn reason(self) -> Reason {
        self.row().1
    }

    /// Whether the code is about the GPU as a whole, or about the driver, and not about one field.
    /// "Needs a reset" is not: drivers say it of links that are broken, and of memory that waits to
    /// be replaced, while the rest of the GPU answers.
    pub(crate) fn is_about_the_gpu(self) -> bool {
        self.reason() == Reason::Lost || self.is_about_the_driver()
    }

    /// Whether the code means that this session with the driver is over.
    pub(crate) fn is_about_the_driver(self) -> bool {
        matches!(
            self.0,
            sys::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED
                | sys::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED
                | sys::nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH
        )
    }

    /// A text for it, and the reason of a reading that gets it.
    fn row(self) -> (&'static str, Reason) {
        let row = CODES.iter().find(|(code, ..)| *code == self.0);
        row.map_or(("unexpected error", Reason::Failed), |(_, text, reason)| (text, *reason))
    }
}

#[rustfmt::skip]
const CODES: &[(sys::nvmlReturn_t, &str, Reason)] = &[
    (sys::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED, "not initialised", Reason::Failed),
    (sys::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT, "invalid argument", Reason::Failed),
    (sys::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED, "not supported", Reason::NotSupported),
    (sys::nvmlReturn_enum_NVML_ERROR_NO_PERMISSION, "no permission", Reason::NotPermitted),
    (sys::nvmlReturn_enum_NVML_ERROR_NOT_FOUND, "not found", Reason::NoData),
    (sys::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED, "the driver is not loaded", Reason::Failed),
    (sys::nvmlReturn_enum_NVML_ERROR_TIMEOUT, "timed out", Reason::Failed),
    (sys::nvmlReturn_enum_NVML_ERROR_FUNCTION_NOT_FOUND, "the library lacks the function", Reason::NotSupported),
    (sys::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST, "the GPU has fallen off the bus", Reason::Lost),
    (sys::nvmlReturn_enum_NVML_ERROR_RESET_REQUIRED, "needs a reset of the GPU", Reason::Failed),
    (sys::nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH, "library and kernel driver are of different versions", Reason::Failed),
    (sys::nvmlReturn_enum_NVML_ERROR_LIBRARY_NOT_FOUND, "a library that the driver needs is not there", Reason::NotSupported),
    (sys::nvmlReturn_enum_NVML_ERROR_NO_DATA, "no data", Reason::NoData),
    (sys::nvmlReturn_enum_NVML_ERROR_VGPU_ECC_NOT_SUPPORTED, "not supported with ECC on", Reason::NotSupported),
    (sys::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH, "the library wants another version of the structure", Reason::NotSupported),
    (sys::nvmlReturn_enum_NVML_ERROR_DEPRECATED, "deprecated", Reason::NotSupported),
    (sys::nvmlReturn_enum_NVML_ERROR_NOT_READY, "not ready", Reason::NoData),
    (sys::nvmlReturn_enum_NVML_ERROR_GPU_NOT_FOUND, "the GPU was not found", Reason::Lost),
];

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (NVML code {})", self.row().0, self.0)
    }
}
