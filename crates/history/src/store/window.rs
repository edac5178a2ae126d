//! The file of an incident: its newest state, and copies of the frames of its window.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::archive::Archive;
use crate::files::Summary;
use crate::frame::{self, Key, Kind};
use crate::incident::Incident;
use crate::memory::Memory;
use crate::time::Range;

/// The content of the file of an incident; `key` is its run and its number there. Without `memory` the window is
/// left out; with it, frames are copied from there and, what is older, from the directory. A window beyond
/// `max_bytes` loses its middle.
pub(crate) fn file(
    incident: &Incident,
    key: Key,
    directory: &Path,
    memory: Option<&Memory>,
    max_bytes: usize,
) -> Option<Vec<u8>> {
    let json = serde_json::to_vec(incident).ok()?;
    let mut bytes = frame::encode(Kind::Incident, key, &json)?.into_vec();
    let mut window = Window::new(max_bytes);
    if let Some(memory) = memory {
        window.take_archive(directory, memory, incident.window);
        window.take_memory(memory, incident.window);
    }
    let summary = window.write(&mut bytes);
    bytes.extend(frame::encode(Kind::Summary, key, &summary.payload())?);
    Some(bytes)
}

/// Frames of a window: its begin and its end, half of the bytes each, so that no more is in memory than fits.
struct Window {
    max_bytes: usize,
    begin: Vec<Piece>,
    end: VecDeque<Piece>,
    begin_bytes: usize,
    end_bytes: usize,
}

/// The frame of a layout.
#[derive(Clone)]
struct LayoutBytes {
    key: Key,
    frame: Arc<[u8]>,
}

/// A block, or an event: what can be read without what is before and after it.
struct Piece {
    /// The run and the block, of rows.
    block: Option<(u64, u64)>,
    /// The layout of rows.
    layout: Option<LayoutBytes>,
    first: Key,
    range: Range,
    bytes: Vec<u8>,
    /// Bytes of it, and of its layout if the piece before has another one.
    size: usize,
}

impl Window {
    fn new(max_bytes: usize) -> Self {
        let (begin, end) = (Vec::new(), VecDeque::new());
        Self { max_bytes, begin, end, begin_bytes: 0, end_bytes: 0 }
    }

    fn take_archive(&mut self, directory: &Path, memory: &Memory, range: Range) {
        let Ok(archive) = Archive::open(directory) else {
            return;
        };
        let first = memory.first_sequence();
        let before = first.map(|sequence| Key { run: memory.run, sequence });
        // What cannot be read cannot be copied; the rest is.
        let _ = archive.frames(range, before, &mut |merged| {
            let (source, entry) = (merged.source, merged.entry);
            let layout =
                entry.of_rows.and_then(|(layout, _)| Some((layout, source.layout_frame(layout)?)));
            let block = entry.of_rows.map(|(_, block)| (entry.key.run, block));
            self.add(block, layout, entry.key, entry.range, source.frame(entry));
            ControlFlow::Continue(())
        });
    }

    fn take_memory(&mut self, memory: &Memory, range: Range) {
        for block in memory.blocks.iter().filter(|block| block.range.overlaps(&range)) {
            let rows = block.frames.iter().find(|frame| frame.kind == Kind::Rows);
            let of_rows = rows.map(|frame| (memory.run, frame.sequence));
            let layout = &block.layout.frame;
            let layout_key = Key { run: memory.run, sequence: layout.sequence };
            for frame in &block.frames {
                let key = Key { run: memory.run, sequence: frame.sequence };
                let is_rows = frame.kind == Kind::Rows;
                if is_rows || frame.range.overlaps(&range) {
                    let layout = is_rows.then_some((layout_key, &*layout.bytes));
                    self.add(of_rows.filter(|_| is_rows), layout, key, frame.range, &frame.bytes);
                }
            }
        }
    }

    fn add(
        &mut self,
        block: Option<(u64, u64)>,
        layout: Option<(Key, &[u8])>,
        first: Key,
        range: Range,
        bytes: &[u8],
    ) {
        let is_begin = self.end.is_empty();
        let last = if is_begin { self.begin.last_mut() } else { self.end.back_mut() };
        // Events between the frames of a block go with it.
        let is_part =
            |last: &Piece| last.block.is_some() && (block.is_none() || last.block == block);
        let mut size = bytes.len();
        match last {
            Some(last) if is_part(last) => {
                last.range = last.range.joined(range);
                last.bytes.extend(bytes);
                last.size += size;
            }
            last => {
                let known = last.and_then(|last| last.layout.clone());
                let layout = layout.map(|(key, frame)| {
                    known.filter(|known| known.key == key).unwrap_or_else(|| {
                        size += frame.len();
                        LayoutBytes { key, frame: frame.into() }
                    })
                });
                let piece = Piece { block, layout, first, range, bytes: bytes.to_vec(), size };
                if is_begin
                    && (self.begin_bytes + size <= self.max_bytes / 2 || self.begin.is_empty())
                {
                    self.begin.push(piece);
                } else {
                    self.end.push_back(piece);
                }
            }
        }
        if self.end.is_empty() {
            self.begin_bytes += size;
            return;
        }
        self.end_bytes += size;
        while self.begin_bytes + self.end_bytes > self.max_bytes && self.end.len() > 1 {
            self.end_bytes -= self.end.pop_front().map_or(0, |piece| piece.size);
        }
    }

    /// Appends the frames, with the layouts that they need.
    fn write(self, bytes: &mut Vec<u8>) -> Summary {
        let mut last = None;
        let pieces = || self.begin.iter().chain(&self.end);
        for piece in pieces() {
            if let Some(layout) = piece.layout.as_ref().filter(|layout| last != Some(layout.key)) {
                bytes.extend(&*layout.frame);
                last = Some(layout.key);
            }
            bytes.extend(&piece.bytes);
        }
        let range = pieces().map(|piece| piece.range).reduce(Range::joined);
        let first = pieces().next().map(|piece| piece.first);
        Summary { content: range.zip(first) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    #[test]
    fn a_window_never_has_more_in_memory_than_fits() {
        let mut window = Window::new(10_000);
        let layout = Key { run: 1, sequence: 1 };
        for sequence in 0..1_000_u64 {
            let (time, key) = (Time(sequence.cast_signed()), Key { run: 1, sequence });
            let range = Range { from: time, to: time };
            let of_rows = Some((1, sequence));
            window.add(of_rows, Some((layout, &[1; 200])), key, range, &[2; 100]);
            let pieces = || window.begin.iter().chain(&window.end);
            let bytes: usize = pieces().map(|piece| piece.bytes.len()).sum();
            assert!(bytes <= 10_000, "{bytes}");
        }
        let mut bytes = Vec::new();
        let summary = window.write(&mut bytes);
        let range = Range { from: Time(0), to: Time(999) };
        assert_eq!(summary.content, Some((range, Key { run: 1, sequence: 0 })));
        assert!((9_000..=10_000).contains(&bytes.len()), "{}", bytes.len());
    }
}
