//! One file with its frames.

use std::collections::BTreeMap;
use std::io;
use std::ops;
use std::path::Path;
use std::sync::Arc;

use crate::codec::RowsHeader;
use crate::files::{self, Summary};
use crate::frame::{self, ENVELOPE, Key, Kind, Scanner, VERSION};
use crate::layout::Layout;
use crate::replay;
use crate::time::Range;

/// A frame of a file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) key: Key,
    /// Of rows, or of an event.
    pub(crate) kind: Kind,
    /// The names of its layout and of the first frame of its block, for rows.
    pub(crate) of_rows: Option<(Key, u64)>,
    /// Its first and last time.
    pub(crate) range: Range,
    /// Where it is in the file.
    bytes: ops::Range<usize>,
}

/// A file in memory.
#[derive(Default, Debug)]
pub(crate) struct Source {
    bytes: Vec<u8>,
    /// Frames of rows and events in the order of their names.
    pub(crate) entries: Vec<Entry>,
    /// Layouts by name, and where their frames are.
    pub(crate) layouts: BTreeMap<Key, (Arc<Layout>, ops::Range<usize>)>,
    /// Bytes that are no frames.
    pub(crate) damaged: u64,
}

impl Source {
    /// Reads a file.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        let (bytes, unread) = files::read(path)?;
        let mut source = Self::of(bytes);
        source.damaged += unread;
        Ok(source)
    }

    fn of(bytes: Vec<u8>) -> Self {
        let mut source = Self::default();
        let mut scanner = Scanner::new(&bytes);
        let begin = bytes.as_ptr() as usize;
        for found in scanner.by_ref() {
            let envelope = found.envelope;
            if envelope.version > VERSION {
                continue;
            }
            let start = found.bytes.as_ptr() as usize - begin;
            let place = start..start + found.bytes.len();
            match envelope.kind {
                Some(Kind::Layout) => match replay::layout(found.payload) {
                    Some(layout) => {
                        source.layouts.entry(envelope.key).or_insert((layout, place));
                    }
                    None => source.damaged += found.bytes.len() as u64,
                },
                Some(kind @ (Kind::Rows | Kind::Event)) => {
                    match Entry::of(kind, envelope.key, found.payload, place) {
                        Some(entry) => source.entries.push(entry),
                        None => source.damaged += found.bytes.len() as u64,
                    }
                }
                Some(Kind::Incident | Kind::Summary) | None => {}
            }
        }
        source.damaged += scanner.damaged();
        source.entries.sort_by_key(|entry| entry.key);
        source.entries.dedup_by_key(|entry| entry.key);
        source.bytes = bytes;
        source
    }

    /// What it has.
    pub(crate) fn summary(&self) -> Summary {
        let range = self.entries.iter().map(|entry| entry.range).reduce(Range::joined);
        let first = self.entries.first().map(|entry| entry.key);
        Summary { content: range.zip(first) }
    }

    /// Leaves out what is not needed for a range (events outside it, and blocks that have no row in it) and the
    /// frames that another file has, `is_known`.
    pub(crate) fn keep(&mut self, range: Range, is_known: impl Fn(Key) -> bool) {
        let block = |entry: &Entry| entry.of_rows.map(|(_, block)| (entry.key.run, block));
        let overlaps = |entry: &&Entry| entry.range.overlaps(&range);
        let mut wanted: Vec<_> = self.entries.iter().filter(overlaps).filter_map(block).collect();
        wanted.dedup();
        wanted.sort_unstable();
        self.entries.retain(|entry| {
            let is_wanted = match block(entry) {
                Some(block) => wanted.binary_search(&block).is_ok(),
                None => entry.range.overlaps(&range),
            };
            is_wanted && !is_known(entry.key)
        });
        self.shrink();
    }

    /// Forgets the bytes of the frames that were left out.
    fn shrink(&mut self) {
        let mut kept = Vec::new();
        let mut moved = |place: &mut ops::Range<usize>| {
            let begin = kept.len();
            kept.extend_from_slice(self.bytes.get(place.clone()).unwrap_or_default());
            *place = begin..kept.len();
        };
        self.entries.iter_mut().for_each(|entry| moved(&mut entry.bytes));
        self.layouts.values_mut().for_each(|(_, place)| moved(place));
        kept.shrink_to_fit();
        self.bytes = kept;
    }

    /// Whether it has this frame.
    pub(crate) fn has(&self, key: Key) -> bool {
        self.entries.binary_search_by_key(&key, |entry| entry.key).is_ok()
    }

    /// How many bytes it holds.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.bytes.capacity()
    }

    /// The payload of one of its frames.
    pub(crate) fn payload(&self, entry: &Entry) -> &[u8] {
        self.frame(entry).get(ENVELOPE..).unwrap_or_default()
    }

    /// All bytes of one of its frames.
    pub(crate) fn frame(&self, entry: &Entry) -> &[u8] {
        self.bytes.get(entry.bytes.clone()).unwrap_or_default()
    }

    /// All bytes of the frame of a layout.
    pub(crate) fn layout_frame(&self, layout: Key) -> Option<&[u8]> {
        let (_, place) = self.layouts.get(&layout)?;
        self.bytes.get(place.clone())
    }
}

impl Entry {
    fn of(kind: Kind, key: Key, payload: &[u8], bytes: ops::Range<usize>) -> Option<Self> {
        let (of_rows, range) = if kind == Kind::Rows {
            let (header, _) = RowsHeader::read(payload)?;
            let layout = Key { run: key.run, sequence: header.layout };
            (Some((layout, header.block)), header.range)
        } else {
            let (time, _) = frame::event_time(payload)?;
            (None, Range { from: time, to: time })
        };
        Some(Self { key, kind, of_rows, range, bytes })
    }
}
