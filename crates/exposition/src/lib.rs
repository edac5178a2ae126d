//! Turns a snapshot, and who uses the GPUs, into the text that Prometheus reads.
//!
//! The only crate that knows the syntax of a page (text format 0.0.4). The same snapshot and settings
//! always give the same bytes; nothing here reads a clock, a file or the environment.
//!
//! A page holds the families that the counters file asks for: fields, under the names and labels of
//! dcgm-exporter, and heatsink's own families about the program, its source and each GPU.
//!
//! A page always parses: families are contiguous, no series and no label occurs twice, every text is
//! escaped, and a reading that is not a finite number gives no sample.

#![forbid(unsafe_code)]

mod families;
mod gpus;
mod heatsink_families;
mod holders;
mod inputs;
mod layout;
mod naming;
mod parts;
mod per_device;
mod reserved;
mod settings;
mod show;
mod text;

use model::{Attribution, Snapshot};

use crate::holders::Holders;
use crate::inputs::Inputs;
pub use crate::layout::Layout;
pub use crate::settings::{HolderSettings, Settings};
pub use crate::show::{Choice, Devices, Show};

/// Renders the page of a snapshot. `attribution` is `None` if nothing looks for holders of GPUs.
pub fn render(
    snapshot: &Snapshot,
    attribution: Option<&Attribution>,
    settings: &Settings,
) -> String {
    let mut page = String::new();
    let layout = Layout::new(&snapshot.watches);
    render_in_chunks(snapshot, attribution, settings, &layout, |chunk| page.push_str(chunk));
    page
}

/// Renders the page of a snapshot chunk by chunk, so that a page can be compressed without memory for
/// the whole of it. `layout` is that of the snapshot's watches.
pub fn render_in_chunks(
    snapshot: &Snapshot,
    attribution: Option<&Attribution>,
    settings: &Settings,
    layout: &Layout,
    mut take: impl FnMut(&str),
) {
    let holders = Holders { attribution, settings, layout };
    let gpus = gpus::rows(snapshot, &holders);
    let mut chunk = String::with_capacity(CHUNK + CHUNK / 4);
    let mut family_ends = |chunk: &mut String| {
        if chunk.len() >= CHUNK {
            take(chunk);
            chunk.clear();
        }
    };
    let machine = parts::parts(snapshot, settings, layout);
    let inputs = Inputs { snapshot, settings, layout, attribution, gpus: &gpus };
    families::write(&mut chunk, &inputs, &machine, &mut family_ends);
    take(&chunk);
}

/// The smallest size of a chunk, in bytes. It ends where a family ends.
const CHUNK: usize = 32 * 1024;
