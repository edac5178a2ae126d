//! The families and labels that the watches give a page in one format, with the HELP and TYPE lines of
//! each family.

use std::collections::HashSet;
use std::sync::Arc;

use model::{FieldId, Kind, Snapshot, Watch, WatchIndex};

use crate::format::Format;
use crate::openmetrics;
use crate::reserved::is_reserved;
use crate::text;

/// The part of a page that depends on the watches and the format only. It is built once.
#[derive(Clone, Debug)]
pub struct Layout {
    format: Format,
    watches: Arc<[Watch]>,
    /// In page order, each with its HELP and TYPE lines, if the format has such.
    families: Vec<(WatchIndex, Box<str>)>,
    /// Sorted by name.
    labels: Vec<WatchIndex>,
}

impl Layout {
    /// Sorts the watches. A watch that would repeat a family or a label is left out; the parser of
    /// counters files prevents such watches.
    pub fn new(watches: &Arc<[Watch]>, format: Format) -> Self {
        let watches = Arc::clone(watches);
        let mut families = Vec::with_capacity(watches.len());
        let mut labels = Vec::new();
        let mut taken = HashSet::with_capacity(watches.len());
        for (index, watch) in WatchIndex::enumerate(&watches) {
            match watch.kind {
                Kind::Hidden => continue,
                Kind::Label if is_reserved(&watch.name) => continue,
                _ if !taken.insert(&*watch.name) => continue,
                Kind::Label => labels.push(index),
                Kind::Gauge | Kind::Counter | Kind::Untyped => families.push(index),
            }
        }
        drop(taken);
        labels.sort_by_key(|index| &watches[*index].name);
        let rows: Vec<&Watch> = families.iter().map(|index| &watches[*index]).collect();
        let heads = heads(&rows, format);
        let families = families.into_iter().zip(heads).collect();
        Self { format, watches, families, labels }
    }

    /// The format of its pages.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether it was made from the watches of the snapshot.
    pub fn fits(&self, snapshot: &Snapshot) -> bool {
        Arc::ptr_eq(&self.watches, &snapshot.watches)
    }

    /// The watches that are families of a page, in page order, each with the HELP and TYPE lines of its family,
    /// if the format has such.
    pub fn heads(&self) -> impl Iterator<Item = (&Watch, &str)> {
        self.families().map(|(_, watch, head)| (watch, head))
    }

    /// The families in page order, each with its HELP and TYPE lines, if the format has such.
    pub(crate) fn families(&self) -> impl Iterator<Item = (WatchIndex, &Watch, &str)> + Clone {
        let families = self.families.iter();
        families.map(|(index, head)| (*index, &self.watches[*index], &**head))
    }

    /// The label rows, sorted by name.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (WatchIndex, &Watch)> + Clone {
        self.labels.iter().map(|index| (*index, &self.watches[*index]))
    }

    /// The name of a field in the counters file. A hidden field has its own name, unless a row of the
    /// counters file has that name.
    pub(crate) fn name_of(&self, field: FieldId) -> Option<&str> {
        let families = self.families().map(|(_, watch, _)| watch);
        let mut visible = families.chain(self.labels().map(|(_, watch)| watch));
        if let Some(watch) = visible.clone().find(|watch| watch.field == field) {
            return Some(&watch.name);
        }
        let is_of_it = |watch: &&Watch| watch.kind == Kind::Hidden && watch.field == field;
        let hidden = self.watches.iter().find(is_of_it)?;
        let is_taken = visible.any(|watch| watch.name == hidden.name);
        (!is_taken).then_some(&*hidden.name)
    }
}

/// The HELP and TYPE lines of families.
fn heads(watches: &[&Watch], format: Format) -> Vec<Box<str>> {
    let head = |watch: &&Watch| text::head(&watch.name, watch.kind.as_str(), &watch.help);
    match format {
        Format::Text => watches.iter().map(head).collect(),
        Format::OpenMetrics => openmetrics::heads(watches),
        Format::Protobuf => vec![Box::default(); watches.len()],
    }
}
