//! *Node and GPU*: everything that is known of the GPUs of one node, on one axis of time.

use serde_json::{Value, json};

use super::fleet::SLOWNESS;
use super::panel::Bound::{Alert, At};
use super::panel::{Panel, data_source};
use super::plan::{CLUSTER, GPU, NODE, Plan, xids};

pub(super) const PLAN: Plan = Plan {
    name: "node",
    title: "GPU node",
    description: "All signals of the GPUs of one node: why one is slow, how long its memory lasts, what went wrong when.",
    from: "now-30m",
    variables: &[CLUSTER, NODE, GPU],
    annotations,
    panels,
};

/// The matchers of every query about GPUs.
const AT: &str = r#"cluster=~"$cluster", instance=~"$node", gpu=~"$gpu""#;
/// The same for series of the whole node.
const NODE_AT: &str = r#"cluster=~"$cluster", instance=~"$node""#;
const NAME: &str = "GPU {{gpu}}";

/// One line for each GPU: MIG instances and sharers have several series of it.
fn each(expr: &str) -> String {
    format!("max by (gpu) ({})", expr.replace("{AT}", &format!("{{{AT}}}")))
}

/// The same where values of MIG instances are added.
fn added(expr: &str) -> String {
    let expr = expr.replace("{AT}", &format!("{{{AT}}}"));
    format!("sum by (gpu) (max [[per_device]] ({expr}))")
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
            // At the time that it came, whenever it was first seen.
            format!("1000 * heatsink_xid_last_timestamp_seconds{{{AT}}}"),
            "XID {{xid}} GPU {{gpu}}",
            "red",
            true,
        ),
        // From the first second of it until five minutes after the last: one mark, however often it
        // came and went in between.
        annotation(
            "Slowed down",
            format!(
                r#"max by (gpu) (rate(heatsink_clock_event_seconds_total{{reason=~"sw_thermal|hw_thermal|hw_power_brake", {AT}}}[5m])) > 0"#
            ),
            "GPU {{gpu}} slowed down",
            "orange",
            false,
        ),
    ]
}

fn panels() -> Vec<Panel> {
    let mut panels = now();
    panels.push(Panel::heading("Why is it slow"));
    panels.extend(slowness());
    panels.push(Panel::heading("Memory and heat"));
    panels.extend(memory_and_heat());
    panels.push(Panel::heading("Work"));
    panels.extend(work());
    panels.push(Panel::heading("Errors"));
    panels.extend(errors());
    panels
}

fn now() -> Vec<Panel> {
    let size = (4, 5);
    vec![
        Panel::stat("GPUs down", "none", size)
            .description("Those that do not answer: nothing else of them is shown. Why not: heatsink_gpu_down_info.")
            .query(format!("count(heatsink_gpu_up{{{AT}}}) - sum(heatsink_gpu_up{{{AT}}})"), "down")
            .steps("green", &[(At(1.0), "red")]),
        Panel::stat("Left until it slows down", "celsius", size)
            .description("Between its temperature now and the one at which this model slows down; of the hottest where several are chosen.")
            .query(format!("min([[DCGM_FI_DEV_SLOWDOWN_TEMP{{{AT}}}]] - [[DCGM_FI_DEV_GPU_TEMP{{{AT}}}]])"), "margin")
            .steps("red", &[(At(0.5), "orange"), (At(5.0), "yellow"), (At(10.0), "green")]),
        Panel::stat("Held back by heat", "percentunit", size)
            .description("Or by the power supply: share of the last five minutes, of the GPU that is held back most where several are chosen. Below is which and why.")
            .query(format!(r#"max(rate(heatsink_clock_event_seconds_total{{reason=~"sw_thermal|hw_thermal|hw_power_brake", {AT}}}[5m]))"#), "share")
            .decimals(0)
            .steps("green", &[(At(0.01), "yellow"), (At(0.1), "orange"), (At(0.25), "red")]),
        Panel::stat("Memory left", "bytes", size)
            .description("What can still be allocated; of the fullest where several are chosen.")
            .query(format!("min([[DCGM_FI_DEV_FB_FREE{{{AT}}}]])"), "free")
            .steps("red", &[(At(1_073_741_824.0), "orange"), (At(8_589_934_592.0), "green")]),
        Panel::stat("Power", "watt", size)
            .description("Of all GPUs that are chosen.")
            .query(format!("sum(max [[per_gpu]] ([[DCGM_FI_DEV_POWER_USAGE{{{AT}}}]]))"), "power")
            .steps("text", &[]),
        Panel::stat("XIDs in the time shown", "none", size)
            .description("Errors that the driver reported. The table below says which.")
            .query(format!("sum({}) or 0 * max(heatsink_xid_source_info{{{NODE_AT}}})", xids(AT)), "XIDs")
            .decimals(0)
            .steps("green", &[(At(0.5), "red")]),
    ]
}

fn slowness() -> Vec<Panel> {
    let reason = |colour: &str| [("color", json!({ "mode": "fixed", "fixedColor": colour }))];
    vec![
        Panel::time_series("SM clock, and temperature (dashed)", "hertz", (24, 10))
            .description("SM clock on the left, temperature (dashed) on the right. Where the clock falls as the temperature reaches its end, that is throttling.")
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
        Panel::state_timeline("Held back by", (12, 8))
            .description("What held each GPU back in more than a tenth of the time, and when; the gravest where several did at once. The power limit is harmless.")
            .query(held_back(), NAME)
            .steps("transparent", &[(At(1.0), "blue"), (At(2.0), "orange"), (At(3.0), "red"), (At(4.0), "purple")])
            .value_mappings(&[
                ("0", "nothing", "transparent"),
                ("1", "power limit", "blue"),
                ("2", "heat, by the driver", "orange"),
                ("3", "heat, by the hardware", "red"),
                ("4", "power supply", "purple"),
            ]),
        Panel::time_series("Share of time held back", "percentunit", (12, 8))
            .description("By reason, of the GPU that is held back most by it. Several can be in force at once. The dashed lines are where the alerts about heat fire: by the hardware, and by the driver.")
            .query(format!(r#"max by (reason) (rate(heatsink_clock_event_seconds_total{{reason=~"power_cap|sw_thermal|hw_thermal|hw_power_brake|hw_slowdown|sync_boost", {AT}}}[$__rate_interval]))"#), "{{reason}}")
            .between(0.0, 1.0)
            .steps("transparent", SLOWNESS)
            .threshold_lines()
            .filled()
            .override_named("power_cap", &reason("blue"))
            .override_named("sw_thermal", &reason("orange"))
            .override_named("hw_thermal", &reason("red"))
            .override_named("hw_power_brake", &reason("purple")),
    ]
}

/// The gravest reason in force on each GPU, as a number; 0 where there is none.
fn held_back() -> String {
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
    let used = added("[[DCGM_FI_DEV_FB_USED{AT}]]");
    let all =
        format!("max({})", added("[[DCGM_FI_DEV_FB_USED{AT}]] + [[DCGM_FI_DEV_FB_FREE{AT}]]"));
    vec![
        Panel::time_series("Memory used, and in an hour (dashed)", "bytes", size)
            .description("Used, and (dashed) what it comes to in an hour if it goes on as in the last half hour. The red line is all that there is. A job that loads its model draws a steep forecast too; GpuMemoryFillingUp tells the two apart.")
            .query(&used, NAME)
            .query(format!("clamp(predict_linear(({used})[30m:], 3600), 0, 1.25 * scalar({all}))"), NAME)
            .query(&all, "all that there is")
            .zero_based()
            .gpu_colours()
            .dashed("B", &[])
            .override_named("all that there is", &limit),
        Panel::time_series("Temperature of core, and of memory (dashed)", "celsius", size)
            .description("Core and memory. The dashed lines across are where the alert fires, [[temperature_high]] °C, and 87 °C, where an H100 slows down; the number for this model is in DCGM_FI_DEV_SLOWDOWN_TEMP.")
            .query(each("[[DCGM_FI_DEV_GPU_TEMP{AT}]]"), NAME)
            .query(each("[[DCGM_FI_DEV_MEMORY_TEMP{AT}]]"), NAME)
            .between(20.0, 110.0)
            .steps("transparent", &[(Alert("temperature_high"), "orange"), (At(87.0), "red")])
            .threshold_lines()
            .gpu_colours()
            .dashed("B", &[]),
        Panel::time_series("Power and its limit", "watt", size)
            .description("Drawn by the board; the red line is the limit in force.")
            .query(each("[[DCGM_FI_DEV_POWER_USAGE{AT}]]"), NAME)
            .query(format!("max([[DCGM_FI_DEV_ENFORCED_POWER_LIMIT{{{AT}}}]])"), "limit")
            .zero_based()
            .gpu_colours()
            .override_named("limit", &limit),
        Panel::time_series("Between scrapes: highest and lowest (dashed) power", "watt", size)
            .description("The highest and the lowest of each rolling window, so that no peak falls between two scrapes.")
            .query(each("heatsink_power_max_watts{AT}"), NAME)
            .query(format!("min by (gpu) (heatsink_power_min_watts{{{AT}}})"), NAME)
            .zero_based()
            .gpu_colours()
            .dashed("B", &[]),
    ]
}

fn work() -> Vec<Panel> {
    let size = (12, 8);
    let right = ("custom.axisPlacement", json!("right"));
    vec![
        Panel::time_series("Utilisation", "percentunit", size)
            .description("Share of time in which any kernel ran; below the dashed line a GPU counts as idle. One small kernel is enough for 100 %: the panel beside this one says how much of the GPU it used.")
            .query(each("[[DCGM_FI_DEV_GPU_UTIL{AT}]]"), NAME)
            .between(0.0, 1.0)
            .steps("transparent", &[(Alert("idle"), "blue"), (Alert("busy"), "transparent")])
            .threshold_lines()
            .gpu_colours(),
        Panel::time_series("How much of the GPU works", "percentunit", size)
            .description("SMs with work, tensor cores and memory interface, where the GPU can tell (Hopper and newer; through DCGM, Volta and newer); memory controller utilisation on all.")
            .query(format!("avg([[DCGM_FI_PROF_SM_ACTIVE{{{AT}}}]])"), "SMs with work")
            .query(format!("avg([[DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{{{AT}}}]])"), "tensor cores")
            .query(format!("avg([[DCGM_FI_PROF_DRAM_ACTIVE{{{AT}}}]])"), "memory interface")
            .query(format!("avg([[DCGM_FI_DEV_MEM_COPY_UTIL{{{AT}}}]])"), "memory controller")
            .between(0.0, 1.0),
        Panel::time_series("PCIe, and NVLink (dashed)", "Bps", size)
            .description("PCIe on the left, sent and received together; on the right (dashed) all NVLinks of a GPU, where it has any.")
            .query(each("[[DCGM_FI_DEV_PCIE_TX_THROUGHPUT{AT}]] + [[DCGM_FI_DEV_PCIE_RX_THROUGHPUT{AT}]]"), NAME)
            .query(each("[[DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL{AT}]]"), NAME)
            .zero_based()
            .gpu_colours()
            .dashed("B", std::slice::from_ref(&right)),
        Panel::time_series("Memory clock, and PCIe lanes (dashed)", "hertz", size)
            .description("Both stand still on a healthy GPU under load. Lanes, on the right, fall where a link is narrower than it was.")
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
        Panel::time_series("Errors, counted", "none", (12, 8))
            .description("Corrected and uncorrectable memory errors since the last reset, PCIe packets sent again, NVLink replays; of GPUs that have any. What a board does not count is not drawn.")
            .query(counted("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL"), "GPU {{gpu}} corrected")
            .query(counted("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"), "GPU {{gpu}} uncorrectable")
            .query(counted("DCGM_FI_DEV_PCIE_REPLAY_COUNTER"), "GPU {{gpu}} PCIe replays")
            .query(counted("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL"), "GPU {{gpu}} NVLink replays")
            .no_value("None counted")
            .zero_based(),
        Panel::table("XIDs", (12, 8))
            .description("How often the driver reported each error in the time shown. What a code asks for: the runbook of GpuXidCritical, or `heatsink fields --xids`.")
            .query(format!("sort_desc(topk(12, sum by (gpu, xid) ({}) + on (xid) group_left (name, class) 0 * max by (xid, name, class) (heatsink_xid_info{{cluster=~\"$cluster\", instance=~\"$node\"}})))", xids(AT)), "")
            .no_value("None reported")
            .columns(
                &[("gpu", "GPU"), ("xid", "XID"), ("name", "What"), ("class", "Asks for"), ("Value", "Times")],
                &["Time"],
            )
            .override_named("Times", &[("decimals", json!(0))])
            .sorted_by("Times", true),
    ]
}
