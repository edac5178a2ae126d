//! What a GPU is called: brand, serial number, versions of its firmware.

use nvml_wrapper_sys::bindings as sys;

use super::{call, text};
use crate::{Code, Device};

/// NVML's brands, by number.
const BRANDS: [&str; 17] = [
    "Unknown",
    "Quadro",
    "Tesla",
    "NVS",
    "Grid",
    "GeForce",
    "Titan",
    "NVIDIA Virtual Applications",
    "NVIDIA Virtual PC",
    "NVIDIA Virtual Compute Server",
    "NVIDIA RTX Virtual Workstation",
    "NVIDIA Cloud Gaming",
    "Quadro RTX",
    "NVIDIA RTX",
    "NVIDIA",
    "GeForce RTX",
    "Titan RTX",
];

impl Device {
    /// The product line.
    pub(crate) fn brand(&self) -> Result<String, Code> {
        let mut brand = 0;
        call!(self.library, nvmlDeviceGetBrand(self.handle, &mut brand))?;
        Ok((*BRANDS.get(brand as usize).unwrap_or(&BRANDS[0])).to_owned())
    }

    /// The board's serial number.
    pub(crate) fn serial(&self) -> Result<String, Code> {
        text(|buffer, len| call!(self.library, nvmlDeviceGetSerial(self.handle, buffer, len)))
    }

    pub(crate) fn vbios_version(&self) -> Result<String, Code> {
        text(|buffer, len| call!(self.library, nvmlDeviceGetVbiosVersion(self.handle, buffer, len)))
    }

    /// The version of a part of the InfoROM.
    pub(crate) fn inforom_version(&self, part: sys::nvmlInforomObject_t) -> Result<String, Code> {
        text(|buffer, len| {
            call!(self.library, nvmlDeviceGetInforomVersion(self.handle, part, buffer, len))
        })
    }

    /// The version of the whole InfoROM.
    pub(crate) fn inforom_image_version(&self) -> Result<String, Code> {
        text(|buffer, len| {
            call!(self.library, nvmlDeviceGetInforomImageVersion(self.handle, buffer, len))
        })
    }
}
