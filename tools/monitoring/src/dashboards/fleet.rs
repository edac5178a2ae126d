//! *Fleet*: every node and GPU at a glance: what is wrong now, the worst of them, and what they use.

use serde_json::json;

use super::panel::Bound::{Alert, At};
use super::panel::{NO_RULES, Panel, Steps};
use super::plan::{CLUSTER, NODES, Plan, xids};

pub(super) const PLAN: Plan = Plan {
    name: "fleet",
    title: "GPU fleet",
    description: "Every node and GPU at a glance: who is hot, slow, full or gone.",
    from: "now-1h",
    variables: &[CLUSTER, NODES],
    annotations: Vec::new,
    panels,
};

/// The matchers of every query.
const AT: &str = r#"cluster=~"$cluster", instance=~"$node""#;
const GPU_OF_NODE: &str = "{{instance}} / GPU {{gpu}}";

// Yellow, orange and red are for trouble; how hard a GPU works is a shade of blue.
const HEAT: Steps = &[
    (At(50.0), "semi-dark-green"),
    (At(75.0), "yellow"),
    (Alert("temperature_high"), "orange"),
    (At(87.0), "red"),
];
pub(super) const SLOWNESS: Steps =
    &[(Alert("hardware_slowdown_share"), "orange"), (Alert("software_slowdown_share"), "red")];
const SHARE_OF_SLOWNESS: Steps = &[
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
    let mut panels = first();
    panels.extend(totals());
    panels.push(Panel::heading("What is wrong now"));
    panels.extend(wrong());
    panels.push(Panel::heading("Every GPU now: nodes down, GPUs across"));
    panels.extend(heat_maps());
    panels.push(Panel::heading("The ten worst"));
    panels.extend(worst());
    panels.push(Panel::heading("Over time, by node"));
    panels.extend(over_time());
    panels
}

/// Share of the last five minutes in which heat or the power supply slowed a GPU down, by its most
/// frequent reason.
fn held_back(by: &str) -> String {
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

/// GPU hours of the last 24 hours, from a sample a minute: GPUs that were down, and GPUs that heat or
/// the power supply slowed down.
fn hours_lost() -> String {
    let (all, up) = ("instance:heatsink_gpus:count", "instance:heatsink_gpus_up:sum");
    let slow = "instance:heatsink_gpus_held_back:sum";
    format!(
        "sum_over_time((sum({all}{{{AT}}}) - sum({up}{{{AT}}}) \
         + (sum({slow}{{{AT}}}) or vector(0)))[1d:1m]) / 60"
    )
}

/// The large numbers at the top.
fn first() -> Vec<Panel> {
    let size = (6, 6);
    let severity = |colour: &str| {
        let steps = json!([{ "color": "green", "value": null }, { "color": colour, "value": 1 }]);
        [("thresholds", json!({ "mode": "absolute", "steps": steps }))]
    };
    vec![
        Panel::stat("GPUs down", "none", size)
            .description("GPUs that heatsink knows of and cannot read: lost, hung, missing or refused by the driver. Below is which and why. GPUs of nodes that cannot be scraped are not among them: see `Nodes unseen`.")
            .query(format!("count(heatsink_gpu_up{{{AT}}}) - sum(heatsink_gpu_up{{{AT}}})"), "down")
            .steps("green", &[(At(1.0), "red")]),
        Panel::stat("GPUs held back", "none", size)
            .description("GPUs whose clocks heat or the power supply held down for more than a share of [[hardware_slowdown_share]] of the last five minutes. Below is which. A job over several GPUs runs at the pace of the slowest.")
            .query(format!("sum({} > bool [[hardware_slowdown_share]])", held_back("[[of_gpu]]")), "held back")
            .steps("green", &[(At(1.0), "orange")]),
        Panel::stat("Alerts firing", "none", size)
            .description("Alerts of heatsink's rules that fire now, by severity. `rules not loaded`: this Prometheus has not loaded monitoring/rules/heatsink.rules.yml, and panels by node stay empty.")
            .query(firing("critical"), "critical")
            .query(firing("warning"), "warning")
            .no_value(NO_RULES)
            .steps("green", &[(At(1.0), "orange")])
            .override_named("critical", &severity("red"))
            .override_named("warning", &severity("orange")),
        Panel::stat("GPU hours lost, last 24 h", "none", size)
            .description("Hours in which GPUs were down, and hours in which heat or the power supply held them back, added up over all GPUs. From one sample a minute, as far back as this Prometheus has any; hours in which a node could not be scraped are not counted.")
            .query(hours_lost(), "hours")
            .no_value(NO_RULES)
            .decimals(1)
            .steps("green", &[(At(0.05), "yellow"), (At(1.0), "orange"), (At(24.0), "red")]),
    ]
}

fn totals() -> Vec<Panel> {
    let size = (4, 3);
    vec![
        Panel::stat("Nodes unseen", "none", size)
            .description("Nodes that had GPUs in the time shown and that cannot be scraped now. They are in none of the maps below.")
            .query(format!("count(up{{{AT}}} == 0 and on (cluster, instance, job) max_over_time(instance:heatsink_gpus:count{{{AT}}}[$__range])) or 0 * count(instance:heatsink_gpus:count{{{AT}}})"), "nodes")
            .no_value(NO_RULES)
            .steps("green", &[(At(1.0), "red")]),
        Panel::stat("GPUs up", "none", size)
            .description("GPUs that heatsink can read, on the nodes chosen.")
            .query(format!("sum(heatsink_gpu_up{{{AT}}})"), "up")
            .steps("text", &[]),
        Panel::stat("Utilisation", "percentunit", size)
            .description("Mean share of time in which a kernel ran. A busy GPU is not always one that works: see the profiling figures of each GPU.")
            .query(format!("avg([[DCGM_FI_DEV_GPU_UTIL{{{AT}}}]])"), "utilisation")
            .decimals(0)
            .steps("text", &[]),
        Panel::stat("Memory used", "percentunit", size)
            .description("Of what can be allocated: what the driver keeps for itself is left out.")
            .query(format!("sum([[DCGM_FI_DEV_FB_USED{{{AT}}}]]) / sum([[DCGM_FI_DEV_FB_USED{{{AT}}}]] + [[DCGM_FI_DEV_FB_FREE{{{AT}}}]])"), "memory")
            .decimals(0)
            .steps("text", &[(At(0.9), "orange")]),
        Panel::stat("Power", "watt", size)
            .description("What all GPUs draw now. Cooling and the rest of the machines come on top.")
            .query(format!("sum(max [[per_gpu]] ([[DCGM_FI_DEV_POWER_USAGE{{{AT}}}]]))"), "power")
            .decimals(1)
            .steps("text", &[]),
        Panel::stat("Energy", "kwatth", size)
            .description("What they used in the time shown, by the boards' own counters.")
            .query(format!("sum(max [[per_gpu]] (increase(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{{AT}}}[$__range]) * 0.001 or increase(DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL{{{AT}}}[$__range]) * 1)) / 3600000"), "energy")
            .decimals(2)
            .steps("text", &[]),
    ]
}

/// Faults now; empty panels if there are none.
fn wrong() -> Vec<Panel> {
    let size = (8, 7);
    vec![
        Panel::table("Which GPUs are down, and why", size)
            .description("From heatsink_gpu_down_info.")
            .query(format!("max by (instance, gpu, reason) (heatsink_gpu_down_info{{{AT}}})"), "")
            .no_value("None")
            .columns(
                &[("instance", "Node"), ("gpu", "GPU"), ("reason", "Why")],
                &["Time", "Value"],
            )
            .sorted_by("Node", false),
        Panel::bar_gauge("Held back by heat or power supply", "percentunit", size)
            .description("Share of the last five minutes, of the ten that are held back most. Anything here costs the whole job, for the others wait for this GPU.")
            .query(format!("sort_desc(topk(10, {} > 0))", held_back("instance, gpu")), GPU_OF_NODE)
            .no_value("None")
            .between(0.0, 1.0)
            .decimals(0)
            .steps("dark-green", SHARE_OF_SLOWNESS),
        Panel::bar_gauge("XIDs in the time shown", "none", size)
            .description("Errors that the driver reported, by GPU. Which they were, and what they ask for, is on the page of the node.")
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
            .description("Of the GPU core. Orange is above [[temperature_high]] °C, where the alert fires; red is where most data centre GPUs slow down. A blank cell is a GPU that does not answer.")
            .query(format!("max {by} ([[DCGM_FI_DEV_GPU_TEMP{{{AT}}}]])"), "")
            .steps("dark-green", HEAT),
        Panel::matrix("Power", "watt", size)
            .description("Drawn by the board. Neighbours under the same work draw much the same: one that draws less is slowed down or waits.")
            .query(format!("max {by} ([[DCGM_FI_DEV_POWER_USAGE{{{AT}}}]])"), "")
            .decimals(0)
            .steps("dark-blue", POWER),
        Panel::matrix("Utilisation", "percentunit", size)
            .description("Share of time in which a kernel ran; where a GPU is partitioned, how busy its engines were. Dark blue is idle.")
            .query(format!("max {by} ([[DCGM_FI_DEV_GPU_UTIL{{{AT}}}]] or [[DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{AT}}}]])"), "")
            .decimals(0)
            .steps("dark-blue", WORK),
        Panel::matrix("Memory used", "percentunit", size)
            .description("Of what can be allocated. From orange on, the alert fires: the next allocation may fail.")
            .query(format!("sum {by} ([[DCGM_FI_DEV_FB_USED{{{AT}}}]]) / sum {by} ([[DCGM_FI_DEV_FB_USED{{{AT}}}]] + [[DCGM_FI_DEV_FB_FREE{{{AT}}}]])"), "")
            .decimals(0)
            .steps("dark-blue", FULLNESS),
    ]
}

fn worst() -> Vec<Panel> {
    let size = (12, 8);
    vec![
        Panel::bar_gauge("Hottest", "celsius", size)
            .description("The ten hottest GPU cores.")
            .query(format!("sort_desc(topk(10, max by (instance, gpu) ([[DCGM_FI_DEV_GPU_TEMP{{{AT}}}]])))"), GPU_OF_NODE)
            .between(20.0, 100.0)
            .steps("dark-green", HEAT),
        Panel::bar_gauge("Fullest memory", "percentunit", size)
            .description("The ten GPUs with the least memory left.")
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
            .description("The dashed line is where the alert fires.")
            .query(format!("instance:heatsink_temperature_celsius:max{{{at}}}"), "{{instance}}")
            .steps("transparent", &[(Alert("temperature_high"), "orange")])
            .threshold_lines(),
        Panel::time_series("Slowed down by heat", "percentunit", size)
            .description("Share of time, of the GPU of the node that it holds back most. The dashed lines are where the alerts fire: by the hardware, and by the driver.")
            .query(format!("instance:heatsink_thermal_slowdown_ratio:max{{{at}}}"), "{{instance}}")
            .between(0.0, 1.0)
            .steps("transparent", SLOWNESS)
            .threshold_lines()
            .filled(),
        Panel::time_series("Power", "watt", narrow)
            .description("Of all GPUs of a node.")
            .query(format!("instance:heatsink_power_watts:sum{{{at}}}"), "{{instance}}")
            .zero_based()
            .stacked(),
        Panel::time_series("Utilisation", "percentunit", narrow)
            .description("Mean utilisation of a node's GPUs.")
            .query(format!("instance:heatsink_utilization_ratio:avg{{{at}}}"), "{{instance}}")
            .between(0.0, 1.0),
        Panel::time_series("GPUs down", "none", narrow)
            .description("How many GPUs of all nodes do not answer.")
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
