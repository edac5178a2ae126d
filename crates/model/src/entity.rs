//! Entities: the parts of a machine that readings belong to.

use std::sync::Arc;

/// The part of a machine that a reading belongs to: a GPU, a part of a GPU, or a part of the machine
/// that belongs to no GPU.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Entity {
    /// The GPU itself. Readers of parts that belong to no GPU leave it empty.
    Gpu,
    /// One of its NVLinks, by number.
    Link(u32),
    /// The connection to another GPU, by that GPU's index.
    Peer(u32),
    /// A GPU instance of a partitioned GPU, or a compute instance inside one.
    Instance(Arc<Instance>),
    /// An NVSwitch of the machine, by number.
    Switch(u32),
    /// One of an NVSwitch's NVLinks.
    SwitchLink {
        /// The number of the switch.
        switch: u32,
        /// The number of the link on it.
        link: u32,
    },
    /// A CPU of the machine, by number.
    Cpu(u32),
    /// One core of a CPU.
    CpuCore {
        /// The number of the CPU.
        cpu: u32,
        /// The number of the core.
        core: u32,
    },
}

/// A part of a partitioned GPU (MIG).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Instance {
    /// The driver's number of the GPU instance; unique on its GPU.
    pub gpu_instance: u32,
    /// The driver's number of the compute instance inside it; `None` for the GPU instance itself.
    pub compute_instance: Option<u32>,
    /// DCGM's number of the GPU instance, which device lists use. Each GPU has as many numbers as it can
    /// have instances.
    pub number: u32,
    /// Its profile: `1g.10gb`.
    pub profile: String,
    /// The MIG devices in it, as far as they are known; of a compute instance, the one that it is.
    pub mig_devices: Vec<MigDevice>,
}

/// A MIG device, which is a compute instance as programs address it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MigDevice {
    /// The driver's number of it on its GPU.
    pub number: u32,
    /// The driver's number of the compute instance.
    pub compute_instance: u32,
    /// `MIG-` and a UUID.
    pub uuid: String,
}
