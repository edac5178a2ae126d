//! What a GPU is: its names, addresses and versions.

use std::mem;
use std::sync::Arc;

use model::{Identity, field};
use nvml_wrapper_sys::bindings as sys;

use crate::call::{self, function};
use crate::code::Code;
use crate::convert::{int, int32, text};
use crate::device::Device;
use crate::library::Library;
use crate::row::{Call, Row, number, one, row, text};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    text!(nvmlDeviceGetName, NAME),
    number!(nvmlDeviceGetBrand, BRAND, |number| text(brand(number).to_owned())),
    text!(nvmlDeviceGetSerial, SERIAL),
    text!(nvmlDeviceGetUUID, UUID),
    number!(nvmlDeviceGetMinorNumber, MINOR_NUMBER, int32),
    one!(nvmlDeviceGetPciInfo, PCI_BUSID, |gpu| pci_bus_id(gpu).map(text)),
    text!(nvmlDeviceGetVbiosVersion, VBIOS_VERSION),
    one!(nvmlDeviceGetInforomVersion, OEM_INFOROM_VER,
        |gpu| inforom_version(gpu, sys::nvmlInforomObject_enum_NVML_INFOROM_OEM).map(text)),
    one!(nvmlDeviceGetInforomVersion, ECC_INFOROM_VER,
        |gpu| inforom_version(gpu, sys::nvmlInforomObject_enum_NVML_INFOROM_ECC).map(text)),
    one!(nvmlDeviceGetInforomVersion, POWER_INFOROM_VER,
        |gpu| inforom_version(gpu, sys::nvmlInforomObject_enum_NVML_INFOROM_POWER).map(text)),
    text!(nvmlDeviceGetInforomImageVersion, INFOROM_IMAGE_VER),
    row(&[field::DRIVER_VERSION],
        Call::Session("nvmlSystemGetDriverVersion", |nvml| nvml.driver_version().map(text))),
    row(&[field::NVML_VERSION],
        Call::Session("nvmlSystemGetNVMLVersion", |nvml| nvml_version(nvml).map(text))),
    row(&[field::CUDA_DRIVER_VERSION],
        Call::Session("nvmlSystemGetCudaDriverVersion", |nvml| cuda_version(nvml).map(int))),
];

/// Opens the GPU with this index. Touches that GPU, and only that one.
pub(crate) fn open_gpu(library: &Arc<Library>, index: u32) -> Result<(Device, Identity), Code> {
    let gpu = Device::by_index(library, index)?;
    let identity = identify(&gpu, index)?;
    Ok((gpu, identity))
}

/// Reads which GPU it is.
pub(crate) fn identify(gpu: &Device, index: u32) -> Result<Identity, Code> {
    // Integrated GPUs have no PCI address, and some virtual ones lack more. That costs a label.
    let optional = |answer: Result<String, Code>| match answer {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(code) if code.reason().is_lasting() => Ok(None),
        Err(code) => Err(code),
    };
    Ok(Identity {
        index: Some(index),
        uuid: optional(gpu.text(|nvml| &nvml.nvmlDeviceGetUUID))?,
        pci_bus_id: optional(pci_bus_id(gpu))?,
        model_name: optional(gpu.text(|nvml| &nvml.nvmlDeviceGetName))?,
        minor: match gpu.number(|nvml| &nvml.nvmlDeviceGetMinorNumber) {
            Ok(minor) => Some(minor),
            Err(code) if code.reason().is_lasting() => None,
            Err(code) => return Err(code),
        },
    })
}

/// `00000000:1A:00.0`.
fn pci_bus_id(gpu: &Device) -> Result<String, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetPciInfo_v3)?;
    // SAFETY: all-zero bytes are a valid value of this C struct of integers.
    let mut info: sys::nvmlPciInfo_t = unsafe { mem::zeroed() };
    // SAFETY: the call writes one such struct, to a live local.
    Code::check(unsafe { get(gpu.handle, &mut info) })?;
    Ok(format!("{:08X}:{:02X}:{:02X}.0", info.domain, info.bus, info.device))
}

/// The version of a part of the InfoROM.
fn inforom_version(gpu: &Device, part: sys::nvmlInforomObject_t) -> Result<String, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetInforomVersion)?;
    call::text(|buffer, len| {
        // SAFETY: the call writes at most `len` bytes.
        Code::check(unsafe { get(gpu.handle, part, buffer, len) })
    })
}

/// NVML's own version, as `12.550.163.01`.
fn nvml_version(library: &Library) -> Result<String, Code> {
    let get = function(&library.symbols.nvmlSystemGetNVMLVersion)?;
    call::text(|buffer, len| {
        // SAFETY: the call writes at most `len` bytes.
        Code::check(unsafe { get(buffer, len) })
    })
}

/// The CUDA version of the driver, as major x 1000 + minor x 10. Opens `libcuda.so.1`.
fn cuda_version(library: &Library) -> Result<i32, Code> {
    let get = function(&library.symbols.nvmlSystemGetCudaDriverVersion_v2)?;
    let mut version = 0;
    // SAFETY: the call writes one number, to a live local.
    Code::check(unsafe { get(&mut version) })?;
    Ok(version)
}

/// The product line, by NVML's number.
fn brand(number: u32) -> &'static str {
    #[rustfmt::skip]
    const BRANDS: [&str; 17] = [
        "Unknown", "Quadro", "Tesla", "NVS", "Grid", "GeForce", "Titan",
        "NVIDIA Virtual Applications", "NVIDIA Virtual PC", "NVIDIA Virtual Compute Server",
        "NVIDIA RTX Virtual Workstation", "NVIDIA Cloud Gaming", "Quadro RTX", "NVIDIA RTX",
        "NVIDIA", "GeForce RTX", "Titan RTX",
    ];
    BRANDS.get(number as usize).unwrap_or(&BRANDS[0])
}
