//! Label names that a label row of a counters file cannot have.

use model::RESERVED_LABELS;

/// Whether a label name is taken.
pub(crate) fn is_reserved(name: &str) -> bool {
    RESERVED_LABELS.contains(&name)
}
