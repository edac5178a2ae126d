//! The last hour, in memory.

mod incidents;
mod ring;
mod run;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use model::Moment;

use crate::frame::{self, ENVELOPE, Key, Kind};
use crate::incident::Incident;
use crate::layout::Layout;
use crate::recording::{Damage, Item, ReadError, Recording, Row};
use crate::replay::Replay;
use crate::time::{Range, Time};

pub(crate) use self::incidents::Incidents;
pub(crate) use self::ring::Ring;
pub(crate) use self::run::Run;

/// A frame, and what is asked of it often.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Its sequence number in this run.
    pub(crate) sequence: u64,
    /// What it is.
    pub(crate) kind: Kind,
    /// Envelope and payload.
    pub(crate) bytes: Box<[u8]>,
    /// Its first and last time.
    pub(crate) range: Range,
    /// The number of rows in it.
    pub(crate) rows: u32,
}

impl Frame {
    /// Its payload.
    pub(crate) fn payload(&self) -> &[u8] {
        self.bytes.get(ENVELOPE..).unwrap_or_default()
    }

    /// The same frame of another run.
    fn of_run(&self, run: u64) -> Self {
        let key = Key { run, sequence: self.sequence };
        // One of the same length as before is never too long.
        let bytes = frame::encode(self.kind, key, self.payload()).unwrap_or_default();
        Self { bytes, ..*self }
    }
}

/// A layout, and the frame that has it.
#[derive(Debug)]
pub(crate) struct LayoutFrame {
    /// The layout.
    pub(crate) layout: Arc<Layout>,
    /// Its frame, whose range means nothing.
    pub(crate) frame: Frame,
}

impl LayoutFrame {
    /// Bytes of the frame and, about as many, of the layout.
    pub(crate) fn bytes(&self) -> usize {
        self.frame.bytes.len().saturating_mul(2)
    }

    /// The same of another run.
    pub(crate) fn of_run(&self, run: u64) -> Self {
        Self { layout: Arc::clone(&self.layout), frame: self.frame.of_run(run) }
    }
}

/// A minute of frames, which depend on nothing before them. All rows have one layout, and their times only
/// grow.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The layout of its rows.
    pub(crate) layout: Arc<LayoutFrame>,
    /// In the order of their sequence numbers; never empty.
    pub(crate) frames: Vec<Arc<Frame>>,
    /// Bytes of the frames.
    pub(crate) bytes: usize,
    /// The earliest and the latest time.
    pub(crate) range: Range,
    /// When it was last added to.
    pub(crate) ended: Moment,
}

impl Block {
    /// Gives blocks the number of another run.
    pub(crate) fn set_run<'a>(blocks: impl Iterator<Item = &'a mut Arc<Self>>, run: u64) {
        let mut last: Option<Arc<LayoutFrame>> = None;
        for block in blocks {
            let layout =
                match last.take_if(|last| last.frame.sequence == block.layout.frame.sequence) {
                    Some(layout) => layout,
                    None => Arc::new(block.layout.of_run(run)),
                };
            last = Some(Arc::clone(&layout));
            let frames = block.frames.iter().map(|frame| Arc::new(frame.of_run(run))).collect();
            *block = Arc::new(Self { layout, frames, ..**block });
        }
    }

    /// Bytes of blocks and of their layouts, each once.
    pub(crate) fn total_bytes<'a>(blocks: impl Iterator<Item = &'a Arc<Self>>) -> usize {
        let mut layouts = BTreeSet::new();
        blocks.fold(0_usize, |bytes, block| {
            let layout = &block.layout;
            let is_new = layouts.insert(layout.frame.sequence);
            bytes + block.bytes + if is_new { layout.bytes() } else { 0 }
        })
    }
}

/// The newest frames, as many as fit, and the newest incidents, as they were at one moment.
#[derive(Clone, Default, Debug)]
pub struct Memory {
    /// The run that recorded them.
    pub(crate) run: u64,
    /// The oldest first.
    pub(crate) blocks: Vec<Arc<Block>>,
    /// Rows that are in no frame yet, and their layout.
    pub(crate) pending: Option<(Arc<Layout>, Vec<Row>)>,
    /// In the order of their numbers.
    pub(crate) incidents: Vec<Arc<Incident>>,
    /// Events that were dropped, because there were too many.
    pub(crate) dropped_events: u64,
}

impl Memory {
    /// The sequence number of its first frame; `None` without one.
    pub(crate) fn first_sequence(&self) -> Option<u64> {
        self.blocks.first()?.frames.first().map(|frame| frame.sequence)
    }

    /// The latest time in the last frames.
    pub(crate) fn newest(&self) -> Option<Time> {
        self.blocks.last().map(|block| block.range.to)
    }

    /// Bytes of frames and layouts.
    pub(crate) fn bytes(&self) -> usize {
        Block::total_bytes(self.blocks.iter())
    }

    /// The same of another run.
    pub(crate) fn of_run(&self, run: u64) -> Self {
        let mut memory = self.clone();
        memory.run = run;
        Block::set_run(memory.blocks.iter_mut(), run);
        memory
    }

    /// The time of the oldest row.
    pub(crate) fn oldest_row(&self) -> Option<Time> {
        let frames = self.blocks.iter().flat_map(|block| &block.frames);
        let of_frames =
            frames.filter(|frame| frame.kind == Kind::Rows).map(|frame| frame.range.from);
        let pending = self.pending.iter().flat_map(|(_, rows)| rows).map(|row| row.time);
        of_frames.chain(pending).next()
    }

    /// Hands out what is in memory.
    pub(crate) fn replay(&self, replay: &mut Replay<'_>) -> ControlFlow<()> {
        let range = replay.range();
        for block in self.blocks.iter().filter(|block| block.range.overlaps(&range)) {
            for frame in &block.frames {
                match frame.kind {
                    Kind::Rows => {
                        replay.rows(self.run, frame.payload(), Some(&block.layout.layout))?;
                    }
                    Kind::Event => replay.event(frame.payload())?,
                    Kind::Layout | Kind::Incident | Kind::Summary => {}
                }
            }
        }
        let pending = self
            .pending
            .iter()
            .flat_map(|(layout, rows)| rows.iter().map(move |row| (layout, row)));
        pending.into_iter().try_for_each(|(layout, row)| replay.row(layout, row))
    }
}

impl Recording for Memory {
    fn read(
        &self,
        range: Range,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError> {
        let mut replay = Replay::new(range, take);
        // Ended early or not: what was read until then was read.
        let _ = self.replay(&mut replay);
        Ok(replay.damage)
    }

    fn incidents(&self) -> Result<Vec<Incident>, ReadError> {
        Ok(self.incidents.iter().map(|incident| Incident::clone(incident)).collect())
    }

    fn extent(&self) -> Result<Option<Range>, ReadError> {
        let blocks = self.blocks.iter().map(|block| block.range);
        let pending = self.pending.iter().flat_map(|(_, rows)| rows);
        let rows = pending.map(|row| Range { from: row.time, to: row.time });
        Ok(blocks.chain(rows).reduce(Range::joined))
    }
}
