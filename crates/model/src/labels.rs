//! Names of labels that series have for other reasons than a label row of a counters file or a label
//! of a pod, which therefore cannot have them.

/// Names of labels that every page may have, whatever the settings; of those that some families add;
/// and of those that say who uses a GPU.
#[rustfmt::skip]
pub static RESERVED_LABELS: &[&str] = &[
    "gpu", "UUID", "uuid", "pci_bus_id", "device", "modelName",
    "GPU_I_PROFILE", "GPU_I_ID", "GPU_CI_ID", "hostname", "Hostname",
    "nvlink", "nvswitch", "gpu_uuid", "model_name", "cpu", "cpucore",
    "err_code", "err_msg", "window_size_in_ms", "xid", "clock_event",
    "health_watch", "health_error_code", "peer_gpu", "link_status",
    // Of the target, which a scrape with `honor_labels` would lose.
    "instance", "job",
    // Who uses a GPU.
    "pod", "namespace", "container", "pod_uid", "vgpu",
    "pod_name", "pod_namespace", "container_name", "hpc_job",
    "dra_claim_name", "dra_claim_namespace", "dra_driver_name", "dra_pool_name",
    "dra_device_name", "dra_mig_profile", "dra_mig_device_uuid",
    "kind", "share", "job_id",
];
