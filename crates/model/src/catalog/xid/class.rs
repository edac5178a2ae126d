//! The classes of XIDs: what an operator does first.

/// A row of the XID table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The driver's number for it.
    pub code: u32,
    /// Its meaning in a few words.
    pub message: &'static str,
    /// What to do first.
    pub class: Class,
}

/// What the operator of the machine does first about an XID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Nothing: it is information, or another XID beside it says what to do.
    Ignore,
    /// Start the application again; most often it is the application's own fault.
    RestartApplication,
    /// Reset the GPU.
    ResetGpu,
    /// Start the virtual machine again.
    RestartVm,
    /// Start the machine again.
    RestartNode,
    /// Update the driver or firmware.
    UpdateSoftware,
    /// Look at power cables, seating and cooling.
    CheckHardware,
    /// Look at the NVLinks; the XID's own detail decides.
    CheckNvlink,
    /// Look at what unified memory reported beside it.
    CheckUnifiedMemory,
    /// Follow NVIDIA's procedure for this code.
    FollowProcedure,
    /// Read from the driver which recovery it wants.
    ReadRecoveryAction,
    /// Ask NVIDIA or the maker of the machine.
    ContactSupport,
    /// The catalogue names no action.
    Unclassified,
}

impl Class {
    /// The word used in labels and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::RestartApplication => "restart_application",
            Self::ResetGpu => "reset_gpu",
            Self::RestartVm => "restart_vm",
            Self::RestartNode => "restart_node",
            Self::UpdateSoftware => "update_software",
            Self::CheckHardware => "check_hardware",
            Self::CheckNvlink => "check_nvlink",
            Self::CheckUnifiedMemory => "check_unified_memory",
            Self::FollowProcedure => "follow_procedure",
            Self::ReadRecoveryAction => "read_recovery_action",
            Self::ContactSupport => "contact_support",
            Self::Unclassified => "unclassified",
        }
    }

    /// What to do, in a sentence.
    pub fn action(self) -> &'static str {
        match self {
            Self::Ignore => "Nothing by itself; look at the XIDs beside it.",
            Self::RestartApplication => "Start the application again, and look for its own fault.",
            Self::ResetGpu => "Drain the GPU and reset it.",
            Self::RestartVm => "Start the virtual machine again.",
            Self::RestartNode => "Drain the machine and start it again.",
            Self::UpdateSoftware => "Update the driver or the firmware.",
            Self::CheckHardware => "Check power cables, seating and cooling.",
            Self::CheckNvlink => "Check the NVLinks; the kernel's log has the detail that decides.",
            Self::CheckUnifiedMemory => "Look at what unified memory reported beside it.",
            Self::FollowProcedure => "Follow NVIDIA's procedure for this code.",
            Self::ReadRecoveryAction => "Do what the driver's recovery action says.",
            Self::ContactSupport => "Ask NVIDIA or the maker of the machine.",
            Self::Unclassified => "Look it up in NVIDIA's catalogue of XIDs.",
        }
    }
}
