//! One GPU as HTML: a card, or a line.

use maud::{Markup, html};
use model::CLOCK_REASONS;
use model::catalog::xid;

use super::conditions::{CONDITIONS, Condition};
use super::gpu::Gpu;
use super::readings::{Readings, ago};

/// Explanations per GPU: its worst conditions, then its last XID.
const MAX_NOTES: usize = 2;

/// Texts by position in [`CLOCK_REASONS`].
const CLOCK_REASON_TEXTS: [&str; CLOCK_REASONS.len()] = [
    "idle",
    "held at a clock setting",
    "held at the power limit",
    "slowed down by the hardware",
    "held by sync boost",
    "slowed down by heat",
    "slowed down by the hardware because of heat",
    "slowed down by the power brake",
    "held at the clock of a display",
];

/// A GPU with all of its readings.
pub(super) fn card(gpu: &Gpu<'_>) -> Markup {
    let identity = gpu.readings.view.gpu.identity.as_deref();
    let texts = identity.map(|id| [&id.model_name, &id.pci_bus_id, &id.uuid]);
    let texts: Vec<&str> = texts.iter().flatten().filter_map(|text| text.as_deref()).collect();
    let instances = gpu.readings.gpu_instances();
    html! {
        section class={ "gpu " (gpu.severity().class()) } {
            header {
                h2 { "GPU " (gpu.name) }
                span class="state" { (gpu.state_text()) }
                span class="id" {
                    (texts.join(" · "))
                    @if instances > 0 { " · " (instances) " MIG instances" }
                }
            }
            @for (at, note) in gpu.conditions.iter().take(MAX_NOTES) { (explain(&CONDITIONS[*at], note)) }
            @if gpu.conditions.len() < MAX_NOTES { (last_xid_note(&gpu.readings)) }
            dl {
                @if gpu.readings.view.up.is_ok() { (cells(&gpu.readings)) }
                (last_xid_cell(&gpu.readings))
            }
        }
    }
}

fn explain(condition: &Condition, note: &str) -> Markup {
    html! {
        p class="note" {
            (note)
            @if let Some(runbook) = condition.runbook {
                " Runbook: " code { (runbook) ".md" }
            }
        }
    }
}

/// What to do about the last XID, unless a condition says so.
fn last_xid_note(readings: &Readings<'_>) -> Markup {
    let explained =
        [xid::Severity::Critical, xid::Severity::Warning].map(|of| readings.recent_xid(of));
    match readings.last_xid() {
        Some((xid, age))
            if xid.code != 0 && explained.iter().flatten().all(|(other, _)| *other != xid) =>
        {
            html! {
                p class="note" {
                    "XID " (xid.code) ", " (xid.message)
                    @if let Some(age) = age { ", " (ago(age)) }
                    ". " (xid.action)
                }
            }
        }
        _ => html! {},
    }
}

/// The unit that a quantity is shown in.
struct Unit {
    symbol: &'static str,
    /// Its size in base units.
    size: f64,
    decimals: usize,
}

const CELSIUS: Unit = Unit { symbol: "°C", size: 1.0, decimals: 0 };
const WATT: Unit = Unit { symbol: "W", size: 1.0, decimals: 0 };
const GIBIBYTE: Unit = Unit { symbol: "GiB", size: 1_073_741_824.0, decimals: 1 };
const PERCENT: Unit = Unit { symbol: "%", size: 0.01, decimals: 0 };
const MEGAHERTZ: Unit = Unit { symbol: "MHz", size: 1e6, decimals: 0 };

impl Unit {
    fn number(&self, value: f64) -> String {
        format!("{:.*}", self.decimals, value / self.size)
    }

    fn text(&self, value: f64) -> String {
        format!("{} {}", self.number(value), self.symbol)
    }
}

fn cells(gpu: &Readings<'_>) -> Markup {
    let clock: Vec<&str> = gpu.clock_reasons().map(|(at, _)| CLOCK_REASON_TEXTS[at]).collect();
    html! {
        (cell("Temperature", gpu.temperature, gpu.slowdown_temperature, &CELSIUS, gpu.is_hot(), ""))
        (cell("Power", gpu.power, gpu.power_limit, &WATT, false, ""))
        (cell("Memory", gpu.memory_used, gpu.memory_total, &GIBIBYTE, false, ""))
        (cell("Utilisation", gpu.utilization, Some(1.0), &PERCENT, false, ""))
        (cell("SM clock", gpu.sm_clock, gpu.max_sm_clock, &MEGAHERTZ, false, &clock.join(", ")))
    }
}

/// A value, with its share of the limit if there is one.
fn cell(
    label: &str,
    value: Option<f64>,
    limit: Option<f64>,
    unit: &Unit,
    is_too_high: bool,
    remark: &str,
) -> Markup {
    html! {
        div {
            dt { (label) }
            dd {
                @if let Some(value) = value { (share(value, limit, unit, is_too_high)) }
                @else { "no reading" }
                @if !remark.is_empty() { small { (remark) } }
            }
        }
    }
}

fn share(value: f64, limit: Option<f64>, unit: &Unit, is_too_high: bool) -> Markup {
    let limit = limit.filter(|limit| *limit > 0.0);
    // The limit of a percentage is obvious.
    let shown_limit = limit.filter(|_| unit.symbol != PERCENT.symbol);
    html! {
        b { (unit.number(value)) }
        @if let Some(limit) = shown_limit { " of " (unit.number(limit)) }
        " " (unit.symbol)
        @if let Some(limit) = limit {
            @let percent = (value / limit * 100.0).clamp(0.0, 100.0);
            i class=[is_too_high.then_some("high")] style=(format!("--v:{percent:.0}%")) {}
        }
    }
}

fn last_xid_cell(gpu: &Readings<'_>) -> Markup {
    let last = gpu.last_xid();
    html! {
        div {
            dt { "Last XID" }
            dd {
                @match last {
                    None => "not known",
                    Some((xid, _)) if xid.code == 0 => "none",
                    Some((xid, age)) => {
                        b { (xid.code) }
                        @if let Some(age) = age { small { (ago(age)) } }
                    }
                }
            }
        }
    }
}

/// A GPU in one line.
pub(super) fn line(gpu: &Gpu<'_>) -> Markup {
    let Readings { temperature, power, memory_used, utilization, .. } = gpu.readings;
    let quantities = [
        (temperature, &CELSIUS),
        (power, &WATT),
        (memory_used, &GIBIBYTE),
        (utilization, &PERCENT),
    ];
    html! {
        li {
            b { "GPU " (gpu.name) } " "
            span class={ "state " (gpu.severity().class()) } { (gpu.state_text()) }
            @for (value, unit) in quantities {
                @if let Some(value) = value { " · " (unit.text(value)) }
            }
        }
    }
}
