//! Of XIDs: how many, when, and what they mean.

use std::collections::BTreeMap;

use model::{Kind, Xid, XidLog};

use super::{Known, Own, since_1970};
use crate::derived::xid_label;
use crate::text::{Family, Labels};

pub(super) const FAMILIES: &[Own] = &[
    Own {
        name: "heatsink_xid_errors_total",
        kind: Kind::Counter,
        help: "XIDs of the GPU, by code; grave ones that the source in heatsink_xid_source_info can deliver from 0 on (count).",
        samples: counts,
    },
    Own {
        name: "heatsink_xid_source_info",
        kind: Kind::Gauge,
        help: "Where XIDs come from: kernel_log; nvml_events, without 79, 119, 120 and a few more; dcgm; sim; always 1.",
        samples: source,
    },
    Own {
        name: "heatsink_xid_last_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the last XID of this code came (in seconds since 1970).",
        samples: last_timestamps,
    },
    Own {
        name: "heatsink_xid_info",
        kind: Kind::Gauge,
        help: "What an XID means and asks for, for each code that stands on this page; always 1.",
        samples: info,
    },
    Own {
        name: "heatsink_nvlink_xid_errors_total",
        kind: Kind::Counter,
        help: "NVLink XIDs in the kernel's log, by the unit of the link that reports them (count).",
        samples: link_faults,
    },
    Own {
        name: "heatsink_nvswitch_sxid_errors_total",
        kind: Kind::Counter,
        help: "Errors of NVSwitches (SXids) in the kernel's log (count).",
        samples: sxids,
    },
    Own {
        name: "heatsink_driver_errors_total",
        kind: Kind::Counter,
        help: "Failures of GPUs in the kernel's log that have no XID: fallen_off_bus, init_failed or probe_failed (count).",
        samples: driver_errors,
    },
    Own {
        name: "heatsink_kernel_log_lost_records_total",
        kind: Kind::Counter,
        help: "Records of the kernel's log that were lost before they were counted (count).",
        samples: |known, family| {
            if let Some(log) = &known.snapshot.driver_log {
                family.sample(&Labels::default(), log.lost);
            }
        },
    },
];

fn source(known: &Known<'_>, family: &mut Family<'_>) {
    if let Some(source) = known.snapshot.xid_source {
        family.line(&Labels::default()).text("source", source.as_str()).value(true);
    }
}

fn sxids(known: &Known<'_>, family: &mut Family<'_>) {
    for ((pci_bus_id, code), count) in known.snapshot.driver_log.iter().flat_map(|log| &log.sxids) {
        let line = family.line(&Labels::default()).text("pci_bus_id", pci_bus_id);
        line.number("sxid", *code).value(*count);
    }
}

fn driver_errors(known: &Known<'_>, family: &mut Family<'_>) {
    for ((pci_bus_id, kind), count) in known.snapshot.driver_log.iter().flat_map(|log| &log.errors)
    {
        let line = family.line(&Labels::default()).text("pci_bus_id", pci_bus_id);
        line.text("kind", kind.as_str()).value(*count);
    }
}

fn counts(known: &Known<'_>, family: &mut Family<'_>) {
    for row in known.gpus {
        for (code, entry) in &row.view.xids.counts {
            xid_label(family.line(&row.short), *code).value(entry.count);
        }
    }
}

fn last_timestamps(known: &Known<'_>, family: &mut Family<'_>) {
    for row in known.gpus {
        for (code, entry) in &row.view.xids.counts {
            if let Some(at) = entry.last.and_then(|last| since_1970(last.time)) {
                xid_label(family.line(&row.short), *code).value(at);
            }
        }
    }
}

/// Each code once, on whatever GPU it was seen; what stands for many codes means nothing.
fn info(known: &Known<'_>, family: &mut Family<'_>) {
    let mut known_codes: BTreeMap<u32, Xid> = BTreeMap::new();
    for (code, entry) in known.gpus.iter().flat_map(|row| &row.view.xids.counts) {
        known_codes.entry(*code).or_insert(entry.xid);
    }
    known_codes.remove(&XidLog::OTHER);
    for (code, xid) in known_codes {
        let line = family.line(&Labels::default()).number("xid", code).text("name", xid.message);
        line.text("class", xid.class).text("action", xid.action).value(true);
    }
}

fn link_faults(known: &Known<'_>, family: &mut Family<'_>) {
    for row in known.gpus {
        for (fault, count) in &row.view.xids.link_faults {
            let line = family.line(&row.short).number("xid", fault.code).text("unit", &fault.unit);
            let line = line.text("severity", fault.severity);
            match fault.link {
                Some(link) => line.number("nvlink", link).value(*count),
                None => line.value(*count),
            }
        }
    }
}
