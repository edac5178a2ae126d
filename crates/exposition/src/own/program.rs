//! Of this program, and of where its readings come from.

use model::{FieldId, field};

use super::{Known, Samples};
use crate::text::{Family, Labels};

pub(super) const FAMILIES: &[(FieldId, Samples)] = &[
    (field::BUILD_INFO, build_info),
    (field::SOURCE_INFO, source_info),
    (field::SOURCE_UP, source_up),
];

fn build_info(known: &Known<'_>, family: &mut Family<'_>) {
    family.line(&Labels::default()).text("version", known.settings.version).value(true);
}

fn source_info(known: &Known<'_>, family: &mut Family<'_>) {
    let source = &known.snapshot.source;
    let line = family.line(&Labels::default()).text("source", source.name);
    match &source.driver_version {
        Some(version) => line.text("driver_version", version).value(true),
        None => line.value(true),
    }
}

fn source_up(known: &Known<'_>, family: &mut Family<'_>) {
    let source = &known.snapshot.source;
    family.line(&Labels::default()).text("source", source.name).value(source.up.is_ok());
}
