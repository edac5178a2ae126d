//! *Node*: all signals of the GPUs of one node, on one time axis.

use serde_json::{Value, json};

use super::fleet::THROTTLED;
use super::holders;
use super::panel::Bound::{Alert, At};
use super::panel::{Panel, data_source};
use super::plan::{CLUSTER, GPU, NODE, Plan, xids};

pub(super) const PLAN: Plan = Plan {
    name: "node",
    title: "GPU node",
    description: "All signals of the GPUs of one node: throttling, memory, heat, load and errors.",
    from: "now-30m",
    variables: &[CLUSTER, NODE, GPU],
    annotations,
    panels,
};

/// The matchers of every query about GPUs.
const AT: &str = r#"cluster=~"$cluster", instance=~"$node", gpu=~"$gpu""#;
/// The matchers of queries about the node.
const NODE_AT: &str = r#"cluster=~"$cluster", instance=~"$node""#;
const NAME: &str = "GPU {{gpu}}";

/// One line for each GPU. A GPU with MIG instances has several series.
fn each(expr: &str) -> String {
    format!("max by (gpu) ({})", expr.replace("{AT}", &format!("{{{AT}}}")))
}

/// One line for each GPU, with the sum over its MIG instances.
fn added(expr: &str) -> String {
    let expr = expr.replace("{AT}", &format!("{{{AT}}}"));
    format!("sum by (gpu) ({expr})")
}

fn annotations() -> Vec<Value> {
    let annotation = |name: &str, expr: String, title: &str, colour: &str, is_time: bool| {
        json!({
            "name": name,
            "datasource": data_source(),
            "enable": true,
            "hide": false,
            "iconColor": colour,
            "target": { "refId": name, "expr": expr, "interval": "15s" },
            "titleFormat": title,
            "useValueForTime": is_time,
        })
    };
    vec![
        annotation(
            "XIDs",
            // At the time of the XID, not of the first scrape that has it.
            format!("1000 * heatsink_xid_last_timestamp_seconds{{{AT}}}"),
            "XID {{xid}} GPU {{gpu}}",
            "red",
            true,
        ),
        annotation(
            "Incidents",
            format!("1000 * heatsink_last_incident_timestamp_seconds{{{NODE_AT}}}"),
            "Incident: heatsink report --last",
            "purple",
            true,
        ),
        // From the first second of throttling until five minutes after the last: one mark, also if
        // throttling stopped in between.
        annotation(
            "Throttled",
            format!(
                r#"max by (gpu) (rate(heatsink_clock_event_seconds_total{{reason=~"sw_thermal|hw_thermal|hw_power_brake", {AT}}}[5m])) > 0"#
            ),
            "GPU {{gpu}} throttled",
            "orange",
            false,
        ),
    ]
}

fn panels() -> Vec<Panel> {
    let mut panels = now();
    panels.push(Panel::heading("Throttling"));
    panels.extend(throttling());
    panels.push(Panel::heading("Memory and heat"));
    panels.extend(memory_and_heat());
    panels.push(Panel::heading("Load"));
    panels.push(holders::table("Pods and jobs", (24, 7), AT).with_id(24));
    panels.extend(load());
    panels.push(Panel::heading("Errors"));
    panels.extend(errors());
    panels
}

fn now() -> Vec<Panel> {
    let size = (4, 5);
    vec![
        Panel::stat("GPUs down", "none", size)
            .description("GPUs that do not answer. The other panels do not show them. heatsink_gpu_down_info has the reason.")
            .query(format!("count(heatsink_gpu_up{{{AT}}}) - sum(heatsink_gpu_up{{{AT}}})"), "down")
            .steps("green", &[(At(1.0), "red")]),
        Panel::stat("Margin to slowdown", "celsius", size)
            .description("Slowdown temperature of this model minus current temperature, for the hottest of the selected GPUs.")
            .query(format!("min([[DCGM_FI_DEV_SLOWDOWN_TEMP{{{AT}}}]] - [[DCGM_FI_DEV_GPU_TEMP{{{AT}}}]])"), "margin")
            .steps("red", &[(At(0.5), "orange"), (At(5.0), "yellow"), (At(10.0), "green")]),
        Panel::stat("Throttled by heat", "percentunit", size)
            .description("By heat or a power brake: share of the last five minutes, for the most throttled of the selected GPUs. The panels below show which GPU and why.")
            .query(format!(r#"max(rate(heatsink_clock_event_seconds_total{{reason=~"sw_thermal|hw_thermal|hw_power_brake", {AT}}}[5m]))"#), "share")
            .decimals(0)
            .steps("green", &[(At(0.01), "yellow"), (At(0.1), "orange"), (At(0.25), "red")]),
        Panel::stat("Free memory", "bytes", size)
            .description("Memory that can still be allocated, on the fullest of the selected GPUs.")
            .query(format!("min([[DCGM_FI_DEV_FB_FREE{{{AT}}}]])"), "free")
            .steps("red", &[(At(1_073_741_824.0), "orange"), (At(8_589_934_592.0), "green")]),
        Panel::stat("Power", "watt", size)
            .description("Sum over the selected GPUs.")
            .query(format!("sum([[gpu DCGM_FI_DEV_POWER_USAGE{{{AT}}}]])"), "power")
            .steps("text", &[]),
        Panel::stat("XIDs in the time range", "none", size)
            .description("Errors that the driver reported. The table below lists their codes.")
            .query(format!("sum({}) or 0 * max(heatsink_xid_source_info{{{NODE_AT}}})", xids(AT)), "XIDs")
            .decimals(0)
            .steps("green", &[(At(0.5), "red")]),
    ]
}

fn throttling() -> Vec<Panel> {
    let reason = |colour: &str| [("color", json!({ "mode": "fixed", "fixedColor": colour }))];
    vec![
        Panel::time_series("SM clock and temperature (dashed)", "hertz", (24, 10))
            .description("SM clock on the left axis, temperature (dashed) on the right. If the clock falls while the temperature is at its limit, the GPU is throttled.")
            .query(each("[[DCGM_FI_DEV_SM_CLOCK{AT}]]"), NAME)
            .query(each("[[DCGM_FI_DEV_GPU_TEMP{AT}]]"), NAME)
            .zero_based()
            .gpu_colours()
            .dashed("B", &[
                ("unit", json!("celsius")),
                ("min", json!(20)),
                ("max", json!(100)),
                ("custom.axisPlacement", json!("right")),
            ]),
        Panel::state_timeline("Throttled by", (12, 8))
            .description("Reasons that throttled each GPU during more than a tenth of the time; the most severe one if there are several. The power limit is harmless.")
            .query(most_severe_reason(), NAME)
            .steps("transparent", &[(At(1.0), "blue"), (At(2.0), "orange"), (At(3.0), "red"), (At(4.0), "purple")])
            .value_mappings(&[
                ("0", "none", "transparent"),
                ("1", "power limit", "blue"),
                ("2", "heat, by the driver", "orange"),
                ("3", "heat, by the hardware", "red"),
                ("4", "power brake", "purple"),
            ]),
        Panel::time_series("Share of time throttled", "percentunit", (12, 8))
            .description("By reason, for the GPU with the highest share. Several reasons can apply at once. The dashed lines are the thresholds of the alerts about heat: slowdown by the hardware, and by the driver.")
            .query(format!(r#"max by (reason) (rate(heatsink_clock_event_seconds_total{{reason=~"power_cap|sw_thermal|hw_thermal|hw_power_brake|hw_slowdown|sync_boost", {AT}}}[$__rate_interval]))"#), "{{reason}}")
            .between(0.0, 1.0)
            .steps("transparent", THROTTLED)
            .threshold_lines()
            .filled()
            .override_named("power_cap", &reason("blue"))
            .override_named("sw_thermal", &reason("orange"))
            .override_named("hw_thermal", &reason("red"))
            .override_named("hw_power_brake", &reason("purple")),
    ]
}

/// The most severe reason for throttling of each GPU, as a number; 0 without throttling.
fn most_severe_reason() -> String {
    let reasons = ["power_cap", "sw_thermal", "hw_thermal", "hw_power_brake"];
    let of = |(index, reason): (usize, &&str)| {
        let rate = format!(
            "rate(heatsink_clock_event_seconds_total{{reason=\"{reason}\", {AT}}}[$__rate_interval])"
        );
        format!("{} * ({rate} > bool 0.1)", index + 1)
    };
    let all: Vec<String> = reasons.iter().enumerate().map(of).collect();
    format!("max by (gpu) ({})", all.join(" or "))
}

fn memory_and_heat() -> Vec<Panel> {
    let size = (12, 9);
    let limit = [
        ("color", json!({ "mode": "fixed", "fixedColor": "red" })),
        ("custom.lineWidth", json!(2)),
    ];
    let used = added("[[device DCGM_FI_DEV_FB_USED{AT}]]");
    let all = added("[[device DCGM_FI_DEV_FB_USED{AT}]] + [[device DCGM_FI_DEV_FB_FREE{AT}]]");
    let all = format!("max({all})");
    vec![
        Panel::time_series("Memory used, and forecast for one hour (dashed)", "bytes", size)
            .description("Memory in use, and a linear forecast for one hour (dashed) from the last half hour. The red line is all memory. A job that loads its model has a steep forecast as well; GpuMemoryFillingUp ignores it.")
            .query(&used, NAME)
            .query(format!("clamp(predict_linear(({used})[30m:], 3600), 0, 1.25 * scalar({all}))"), NAME)
            .query(&all, "all memory")
            .zero_based()
            .gpu_colours()
            .dashed("B", &[])
            .override_named("all memory", &limit),
        Panel::time_series("Temperature of core and memory (dashed)", "celsius", size)
            .description("The horizontal lines are the threshold of the alert, [[temperature_high]] °C, and 87 °C, where an H100 slows down. DCGM_FI_DEV_SLOWDOWN_TEMP has the slowdown temperature of this model.")
            .query(each("[[DCGM_FI_DEV_GPU_TEMP{AT}]]"), NAME)
            .query(each("[[DCGM_FI_DEV_MEMORY_TEMP{AT}]]"), NAME)
            .between(20.0, 110.0)
            .steps("transparent", &[(Alert("temperature_high"), "orange"), (At(87.0), "red")])
            .threshold_lines()
            .gpu_colours()
            .dashed("B", &[]),
        Panel::time_series("Power and power limit", "watt", size)
            .description("Power of the board. The red line is the enforced limit.")
            .query(each("[[DCGM_FI_DEV_POWER_USAGE{AT}]]"), NAME)
            .query(format!("max([[DCGM_FI_DEV_ENFORCED_POWER_LIMIT{{{AT}}}]])"), "limit")
            .zero_based()
            .gpu_colours()
            .override_named("limit", &limit),
        Panel::time_series("Highest and lowest (dashed) power between scrapes", "watt", size)
            .description("Maximum and minimum of a rolling window. They include peaks between two scrapes.")
            .query(each("heatsink_power_max_watts{AT}"), NAME)
            .query(format!("min by (gpu) (heatsink_power_min_watts{{{AT}}})"), NAME)
            .zero_based()
            .gpu_colours()
            .dashed("B", &[]),
    ]
}

fn load() -> Vec<Panel> {
    let size = (12, 8);
    let right = ("custom.axisPlacement", json!("right"));
    vec![
        Panel::time_series("Utilisation", "percentunit", size)
            .description("Share of time in which any kernel ran. Below the dashed line, a GPU counts as idle. One small kernel is enough for 100 %: the next panel shows how much of the GPU is used.")
            .query(each("[[DCGM_FI_DEV_GPU_UTIL{AT}]]"), NAME)
            .between(0.0, 1.0)
            .steps("transparent", &[(Alert("idle"), "blue"), (Alert("busy"), "transparent")])
            .threshold_lines()
            .gpu_colours(),
        Panel::time_series("Activity of the GPU's units", "percentunit", size)
            .description("Profiling ratios of SMs, tensor cores and memory interface (Hopper and newer; through DCGM, Volta and newer), and memory controller utilisation of all GPUs.")
            .query(format!("avg([[DCGM_FI_PROF_SM_ACTIVE{{{AT}}}]])"), "SMs")
            .query(format!("avg([[DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{{{AT}}}]])"), "tensor cores")
            .query(format!("avg([[DCGM_FI_PROF_DRAM_ACTIVE{{{AT}}}]])"), "memory interface")
            .query(format!("avg([[DCGM_FI_DEV_MEM_COPY_UTIL{{{AT}}}]])"), "memory controller")
            .between(0.0, 1.0),
        Panel::time_series("PCIe and NVLink (dashed)", "Bps", size)
            .description("Sum of sent and received bytes: PCIe on the left axis, all NVLinks of a GPU (dashed) on the right.")
            .query(each("[[DCGM_FI_DEV_PCIE_TX_THROUGHPUT{AT}]] + [[DCGM_FI_DEV_PCIE_RX_THROUGHPUT{AT}]]"), NAME)
            .query(each("[[DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL{AT}]]"), NAME)
            .zero_based()
            .gpu_colours()
            .dashed("B", std::slice::from_ref(&right)),
        Panel::time_series("Memory clock and PCIe lanes (dashed)", "hertz", size)
            .description("Both are constant on a healthy GPU under load. The number of lanes (right axis) falls if the link loses lanes.")
            .query(each("[[DCGM_FI_DEV_MEM_CLOCK{AT}]]"), NAME)
            .query(each("[[DCGM_FI_DEV_PCIE_LINK_WIDTH{AT}]]"), NAME)
            .zero_based()
            .gpu_colours()
            .dashed("B", &[("unit", json!("none")), ("max", json!(17)), right]),
    ]
}

fn errors() -> Vec<Panel> {
    let counted = |field: &str| each(&format!("[[{field}{{AT}}]]")) + " > 0";
    vec![
        Panel::time_series("Error counts", "none", (12, 8))
            .description("Corrected and uncorrectable memory errors since the last reset, PCIe replays and NVLink replays, of GPUs that have any.")
            .query(counted("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL"), "GPU {{gpu}} corrected")
            .query(counted("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"), "GPU {{gpu}} uncorrectable")
            .query(counted("DCGM_FI_DEV_PCIE_REPLAY_COUNTER"), "GPU {{gpu}} PCIe replays")
            .query(counted("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL"), "GPU {{gpu}} NVLink replays")
            .no_value("None")
            .zero_based(),
        Panel::table("XIDs", (12, 8))
            .description("Number of times that the driver reported each XID in the time range. For the action of a code, see the runbook of GpuXidCritical or `heatsink fields --xids`.")
            .query(format!("sort_desc(topk(12, sum by (gpu, xid) ({}) + on (xid) group_left (name, class) 0 * max by (xid, name, class) (heatsink_xid_info{{cluster=~\"$cluster\", instance=~\"$node\"}})))", xids(AT)), "")
            .no_value("None reported")
            .columns(
                &[("gpu", "GPU"), ("xid", "XID"), ("name", "Name"), ("class", "Class"), ("Value", "Count")],
                &["Time"],
            )
            .override_named("Count", &[("decimals", json!(0))])
            .sorted_by("Count", true),
    ]
}
