//! *Jobs*: who uses the GPUs, how well, and what that costs.

use serde_json::json;

use super::panel::Bound::At;
use super::panel::{NO_RULES, Panel};
use super::plan::{CLUSTER, NAMESPACE, Plan};

pub(super) const PLAN: Plan = Plan {
    name: "jobs",
    title: "GPU jobs",
    description: "By namespace, pod or Slurm job: GPU hours, how well they are used, memory, energy. Needs labels that say who uses a GPU, which heatsink does not add yet.",
    from: "now-6h",
    variables: &[CLUSTER, NAMESPACE],
    annotations: Vec::new,
    panels,
};

/// What chooses owners, in every query.
const AT: &str = r#"cluster=~"$cluster", namespace=~"$namespace""#;
const OWNER: &str = "{{owner}}";

/// With one label `owner`: `namespace/pod`, the number of a job, or `no owner`.
fn owned(expr: &str) -> String {
    format!(
        "label_replace(label_replace(label_join({expr}, \"owner\", \"/\", \"namespace\", \"pod\", \"hpc_job\"), \
         \"owner\", \"no owner\", \"owner\", \"/*\"), \"owner\", \"$1\", \"owner\", \"/*(.*[^/])/*\")"
    )
}

/// One sum for each owner.
fn by_owner(expr: &str) -> String {
    owned(&format!("sum by (namespace, pod, hpc_job) ({expr})"))
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
    panels.push(Panel::heading("Who"));
    panels.push(owners());
    panels.push(Panel::heading("Over time"));
    panels.extend(over_time());
    panels
}

/// The labels and rules this dashboard needs: without the labels every GPU has `no owner`.
fn needs() -> Panel {
    let text = "Labels on the series of a GPU that say who uses it: `namespace` and `pod`, or `hpc_job` for \
                Slurm. **heatsink does not add them yet.** Until your Prometheus adds them, by \
                `metric_relabel_configs` or by a join in the recording rules `owner:*`, every GPU is shown \
                as `no owner`. docs/hpc.md has such a join for Slurm, under \"Which job was it\".\n\n\
                The recording rules in monitoring/rules: where these are not loaded, all panels are empty.";
    Panel::text("What this dashboard needs", text, (24, 4))
}

fn totals() -> Vec<Panel> {
    let size = (5, 4);
    vec![
        Panel::stat("GPUs in use", "none", (4, 4))
            .description("GPUs, or instances of them, that belong to a pod or a job now.")
            .query(format!("sum(owner:heatsink_gpus:sum{{{AT}, pod!=\"\"}} or owner:heatsink_gpus:sum{{{AT}, hpc_job!=\"\"}})"), "GPUs")
            .no_value("no owner labels")
            .steps("text", &[]),
        Panel::stat("GPU hours", "h", size)
            .description("In the time shown. Who shares a GPU is given a part of it.")
            .query(at(&format!("sum({HOURS})")), "hours")
            .no_value(NO_RULES)
            .decimals(1)
            .steps("text", &[]),
        Panel::stat("GPU hours without work", "h", size)
            .description("The part of those hours in which the engines were idle, of GPUs that can tell: what could have been used by somebody else.")
            .query(at(&format!("sum({IDLE_HOURS})")), "hours")
            .decimals(1)
            .steps("orange", &[]),
        Panel::stat("Used well", "percentunit", size)
            .description("Share of the GPU hours in which the engines worked, of GPUs that can tell.")
            .query(at(&format!("1 - sum({IDLE_HOURS}) / sum(({HOURS}) and ({IDLE_HOURS}))")), "share")
            .decimals(0)
            .steps("red", &[(At(0.3), "orange"), (At(0.6), "green")]),
        Panel::stat("Energy", "kwatth", size)
            .description("Drawn by the GPUs in the time shown.")
            .query(at(&format!("sum({ENERGY})")), "energy")
            .decimals(2)
            .steps("text", &[]),
    ]
}

fn owners() -> Panel {
    Panel::table("Pods and jobs", (24, 10))
        .description("One row for each owner in the time shown, most hours without work first. `no owner` stands for GPUs that no pod and no job is known to use.")
        .query(by_owner(&at("owner:heatsink_gpus:sum{AT}")), "")
        .query(by_owner(&at(HOURS)), "")
        .query(by_owner(&at(IDLE_HOURS)), "")
        .query(owned(&at("avg by (namespace, pod, hpc_job) (avg_over_time(owner:heatsink_activity_ratio:avg{AT}[$__range]))")), "")
        .query(by_owner(&at("owner:heatsink_memory_used_bytes:sum{AT}")), "")
        .query(by_owner(&at("owner:heatsink_power_watts:sum{AT}")), "")
        .query(by_owner(&at(ENERGY)), "")
        .columns(
            &[
                ("owner", "Owner"),
                ("Value #A", "GPUs now"),
                ("Value #B", "GPU hours"),
                ("Value #C", "Without work"),
                ("Value #D", "Activity"),
                ("Value #E", "Memory"),
                ("Value #F", "Power"),
                ("Value #G", "Energy"),
            ],
            &["Time", "namespace", "pod", "hpc_job", "cluster"],
        )
        .override_named("GPUs now", &[("decimals", json!(1))])
        .override_named("GPU hours", &[("unit", json!("h")), ("decimals", json!(1))])
        .override_named("Without work", &[("unit", json!("h")), ("decimals", json!(1))])
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
        .sorted_by("Without work", true)
}

fn over_time() -> Vec<Panel> {
    let size = (12, 8);
    vec![
        Panel::time_series("GPUs", "none", size)
            .description("How many each of them holds.")
            .query(by_owner(&at("owner:heatsink_gpus:sum{AT}")), OWNER)
            .zero_based()
            .stacked(),
        Panel::time_series("Activity", "percentunit", size)
            .description("Share of time in which the engines of its GPUs worked. A job that stays near 0 holds GPUs that others wait for.")
            .query(owned(&at("avg by (namespace, pod, hpc_job) (owner:heatsink_activity_ratio:avg{AT})")), OWNER)
            .between(0.0, 1.0),
        Panel::time_series("Memory", "bytes", size)
            .description("Used on all of its GPUs.")
            .query(by_owner(&at("owner:heatsink_memory_used_bytes:sum{AT}")), OWNER)
            .zero_based(),
        Panel::time_series("Power", "watt", size)
            .description("Drawn by its GPUs; who shares one is given a part of it.")
            .query(by_owner(&at("owner:heatsink_power_watts:sum{AT}")), OWNER)
            .zero_based()
            .stacked(),
    ]
}
