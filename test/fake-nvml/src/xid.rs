//! XIDs as the driver's events have them.

/// XIDs that the driver prints to the kernel's log without raising an event: 79, 119 and 120 as NVIDIA
/// says, the others as the source of its open module shows.
const NO_EVENT: [u32; 7] = [79, 119, 120, 140, 143, 154, 172];

/// Whether the driver raises an event for an XID.
pub(crate) fn is_raised(code: u32) -> bool {
    !NO_EVENT.contains(&code)
}

/// The instance in an event that belongs to no MIG instance.
const NO_INSTANCE: u32 = u32::MAX;

/// An XID, and the MIG instances it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Xid {
    pub code: u32,
    pub instance: u32,
    pub compute_instance: u32,
}

impl Xid {
    /// One of the whole GPU.
    pub(crate) fn whole(code: u32) -> Self {
        Self { code, instance: NO_INSTANCE, compute_instance: NO_INSTANCE }
    }
}
