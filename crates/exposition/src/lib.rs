//! From a snapshot to the text that Prometheus reads.
//!
//! The only room that knows the syntax of a page (text format 0.0.4). Pure: the same snapshot and
//! settings always give the same bytes, and nothing here reads a clock, a file or the environment.
//!
//! A page has the families that are asked for: fields, under the names and labels that dcgm-exporter
//! made the standard, and heatsink's own, of itself, of its source and of each GPU.
//!
//! Whatever the snapshot holds, the page parses: families are contiguous, no series and no label
//! occurs twice, every text is escaped, and a reading that is no finite number gives no sample.

#![forbid(unsafe_code)]

mod derived;
mod gpus;
mod layout;
mod naming;
mod own;
mod parts;
mod show;
mod text;
mod watched;

use std::sync::Arc;

use model::Snapshot;

pub use crate::layout::Layout;
use crate::own::Known;
pub use crate::show::{Choice, Devices, Show};

/// What a page depends on besides the snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The name of the host on every device's series; `None` leaves it out.
    pub hostname: Option<Arc<str>>,
    /// The label that it is given there: `hostname`, or `Hostname` as dcgm-exporter had it up to
    /// 4.8.2. On the series of links it is `hostname` in any case, as it was there.
    pub host_label: &'static str,
    /// Whether the label `UUID` is written `uuid`.
    pub old_namespace: bool,
    /// Which devices appear in the families asked for.
    pub show: Show,
    /// The version of this program.
    pub version: &'static str,
    /// How many rows of the counters file were not understood.
    pub rows_skipped: u64,
    /// Whether the counters files could be read the last time that they were.
    pub is_reloaded: bool,
    /// Whether `NVIDIA H100 80GB HBM3` is written `NVIDIA-H100-80GB-HBM3`.
    pub replace_blanks_in_model_name: bool,
    /// How many GPUs the machine should have, if that was said.
    pub expected_gpus: Option<u32>,
    /// HTTP connections that were closed because the limit was reached.
    pub connections_closed: u64,
}

/// The page of a snapshot.
pub fn render(snapshot: &Snapshot, settings: &Settings) -> String {
    let mut page = String::new();
    let layout = Layout::new(&snapshot.watches);
    render_in_parts(snapshot, settings, &layout, |part| page.push_str(part));
    page
}

/// The same, handed out part by part, so that compressing it takes no room for a whole page. `layout`
/// is that of the snapshot's watches.
pub fn render_in_parts(
    snapshot: &Snapshot,
    settings: &Settings,
    layout: &Layout,
    mut take: impl FnMut(&str),
) {
    let gpus = gpus::rows(snapshot, settings, layout);
    let mut part = String::with_capacity(PART + PART / 4);
    let mut family_ends = |part: &mut String| {
        if part.len() >= PART {
            take(part);
            part.clear();
        }
    };
    let machine = parts::parts(snapshot, settings, layout);
    let devices = watched::Devices { gpus: &gpus, machine: &machine };
    let known = Known { snapshot, settings, layout, gpus: &gpus };
    watched::write(&mut part, &known, devices, &mut family_ends);
    take(&part);
}

/// How long a part is at least, in bytes; it ends where a family does.
const PART: usize = 32 * 1024;
