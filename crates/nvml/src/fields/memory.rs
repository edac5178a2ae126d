//! Framebuffer and BAR1.

use model::{Reading, Reason, Value};
use nvml_wrapper_sys::bindings as sys;

use crate::call::{function, version};
use crate::code::Code;
use crate::convert::{int, mebibytes};
use crate::device::Device;
use crate::row::{Row, many};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    many!(nvmlDeviceGetMemoryInfo,
        [FB_TOTAL, FB_FREE, FB_USED, FB_RESERVED, FB_USED_PERCENT,
         FB_CAPACITY_BYTES, FB_FREE_BYTES, FB_USED_BYTES, FB_RESERVED_BYTES], |gpu| {
            let memory = memory(gpu)?;
            let reserved = memory.reserved.ok_or(Reason::NotSupported);
            [
                mebibytes(memory.total), mebibytes(memory.free), mebibytes(memory.used),
                reserved.and_then(mebibytes), used_ratio(&memory),
                int(memory.total), int(memory.free), int(memory.used), reserved.and_then(int),
            ]
        }),
    many!(nvmlDeviceGetBAR1MemoryInfo, [BAR1_TOTAL, BAR1_USED, BAR1_FREE], |gpu| {
        let bar1 = bar1(gpu)?;
        [bar1.bar1Total, bar1.bar1Used, bar1.bar1Free].map(mebibytes)
    }),
];

/// Framebuffer, in bytes.
struct Memory {
    /// All of it.
    total: u64,
    /// Held back by the driver; only known apart from `used` since driver 510.
    reserved: Option<u64>,
    /// Free.
    free: u64,
    /// Used by processes (and, before driver 510, held back by the driver).
    used: u64,
}

/// Framebuffer; from the older call where the library lacks the newer one.
fn memory(gpu: &Device) -> Result<Memory, Code> {
    match memory_v2(gpu) {
        Err(code) if code.reason() == Reason::NotSupported => memory_v1(gpu),
        answer => answer,
    }
}

fn memory_v2(gpu: &Device) -> Result<Memory, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetMemoryInfo_v2)?;
    let version = version::<sys::nvmlMemory_v2_t>(2);
    let mut memory = sys::nvmlMemory_v2_t { version, total: 0, reserved: 0, free: 0, used: 0 };
    // SAFETY: the call writes one struct of the version that it carries, to a live local.
    Code::check(unsafe { get(gpu.handle, &mut memory) })?;
    let sys::nvmlMemory_v2_t { total, reserved, free, used, .. } = memory;
    Ok(Memory { total, reserved: Some(reserved), free, used })
}

fn memory_v1(gpu: &Device) -> Result<Memory, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetMemoryInfo)?;
    let mut memory = sys::nvmlMemory_t { total: 0, free: 0, used: 0 };
    // SAFETY: the call writes one such struct, to a live local.
    Code::check(unsafe { get(gpu.handle, &mut memory) })?;
    let sys::nvmlMemory_t { total, free, used } = memory;
    Ok(Memory { total, reserved: None, free, used })
}

/// Memory behind the first PCI window, in bytes.
fn bar1(gpu: &Device) -> Result<sys::nvmlBAR1Memory_t, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetBAR1MemoryInfo)?;
    let mut memory = sys::nvmlBAR1Memory_t { bar1Total: 0, bar1Free: 0, bar1Used: 0 };
    // SAFETY: the call writes one such struct, to a live local.
    Code::check(unsafe { get(gpu.handle, &mut memory) })?;
    Ok(memory)
}

/// Framebuffer in use as a ratio of what the driver does not hold back.
fn used_ratio(memory: &Memory) -> Reading {
    let usable = memory.total.checked_sub(memory.reserved.unwrap_or(0));
    match usable {
        Some(0) => Err(Reason::NoData),
        Some(usable) if memory.used <= usable => {
            Ok(Value::Float(memory.used as f64 / usable as f64))
        }
        _ => Err(Reason::Implausible),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_in_use_is_a_ratio_of_what_is_usable() {
        let memory = |total, reserved, used| Memory { total, reserved, free: 0, used };
        assert_eq!(used_ratio(&memory(1_100, Some(100), 250)), Ok(Value::Float(0.25)));
        assert_eq!(used_ratio(&memory(1_000, None, 250)), Ok(Value::Float(0.25)));
        assert_eq!(used_ratio(&memory(100, Some(100), 0)), Err(Reason::NoData));
        assert_eq!(used_ratio(&memory(100, Some(50), 51)), Err(Reason::Implausible));
        assert_eq!(used_ratio(&memory(100, Some(101), 0)), Err(Reason::Implausible));
    }
}
