//! Of this process.

use model::Kind;

use super::{Own, since_1970};
use crate::text::Labels;

pub(super) const FAMILIES: &[Own] = &[
    Own {
        name: "heatsink_config_rows_skipped",
        kind: Kind::Gauge,
        help: "Rows of the counters file that were not understood (count).",
        samples: |known, family| family.sample(&Labels::default(), known.settings.rows_skipped),
    },
    Own {
        name: "heatsink_config_last_reload_successful",
        kind: Kind::Gauge,
        help: "Whether the counters files could be read the last time that they were (1) or not (0).",
        samples: |known, family| family.sample(&Labels::default(), known.settings.is_reloaded),
    },
    Own {
        name: "heatsink_reader_restarts_total",
        kind: Kind::Counter,
        help: "Reader threads that ended or could not be started, and are started again (count).",
        samples: |known, family| family.sample(&Labels::default(), known.snapshot.reader_restarts),
    },
    Own {
        name: "heatsink_http_connections_closed_total",
        kind: Kind::Counter,
        help: "HTTP connections closed because the limit of 256 was reached (count).",
        samples: |known, family| {
            family.sample(&Labels::default(), known.settings.connections_closed);
        },
    },
    Own {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        help: "User and system CPU time that this process has spent (in seconds).",
        samples: |known, family| {
            if let Some(cpu) = known.snapshot.process.cpu {
                family.sample(&Labels::default(), cpu);
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
