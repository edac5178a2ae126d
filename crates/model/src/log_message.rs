//! Messages of the kernel log that explain a failure.

use std::time::SystemTime;

use crate::driver_log::DriverError;

/// A message of the kernel log about a GPU, an NVSwitch, the driver, or a process that was killed because
/// memory was short.
#[derive(Clone, PartialEq, Debug)]
pub struct LogMessage {
    /// When it was logged.
    pub time: SystemTime,
    /// Whether it was logged before this process read the log.
    pub is_old: bool,
    /// The text, in one line of at most 512 bytes, without control characters.
    pub text: Box<str>,
    /// What it says.
    pub kind: LogMessageKind,
}

/// What a message says.
#[derive(Clone, PartialEq, Debug)]
pub enum LogMessageKind {
    /// An XID.
    Xid {
        /// The PCI address of the GPU: `00000000:1A:00.0`.
        pci_bus_id: String,
        /// The code.
        code: u32,
        /// The process that the driver names, as id and name. That of an XID 119 often has nothing to do with
        /// the failure.
        process: Option<(Option<u32>, Option<String>)>,
        /// The number of the NVLink, if the message has one.
        link: Option<u32>,
        /// `fatal` or `nonfatal`, if the message has one.
        severity: Option<&'static str>,
    },
    /// An error of an NVSwitch.
    Sxid {
        /// The PCI address of the NVSwitch.
        pci_bus_id: String,
        /// The code.
        code: u32,
        /// The number of the NVLink, if the message has one.
        link: Option<u32>,
        /// `fatal`, `nonfatal` or `correctable`, if the message has one.
        severity: Option<&'static str>,
    },
    /// A failure of a GPU that has no XID.
    DriverError {
        /// The PCI address of the GPU.
        pci_bus_id: String,
        /// What failed.
        error: DriverError,
    },
    /// Another message of the driver.
    Driver,
    /// The kernel killed a process because memory was short.
    OomKill {
        /// The id of the process on the host.
        pid: u32,
        /// Its name.
        name: String,
        /// The memory cgroup whose limit was reached; `None` if the machine was out of memory.
        limited_cgroup: Option<String>,
        /// The cgroup of the process, if the kernel said so.
        cgroup: Option<String>,
        /// Its anonymous resident memory, in kB.
        anonymous_kb: Option<u64>,
    },
}
