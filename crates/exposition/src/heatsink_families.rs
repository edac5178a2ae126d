//! heatsink's own families: about the program, its source and each GPU.
//!
//! One file for each subject, with its families in a table at the top.

mod clocks;
mod fields;
mod gpus;
mod history;
mod holders;
mod process;
mod program;
mod window;
mod xids;

use model::FieldId;

use crate::inputs::{Inputs, Samples};
use crate::text::Family;

/// All of heatsink's own families, except those of windows.
const FAMILIES: [&[(FieldId, Samples)]; 9] = [
    program::FAMILIES,
    gpus::FAMILIES,
    holders::FAMILIES,
    fields::FAMILIES,
    xids::FAMILIES,
    clocks::FAMILIES,
    window::FAMILIES,
    history::FAMILIES,
    process::FAMILIES,
];

/// Writes the samples of a family. Returns whether it is one of heatsink's own.
pub(crate) fn write(field: FieldId, inputs: &Inputs<'_>, family: &mut Family<'_>) -> bool {
    let row = FAMILIES.into_iter().flatten().find(|(known, _)| *known == field);
    if let Some((_, samples)) = row {
        samples(inputs, family);
        return true;
    }
    let statistic = window::statistic_of(field);
    statistic.map(|statistic| window::extents(inputs, family, statistic)).is_some()
}
