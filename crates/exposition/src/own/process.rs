//! Of this process.

use model::{FieldId, field};

use super::{Samples, since_1970};
use crate::text::Labels;

pub(super) const FAMILIES: &[(FieldId, Samples)] = &[
    (field::CONFIG_ROWS_SKIPPED, |known, family| {
        family.sample(&Labels::default(), known.settings.rows_skipped);
    }),
    (field::CONFIG_LAST_RELOAD_SUCCESSFUL, |known, family| {
        family.sample(&Labels::default(), known.settings.is_reloaded);
    }),
    (field::READER_RESTARTS_TOTAL, |known, family| {
        family.sample(&Labels::default(), known.snapshot.reader_restarts);
    }),
    (field::HTTP_CONNECTIONS_CLOSED_TOTAL, |known, family| {
        family.sample(&Labels::default(), known.settings.connections_closed);
    }),
    (field::PROCESS_CPU_SECONDS_TOTAL, |known, family| {
        if let Some(cpu) = known.snapshot.process.cpu {
            family.sample(&Labels::default(), cpu);
        }
    }),
    (field::PROCESS_RESIDENT_MEMORY_BYTES, |known, family| {
        if let Some(bytes) = known.snapshot.process.resident_bytes {
            family.sample(&Labels::default(), bytes);
        }
    }),
    (field::PROCESS_START_TIME_SECONDS, |known, family| {
        if let Some(started) = since_1970(known.snapshot.process.started) {
            family.sample(&Labels::default(), started);
        }
    }),
];
