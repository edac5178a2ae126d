//! Families about XIDs: how many, when, and what they mean.

use std::collections::BTreeMap;

use model::{FieldId, Tally, Xid, XidLog, field};

use crate::inputs::{Inputs, Samples, since_1970};
use crate::per_device::xid_label;
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
    (field::KERNEL_LOG_LOST_RECORDS_TOTAL, |inputs, family| {
        if let Some(log) = &inputs.snapshot.driver_log {
            family.counter(inputs.snapshot.counting_since, &Labels::default()).value(log.lost);
        }
    }),
];

/// A 0 is written only while XIDs of the GPU would be seen.
fn critical(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    for gpu in inputs.gpus {
        let Tally { count, born } = gpu.view.xids.critical;
        if gpu.view.xids.listening || count > 0 {
            family.counter(born, &gpu.labels).value(count);
        }
    }
}

fn source(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    if let Some(source) = inputs.snapshot.xid_source {
        family.line(&Labels::default()).text("source", source.as_str()).value(true);
    }
}

fn sxids(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    for ((pci_bus_id, code), tally) in inputs.snapshot.driver_log.iter().flat_map(|log| &log.sxids)
    {
        let line = family.counter(tally.born, &Labels::default()).text("pci_bus_id", pci_bus_id);
        line.number("sxid", *code).value(tally.count);
    }
}

fn driver_errors(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    for ((pci_bus_id, kind), tally) in inputs.snapshot.driver_log.iter().flat_map(|log| &log.errors)
    {
        let line = family.counter(tally.born, &Labels::default()).text("pci_bus_id", pci_bus_id);
        line.text("kind", kind.as_str()).value(tally.count);
    }
}

fn counts(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    for gpu in inputs.gpus {
        for (code, entry) in &gpu.view.xids.counts {
            let line = family.counter(entry.tally.born, &gpu.labels);
            xid_label(line, *code).value(entry.tally.count);
        }
    }
}

fn last_timestamps(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    for gpu in inputs.gpus {
        for (code, entry) in &gpu.view.xids.counts {
            if let Some(at) = entry.last.and_then(|last| since_1970(last.time)) {
                xid_label(family.line(&gpu.labels), *code).value(at);
            }
        }
    }
}

/// Each code once, whichever GPU it was seen on. The code that stands for all others has no meaning.
fn info(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    let mut known_codes: BTreeMap<u32, Xid> = BTreeMap::new();
    for (code, entry) in inputs.gpus.iter().flat_map(|gpu| &gpu.view.xids.counts) {
        known_codes.entry(*code).or_insert(entry.xid);
    }
    known_codes.remove(&XidLog::OTHER);
    for (code, xid) in known_codes {
        let line = family.line(&Labels::default()).number("xid", code).text("name", xid.message);
        line.text("class", xid.class).text("action", xid.action).value(true);
    }
}

fn link_faults(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    for gpu in inputs.gpus {
        for (fault, tally) in &gpu.view.xids.link_faults {
            let line = family.counter(tally.born, &gpu.labels).number("xid", fault.code);
            let line = line.text("unit", &fault.unit).text("severity", fault.severity);
            match fault.link {
                Some(link) => line.number("nvlink", link).value(tally.count),
                None => line.value(tally.count),
            }
        }
    }
}
