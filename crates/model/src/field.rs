//! The numbers of fields, by name: a constant for each row of the field table.

use crate::watch::FieldId;

pub use crate::catalog::fields::table::constants::*;

/// The highest SM clock of the power state that the GPU is in, in MHz. Only read to derive
/// [`GPU_SLOWDOWN_RATIO`], and not in the field table; the number is of this program.
pub const MAX_SM_CLOCK_OF_PSTATE: FieldId = FieldId(9101);

/// Whether heatsink derives the field from what it reads and counts: no source reads it. True of every
/// field of [`Level::Exporter`](crate::catalog::Level::Exporter) but [`EXP_P2P_STATUS`].
pub fn is_derived(field: FieldId) -> bool {
    matches!(field.0, 9001..=9099 | 9201..) && field != EXP_P2P_STATUS
}
