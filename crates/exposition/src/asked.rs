//! What the watches ask of a page: families, and labels of every GPU's series.

use std::collections::{HashMap, HashSet};

use model::{FieldId, Kind, Watch};

use crate::naming;

/// Watches by what becomes of them, each with its position among the readings.
pub(crate) struct Asked<'a> {
    /// In page order.
    pub(crate) families: Vec<(usize, &'a Watch)>,
    /// By name.
    pub(crate) labels: Vec<(usize, &'a Watch)>,
    names: HashMap<FieldId, &'a str>,
}

impl<'a> Asked<'a> {
    /// Sorts the watches. One that would give a family or a label a second time is passed over;
    /// whoever reads the counters file sees to it that there is none.
    pub(crate) fn of(watches: &'a [Watch]) -> Self {
        let mut families = Vec::with_capacity(watches.len());
        let mut labels = Vec::new();
        let mut taken = HashSet::with_capacity(watches.len());
        for (position, watch) in watches.iter().enumerate() {
            let list = match watch.kind {
                Kind::Hidden => continue,
                Kind::Label if naming::is_reserved(&watch.name) => continue,
                Kind::Label => &mut labels,
                Kind::Gauge | Kind::Counter | Kind::Untyped => &mut families,
            };
            if taken.insert(&*watch.name) {
                list.push((position, watch));
            }
        }
        let mut names = HashMap::with_capacity(watches.len());
        for (_, watch) in families.iter().chain(&labels) {
            names.entry(watch.field).or_insert(&*watch.name);
        }
        // A hidden watch has a name as long as nothing else has it.
        for watch in watches.iter().filter(|watch| watch.kind == Kind::Hidden) {
            if !names.contains_key(&watch.field) && taken.insert(&*watch.name) {
                names.insert(watch.field, &*watch.name);
            }
        }
        labels.sort_by_key(|(_, watch)| &watch.name);
        Self { families, labels, names }
    }

    /// The name under which a field was asked for.
    pub(crate) fn name_of(&self, field: FieldId) -> Option<&'a str> {
        self.names.get(&field).copied()
    }
}
