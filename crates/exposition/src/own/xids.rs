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
        help: "XIDs of the GPU, by code: from the driver, or from the kernel's log where nobody listened; grave ones from 0 on (count).",
        samples: counts,
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
];

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
            if let Some(at) = entry.last.and_then(since_1970) {
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
