//! Of this program, and of where its readings come from.

use model::Kind;

use super::{Known, Own};
use crate::text::{Family, Labels};

pub(super) const FAMILIES: &[Own] = &[
    Own {
        name: "heatsink_build_info",
        kind: Kind::Gauge,
        help: "Which heatsink this is; always 1.",
        samples: build_info,
    },
    Own {
        name: "heatsink_source_info",
        kind: Kind::Gauge,
        help: "Where the readings come from, and the version of its driver; always 1.",
        samples: source_info,
    },
    Own {
        name: "heatsink_source_up",
        kind: Kind::Gauge,
        help: "Whether the source is open (1) or not (0).",
        samples: source_up,
    },
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
