//! The page at `/`: the state of the GPUs, as HTML for people.
//!
//! Made for each request from the snapshot alone, so it costs nothing until it is requested. It has no
//! script and reloads itself. At most [`MAX_CARDS`] GPUs are shown in full and [`MAX_LINES`] in a line,
//! unhealthy ones first: 15 kB for eight GPUs, 30 kB for any number.

mod card;
mod conditions;
mod gpu;
mod readings;
mod sentence;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use maud::{DOCTYPE, Markup, PreEscaped, html};
use model::{Snapshot, SourceView, When, XidSource};

use self::card::{card, line};
pub(crate) use self::conditions::Severity;
use self::gpu::Gpu;

/// GPUs shown in full. On a machine with more, only unhealthy ones are.
const MAX_CARDS: usize = 8;

/// Further GPUs, shown in a line each.
const MAX_LINES: usize = 64;

const STYLE: &str = include_str!("overview/style.css");

/// Where the Debian package installs the documentation.
const DOCUMENTATION: &str = "/usr/share/doc/heatsink";

/// The state of all GPUs.
pub(crate) struct Machine<'a> {
    /// The worst first.
    gpus: Vec<Gpu<'a>>,
    pub(crate) worst: Severity,
    /// In one sentence.
    pub(crate) sentence: String,
}

impl<'a> Machine<'a> {
    /// The state at `now`; with as many GPUs as there should be, if that is known.
    pub(crate) fn of(snapshot: &'a Snapshot, expected_gpus: Option<u32>, now: When) -> Self {
        let views = snapshot.gpus.iter();
        let mut gpus: Vec<Gpu<'_>> = views.map(|view| Gpu::of(view, snapshot, now)).collect();
        let expected = expected_gpus.map_or(0, |expected| expected as usize);
        let missing = expected.saturating_sub(gpus.len());
        let sentence = sentence::sentence(&snapshot.source, &gpus, missing);
        // The sort is stable, so GPUs in the same state stay in order of index.
        gpus.sort_by_key(|gpu| gpu.state().unwrap_or(usize::MAX));
        let worst = match gpus.first() {
            _ if snapshot.source.up.is_err() || missing > 0 => Severity::Critical,
            Some(gpu) => gpu.severity(),
            None => Severity::Unknown,
        };
        Self { gpus, worst, sentence }
    }
}

/// Settings of the page.
pub(crate) struct Overview(Mutex<PageSettings>);

#[derive(Clone)]
struct PageSettings {
    /// The name of the machine; none to leave it out.
    hostname: Option<Arc<str>>,
    /// How many GPUs the machine should have, if that is known.
    expected_gpus: Option<u32>,
}

impl Overview {
    /// With the name of the machine, none to leave it out, and how many GPUs it should have.
    pub(crate) fn new(hostname: Option<Arc<str>>, expected_gpus: Option<u32>) -> Self {
        Self(Mutex::new(PageSettings { hostname, expected_gpus }))
    }

    /// Changes what [`Self::new`] sets.
    pub(crate) fn change(&self, hostname: Option<Arc<str>>, expected_gpus: Option<u32>) {
        let mut settings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *settings = PageSettings { hostname, expected_gpus };
    }

    /// The page of a snapshot. `now` is what ages are counted from.
    pub(crate) fn page(&self, snapshot: &Snapshot, now: When) -> String {
        let settings = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Machine { gpus, worst, sentence } = Machine::of(snapshot, settings.expected_gpus, now);
        let healthy = gpus.iter().filter(|gpu| gpu.state().is_none()).count();
        let in_full = if gpus.len() <= MAX_CARDS { gpus.len() } else { gpus.len() - healthy };
        let (cards, rest) = gpus.split_at(in_full.min(MAX_CARDS));
        let lines = &rest[..rest.len().min(MAX_LINES)];
        let hostname = settings.hostname.as_deref();
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
