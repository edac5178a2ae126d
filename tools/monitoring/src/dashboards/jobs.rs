//! *Jobs*: usage and energy by owner: namespace, pod or Slurm job.

use serde_json::json;

use super::holders::{ACTIVITY, DEVICE, holders, of_holders, table, with_owner};
use super::panel::Bound::{Alert, At};
use super::panel::{NO_RULES, Panel};
use super::plan::{CLUSTER, JOB, NAMESPACE, POD, Plan};

pub(super) const PLAN: Plan = Plan {
    name: "jobs",
    title: "GPU jobs",
    description: "GPU hours, activity, memory and energy by namespace, pod or Slurm job. Needs heatsink's series of who has which GPU.",
    from: "now-6h",
    variables: &[CLUSTER, NAMESPACE, POD, JOB],
    annotations: Vec::new,
    panels,
};

/// The matchers of every query.
const AT: &str = r#"cluster=~"$cluster", namespace=~"$namespace", pod=~"$pod", job_id=~"$job""#;
const OWNER: &str = "{{owner}}";
const GPU_OF_OWNER: &str = "{{owner}}: {{instance}} / GPU {{gpu}} {{GPU_I_ID}}";

/// Adds the label `owner`: `namespace/pod`, the number of a job, or `no owner`.
fn owned(expr: &str) -> String {
    format!("label_replace({}, \"owner\", \"no owner\", \"owner\", \"\")", with_owner(expr))
}

/// One sum for each owner.
fn by_owner(expr: &str) -> String {
    owned(&format!("sum by (namespace, pod, job_id) ({expr})"))
}

// The rules of owners are evaluated once a minute.
const HOURS: &str = "sum_over_time(owner:heatsink_gpus:sum{AT}[$__range]) / 60";
const IDLE_HOURS: &str = "sum_over_time(owner:heatsink_idle_gpus:sum{AT}[$__range]) / 60";
const ENERGY: &str = "sum_over_time(owner:heatsink_power_watts:sum{AT}[$__range]) / 60000";

fn at(expr: &str) -> String {
    expr.replace("{AT}", &format!("{{{AT}}}"))
}

fn panels() -> Vec<Panel> {
    let mut panels = vec![needs()];
    panels.extend(totals());
    panels.push(Panel::heading("By owner"));
    panels.push(owners());
    panels.push(Panel::heading("Who has which GPU").with_id(15));
    panels.push(table("GPUs and GPU instances", (24, 10), AT).with_id(16));
    panels.push(Panel::heading("Over time"));
    panels.extend(over_time());
    panels.push(Panel::heading("Each GPU, over time").with_id(17));
    panels.extend(each_gpu());
    panels
}

/// The options and rules that this dashboard needs.
fn needs() -> Panel {
    let text = "Pods: start heatsink with `--kubernetes`. Slurm jobs: with `--hpc-job-mapping-dir`. Both are in \
                `heatsink_gpu_holder_info`, with `--attribution labels` and with `info`. Without them, all GPUs \
                have the owner `no owner`.\n\n\
                The recording rules in monitoring/rules: if they are not loaded, most panels are empty.";
    Panel::text("What this dashboard needs", text, (24, 3))
}

fn totals() -> Vec<Panel> {
    let size = (4, 4);
    vec![
        Panel::stat("GPUs in use", "none", size)
            .description("GPUs and GPU instances that belong to a pod or a job now.")
            .query(format!("sum(owner:heatsink_gpus:sum{{{AT}, pod!=\"\"}} or owner:heatsink_gpus:sum{{{AT}, job_id!=\"\"}})"), "GPUs")
            .no_value("no pods or jobs")
            .steps("text", &[]),
        Panel::stat("Idle GPUs in use", "none", size)
            .with_id(14)
            .description("GPUs and GPU instances that belong to a pod or a job, and whose mean activity in the last hour is below the threshold of GpuAllocatedIdle, [[idle]]. The table of GPUs has them at the top.")
            .query(format!("sum(max by ({DEVICE}) ({}) < bool [[idle]])", of_holders(ACTIVITY, AT)), "idle")
            .no_value("no pods or jobs")
            .steps("green", &[(At(1.0), "orange")]),
        Panel::stat("GPU hours", "h", size)
            .description("GPU hours in the time range. A shared GPU is divided among its owners.")
            .query(at(&format!("sum({HOURS})")), "hours")
            .no_value(NO_RULES)
            .decimals(1)
            .steps("text", &[]),
        Panel::stat("Idle GPU hours", "h", size)
            .description("GPU hours in which the engines were idle, for GPUs that report activity. Other jobs could have used them.")
            .query(at(&format!("sum({IDLE_HOURS})")), "hours")
            .decimals(1)
            .steps("orange", &[]),
        Panel::stat("Active share", "percentunit", size)
            .description("Share of the GPU hours in which the engines were active, for GPUs that report activity.")
            .query(at(&format!("1 - sum({IDLE_HOURS}) / sum(({HOURS}) and ({IDLE_HOURS}))")), "share")
            .decimals(0)
            .steps("red", &[(At(0.3), "orange"), (At(0.6), "green")]),
        Panel::stat("Energy", "kwatth", size)
            .description("Energy used by the GPUs in the time range.")
            .query(at(&format!("sum({ENERGY})")), "energy")
            .decimals(2)
            .steps("text", &[]),
    ]
}

fn owners() -> Panel {
    Panel::table("Pods and jobs", (24, 10))
        .description("One row per owner in the time range, most idle hours first. `no owner`: GPUs without a known pod or job.")
        .query(by_owner(&at("owner:heatsink_gpus:sum{AT}")), "")
        .query(by_owner(&at(HOURS)), "")
        .query(by_owner(&at(IDLE_HOURS)), "")
        .query(owned(&at("avg by (namespace, pod, job_id) (avg_over_time(owner:heatsink_activity_ratio:avg{AT}[$__range]))")), "")
        .query(by_owner(&at("owner:heatsink_memory_used_bytes:sum{AT}")), "")
        .query(by_owner(&at("owner:heatsink_power_watts:sum{AT}")), "")
        .query(by_owner(&at(ENERGY)), "")
        .columns(
            &[
                ("owner", "Owner"),
                ("Value #A", "GPUs now"),
                ("Value #B", "GPU hours"),
                ("Value #C", "Idle hours"),
                ("Value #D", "Activity"),
                ("Value #E", "Memory"),
                ("Value #F", "Power"),
                ("Value #G", "Energy"),
            ],
            &["Time", "namespace", "pod", "job_id", "cluster"],
        )
        .override_named("GPUs now", &[("decimals", json!(1))])
        .override_named("GPU hours", &[("unit", json!("h")), ("decimals", json!(1))])
        .override_named("Idle hours", &[("unit", json!("h")), ("decimals", json!(1))])
        .override_named("Activity", &[
            ("unit", json!("percentunit")),
            ("decimals", json!(0)),
            ("min", json!(0)),
            ("max", json!(1)),
            ("custom.cellOptions", json!({ "type": "gauge", "mode": "basic" })),
            ("color", json!({ "mode": "thresholds" })),
            ("thresholds", json!({ "mode": "absolute", "steps": [
                { "color": "red", "value": null },
                { "color": "orange", "value": 0.3 },
                { "color": "green", "value": 0.6 },
            ] })),
        ])
        .override_named("Memory", &[("unit", json!("bytes"))])
        .override_named("Power", &[("unit", json!("watt"))])
        .override_named("Energy", &[("unit", json!("kwatth")), ("decimals", json!(2))])
        .sorted_by("Idle hours", true)
}

fn over_time() -> Vec<Panel> {
    let size = (12, 8);
    vec![
        Panel::time_series("GPUs", "none", size)
            .description("GPUs of each owner.")
            .query(by_owner(&at("owner:heatsink_gpus:sum{AT}")), OWNER)
            .zero_based()
            .stacked(),
        Panel::time_series("Activity", "percentunit", size)
            .description("Share of time in which the engines of the owner's GPUs were active. A job that stays near 0 blocks GPUs that other jobs wait for.")
            .query(owned(&at("avg by (namespace, pod, job_id) (owner:heatsink_activity_ratio:avg{AT})")), OWNER)
            .between(0.0, 1.0),
        Panel::time_series("Memory", "bytes", size)
            .description("Memory in use on all GPUs of the owner.")
            .query(by_owner(&at("owner:heatsink_memory_used_bytes:sum{AT}")), OWNER)
            .zero_based(),
        Panel::time_series("Power", "watt", size)
            .description("Power of the owner's GPUs. A shared GPU is divided among its owners.")
            .query(by_owner(&at("owner:heatsink_power_watts:sum{AT}")), OWNER)
            .zero_based()
            .stacked(),
    ]
}

/// Lines for each GPU of the selected owners.
fn each_gpu() -> Vec<Panel> {
    let size = (12, 8);
    // Not for a whole fleet.
    let few = |expr: &str| {
        with_owner(&format!("({} and on () count({}) <= 128)", of_holders(expr, AT), holders(AT)))
    };
    let panel = |id, title, unit, description, expr: &str| {
        Panel::time_series(title, unit, size)
            .with_id(id)
            .description(description)
            .query(few(expr), GPU_OF_OWNER)
            .no_value("No pods or jobs, or more than 128 GPUs: select some")
    };
    vec![
        panel(18, "Activity of each GPU", "percentunit", "Share of time in which the engines were active. A job on several GPUs waits for the slowest: its GPUs should be alike.", "[[DCGM_FI_PROF_GR_ENGINE_ACTIVE]] or [[DCGM_FI_DEV_GPU_UTIL]]")
            .between(0.0, 1.0),
        panel(19, "Memory of each GPU", "bytes", "Memory in use.", "[[DCGM_FI_DEV_FB_USED]]")
            .zero_based(),
        panel(20, "Temperature of each GPU", "celsius", "Core temperature. The horizontal line is the threshold of the alert.", "[[DCGM_FI_DEV_GPU_TEMP]]")
            .between(20.0, 100.0)
            .steps("transparent", &[(Alert("temperature_high"), "orange")])
            .threshold_lines(),
        panel(21, "Power of each GPU", "watt", "Power of the board. A GPU that draws less than the others of its job is throttled or waits.", "[[DCGM_FI_DEV_POWER_USAGE]]")
            .zero_based(),
    ]
}
