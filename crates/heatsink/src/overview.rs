//! The page at `/`: the state of the GPUs, as HTML for people.
//!
//! Made for each request from the snapshot alone, so it costs nothing until it is requested. It has no
//! script and reloads itself. At most [`MAX_CARDS`] GPUs are shown in full and [`MAX_LINES`] in a line,
//! unhealthy ones first: 15 kB for eight GPUs, 30 kB for any number.

mod conditions;
mod gpu;
mod readings;
mod sentence;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use model::catalog::xid;
use model::{CLOCK_REASONS, Snapshot, SourceView, When, XidSource};

use self::conditions::{CONDITIONS, Condition, Severity};
use self::gpu::Gpu;
use self::readings::{Readings, ago};

/// GPUs shown in full. On a machine with more, only unhealthy ones are.
const MAX_CARDS: usize = 8;

/// Further GPUs, shown in a line each.
const MAX_LINES: usize = 64;

/// Explanations per GPU: its worst conditions, then its last XID.
const MAX_NOTES: usize = 2;

const STYLE: &str = include_str!("overview/style.css");

/// Where the Debian package installs the documentation.
const DOCUMENTATION: &str = "/usr/share/doc/heatsink";

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

/// Settings of the page.
pub(crate) struct Overview {
    /// The name of the machine; none to leave it out.
    pub(crate) hostname: Option<Arc<str>>,
    /// How many GPUs the machine should have, if that is known.
    pub(crate) expected_gpus: Option<u32>,
}

impl Overview {
    /// The page of a snapshot. `now` is what ages are counted from.
    pub(crate) fn page(&self, snapshot: &Snapshot, now: When) -> String {
        let views = snapshot.gpus.iter();
        let mut gpus: Vec<Gpu<'_>> = views.map(|view| Gpu::of(view, snapshot, now)).collect();
        let expected = self.expected_gpus.map_or(0, |expected| expected as usize);
        let missing = expected.saturating_sub(gpus.len());
        let sentence = sentence::sentence(&snapshot.source, &gpus, missing);
        // The sort is stable, so GPUs in the same state stay in order of index.
        gpus.sort_by_key(|gpu| gpu.state().unwrap_or(usize::MAX));
        let worst = match gpus.first() {
            _ if snapshot.source.up.is_err() || missing > 0 => Severity::Critical,
            Some(gpu) => gpu.severity(),
            None => Severity::Unknown,
        };
        let healthy = gpus.iter().filter(|gpu| gpu.state().is_none()).count();
        let in_full = if gpus.len() <= MAX_CARDS { gpus.len() } else { gpus.len() - healthy };
        let (cards, rest) = gpus.split_at(in_full.min(MAX_CARDS));
        let lines = &rest[..rest.len().min(MAX_LINES)];
        let hostname = self.hostname.as_deref();
        html! {
            (DOCTYPE)
            html lang="en" {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta name="referrer" content="no-referrer";
                meta http-equiv="refresh" content="2";
                title {
                    @if gpus.is_empty() { "No GPU" } @else { (healthy) "/" (gpus.len()) " GPUs healthy" }
                    @if let Some(hostname) = hostname { " · " (hostname) }
                }
                style { (PreEscaped(STYLE)) }
                header { span { "heatsink" } @if let Some(hostname) = hostname { span { (hostname) } } }
                main {
                    h1 class=(worst.class()) { (sentence) }
                    @if snapshot.source.name == "sim" {
                        p class="sim" { "These GPUs are simulated: no number here is measured." }
                    }
                    @if snapshot.source.up.is_err() || gpus.is_empty() { (help(&snapshot.source)) }
                    @for gpu in cards { (card(gpu)) }
                    @if !lines.is_empty() { ul class="rest" { @for gpu in lines { (line(gpu)) } } }
                    @if rest.len() > lines.len() {
                        p { (rest.len() - lines.len()) " more GPUs are in " a href="/metrics" { "/metrics" } "." }
                    }
                }
                (footer(snapshot))
            }
        }
        .into_string()
    }
}

fn card(gpu: &Gpu<'_>) -> Markup {
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
fn line(gpu: &Gpu<'_>) -> Markup {
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

/// What to do if no GPU can be read.
fn help(source: &SourceView) -> Markup {
    html! {
        section class="help bad" {
            @if let Err(why) = &source.up { p class="error" { (why) } }
            ul {
                @if source.name == "dcgm" {
                    li { "Is the host engine running? " code { "systemctl status nvidia-dcgm" } " shows it." }
                    li { "To read without DCGM: " code { "heatsink --source nvml" } "." }
                } @else {
                    li { code { "nvidia-smi" } " lists the GPUs if the NVIDIA driver is installed and loaded. If it is not, install it." }
                    li { "In a container, the GPUs and the driver's libraries have to be passed in: " code { "--gpus all" } ", or the runtime class " code { "nvidia" } "." }
                }
                li { code { "heatsink check" } " shows what can be read here, and why not." }
                li { code { "heatsink demo" } " shows all this without a GPU." }
            }
            p {
                @if source.needs_restart.is_some() {
                    "The driver was replaced, and the library that this process can open does not fit it. Start heatsink, or its container, again."
                } @else {
                    "heatsink tries again until it works. Nothing needs a restart."
                }
            }
        }
    }
}

fn footer(snapshot: &Snapshot) -> Markup {
    let SourceView { name, driver_version, .. } = &snapshot.source;
    let xids = match snapshot.xid_source {
        None => "are not seen",
        Some(XidSource::KernelLog) => "come from the kernel log",
        Some(XidSource::NvmlEvents) => {
            "come from the driver's events, which never bring 79, 119 and 120"
        }
        Some(XidSource::Dcgm) => "come from DCGM",
        Some(XidSource::Sim) => "come from the simulation",
    };
    html! {
        footer {
            @if !snapshot.gpus.is_empty() {
                p {
                    "A GPU is healthy if it answers, none of its readings shows a fault, and it reported no XID within a day that needs an operator. Temperature is shown with the one at which the GPU slows down, power with the limit in force, the clock with its maximum. XIDs "
                    (xids) "."
                }
            }
            p {
                "heatsink " (env!("CARGO_PKG_VERSION")) " · source " (name)
                @if let Some(version) = driver_version { " · driver " (version) }
            }
            nav {
                a href="/metrics" { "Metrics" } " · " a href="/health" { "Health" } " · "
                a href="/ready" { "Readiness" }
            }
            p { "Documentation and runbooks: " code { (DOCUMENTATION) } ", or " code { "docs/" } " of the source." }
        }
    }
}
