//! Who has which GPU: queries that join the values of a GPU with its pods and jobs.
//!
//! They take pods and jobs from `heatsink_gpu_holder_info` alone. So it makes no difference whether the
//! series of a GPU have the labels of its pod, nor that they change when the pod does.

use serde_json::json;

use super::panel::Bound::{Alert, At};
use super::panel::Panel;

/// The labels that a device has in common with its holders.
pub(super) const DEVICE: &str = "cluster, instance, gpu, UUID, GPU_I_ID";
/// The activity of each device in the last hour, as in GpuAllocatedIdle.
pub(super) const ACTIVITY: &str = "avg_over_time(device:heatsink_activity_ratio:avg[1h])";

/// Adds the label `owner`: `namespace/pod`, or the number of a job.
pub(super) fn with_owner(expr: &str) -> String {
    format!(
        "label_replace(label_join({expr}, \"owner\", \"/\", \"namespace\", \"pod\", \"job_id\"), \
         \"owner\", \"$1\", \"owner\", \"/*(.*?)/*\")"
    )
}

/// The values of devices, `expr`, for each of the holders that `at` selects.
pub(super) fn of_holders(expr: &str, at: &str) -> String {
    format!("max by ({DEVICE}) ({expr}) * on ({DEVICE}) group_right () {}", holders(at))
}

/// A series for each holder of a device.
pub(super) fn holders(at: &str) -> String {
    let labels = "namespace, pod, container, job_id, share";
    format!("group by ({DEVICE}, {labels}) (heatsink_gpu_holder_info{{{at}}})")
}

/// A table of devices and their holders.
pub(super) fn table(title: &'static str, size: (u32, u32), at: &str) -> Panel {
    let column = |expr: &str| with_owner(&of_holders(expr, at));
    let activity = [
        ("unit", json!("percentunit")),
        ("decimals", json!(0)),
        ("custom.cellOptions", json!({ "type": "color-text" })),
        ("color", json!({ "mode": "thresholds" })),
    ];
    Panel::table(title, size)
        .description("One row for each pod or job that has a GPU or a GPU instance, the least active first. Activity is the mean of the last hour, and red below the threshold of GpuAllocatedIdle, [[idle]]. A shared GPU has several rows with the same values, because these are of the whole GPU.")
        .query(with_owner(&holders(at)), "")
        .query(column(ACTIVITY), "")
        .query(column("[[DCGM_FI_DEV_FB_USED]]"), "")
        .query(column("[[DCGM_FI_DEV_GPU_TEMP]]"), "")
        .query(column("[[DCGM_FI_DEV_POWER_USAGE]]"), "")
        .no_value("No pods or jobs are known")
        .steps("red", &[(Alert("idle"), "orange"), (At(0.3), "text")])
        .columns(
            &[
                ("owner", "Owner"),
                ("container", "Container"),
                ("instance", "Node"),
                ("gpu", "GPU"),
                ("GPU_I_ID", "Instance"),
                ("share", "Share"),
                ("Value #B", "Activity"),
                ("Value #C", "Memory"),
                ("Value #D", "Temperature"),
                ("Value #E", "Power"),
            ],
            &["Time", "Value #A", "UUID", "namespace", "pod", "job_id", "cluster"],
        )
        .override_named("Activity", &activity)
        .override_named("Memory", &[("unit", json!("bytes"))])
        .override_named("Temperature", &[("unit", json!("celsius"))])
        .override_named("Power", &[("unit", json!("watt"))])
        .sorted_by("Activity", false)
}
