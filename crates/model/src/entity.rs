//! What a reading is of.

use std::sync::Arc;

/// What a reading is of: a GPU, something smaller that belongs to it, or a part of the machine that
/// belongs to no GPU.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Entity {
    /// The GPU itself; of what belongs to no GPU, nothing.
    Gpu,
    /// One of its NVLinks, by number.
    Link(u32),
    /// The way to another GPU, by that GPU's index.
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
    /// The driver's number of the compute instance inside it, if this is one.
    pub compute_instance: Option<u32>,
    /// The number of the GPU instance among those of all GPUs, by which device lists name it: as
    /// DCGM counts them, with room for as many on each GPU as that GPU can have.
    pub number: u32,
    /// `1g.10gb`.
    pub profile: String,
}
