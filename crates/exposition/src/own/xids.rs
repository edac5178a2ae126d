//! Of XIDs: how many, when, and what they mean.

use std::collections::BTreeMap;

use model::{FieldId, Xid, XidLog, field};

use super::{Known, Samples, per_gpu, since_1970};
use crate::derived::xid_label;
use crate::text::{Family, Labels};

pub(super) const FAMILIES: &[(FieldId, Samples)] = &[
    (field::XID_ERRORS_TOTAL, counts),
    (field::XID_CRITICAL_ERRORS_TOTAL, critical),
    (field::XID_SOURCE_INFO, source),
    (field::XID_LAST_TIMESTAMP_SECONDS, last_timestamps),
    (field::XID_INFO, info),
    (field::NVLINK_XID_ERRORS_TOTAL, link_faults),
    (field::NVSWITCH_SXID_ERRORS_TOTAL, sxids),
    (field::DRIVER_ERRORS_TOTAL, driver_errors),
    (field::KERNEL_LOG_LOST_RECORDS_TOTAL, |known, family| {
        if let Some(log) = &known.snapshot.driver_log {
            family.sample(&Labels::default(), log.lost);
        }
    }),
];

/// That there was none is known only while its XIDs would be seen.
fn critical(known: &Known<'_>, family: &mut Family<'_>) {
    per_gpu(known, family, |gpu| {
        let count = gpu.xids.critical;
        (gpu.xids.listening || count > 0).then_some(count)
    });
}

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
