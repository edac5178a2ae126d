//! Families about this program and its source.

use model::{FieldId, field};

use crate::inputs::{Inputs, Samples};
use crate::text::{Family, Labels};

pub(super) const FAMILIES: &[(FieldId, Samples)] = &[
    (field::BUILD_INFO, build_info),
    (field::SOURCE_INFO, source_info),
    (field::SOURCE_UP, source_up),
];

fn build_info(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    family.line(&Labels::default()).text("version", inputs.settings.version).value(true);
}

fn source_info(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    let source = &inputs.snapshot.source;
    let line = family.line(&Labels::default()).text("source", source.name);
    match &source.driver_version {
        Some(version) => line.text("driver_version", version).value(true),
        None => line.value(true),
    }
}

fn source_up(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    let source = &inputs.snapshot.source;
    family.line(&Labels::default()).text("source", source.name).value(source.up.is_ok());
}
