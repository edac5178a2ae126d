//! Many files as one sequence of frames.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use super::source::{Entry, Source};
use crate::files;
use crate::frame::Key;
use crate::layout::Layout;
use crate::time::Range;

/// A frame, and where it is from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merged<'a> {
    /// The file.
    pub(crate) source: &'a Source,
    /// The frame.
    pub(crate) entry: &'a Entry,
    /// The layout of its rows; `None` for an event, or if no file has it.
    pub(crate) layout: Option<&'a Arc<Layout>>,
}

/// Goes through the frames of files in the order of their names. Reads a file when its turn comes, and
/// forgets it after its last frame.
pub(crate) struct Merge {
    range: Range,
    before: Option<Key>,
    /// Files by their first frame, the last one first.
    waiting: Vec<(Key, PathBuf)>,
    /// Files, and the position of the next frame of each.
    open: Vec<(Source, usize)>,
    layouts: BTreeMap<Key, Arc<Layout>>,
    damaged: u64,
}

impl Merge {
    /// Goes through these files, each with its first frame, up to the frame `before`.
    pub(crate) fn new(range: Range, before: Option<Key>, mut waiting: Vec<(Key, PathBuf)>) -> Self {
        waiting.sort_unstable_by(|one, other| other.cmp(one));
        let (open, layouts) = (Vec::new(), BTreeMap::new());
        Self { range, before, waiting, open, layouts, damaged: 0 }
    }

    /// Bytes that are no frames, in the files that were read.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Calls `visit` with each frame.
    pub(crate) fn run(
        &mut self,
        visit: &mut dyn FnMut(Merged<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut last = None;
        while let Some((position, key)) = self.next() {
            if self.before.is_some_and(|before| key >= before) {
                break;
            }
            let Some((source, next)) = self.open.get_mut(position) else {
                break;
            };
            let at = *next;
            *next += 1;
            if last.is_some_and(|last| key <= last) {
                continue;
            }
            last = Some(key);
            if let Some(entry) = source.entries.get(at) {
                let layout = entry.of_rows.and_then(|(layout, _)| self.layouts.get(&layout));
                visit(Merged { source, entry, layout })?;
            }
        }
        ControlFlow::Continue(())
    }

    /// The file with the next frame, and the name of that.
    fn next(&mut self) -> Option<(usize, Key)> {
        self.open.retain(|(source, next)| *next < source.entries.len());
        loop {
            let heads = self.open.iter().enumerate().filter_map(|(position, (source, next))| {
                Some((position, source.entries.get(*next)?.key))
            });
            let head = heads.min_by_key(|(_, key)| *key);
            let is_earlier =
                |(first, _): &mut (Key, PathBuf)| head.is_none_or(|(_, key)| *first <= key);
            let Some((_, path)) = self.waiting.pop_if(is_earlier) else {
                return head;
            };
            match Source::load(&path) {
                Ok(mut source) => {
                    self.damaged += source.damaged;
                    source.keep(self.range);
                    for (key, (layout, _)) in &source.layouts {
                        self.layouts.entry(*key).or_insert_with(|| Arc::clone(layout));
                    }
                    self.open.push((source, 0));
                }
                Err(error) => self.damaged += files::unreadable(&path, &error),
            }
        }
    }
}
