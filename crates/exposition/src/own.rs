//! The families that heatsink adds: of itself, of its source, and of each GPU's health.
//!
//! [`FAMILIES`] is all of them, in page order; a new one is a new row. Base units, and the unit is
//! in the help.

use std::time::{SystemTime, UNIX_EPOCH};

use model::{GpuView, Kind, Snapshot, XidLog};

use crate::Settings;
use crate::asked::Asked;
use crate::gpus::Row;
use crate::text::{Family, Labels, Number};

/// What these families are made of.
pub(crate) struct Known<'a> {
    /// What is known of the GPUs, the source and the process.
    pub(crate) snapshot: &'a Snapshot,
    /// What this program was told.
    pub(crate) settings: &'a Settings,
    /// The names under which fields were asked for.
    pub(crate) asked: &'a Asked<'a>,
    /// The GPUs with their labels.
    pub(crate) gpus: &'a [Row<'a>],
}

/// One family: its head, and what writes its samples.
struct Own {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    samples: fn(&Known<'_>, &mut Family<'_>),
}

/// All of them.
const FAMILIES: &[Own] = &[
    Own {
        name: "heatsink_build_info",
        kind: Kind::Gauge,
        help: "Which heatsink this is; always 1.",
        samples: build_info,
    },
    Own {
        name: "heatsink_source_info",
        kind: Kind::Gauge,
        help: "Where the readings come from, and the version of its driver; always 1.",
        samples: source_info,
    },
    Own {
        name: "heatsink_source_up",
        kind: Kind::Gauge,
        help: "Whether the source is open (1) or not (0).",
        samples: source_up,
    },
    Own {
        name: "heatsink_gpu_up",
        kind: Kind::Gauge,
        help: "Whether the GPU answers (1) or not (0).",
        samples: |known, family| per_gpu(known, family, |gpu| Some(gpu.up.is_ok().into())),
    },
    Own {
        name: "heatsink_gpu_down_info",
        kind: Kind::Gauge,
        help: "Why the GPU shows nothing; 1 while it does not answer.",
        samples: gpu_down_info,
    },
    Own {
        name: "heatsink_gpu_last_success_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the last complete pass over the GPU ended (in seconds since 1970).",
        samples: |known, family| {
            per_gpu(known, family, |gpu| gpu.last_success.and_then(since_1970));
        },
    },
    Own {
        name: "heatsink_collection_duration_seconds",
        kind: Kind::Gauge,
        help: "How long the last complete pass over the GPU took in the driver (in seconds).",
        samples: |known, family| {
            per_gpu(known, family, |gpu| Some(Number::Float(gpu.pass_duration?.as_secs_f64())));
        },
    },
    Own {
        name: "heatsink_read_errors_total",
        kind: Kind::Counter,
        help: "Readings that failed, by field and reason (count).",
        samples: read_errors,
    },
    Own {
        name: "heatsink_xid_errors_total",
        kind: Kind::Counter,
        help: "XIDs that the driver delivered for the GPU, by code (count).",
        samples: xid_errors,
    },
    Own {
        name: "heatsink_config_rows_skipped",
        kind: Kind::Gauge,
        help: "Rows of the counters file that were not understood (count).",
        samples: |known, family| family.sample(&Labels::default(), known.settings.rows_skipped),
    },
    Own {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        help: "User and system CPU time that this process has spent (in seconds).",
        samples: |known, family| {
            if let Some(cpu) = known.snapshot.process.cpu {
                family.sample(&Labels::default(), Number::Float(cpu.as_secs_f64()));
            }
        },
    },
    Own {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        help: "Resident memory of this process (in bytes).",
        samples: |known, family| {
            if let Some(bytes) = known.snapshot.process.resident_bytes {
                family.sample(&Labels::default(), bytes);
            }
        },
    },
    Own {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        help: "When this process began (in seconds since 1970).",
        samples: |known, family| {
            if let Some(started) = since_1970(known.snapshot.process.started) {
                family.sample(&Labels::default(), started);
            }
        },
    },
];

/// Whether a name is taken, so that a row of the counters file cannot have it.
pub(crate) fn is_own(name: &str) -> bool {
    FAMILIES.iter().any(|own| own.name == name)
}

/// Writes those that have a sample.
pub(crate) fn write(out: &mut String, known: &Known<'_>) {
    for own in FAMILIES {
        (own.samples)(known, &mut Family::new(out, own.name, own.kind.as_str(), own.help));
    }
}

fn build_info(known: &Known<'_>, family: &mut Family<'_>) {
    family.sample(&Labels::default().and("version", known.settings.version), true);
}

fn source_info(known: &Known<'_>, family: &mut Family<'_>) {
    let source = &known.snapshot.source;
    let mut labels = Labels::default().and("source", source.name);
    if let Some(version) = &source.driver_version {
        labels.text("driver_version", version);
    }
    family.sample(&labels, true);
}

fn source_up(known: &Known<'_>, family: &mut Family<'_>) {
    let source = &known.snapshot.source;
    family.sample(&Labels::default().and("source", source.name), source.up.is_ok());
}

fn gpu_down_info(known: &Known<'_>, family: &mut Family<'_>) {
    for row in known.gpus {
        if let Err(down) = row.view.up {
            family.sample(&row.short.and("reason", down.as_str()), true);
        }
    }
}

fn read_errors(known: &Known<'_>, family: &mut Family<'_>) {
    for row in known.gpus {
        for ((field, reason), count) in &*row.view.errors {
            let mut labels = row.short.clone();
            match known.asked.name_of(*field) {
                Some(name) => labels.text("field", name),
                None => labels.number("field", u64::from(field.0).into()),
            }
            labels.text("reason", reason.as_str());
            family.sample(&labels, *count);
        }
    }
}

fn xid_errors(known: &Known<'_>, family: &mut Family<'_>) {
    for row in known.gpus {
        for (code, count) in row.view.xids.counts.iter().filter(|(_, count)| **count > 0) {
            let mut labels = row.short.clone();
            match *code {
                XidLog::OTHER => labels.text("xid", "other"),
                code => labels.number("xid", u64::from(code).into()),
            }
            family.sample(&labels, *count);
        }
    }
}

fn per_gpu(known: &Known<'_>, family: &mut Family<'_>, value: impl Fn(&GpuView) -> Option<Number>) {
    for row in known.gpus {
        if let Some(value) = value(row.view) {
            family.sample(&row.short, value);
        }
    }
}

/// A clock that stands before 1970 says nothing.
fn since_1970(time: SystemTime) -> Option<Number> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Number::Float(since.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_legal_and_in_prometheus_style() {
        let mut names = HashSet::new();
        for own in FAMILIES {
            let name = own.name;
            assert!(names.insert(name), "{name} twice");
            assert!(name.starts_with("heatsink_") || name.starts_with("process_"), "{name}");
            assert_eq!(own.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert_ne!(own.kind, Kind::Label, "{name}");
            assert!(own.help.ends_with('.'), "{name}");
            assert_eq!(name.contains("_seconds"), own.help.contains("(in seconds"), "{name}");
            assert_eq!(name.ends_with("_bytes"), own.help.contains("(in bytes)"), "{name}");
        }
    }
}
