//! Log lines about fields that a GPU does not have.

use std::collections::BTreeSet;

use model::FieldId;

/// How many fields are named in one line.
const MOST_NAMED: usize = 10;

/// The fields of one GPU that were logged, so that each is logged once.
pub(crate) struct UnsupportedLog {
    gpu: u32,
    logged: BTreeSet<FieldId>,
}

impl UnsupportedLog {
    /// Of the GPU with this index.
    pub(crate) fn new(gpu: u32) -> Self {
        Self { gpu, logged: BTreeSet::new() }
    }

    /// Logs those that were not logged before.
    pub(crate) fn log(&mut self, fields: &[FieldId]) {
        let new: Vec<&str> = fields
            .iter()
            .filter(|field| self.logged.insert(**field))
            .filter_map(|field| model::catalog::by_id(*field).map(|row| row.name))
            .collect();
        // Where the whole catalogue is watched, some GPUs lack hundreds.
        let (named, rest) = new.split_at(new.len().min(MOST_NAMED));
        let gpu = self.gpu;
        match (named.join(", "), rest.len()) {
            (names, _) if names.is_empty() => {}
            (names, 0) => tracing::info!(gpu, "not supported by this GPU: {names}"),
            (names, more) => tracing::info!(
                gpu,
                "not supported by this GPU: {names} and {more} more; `heatsink check --all` lists them"
            ),
        }
    }
}
