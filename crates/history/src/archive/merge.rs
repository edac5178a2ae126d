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
                    // Files of incidents have copies of the same frames. In a storm, each would hold all.
                    let is_known = |key| self.open.iter().any(|(other, _)| other.has(key));
                    source.keep(self.range, is_known);
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

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;
    use crate::frame::{self, Kind};
    use crate::time::Time;

    #[test]
    fn copies_of_a_frame_are_in_memory_once() {
        let key = |sequence| Key { run: 1, sequence };
        let frames = |sequences: std::ops::Range<u64>| -> Vec<u8> {
            let frame = |sequence: u64| {
                let payload = [&sequence.to_le_bytes()[..], &[b' '; 1000]].concat();
                frame::encode(Kind::Event, key(sequence), &payload).expect("a frame")
            };
            sequences.flat_map(frame).collect()
        };
        let folder = tempdir().expect("a folder");
        // Each begins a frame later than the one before, and ends one later.
        let begins = 0..32;
        let waiting = begins.map(|begin| {
            let path = folder.path().join(begin.to_string());
            std::fs::write(&path, frames(begin..begin + 100)).expect("a file");
            (key(begin), path)
        });
        let range = Range { from: Time(0), to: Time(1000) };
        let mut merge = Merge::new(range, None, waiting.collect());
        let mut seen = Vec::new();
        let mut most = 0;
        while let Some((position, key)) = merge.next() {
            let (_, next) = &mut merge.open[position];
            *next += 1;
            seen.push(key.sequence);
            most = most.max(merge.open.iter().map(|(source, _)| source.size()).sum());
        }
        seen.dedup();
        assert!(seen.into_iter().eq(0..131));
        assert!(most <= frames(0..132).len(), "{most} bytes");
    }
}
