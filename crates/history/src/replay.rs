//! From frames to what they hold.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::codec::{Decoder, MAX_COLUMNS, RowsHeader};
use crate::event::Event;
use crate::frame;
use crate::layout::Layout;
use crate::recording::{Damage, Item, Row};
use crate::time::Range;

/// Hands out what frames hold, in their order, as far as it is in the range.
pub(crate) struct Replay<'a> {
    range: Range,
    take: &'a mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    decoder: Decoder,
    /// The last layout that was handed out.
    layout: Option<Arc<Layout>>,
    /// What could not be read.
    pub(crate) damage: Damage,
}

impl<'a> Replay<'a> {
    /// Hands out to `take`.
    pub(crate) fn new(range: Range, take: &'a mut dyn FnMut(Item<'_>) -> ControlFlow<()>) -> Self {
        let (decoder, damage) = (Decoder::default(), Damage::default());
        Self { range, take, decoder, layout: None, damage }
    }

    /// The range.
    pub(crate) fn range(&self) -> Range {
        self.range
    }

    /// Takes the payload of a frame of rows, with its layout if that was found.
    pub(crate) fn rows(
        &mut self,
        run: u64,
        payload: &[u8],
        layout: Option<&Arc<Layout>>,
    ) -> ControlFlow<()> {
        let Some((header, rest)) = RowsHeader::read(payload) else {
            self.damage.bytes += payload.len() as u64;
            return ControlFlow::Continue(());
        };
        let rows = layout.and_then(|layout| {
            let rows = self.decoder.decode(run, header, rest, layout.width())?;
            Some((layout, rows))
        });
        let Some((layout, rows)) = rows else {
            if header.range.overlaps(&self.range) {
                self.damage.rows += u64::from(header.rows);
            }
            return ControlFlow::Continue(());
        };
        rows.iter().try_for_each(|row| self.row(layout, row))
    }

    /// Takes a row.
    pub(crate) fn row(&mut self, layout: &Arc<Layout>, row: &Row) -> ControlFlow<()> {
        if !self.range.contains(row.time) {
            return ControlFlow::Continue(());
        }
        let is_known = self.layout.as_ref().is_some_and(|last| is_same(last, layout));
        if !is_known {
            self.layout = Some(Arc::clone(layout));
            (self.take)(Item::Layout(layout))?;
        }
        (self.take)(Item::Row(row))
    }

    /// Takes the payload of a frame with an event.
    pub(crate) fn event(&mut self, payload: &[u8]) -> ControlFlow<()> {
        let event = frame::event_time(payload).map(|(time, json)| {
            let is_wanted = self.range.contains(time);
            is_wanted.then(|| serde_json::from_slice::<Event>(json))
        });
        match event {
            Some(None) => ControlFlow::Continue(()),
            Some(Some(Ok(event))) => (self.take)(Item::Event(&event)),
            Some(Some(Err(_))) | None => {
                self.damage.bytes += payload.len() as u64;
                ControlFlow::Continue(())
            }
        }
    }
}

/// Whether two layouts are the same, also if they were read twice.
fn is_same(one: &Arc<Layout>, other: &Arc<Layout>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// A layout of more bytes is neither written nor read. One of 128 GPUs and all signals has a fifth of it.
pub(crate) const MAX_LAYOUT: usize = 256 << 10;

/// The least bytes of a GPU: an empty one would take many times as many in memory as in a file.
const LEAST_GPU: usize = 32;

/// The layout in the payload of a frame; `None` if it is none, or is larger than those that are written.
pub(crate) fn layout(payload: &[u8]) -> Option<Arc<Layout>> {
    let payload = Some(payload).filter(|payload| payload.len() <= MAX_LAYOUT)?;
    let layout: Layout = serde_json::from_slice(payload).ok()?;
    let is_possible = layout.gpus.len() <= payload.len() / LEAST_GPU;
    (is_possible && layout.width() <= MAX_COLUMNS).then(|| Arc::new(layout))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{GpuInfo, HostInfo};
    use crate::signal::SIGNALS;

    #[test]
    fn a_layout_takes_no_more_memory_than_it_has_bytes() {
        let json = |gpus: &str| {
            let host = serde_json::to_string(&HostInfo::default()).expect("it is text");
            format!(r#"{{"host":{host},"gpus":[{gpus}],"signals":[]}}"#)
        };
        assert!(layout(json("").as_bytes()).is_some());
        let empty = |count| vec!["{}"; count].join(",");
        assert_eq!(layout(json(&empty(1_000)).as_bytes()), None);
        let large = format!(r#"{{"uuid":"{}"}}"#, "x".repeat(MAX_LAYOUT));
        assert_eq!(layout(json(&large).as_bytes()), None);
    }

    #[test]
    fn a_layout_of_many_gpus_fits() {
        let text = Some("x".repeat(48));
        let gpu = |index| GpuInfo {
            index: Some(index),
            uuid: text.clone(),
            pci_bus_id: text.clone(),
            model_name: text.clone(),
            serial: text.clone(),
            minor: Some(index),
        };
        let signals = SIGNALS.iter().map(Into::into).collect();
        let many = Layout { host: HostInfo::default(), gpus: (0..128).map(gpu).collect(), signals };
        let payload = serde_json::to_vec(&many).expect("it is text");
        assert!(payload.len() < MAX_LAYOUT / 5, "{}", payload.len());
        assert_eq!(layout(&payload), Some(Arc::new(many)));
        let empty = vec![GpuInfo::default(); 128];
        let empty = Layout { host: HostInfo::default(), gpus: empty, signals: Vec::new() };
        let payload = serde_json::to_vec(&empty).expect("it is text");
        assert_eq!(layout(&payload), Some(Arc::new(empty)));
    }
}
