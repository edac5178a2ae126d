//! *Fleet*: every node and GPU at a glance, the worst of them, and what they use.

use serde_json::json;

use super::panel::Bound::{Alert, At};
use super::panel::{Panel, Steps};
use super::{CLUSTER, NODES, Plan, xids};

pub(super) const PLAN: Plan = Plan {
    name: "fleet",
    title: "GPU fleet",
    description: "Every node and GPU at a glance: who is hot, slow, full or gone.",
    from: "now-1h",
    variables: &[CLUSTER, NODES],
    annotations: Vec::new,
    panels,
};

/// What chooses nodes, in every query.
const AT: &str = r#"cluster=~"$cluster", instance=~"$node""#;

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
    let mut panels = totals();
    panels.push(Panel::heading("Every GPU now: nodes down, GPUs across"));
    panels.extend(heat_maps());
    panels.push(Panel::heading("The ten worst"));
    panels.extend(worst());
    panels.push(Panel::heading("Over time, by node"));
    panels.extend(over_time());
    panels
}

fn totals() -> Vec<Panel> {
    let (size, wide) = ((4, 4), (8, 3));
    vec![
        Panel::stat("Recording rules", "none", size)
            .about("Totals and nodes come from recording rules. Where it says MISSING, this Prometheus has not loaded monitoring/rules/heatsink.rules.yml, and panels by node stay empty.")
            .ask(format!("count(instance:heatsink_gpus_up:sum{{{AT}}}) > bool 0 or vector(0)"), "rules")
            .steps("red", &[(At(1.0), "green")])
            .words(&[("0", "MISSING", "red"), ("1", "loaded", "green")]),
        Panel::stat("Alerts firing", "none", size)
            .about("Critical alerts and warnings of heatsink's rules that are firing now.")
            .ask(format!(r#"count(ALERTS{{alertstate="firing", alertname=~"(Gpu|Heatsink).+", severity=~"critical|warning", {AT}}}) or vector(0)"#), "alerts")
            .steps("green", &[(At(1.0), "orange"), (At(5.0), "red")]),
        Panel::stat("Nodes unseen", "none", size)
            .about("Nodes that had GPUs in the time shown and that cannot be scraped now. They are in none of the maps below.")
            .ask(format!("count(up{{{AT}}} == 0 and on (cluster, instance, job) max_over_time(instance:heatsink_gpus:count{{{AT}}}[$__range])) or vector(0)"), "nodes")
            .steps("green", &[(At(1.0), "red")]),
        Panel::stat("GPUs up", "none", size)
            .about("GPUs that heatsink can read, on the nodes chosen.")
            .ask(format!("sum(heatsink_gpu_up{{{AT}}})"), "up")
            .steps("green", &[]),
        Panel::stat("GPUs down", "none", size)
            .about("Lost, hung, missing or refused by the driver. The heat maps below leave them blank.")
            .ask(format!("count(heatsink_gpu_up{{{AT}}}) - sum(heatsink_gpu_up{{{AT}}})"), "down")
            .steps("green", &[(At(1.0), "red")]),
        Panel::stat("Utilisation", "percentunit", size)
            .about("Mean share of time in which a kernel ran. A busy GPU is not always one that works: see the profiling figures of each GPU.")
            .ask(format!("avg([[DCGM_FI_DEV_GPU_UTIL{{{AT}}}]])"), "utilisation")
            .decimals(0)
            .steps("blue", &[(At(0.5), "green")]),
        Panel::stat("Memory used", "percentunit", wide)
            .about("Of what can be allocated: what the driver keeps for itself is left out.")
            .ask(format!("sum([[DCGM_FI_DEV_FB_USED{{{AT}}}]]) / sum([[DCGM_FI_DEV_FB_USED{{{AT}}}]] + [[DCGM_FI_DEV_FB_FREE{{{AT}}}]])"), "memory")
            .decimals(0)
            .steps("green", &[(At(0.9), "orange")]),
        Panel::stat("Power", "watt", wide)
            .about("What all GPUs draw now. Cooling and the rest of the machines come on top.")
            .ask(format!("sum(max [[per_gpu]] ([[DCGM_FI_DEV_POWER_USAGE{{{AT}}}]]))"), "power")
            .decimals(1)
            .steps("text", &[]),
        Panel::stat("Energy", "kwatth", wide)
            .about("What they used in the time shown, by the boards' own counters.")
            .ask(format!("sum(max [[per_gpu]] (increase(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{{AT}}}[$__range]) * 0.001 or increase(DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL{{{AT}}}[$__range]) * 1)) / 3600000"), "energy")
            .decimals(2)
            .steps("text", &[]),
    ]
}

fn heat_maps() -> Vec<Panel> {
    let size = (12, 6);
    let by = "by (instance, gpu)";
    vec![
        Panel::matrix("Temperature", "celsius", size)
            .about("Of the GPU core. Orange is above [[temperature_high]] °C, where the alert fires; red is where most data centre GPUs slow down. A blank cell is a GPU that does not answer.")
            .ask(format!("max {by} ([[DCGM_FI_DEV_GPU_TEMP{{{AT}}}]])"), "")
            .steps("dark-green", HEAT),
        Panel::matrix("Slowed down by heat or power brake", "percentunit", size)
            .about("Share of the last five minutes. Anything but 0 costs the whole job, for the others wait for this GPU.")
            .ask(format!(r#"max {by} (rate(heatsink_clock_event_seconds_total{{reason=~"sw_thermal|hw_thermal|hw_power_brake", {AT}}}[5m]))"#), "")
            .decimals(0)
            .steps("dark-green", SHARE_OF_SLOWNESS),
        Panel::matrix("Does it answer", "none", size)
            .about("Whether the GPU answers. The reason why not is in heatsink_gpu_down_info, on the page of the node.")
            .ask(format!("min {by} (heatsink_gpu_up{{{AT}}})"), "")
            .steps("red", &[(At(1.0), "dark-green")])
            .words(&[("0", "DOWN", "red"), ("1", "up", "dark-green")]),
        Panel::matrix("Memory used", "percentunit", size)
            .about("Of what can be allocated. From orange on, the alert fires: the next allocation may fail.")
            .ask(format!("sum {by} ([[DCGM_FI_DEV_FB_USED{{{AT}}}]]) / sum {by} ([[DCGM_FI_DEV_FB_USED{{{AT}}}]] + [[DCGM_FI_DEV_FB_FREE{{{AT}}}]])"), "")
            .decimals(0)
            .steps("dark-blue", FULLNESS),
        Panel::matrix("Utilisation", "percentunit", size)
            .about("Share of time in which a kernel ran; where a GPU is partitioned, how busy its engines were. Dark blue is idle.")
            .ask(format!("max {by} ([[DCGM_FI_DEV_GPU_UTIL{{{AT}}}]] or [[DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{AT}}}]])"), "")
            .decimals(0)
            .steps("dark-blue", WORK),
        Panel::matrix("Power", "watt", size)
            .about("Drawn by the board. Neighbours under the same work draw much the same: one that draws less is slowed down or waits.")
            .ask(format!("max {by} ([[DCGM_FI_DEV_POWER_USAGE{{{AT}}}]])"), "")
            .decimals(0)
            .steps("dark-blue", POWER),
    ]
}

fn worst() -> Vec<Panel> {
    let size = (6, 9);
    let legend = "{{instance}} / {{gpu}}";
    vec![
        Panel::bars("Hottest", "celsius", size)
            .about("The ten hottest GPU cores.")
            .ask(format!("sort_desc(topk(10, max by (instance, gpu) ([[DCGM_FI_DEV_GPU_TEMP{{{AT}}}]])))"), legend)
            .between(20.0, 100.0)
            .steps("dark-green", HEAT),
        Panel::bars("Most held back", "percentunit", size)
            .about("Share of the last five minutes in which anything held the clocks down: heat, the power supply, or the power limit, which is harmless. A whole job runs at the pace of its slowest GPU.")
            .ask(format!(r#"sort_desc(topk(10, max by (instance, gpu) (rate(heatsink_clock_event_seconds_total{{reason=~"power_cap|sync_boost|hw_slowdown|sw_thermal|hw_thermal|hw_power_brake", {AT}}}[5m]))))"#), legend)
            .between(0.0, 1.0)
            .decimals(0)
            .steps("dark-green", &[(At(0.25), "yellow"), (At(0.9), "orange")]),
        Panel::bars("Fullest memory", "percentunit", size)
            .about("The ten GPUs with the least memory left.")
            .ask(format!("sort_desc(topk(10, max by (instance, gpu) ([[DCGM_FI_DEV_FB_USED{{{AT}}}]] / ([[DCGM_FI_DEV_FB_USED{{{AT}}}]] + [[DCGM_FI_DEV_FB_FREE{{{AT}}}]]))))"), legend)
            .between(0.0, 1.0)
            .decimals(0)
            .steps("dark-blue", FULLNESS),
        Panel::bars("XIDs in the time shown", "none", size)
            .about("Errors that the driver reported, by GPU. Which they were, and what they ask for, is on the page of the node.")
            .ask(format!("sort_desc(topk(10, sum by (instance, gpu) ({})))", xids(AT)), legend)
            .zero_based()
            .decimals(0)
            .steps("green", &[(At(0.5), "red")]),
    ]
}

fn over_time() -> Vec<Panel> {
    let size = (12, 8);
    let at = AT;
    vec![
        Panel::lines("Hottest GPU of each node", "celsius", size)
            .about("The dashed line is where the alert fires.")
            .ask(format!("instance:heatsink_temperature_celsius:max{{{at}}}"), "{{instance}}")
            .steps("transparent", &[(Alert("temperature_high"), "orange")])
            .drawn(),
        Panel::lines("Slowed down by heat", "percentunit", size)
            .about("Share of time, of the GPU of the node that it holds back most. The dashed lines are where the alerts fire: by the hardware, and by the driver.")
            .ask(format!("instance:heatsink_thermal_slowdown_ratio:max{{{at}}}"), "{{instance}}")
            .between(0.0, 1.0)
            .steps("transparent", SLOWNESS)
            .drawn()
            .filled(),
        Panel::lines("Power", "watt", size)
            .about("Of all GPUs of a node.")
            .ask(format!("instance:heatsink_power_watts:sum{{{at}}}"), "{{instance}}")
            .zero_based()
            .stacked(),
        Panel::lines("Utilisation and GPUs down", "percentunit", size)
            .about("Mean utilisation of a node's GPUs on the left; on the right, how many GPUs of all nodes do not answer.")
            .ask(format!("instance:heatsink_utilization_ratio:avg{{{at}}}"), "{{instance}}")
            .ask(format!("sum(instance:heatsink_gpus:count{{{at}}}) - sum(instance:heatsink_gpus_up:sum{{{at}}})"), "GPUs down")
            .between(0.0, 1.0)
            .matching("/^GPUs down/", &[
                ("unit", json!("none")),
                ("custom.axisPlacement", json!("right")),
                ("custom.lineStyle", json!({ "fill": "dash", "dash": [6, 4] })),
            ]),
    ]
}
