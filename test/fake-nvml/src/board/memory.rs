//! Memory of a GPU or an instance.

use serde::Deserialize;

/// The window of memory that the host can reach, bytes.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bar1 {
    pub total: u64,
    pub free: u64,
    pub used: u64,
}

/// Framebuffer in bytes; `used` without `reserved`, as version 2 of the struct has it.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memory {
    pub total: u64,
    pub reserved: u64,
    pub free: u64,
    pub used: u64,
}
