//! The labels of each GPU, made once per page.

use std::borrow::Cow;
use std::collections::HashSet;

use model::{GpuView, Identity, Snapshot, Value};

use crate::Settings;
use crate::asked::Asked;
use crate::text::{Labels, Number};

/// The labels that every series of a GPU may bear, in their order.
pub(crate) const LABELS: [&str; 6] =
    ["gpu", "UUID", "pci_bus_id", "device", "modelName", "hostname"];

/// A GPU and the labels of its series.
pub(crate) struct Row<'a> {
    /// The GPU.
    pub(crate) view: &'a GpuView,
    /// `gpu` and `UUID`: those of heatsink's own families.
    pub(crate) short: Labels,
    /// Those of the families asked for; none as long as nobody knows which GPU it is.
    pub(crate) full: Option<Labels>,
}

/// Every GPU of the snapshot, by index.
///
/// An index may occur twice: a GPU that was there before and is missing, and the one that has its
/// place now. Their UUIDs tell them apart; where they do not, the one that is up is shown.
pub(crate) fn rows<'a>(
    snapshot: &'a Snapshot,
    settings: &Settings,
    asked: &Asked<'_>,
) -> Vec<Row<'a>> {
    let mut views: Vec<&GpuView> = snapshot.gpus.iter().collect();
    views.sort_by_key(|view| (view.gpu.index, view.up.is_err()));
    let mut seen = HashSet::new();
    views.retain(|view| seen.insert((view.gpu.index, uuid(view))));
    views.into_iter().map(|view| row(view, settings, asked)).collect()
}

/// How much room a page of these GPUs may take, so that it need not move while it grows.
pub(crate) fn capacity(rows: &[Row<'_>], asked: &Asked<'_>) -> usize {
    const NAME_AND_VALUE: usize = 64;
    const HEAD: usize = 256;
    const OWN: usize = 4096;
    let line = |row: &Row<'_>| row.full.as_ref().map_or(0, Labels::len) + NAME_AND_VALUE;
    let lines: usize = rows.iter().map(line).sum();
    let own: usize = rows.iter().map(|row| 8 * (row.short.len() + NAME_AND_VALUE)).sum();
    asked.families.len() * (HEAD + lines) + own + OWN
}

fn row<'a>(view: &'a GpuView, settings: &Settings, asked: &Asked<'_>) -> Row<'a> {
    let mut short = Labels::default();
    short.number("gpu", u64::from(view.gpu.index).into());
    if let Some(uuid) = uuid(view) {
        short.text("UUID", uuid);
    }
    let identity = view.gpu.identity.as_deref();
    let full = identity.map(|identity| full(short.clone(), view, identity, settings, asked));
    Row { view, short, full }
}

fn full(
    mut labels: Labels,
    view: &GpuView,
    identity: &Identity,
    settings: &Settings,
    asked: &Asked<'_>,
) -> Labels {
    labels.text("pci_bus_id", &identity.pci_bus_id);
    labels.text("device", &format!("nvidia{}", view.gpu.index));
    labels.text("modelName", &model_name(identity, settings));
    if let Some(hostname) = &settings.hostname {
        labels.text("hostname", hostname);
    }
    for (position, watch) in &asked.labels {
        match view.readings.get(*position) {
            Some(Ok(Value::Text(text))) => labels.text(&watch.name, text),
            Some(Ok(value)) => {
                if let Some(number) = Number::of(value) {
                    labels.number(&watch.name, number);
                }
            }
            Some(Err(_)) | None => {}
        }
    }
    labels
}

/// To Prometheus a label without a value is no label, so neither is an empty UUID.
fn uuid(view: &GpuView) -> Option<&str> {
    view.gpu.identity.as_deref().map(|identity| &*identity.uuid).filter(|uuid| !uuid.is_empty())
}

fn model_name<'a>(identity: &'a Identity, settings: &Settings) -> Cow<'a, str> {
    if !settings.replace_blanks_in_model_name {
        return Cow::Borrowed(&identity.model_name);
    }
    // Several blanks become one dash, those at the ends none: as dcgm-exporter does.
    let words: Vec<&str> = identity.model_name.split_whitespace().collect();
    Cow::Owned(words.join("-"))
}
