//! What was watched before a fault: only of that it can be said that nothing was seen.

use std::sync::Arc;

use crate::layout::Layout;
use crate::recording::Row;
use crate::sign::SignKind;
use crate::time::Time;

/// A kind of sign, the signals that it is found in, and how they are called where they have no values.
type Input = (SignKind, &'static [&'static str], &'static str);

/// Kinds that are found in rows.
#[rustfmt::skip]
const INPUTS: &[Input] = &[
    (SignKind::GpuLost,            &["up"],                                       ""),
    (SignKind::GpuHung,            &["up"],                                       ""),
    (SignKind::EccUncorrected,     &["ecc_uncorrected"],                          "memory errors"),
    (SignKind::HeatSlowdown,       &["clock_reasons"],                            "reasons of slowdowns"),
    (SignKind::PowerBrake,         &["clock_reasons"],                            ""),
    (SignKind::MemoryFull,         &["memory_used"],                              "GPU memory"),
    (SignKind::LinkDown,           &["links_active"],                             "NVLinks"),
    (SignKind::PcieDegraded,       &["pcie_link_width", "pcie_link_generation", "pcie_replays"], "PCIe links"),
    (SignKind::HostMemoryPressure, &["memory_pressure_some", "memory_pressure_full"], "memory pressure of the machine"),
];

/// Which signals had values, and when.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    layout: Option<Arc<Layout>>,
    /// Of each input: its columns, and when one had a value.
    inputs: Vec<(Vec<usize>, Option<Time>)>,
}

/// What was watched before a fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// The kinds of signs that would have been found.
    pub(super) kinds: Vec<SignKind>,
    /// What was not read.
    pub(super) unread: Vec<&'static str>,
    /// The GPUs of the machine; 0 if that is not known.
    pub(super) gpus: usize,
}

impl Watching {
    /// Takes a row.
    pub(crate) fn take(&mut self, layout: &Arc<Layout>, row: Option<&Row>) {
        if !self.layout.as_ref().is_some_and(|known| Arc::ptr_eq(known, layout)) {
            self.inputs.resize(INPUTS.len(), (Vec::new(), None));
            for ((_, signals, _), (columns, _)) in INPUTS.iter().zip(&mut self.inputs) {
                let named = layout.columns().enumerate();
                let named = named.filter(|(_, column)| signals.contains(&&*column.signal.name));
                *columns = named.map(|(position, _)| position).collect();
            }
            self.layout = Some(Arc::clone(layout));
        }
        let Some(row) = row else { return };
        for (columns, last) in &mut self.inputs {
            let has_value = |column: &usize| row.values.get(*column).is_some_and(Option::is_some);
            if columns.iter().any(has_value) {
                *last = Some(row.time);
            }
        }
    }

    /// What was watched since then.
    pub(crate) fn since(&self, from: Time, layout: &Layout) -> Watched {
        let mut watched = Watched { gpus: layout.gpus.len(), ..Watched::default() };
        let mut add = |kind, is_read: bool, name: &'static str| match is_read {
            true => watched.kinds.push(kind),
            false if !name.is_empty() => watched.unread.push(name),
            false => {}
        };
        add(SignKind::Xid, layout.host.xid_source.is_some(), "XIDs");
        add(SignKind::OomKill, layout.host.reads_kernel_log, "OOM kills");
        for ((kind, _, name), (_, last)) in INPUTS.iter().zip(&self.inputs) {
            add(*kind, last.is_some_and(|last| last >= from), name);
        }
        watched
    }
}
