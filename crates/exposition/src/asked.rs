//! What the watches ask of a page: families, and labels of every GPU's series.

use std::collections::HashSet;

use model::{FieldId, Kind, Watch};

use crate::{gpus, own, watched};

/// Watches by what becomes of them, each with its position among the readings.
pub(crate) struct Asked<'a> {
    /// In page order.
    pub(crate) families: Vec<(usize, &'a Watch)>,
    /// By name.
    pub(crate) labels: Vec<(usize, &'a Watch)>,
}

impl<'a> Asked<'a> {
    /// Sorts the watches. One that would give a family or a label a second time is passed over;
    /// whoever reads the counters file sees to it that there is none.
    pub(crate) fn of(watches: &'a [Watch]) -> Self {
        let mut families = Vec::with_capacity(watches.len());
        let mut labels = Vec::new();
        let mut names = HashSet::with_capacity(watches.len());
        for (position, watch) in watches.iter().enumerate() {
            let is_label = watch.kind == Kind::Label;
            let taken = if is_label { is_standard_label } else { own::is_own };
            if taken(&watch.name) || !names.insert(&*watch.name) {
                continue;
            }
            let list = if is_label { &mut labels } else { &mut families };
            list.push((position, watch));
        }
        labels.sort_by_key(|(_, watch)| &watch.name);
        Self { families, labels }
    }

    /// The name under which a field was asked for.
    pub(crate) fn name_of(&self, field: FieldId) -> Option<&'a str> {
        let of_field = |(_, watch): &&(usize, &Watch)| watch.field == field;
        let (_, watch) = self.families.iter().chain(&self.labels).find(of_field)?;
        Some(&watch.name)
    }
}

fn is_standard_label(name: &str) -> bool {
    gpus::LABELS.contains(&name) || watched::ATTRIBUTES.contains(&name)
}
