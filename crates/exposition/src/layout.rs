//! What the watches ask of a page: families with their heads, and labels of every GPU's series.

use std::collections::HashSet;
use std::sync::Arc;

use model::{FieldId, Kind, Snapshot, Watch, WatchIndex};

use crate::naming;
use crate::text::head;

/// What all pages of the same watches have in common, so that it is made once.
#[derive(Clone, Debug)]
pub struct Layout {
    watches: Arc<[Watch]>,
    /// In page order: the index of the watch, and the lines before the samples.
    families: Vec<(WatchIndex, Box<str>)>,
    /// The positions of labels, by name.
    labels: Vec<WatchIndex>,
}

impl Layout {
    /// Sorts the watches. One that would give a family or a label a second time is left out; the
    /// parser of counters files sees to it that there is none.
    pub fn new(watches: &Arc<[Watch]>) -> Self {
        let watches = Arc::clone(watches);
        let mut families = Vec::with_capacity(watches.len());
        let mut labels = Vec::new();
        let mut taken = HashSet::with_capacity(watches.len());
        for (index, watch) in WatchIndex::enumerate(&watches) {
            match watch.kind {
                Kind::Hidden => continue,
                Kind::Label if naming::is_reserved(&watch.name) => continue,
                _ if !taken.insert(&*watch.name) => continue,
                Kind::Label => labels.push(index),
                Kind::Gauge | Kind::Counter | Kind::Untyped => {
                    families.push((index, head(&watch.name, watch.kind, &watch.help)));
                }
            }
        }
        drop(taken);
        labels.sort_by_key(|index| &watches[*index].name);
        families.shrink_to_fit();
        Self { watches, families, labels }
    }

    /// Whether it is of the snapshot's watches.
    pub fn fits(&self, snapshot: &Snapshot) -> bool {
        Arc::ptr_eq(&self.watches, &snapshot.watches)
    }

    /// The families in page order: the index of the watch, the watch, and the lines before the samples.
    pub(crate) fn families(&self) -> impl Iterator<Item = (WatchIndex, &Watch, &str)> + Clone {
        let families = self.families.iter();
        families.map(|(index, head)| (*index, &self.watches[*index], &**head))
    }

    /// The labels by name: the index of the watch, and the watch.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (WatchIndex, &Watch)> + Clone {
        self.labels.iter().map(|index| (*index, &self.watches[*index]))
    }

    /// The name under which a field was asked for; one that is only read for what is made of it has a
    /// name as long as nothing else has it.
    pub(crate) fn name_of(&self, field: FieldId) -> Option<&str> {
        let families = self.families().map(|(_, watch, _)| watch);
        let mut shown = families.chain(self.labels().map(|(_, watch)| watch));
        if let Some(watch) = shown.clone().find(|watch| watch.field == field) {
            return Some(&watch.name);
        }
        let is_of_it = |watch: &&Watch| watch.kind == Kind::Hidden && watch.field == field;
        let hidden = self.watches.iter().find(is_of_it)?;
        let is_taken = shown.any(|watch| watch.name == hidden.name);
        (!is_taken).then_some(&*hidden.name)
    }
}
