//! Label names that a label row of a counters file cannot have.

/// Names of labels that every page may have, whatever the settings, and of those that some families
/// add.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "gpu", "UUID", "uuid", "pci_bus_id", "device", "modelName",
    "GPU_I_PROFILE", "GPU_I_ID", "GPU_CI_ID", "hostname", "Hostname",
    "nvlink", "nvswitch", "gpu_uuid", "model_name", "cpu", "cpucore",
    "err_code", "err_msg", "window_size_in_ms", "xid", "clock_event",
    "health_watch", "health_error_code", "peer_gpu", "link_status",
];

/// Whether a label name is taken.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}
