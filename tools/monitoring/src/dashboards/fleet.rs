//! *Fleet*: an overview of all nodes and GPUs: current faults, the worst GPUs, and usage.

use serde_json::json;

use super::holders::with_owner;
use super::panel::Bound::{Alert, At};
use super::panel::{NO_RULES, Panel, Steps};
use super::plan::{CLUSTER, NODES, Plan, xids};

pub(super) const PLAN: Plan = Plan {
    name: "fleet",
    title: "GPU fleet",
    description: "Overview of all nodes and GPUs: hot, slow, full or missing GPUs.",
    from: "now-1h",
    variables: &[CLUSTER, NODES],
    annotations: Vec::new,
    panels,
};

/// The matchers of every query.
const AT: &str = r#"cluster=~"$cluster", instance=~"$node""#;
const GPU_OF_NODE: &str = "{{instance}} / GPU {{gpu}}";

// Yellow, orange and red show problems; shades of blue show load.
const HEAT: Steps = &[
    (At(50.0), "semi-dark-green"),
    (At(75.0), "yellow"),
    (Alert("temperature_high"), "orange"),
    (At(87.0), "red"),
];
pub(super) const THROTTLED: Steps =
    &[(Alert("hardware_slowdown_share"), "orange"), (Alert("software_slowdown_share"), "red")];
const THROTTLED_NOW: Steps = &[
    (At(0.01), "yellow"),
    (Alert("hardware_slowdown_share"), "orange"),
    (Alert("software_slowdown_share"), "red"),
];
const FULLNESS: Steps = &[
    (At(0.02), "semi-dark-blue"),
    (At(0.8), "yellow"),
    (Alert("memory_full"), "orange"),
    (At(0.97), "red"),
];
const WORK: Steps = &[(At(0.02), "semi-dark-blue"), (At(0.5), "blue"), (At(0.9), "light-blue")];
const POWER: Steps =
    &[(At(100.0), "semi-dark-blue"), (At(300.0), "blue"), (At(500.0), "light-blue")];

fn panels() -> Vec<Panel> {
    let mut panels = headline();
    panels.extend(totals());
    panels.push(Panel::heading("Current faults"));
    panels.extend(faults());
    panels.push(Panel::heading("All GPUs now: one row per node, one column per GPU"));
    panels.extend(heat_maps());
    panels.push(Panel::heading("Top ten"));
    panels.extend(top_ten());
    panels.push(Panel::heading("By node, over time"));
    panels.extend(over_time());
    panels
}

/// Share of the last five minutes in which heat or a power brake throttled a GPU, for its most
/// frequent reason.
fn throttled(by: &str) -> String {
    format!(
        r#"max by ({by}) (rate(heatsink_clock_event_seconds_total{{reason=~"sw_thermal|hw_thermal|hw_power_brake", {AT}}}[5m]))"#
    )
}

/// How many alerts of a severity fire; nothing if the rules are not loaded.
fn firing(severity: &str) -> String {
    format!(
        r#"count(ALERTS{{alertstate="firing", alertname=~"Gpu.*|Heatsink.*|Nvswitch.*", severity="{severity}", {AT}}}) or 0 * count(instance:heatsink_gpus_up:sum{{{AT}}})"#
    )
}

/// GPU hours lost in the last 24 hours, from one sample per minute: GPUs that were down, and GPUs
/// that heat or a power brake throttled.
fn hours_lost() -> String {
    let (all, up) = ("instance:heatsink_gpus:count", "instance:heatsink_gpus_up:sum");
    let slow = "instance:heatsink_gpus_held_back:sum";
    format!(
        "sum_over_time((sum({all}{{{AT}}}) - sum({up}{{{AT}}}) \
         + (sum({slow}{{{AT}}}) or vector(0)))[1d:1m]) / 60"
    )
}

/// The large numbers at the top.
fn headline() -> Vec<Panel> {
    let size = (6, 6);
    let severity = |colour: &str| {
        let steps = json!([{ "color": "green", "value": null }, { "color": colour, "value": 1 }]);
        [("thresholds", json!({ "mode": "absolute", "steps": steps }))]
    };
    vec![
        Panel::stat("GPUs down", "none", size)
            .description("GPUs that heatsink cannot read: lost, hung, missing or refused by the driver. The table below lists them with the reason. GPUs of nodes that cannot be scraped are not included: see `Nodes not scraped`.")
            .query(format!("count(heatsink_gpu_up{{{AT}}}) - sum(heatsink_gpu_up{{{AT}}})"), "down")
            .steps("green", &[(At(1.0), "red")]),
        Panel::stat("GPUs throttled", "none", size)
            .description("GPUs that heat or a power brake throttled for more than a share of [[hardware_slowdown_share]] of the last five minutes. The chart below shows which. A job on several GPUs runs at the speed of the slowest.")
            .query(format!("sum({} > bool [[hardware_slowdown_share]])", throttled("[[of_gpu]]")), "throttled")
            .steps("green", &[(At(1.0), "orange")]),
        Panel::stat("Alerts firing", "none", size)
            .description("Alerts of heatsink's rules that fire now, by severity. `rules not loaded`: this Prometheus has not loaded monitoring/rules/heatsink.rules.yml, and panels by node are empty.")
            .query(firing("critical"), "critical")
            .query(firing("warning"), "warning")
            .no_value(NO_RULES)
            .steps("green", &[(At(1.0), "orange")])
            .override_named("critical", &severity("red"))
            .override_named("warning", &severity("orange")),
        Panel::stat("GPU hours lost, last 24 h", "none", size)
            .description("Hours in which GPUs were down, plus hours in which heat or a power brake throttled them, summed over all GPUs. From one sample per minute, as far back as this Prometheus has data. Hours in which a node could not be scraped are not counted.")
            .query(hours_lost(), "hours")
            .no_value(NO_RULES)
            .decimals(1)
            .steps("green", &[(At(0.05), "yellow"), (At(1.0), "orange"), (At(24.0), "red")]),
    ]
}

fn totals() -> Vec<Panel> {
    let (size, narrow) = ((4, 3), (3, 3));
    vec![
        Panel::stat("Nodes not scraped", "none", size)
            .description("Nodes that had GPUs in the time range and cannot be scraped now. The maps below do not include them.")
            .query(format!("count(up{{{AT}}} == 0 and on (cluster, instance, job) max_over_time(instance:heatsink_gpus:count{{{AT}}}[$__range])) or 0 * count(instance:heatsink_gpus:count{{{AT}}})"), "nodes")
            .no_value(NO_RULES)
            .steps("green", &[(At(1.0), "red")]),
        Panel::stat("GPUs up", "none", narrow)
            .description("GPUs that heatsink can read, on the selected nodes.")
            .query(format!("sum(heatsink_gpu_up{{{AT}}})"), "up")
            .steps("text", &[]),
        Panel::stat("GPUs allocated", "none", narrow)
            .with_id(29)
            .description("GPUs that a pod or a job has, of those of which heatsink knows it.")
            .query(format!("sum(heatsink_gpu_allocated{{{AT}}})"), "allocated")
            .no_value("unknown")
            .steps("text", &[]),
        Panel::stat("Utilisation", "percentunit", size)
            .description("Mean share of time in which a kernel ran. A busy GPU does not always compute much: see the profiling panels of its node.")
            .query(format!("avg([[DCGM_FI_DEV_GPU_UTIL{{{AT}}}]])"), "utilisation")
            .decimals(0)
            .steps("text", &[]),
        Panel::stat("Memory used", "percentunit", size)
            .description("Share of the memory that can be allocated, without memory reserved by the driver.")
            .query(format!("sum([[DCGM_FI_DEV_FB_USED{{{AT}}}]]) / sum([[DCGM_FI_DEV_FB_USED{{{AT}}}]] + [[DCGM_FI_DEV_FB_FREE{{{AT}}}]])"), "memory")
            .decimals(0)
            .steps("text", &[(At(0.9), "orange")]),
        Panel::stat("Power", "watt", narrow)
            .description("Current power of all GPUs, without cooling and the rest of the nodes.")
            .query(format!("sum([[gpu DCGM_FI_DEV_POWER_USAGE{{{AT}}}]])"), "power")
            .decimals(1)
            .steps("text", &[]),
        Panel::stat("Energy", "kwatth", narrow)
            .description("Energy used in the time range, from the energy counters of the GPUs.")
            .query(format!("sum(increase([[gpu DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{{AT}}} over $__range:$__interval]])) / 3600000"), "energy")
            .decimals(2)
            .steps("text", &[]),
    ]
}

/// GPUs that are down, each with its reason and its holders.
fn down() -> String {
    let gpu = "cluster, instance, gpu, UUID";
    // A GPU that the driver does not list has no index, and no holder.
    format!(
        r#"max by ({gpu}, reason) (heatsink_gpu_down_info{{gpu!="", {AT}}}) * on ({gpu}) group_right (reason) group by ({gpu}, namespace, pod, job_id) (heatsink_gpu_holder_info{{{AT}}}) or on ({gpu}) max by ({gpu}, reason) (heatsink_gpu_down_info{{{AT}}})"#
    )
}

/// Faults now; empty panels if there are none.
fn faults() -> Vec<Panel> {
    let size = (8, 7);
    vec![
        Panel::table("GPUs that are down", size)
            .description("GPUs that do not answer, with the reason from heatsink_gpu_down_info, and the pod or job that has the GPU, if it is known.")
            .query(with_owner(&format!("({})", down())), "")
            .no_value("None")
            .columns(
                &[("instance", "Node"), ("gpu", "GPU"), ("reason", "Reason"), ("owner", "Owner")],
                &["Time", "Value", "cluster", "UUID", "namespace", "pod", "job_id"],
            )
            .sorted_by("Node", false),
        Panel::bar_gauge("Throttled by heat or a power brake", "percentunit", size)
            .description("Share of the last five minutes, for the ten most throttled GPUs. A throttled GPU slows down its whole job, because the other GPUs wait for it.")
            .query(format!("sort_desc(topk(10, {} > 0))", throttled("instance, gpu")), GPU_OF_NODE)
            .no_value("None")
            .between(0.0, 1.0)
            .decimals(0)
            .steps("dark-green", THROTTLED_NOW),
        Panel::bar_gauge("XIDs in the time range", "none", size)
            .description("Errors that the driver reported, by GPU. The dashboard of the node shows their codes and actions.")
            .query(format!("sort_desc(topk(10, sum by (instance, gpu) ({})))", xids(AT)), GPU_OF_NODE)
            .no_value("None reported")
            .zero_based()
            .decimals(0)
            .steps("red", &[]),
    ]
}

fn heat_maps() -> Vec<Panel> {
    let size = (12, 6);
    let by = "by (instance, gpu)";
    vec![
        Panel::matrix("Temperature", "celsius", size)
            .description("Core temperature. Orange: above [[temperature_high]] °C, where the alert fires. Red: most data centre GPUs slow down. Blank: the GPU does not answer.")
            .query(format!("max {by} ([[DCGM_FI_DEV_GPU_TEMP{{{AT}}}]])"), "")
            .steps("dark-green", HEAT),
        Panel::matrix("Power", "watt", size)
            .description("Power of the board. GPUs with the same load draw about the same power: a GPU that draws less is throttled or waits.")
            .query(format!("max {by} ([[DCGM_FI_DEV_POWER_USAGE{{{AT}}}]])"), "")
            .decimals(0)
            .steps("dark-blue", POWER),
        Panel::matrix("Utilisation", "percentunit", size)
            .description("Share of time in which a kernel ran; for a partitioned GPU, the activity of its engines. Dark blue: idle.")
            .query(format!("max {by} ([[DCGM_FI_DEV_GPU_UTIL{{{AT}}}]] or [[DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{AT}}}]])"), "")
            .decimals(0)
            .steps("dark-blue", WORK),
        Panel::matrix("Memory used", "percentunit", size)
            .description("Share of the memory that can be allocated. From orange on, the alert fires: the next allocation may fail.")
            .query(format!("sum {by} ([[DCGM_FI_DEV_FB_USED{{{AT}}}]]) / sum {by} ([[DCGM_FI_DEV_FB_USED{{{AT}}}]] + [[DCGM_FI_DEV_FB_FREE{{{AT}}}]])"), "")
            .decimals(0)
            .steps("dark-blue", FULLNESS),
    ]
}

fn top_ten() -> Vec<Panel> {
    let size = (12, 8);
    vec![
        Panel::bar_gauge("Hottest", "celsius", size)
            .description("The ten hottest GPU cores.")
            .query(format!("sort_desc(topk(10, max by (instance, gpu) ([[DCGM_FI_DEV_GPU_TEMP{{{AT}}}]])))"), GPU_OF_NODE)
            .between(20.0, 100.0)
            .steps("dark-green", HEAT),
        Panel::bar_gauge("Least free memory", "percentunit", size)
            .description("The ten GPUs with the highest share of memory in use.")
            .query(format!("sort_desc(topk(10, max by (instance, gpu) ([[DCGM_FI_DEV_FB_USED{{{AT}}}]] / ([[DCGM_FI_DEV_FB_USED{{{AT}}}]] + [[DCGM_FI_DEV_FB_FREE{{{AT}}}]]))))"), GPU_OF_NODE)
            .between(0.0, 1.0)
            .decimals(0)
            .steps("dark-blue", FULLNESS),
    ]
}

fn over_time() -> Vec<Panel> {
    let (size, narrow) = ((12, 8), (8, 8));
    let at = AT;
    vec![
        Panel::time_series("Hottest GPU of each node", "celsius", size)
            .description("The dashed line is the threshold of the alert.")
            .query(format!("instance:heatsink_temperature_celsius:max{{{at}}}"), "{{instance}}")
            .steps("transparent", &[(Alert("temperature_high"), "orange")])
            .threshold_lines(),
        Panel::time_series("Throttled by heat", "percentunit", size)
            .description("Share of time, for the most throttled GPU of the node. The dashed lines are the thresholds of the alerts: slowdown by the hardware, and by the driver.")
            .query(format!("instance:heatsink_thermal_slowdown_ratio:max{{{at}}}"), "{{instance}}")
            .between(0.0, 1.0)
            .steps("transparent", THROTTLED)
            .threshold_lines()
            .filled(),
        Panel::time_series("Power", "watt", narrow)
            .description("Sum over all GPUs of a node.")
            .query(format!("instance:heatsink_power_watts:sum{{{at}}}"), "{{instance}}")
            .zero_based()
            .stacked(),
        Panel::time_series("Utilisation", "percentunit", narrow)
            .description("Mean utilisation of a node's GPUs.")
            .query(format!("instance:heatsink_utilization_ratio:avg{{{at}}}"), "{{instance}}")
            .between(0.0, 1.0),
        Panel::time_series("GPUs down", "none", narrow)
            .description("Number of GPUs that do not answer, on all nodes.")
            .query(format!("sum(instance:heatsink_gpus:count{{{at}}}) - sum(instance:heatsink_gpus_up:sum{{{at}}})"), "GPUs down")
            .zero_based()
            .filled()
            .override_named("GPUs down", &[
                ("color", json!({ "mode": "fixed", "fixedColor": "red" })),
                ("decimals", json!(0)),
                ("custom.axisSoftMax", json!(4)),
            ]),
    ]
}
