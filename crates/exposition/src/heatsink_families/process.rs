//! Families about this process.

use model::{FieldId, field};

use crate::inputs::{Samples, since_1970};
use crate::text::Labels;

pub(super) const FAMILIES: &[(FieldId, Samples)] = &[
    (field::CONFIG_ROWS_SKIPPED, |inputs, family| {
        family.sample(&Labels::default(), inputs.settings.rows_skipped);
    }),
    (field::CONFIG_LAST_RELOAD_SUCCESSFUL, |inputs, family| {
        family.sample(&Labels::default(), inputs.settings.is_reloaded);
    }),
    (field::CONFIG_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS, |inputs, family| {
        if let Some(at) = inputs.settings.reloaded_at.and_then(since_1970) {
            family.sample(&Labels::default(), at);
        }
    }),
    (field::READER_RESTARTS_TOTAL, |inputs, family| {
        let restarts = inputs.snapshot.reader_restarts;
        family.counter(inputs.snapshot.counting_since, &Labels::default()).value(restarts);
    }),
    (field::HTTP_CONNECTIONS_CLOSED_TOTAL, |inputs, family| {
        let closed = inputs.settings.connections_closed;
        family.counter(inputs.snapshot.counting_since, &Labels::default()).value(closed);
    }),
    (field::PROCESS_CPU_SECONDS_TOTAL, |inputs, family| {
        if let Some(cpu) = inputs.snapshot.process.cpu {
            family.counter(inputs.snapshot.counting_since, &Labels::default()).value(cpu);
        }
    }),
    (field::PROCESS_RESIDENT_MEMORY_BYTES, |inputs, family| {
        if let Some(bytes) = inputs.snapshot.process.resident_bytes {
            family.sample(&Labels::default(), bytes);
        }
    }),
    (field::PROCESS_START_TIME_SECONDS, |inputs, family| {
        if let Some(started) = since_1970(inputs.snapshot.process.started) {
            family.sample(&Labels::default(), started);
        }
    }),
];
