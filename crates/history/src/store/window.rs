//! The file of an incident: its newest state, and copies of the frames of its window.

use std::ops::ControlFlow;
use std::path::Path;

use crate::archive::Archive;
use crate::files::Summary;
use crate::frame::{self, Key, Kind};
use crate::incident::Incident;
use crate::memory::Memory;
use crate::time::Range;

/// The content of the file of an incident. Without `memory` the window is left out; with it, frames are
/// copied from there and, what is older, from the directory. A window beyond `max_bytes` loses its middle.
pub(crate) fn file(
    incident: &Incident,
    run: u64,
    directory: &Path,
    memory: Option<&Memory>,
    max_bytes: usize,
) -> Option<Vec<u8>> {
    let json = serde_json::to_vec(incident).ok()?;
    let key = Key { run, sequence: incident.number };
    let mut bytes = frame::encode(Kind::Incident, key, &json)?.into_vec();
    let mut window = Window::default();
    if let Some(memory) = memory {
        window.take_archive(directory, memory, incident.window);
        window.take_memory(memory, incident.window);
    }
    let summary = window.write(max_bytes, &mut bytes);
    bytes.extend(frame::encode(Kind::Summary, key, &summary.payload())?);
    Some(bytes)
}

/// Frames of a window.
#[derive(Default)]
struct Window {
    /// A block, or an event: what can be read without what is before and after it.
    pieces: Vec<Piece>,
}

struct Piece {
    /// The run and the block, of rows.
    block: Option<(u64, u64)>,
    /// The layout of rows, and its frame.
    layout: Option<(Key, Vec<u8>)>,
    first: Key,
    range: Range,
    bytes: Vec<u8>,
}

impl Window {
    fn take_archive(&mut self, directory: &Path, memory: &Memory, range: Range) {
        let Ok(archive) = Archive::open(directory) else {
            return;
        };
        let first = memory.first_sequence();
        let before = first.map(|sequence| Key { run: memory.run, sequence });
        // What cannot be read cannot be copied; the rest is.
        let _ = archive.frames(range, before, &mut |merged| {
            let (source, entry) = (merged.source, merged.entry);
            let layout = entry
                .of_rows
                .and_then(|(layout, _)| Some((layout, source.layout_frame(layout)?.to_vec())));
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
                    let layout = is_rows.then(|| (layout_key, layout.bytes.to_vec()));
                    self.add(of_rows.filter(|_| is_rows), layout, key, frame.range, &frame.bytes);
                }
            }
        }
    }

    fn add(
        &mut self,
        block: Option<(u64, u64)>,
        layout: Option<(Key, Vec<u8>)>,
        first: Key,
        range: Range,
        bytes: &[u8],
    ) {
        // Events between the frames of a block go with it.
        let last = self.pieces.last_mut();
        let is_part =
            |last: &Piece| last.block.is_some() && (block.is_none() || last.block == block);
        match last.filter(|last| is_part(last)) {
            Some(last) => {
                last.range = last.range.joined(range);
                last.bytes.extend(bytes);
            }
            None => {
                self.pieces.push(Piece { block, layout, first, range, bytes: bytes.to_vec() });
            }
        }
    }

    /// Appends the frames, with the layouts that they need.
    fn write(mut self, max_bytes: usize, bytes: &mut Vec<u8>) -> Summary {
        let mut total: usize = self.pieces.iter().map(|piece| piece.bytes.len()).sum();
        while total > max_bytes && self.pieces.len() > 1 {
            let middle = self.pieces.remove(self.pieces.len() / 2);
            total -= middle.bytes.len();
        }
        let mut last = None;
        for piece in &self.pieces {
            if let Some((layout, frame)) =
                piece.layout.as_ref().filter(|(key, _)| last != Some(*key))
            {
                bytes.extend(frame);
                last = Some(*layout);
            }
            bytes.extend(&piece.bytes);
        }
        let range = self.pieces.iter().map(|piece| piece.range).reduce(Range::joined);
        let first = self.pieces.first().map(|piece| piece.first);
        Summary { content: range.zip(first) }
    }
}
