//! NVML's return codes as an error type, and their texts.

use std::ffi::CStr;

use nvml_wrapper_sys::bindings as nvml;

/// Why a function did not answer: an `nvmlReturn_t` other than success.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refusal(pub nvml::nvmlReturn_t);

impl Refusal {
    pub(crate) const UNINITIALIZED: Self = Self(nvml::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED);
    pub(crate) const INVALID_ARGUMENT: Self =
        Self(nvml::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
    pub(crate) const NOT_SUPPORTED: Self = Self(nvml::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED);
    pub(crate) const NO_PERMISSION: Self = Self(nvml::nvmlReturn_enum_NVML_ERROR_NO_PERMISSION);
    pub(crate) const NOT_FOUND: Self = Self(nvml::nvmlReturn_enum_NVML_ERROR_NOT_FOUND);
    pub(crate) const INSUFFICIENT_SIZE: Self =
        Self(nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE);
    pub(crate) const DRIVER_NOT_LOADED: Self =
        Self(nvml::nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED);
    pub(crate) const TIMEOUT: Self = Self(nvml::nvmlReturn_enum_NVML_ERROR_TIMEOUT);
    pub(crate) const GPU_IS_LOST: Self = Self(nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST);
    pub(crate) const LIB_RM_VERSION_MISMATCH: Self =
        Self(nvml::nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH);
    pub(crate) const NO_DATA: Self = Self(nvml::nvmlReturn_enum_NVML_ERROR_NO_DATA);
    pub(crate) const ARGUMENT_VERSION_MISMATCH: Self =
        Self(nvml::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    pub(crate) const UNKNOWN: Self = Self(nvml::nvmlReturn_enum_NVML_ERROR_UNKNOWN);
}

/// What a function returns in C.
pub(crate) fn code(answer: Result<(), Refusal>) -> nvml::nvmlReturn_t {
    match answer {
        Ok(()) => nvml::nvmlReturn_enum_NVML_SUCCESS,
        Err(Refusal(code)) => code,
    }
}

/// The text of a return code.
pub(crate) fn text(code: nvml::nvmlReturn_t) -> &'static CStr {
    TEXTS.iter().find(|(known, _)| *known == code).map_or(c"Unknown Error", |(_, text)| text)
}

const TEXTS: &[(nvml::nvmlReturn_t, &CStr)] = &[
    (nvml::nvmlReturn_enum_NVML_SUCCESS, c"Success"),
    (Refusal::UNINITIALIZED.0, c"Uninitialized"),
    (Refusal::INVALID_ARGUMENT.0, c"Invalid Argument"),
    (Refusal::NOT_SUPPORTED.0, c"Not Supported"),
    (Refusal::NO_PERMISSION.0, c"Insufficient Permissions"),
    (Refusal::NOT_FOUND.0, c"Not Found"),
    (Refusal::INSUFFICIENT_SIZE.0, c"Insufficient Size"),
    (Refusal::DRIVER_NOT_LOADED.0, c"Driver Not Loaded"),
    (Refusal::TIMEOUT.0, c"Timeout"),
    (Refusal::GPU_IS_LOST.0, c"GPU is lost"),
    (Refusal::LIB_RM_VERSION_MISMATCH.0, c"Driver/library version mismatch"),
    (Refusal::NO_DATA.0, c"No data"),
    (Refusal::ARGUMENT_VERSION_MISMATCH.0, c"Argument version mismatch"),
];
