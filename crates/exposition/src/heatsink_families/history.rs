//! Families about incidents and the history, where one is recorded.

use model::{FieldId, HistoryView, StoreView, field};

use crate::inputs::{Inputs, Samples, since_1970};
use crate::text::{Family, Labels, Number};

pub(super) const FAMILIES: &[(FieldId, Samples)] = &[
    (field::INCIDENTS_TOTAL, incidents),
    (field::LAST_INCIDENT_TIMESTAMP_SECONDS, |inputs, family| {
        value(inputs, family, |history| since_1970(history.last_incident?));
    }),
    (field::HISTORY_WRITABLE, |inputs, family| {
        value(inputs, family, |history| Some(store(history)?.is_writable));
    }),
    (field::HISTORY_SIZE_BYTES, |inputs, family| {
        value(inputs, family, |history| Some(store(history)?.bytes));
    }),
    (field::HISTORY_WRITTEN_BYTES_TOTAL, |inputs, family| {
        count(inputs, family, |store| store.bytes_written);
    }),
    (field::HISTORY_OLDEST_TIMESTAMP_SECONDS, |inputs, family| {
        value(inputs, family, |history| {
            let of_store = store(history).and_then(|store| store.oldest);
            since_1970(of_store.into_iter().chain(history.memory_oldest).min()?)
        });
    }),
    (field::HISTORY_LAST_SYNC_TIMESTAMP_SECONDS, |inputs, family| {
        value(inputs, family, |history| since_1970(store(history)?.last_sync?));
    }),
    (field::HISTORY_ERRORS_TOTAL, errors),
    (field::HISTORY_ROWS_LOST_TOTAL, |inputs, family| {
        count(inputs, family, |store| store.rows_lost);
    }),
    (field::HISTORY_MEMORY_BYTES, |inputs, family| {
        value(inputs, family, |history| Some(history.memory_bytes));
    }),
];

/// A series for each kind of incident, also of those that never happened: `increase()` then sees the first
/// one of its kind. So their start times are the start of this process.
fn incidents(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    let Some(history) = &inputs.settings.history else { return };
    for (kind, tally) in &history.incidents {
        let line = family.counter(inputs.snapshot.counting_since, &Labels::default());
        line.text("kind", kind).value(tally.count);
    }
}

fn errors(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    let store = inputs.settings.history.as_deref().and_then(store);
    for (reason, count) in store.into_iter().flat_map(|store| &store.errors) {
        let line = family.counter(inputs.snapshot.counting_since, &Labels::default());
        line.text("reason", reason).value(*count);
    }
}

fn value<N: Into<Number>>(
    inputs: &Inputs<'_>,
    family: &mut Family<'_>,
    value: impl Fn(&HistoryView) -> Option<N>,
) {
    if let Some(value) = inputs.settings.history.as_deref().and_then(value) {
        family.sample(&Labels::default(), value);
    }
}

fn count(inputs: &Inputs<'_>, family: &mut Family<'_>, count: impl Fn(&StoreView) -> u64) {
    if let Some(store) = inputs.settings.history.as_deref().and_then(store) {
        family.counter(inputs.snapshot.counting_since, &Labels::default()).value(count(store));
    }
}

/// The folder of the history, if it has one.
fn store(history: &HistoryView) -> Option<&StoreView> {
    history.store.as_ref()
}
