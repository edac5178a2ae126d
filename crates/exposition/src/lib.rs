//! Turns a snapshot, and who uses the GPUs, into the page that Prometheus reads, in any of its formats.
//!
//! The only crate that knows the syntax of a page. The same snapshot, settings and format always give
//! the same bytes; nothing here reads a clock, a file or the environment. A series has the same name,
//! labels and value in all formats.
//!
//! A page holds the families that the counters file asks for: fields, under the names and labels of
//! dcgm-exporter, and heatsink's own families about the program, its source and each GPU.
//!
//! A page always parses: families are contiguous, no series and no label occurs twice, every text is
//! escaped, and a reading that is not a finite number gives no sample.

#![forbid(unsafe_code)]

mod families;
mod format;
mod gpus;
mod heatsink_families;
mod holders;
mod inputs;
mod layout;
mod naming;
mod openmetrics;
mod parts;
pub mod past;
mod per_device;
mod protobuf;
mod reserved;
mod settings;
mod show;
mod text;

use model::{Attribution, Snapshot};

pub use crate::format::Format;
use crate::holders::Holders;
use crate::inputs::Inputs;
pub use crate::layout::Layout;
pub use crate::settings::{HolderSettings, Settings};
pub use crate::show::{Choice, Devices, Show};
use crate::text::Output;

/// Renders the page of a snapshot in the text format. `attribution` is `None` if nothing looks for
/// holders of GPUs.
pub fn render(
    snapshot: &Snapshot,
    attribution: Option<&Attribution>,
    settings: &Settings,
) -> String {
    let page = render_as(Format::Text, snapshot, attribution, settings);
    String::from_utf8(page).unwrap_or_default()
}

/// Renders the page of a snapshot in a format. `attribution` is `None` if nothing looks for holders of
/// GPUs.
pub fn render_as(
    format: Format,
    snapshot: &Snapshot,
    attribution: Option<&Attribution>,
    settings: &Settings,
) -> Vec<u8> {
    let mut page = Vec::new();
    let layout = Layout::new(&snapshot.watches, format);
    render_in_chunks(snapshot, attribution, settings, &layout, |chunk| {
        page.extend_from_slice(chunk);
    });
    page
}

/// Renders the page of a snapshot chunk by chunk, so that a page can be compressed without memory for
/// the whole of it. `layout` is that of the snapshot's watches, and decides the format.
pub fn render_in_chunks(
    snapshot: &Snapshot,
    attribution: Option<&Attribution>,
    settings: &Settings,
    layout: &Layout,
    mut take: impl FnMut(&[u8]),
) {
    let holders = Holders { attribution, settings, layout };
    let gpus = gpus::rows(snapshot, &holders);
    let machine = parts::parts(snapshot, settings, layout);
    let inputs = Inputs { snapshot, settings, layout, attribution, gpus: &gpus };
    if layout.format() == Format::Protobuf {
        let mut out = Output { births: Some(Vec::new()), ..Output::default() };
        let mut chunk = Vec::with_capacity(CHUNK + CHUNK / 4);
        families::write(&mut out, &inputs, &machine, |out, row| {
            if let Some(births) = &mut out.births {
                births.retain(|(_, birth)| settings.labels_since <= Some(*birth));
                protobuf::encode(row, &out.text, births, &mut chunk);
                births.clear();
            }
            out.text.clear();
            if chunk.len() >= CHUNK {
                take(&chunk);
                chunk.clear();
            }
        });
        take(&chunk);
        return;
    }
    let mut out = Output { text: String::with_capacity(CHUNK + CHUNK / 4), births: None };
    families::write(&mut out, &inputs, &machine, |out, _| {
        if out.text.len() >= CHUNK {
            take(out.text.as_bytes());
            out.text.clear();
        }
    });
    if layout.format() == Format::OpenMetrics {
        out.text.push_str(openmetrics::END);
    }
    take(out.text.as_bytes());
}

/// The smallest size of a chunk, in bytes. It ends where a family ends.
const CHUNK: usize = 32 * 1024;
