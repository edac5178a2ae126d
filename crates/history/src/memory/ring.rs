//! Makes frames of rows and events, and keeps the newest ones.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use model::Moment;

use super::{Block, Frame, Incidents, LayoutFrame, Memory, Run};
use crate::codec::{Encoder, MAX_COLUMNS, MAX_ROWS};
use crate::event::{Event, What};
use crate::frame::{self, Key, Kind};
use crate::incident::Incident;
use crate::layout::Layout;
use crate::recording::Row;
use crate::replay::MAX_LAYOUT;
use crate::time::{Range, Time};

/// The age at which rows become a frame. Rows come once a second, a little more or less apart, so that five make a
/// frame, and the oldest is written before it is five seconds old.
const FRAME: Duration = Duration::from_millis(3_500);

/// The length of a block.
const BLOCK: Duration = Duration::from_secs(60);

/// How long frames are kept.
const KEEP: Duration = Duration::from_secs(3600);

/// How many bytes of frames and layouts are kept for up to [`GPUS`] GPUs, and as many for further ones.
const BYTES: usize = 2 << 20;
const GPUS: usize = 8;

/// A row later than this after the one before is a gap, unless rows come that seldom.
const GAP: Duration = Duration::from_secs(10);

/// The most events of a block. A flood of them would leave no room for rows.
const EVENTS: usize = 1_000;

/// How many more there is room for if they say what went wrong.
const RESERVE: usize = 200;

/// The newest frames, and the rows that are not in one yet.
#[derive(Debug)]
pub(crate) struct Ring {
    /// The number of this run, and the one that the frames have.
    run: Run,
    number: u64,
    /// The last sequence number that was given away.
    sequence: u64,
    layout: Option<Arc<LayoutFrame>>,
    encoder: Encoder,
    blocks: VecDeque<Arc<Block>>,
    /// Whether the last block can be added to, since when, and how many events it has.
    open: Option<(Moment, usize)>,
    pending: Vec<Row>,
    /// When the first of the pending rows came.
    pending_since: Option<Moment>,
    /// The time of the last row, and how long after the one before it came.
    last_row: Option<(Time, Duration)>,
    incidents: Incidents,
    /// Events that were dropped, because there were too many.
    dropped_events: u64,
}

impl Ring {
    /// An empty one.
    pub(crate) fn new(run: Run) -> Self {
        Self {
            number: run.number(),
            run,
            sequence: 0,
            layout: None,
            encoder: Encoder::default(),
            blocks: VecDeque::new(),
            open: None,
            pending: Vec::new(),
            pending_since: None,
            last_row: None,
            incidents: Incidents::default(),
            dropped_events: 0,
        }
    }

    /// The last sequence number that was given away.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What is in it now. Later additions do not change it.
    pub(crate) fn snapshot(&self) -> Memory {
        let pending = self.layout.as_ref().filter(|_| !self.pending.is_empty());
        Memory {
            run: self.number,
            blocks: self.blocks.iter().map(Arc::clone).collect(),
            pending: pending.map(|frame| (Arc::clone(&frame.layout), self.pending.clone())),
            incidents: self.incidents.iter().map(Arc::clone).collect(),
            dropped_events: self.dropped_events,
        }
    }

    /// Adds events, and a row after them. With `is_urgent` all of it is in frames afterwards. Returns the blocks that were
    /// dropped, the oldest first.
    pub(crate) fn push(
        &mut self,
        now: Moment,
        layout: &Arc<Layout>,
        row: Option<&Row>,
        events: &[Event],
        is_urgent: bool,
    ) -> Vec<Arc<Block>> {
        self.use_run();
        self.use_layout(now, layout);
        if !events.is_empty() {
            self.finish_frame(now);
        }
        // A row has the values after what happened, as `Started`, which ends all that was counted before.
        for event in events {
            self.push_event(now, event);
        }
        if let Some(row) = row {
            self.push_row(now, row);
        }
        let is_due = self.pending_since.is_some_and(|since| now - since >= FRAME);
        if is_due || is_urgent {
            self.finish_frame(now);
        }
        if self.open.is_some_and(|(since, _)| now - since >= BLOCK) {
            self.end_block(now);
        }
        self.drop_oldest(now)
    }

    /// Puts what is pending into a frame.
    pub(crate) fn finish_frame(&mut self, now: Moment) {
        self.pending_since = None;
        if self.pending.is_empty() {
            return;
        }
        if self.open.is_none() {
            let layout = self.layout.as_ref();
            let sequence = layout.map_or(0, |layout| layout.frame.sequence);
            let width = layout.map_or(0, |layout| layout.layout.width());
            self.encoder.begin(sequence, width);
        }
        let rows = std::mem::take(&mut self.pending);
        let encoded = self.encoder.encode(self.sequence + 1, &rows);
        if let Some((header, payload)) = encoded {
            self.add(now, Kind::Rows, &payload, header.range, header.rows);
        }
        self.pending = rows;
        self.pending.clear();
    }

    /// Keeps the newest state of an incident.
    pub(crate) fn put_incident(&mut self, incident: Arc<Incident>) {
        self.incidents.put(incident);
    }

    /// Takes the number of the run, if it has become larger.
    fn use_run(&mut self) {
        let number = self.run.number();
        if number != self.number {
            self.number = number;
            Block::set_run(self.blocks.iter_mut(), number);
            self.layout = self.layout.as_ref().map(|layout| Arc::new(layout.of_run(number)));
        }
    }

    fn use_layout(&mut self, now: Moment, layout: &Arc<Layout>) {
        let last = self.layout.as_ref().map(|frame| &frame.layout);
        if last.is_some_and(|last| Arc::ptr_eq(last, layout) || last == layout) {
            return;
        }
        self.end_block(now);
        // A GPU that comes and goes brings back the same ones.
        let known = self.blocks.iter().rev().map(|block| &block.layout);
        let known = known.into_iter().find(|known| known.layout == *layout);
        if let Some(known) = known {
            self.layout = Some(Arc::clone(known));
            return;
        }
        let payload = serde_json::to_vec(&**layout).unwrap_or_default();
        let sequence = self.sequence + 1;
        let key = Key { run: self.number, sequence };
        // One that is too large for a frame, or for a reader, is not recorded.
        let bytes = frame::encode(Kind::Layout, key, &payload);
        let bytes = bytes.filter(|_| payload.len() <= MAX_LAYOUT && layout.width() <= MAX_COLUMNS);
        self.layout = bytes.map(|bytes| {
            self.sequence = sequence;
            let range = Range { from: Time(0), to: Time(0) };
            let frame = Frame { sequence, kind: Kind::Layout, bytes, range, rows: 0 };
            Arc::new(LayoutFrame { layout: Arc::clone(layout), frame })
        });
    }

    fn push_row(&mut self, now: Moment, row: &Row) {
        let Some(width) = self.layout.as_ref().map(|frame| frame.layout.width()) else {
            return;
        };
        if let Some((last, step)) = self.last_row {
            let since = row.time.since(last);
            if row.time <= last || since > GAP.max(step.saturating_mul(10)) {
                self.end_block(now);
            }
            if row.time > last {
                self.last_row = Some((row.time, since));
            } else {
                self.last_row = Some((row.time, step));
            }
        } else {
            self.last_row = Some((row.time, Duration::ZERO));
        }
        let mut row = row.clone();
        row.values.resize(width, None);
        self.pending.push(row);
        self.pending_since.get_or_insert(now);
        if self.pending.len() >= MAX_ROWS {
            self.finish_frame(now);
        }
    }

    fn push_event(&mut self, now: Moment, event: &Event) {
        let most = if is_needed(event) { EVENTS + RESERVE } else { EVENTS };
        if self.open.is_some_and(|(_, events)| events >= most) {
            if self.dropped_events == 0 {
                tracing::warn!(
                    "more than {EVENTS} events a minute: the history leaves out the rest"
                );
            }
            self.dropped_events += 1;
            return;
        }
        let range = Range { from: event.time, to: event.time };
        if let Some(payload) = frame::of_event(event) {
            self.add(now, Kind::Event, &payload, range, 0);
        }
        if let Some((_, events)) = &mut self.open {
            *events += 1;
        }
    }

    /// Adds a frame to the open block, or to a new one.
    fn add(&mut self, now: Moment, kind: Kind, payload: &[u8], range: Range, rows: u32) {
        let sequence = self.sequence + 1;
        let key = Key { run: self.number, sequence };
        let (Some(layout), Some(bytes)) = (&self.layout, frame::encode(kind, key, payload)) else {
            return;
        };
        self.sequence = sequence;
        let size = bytes.len();
        let frame = Arc::new(Frame { sequence, kind, bytes, range, rows });
        match self.blocks.back_mut().filter(|_| self.open.is_some()) {
            Some(block) => {
                let block = Arc::make_mut(block);
                block.frames.push(frame);
                block.bytes += size;
                block.range = block.range.joined(range);
                block.ended = now;
            }
            None => {
                if kind != Kind::Rows {
                    self.encoder.begin(layout.frame.sequence, layout.layout.width());
                }
                self.open = Some((now, 0));
                let (layout, frames) = (Arc::clone(layout), vec![frame]);
                let block = Block { layout, frames, bytes: size, range, ended: now };
                self.blocks.push_back(Arc::new(block));
            }
        }
    }

    fn end_block(&mut self, now: Moment) {
        self.finish_frame(now);
        self.open = None;
    }

    fn drop_oldest(&mut self, now: Moment) -> Vec<Arc<Block>> {
        let gpus = self.layout.as_ref().map_or(0, |layout| layout.layout.gpus.len());
        let limit = BYTES * gpus.div_ceil(GPUS).max(1);
        let mut dropped = Vec::new();
        while let Some(block) = self.blocks.front() {
            let is_old = now - block.ended > KEEP;
            let is_surplus = is_old || Block::total_bytes(self.blocks.iter()) > limit;
            if self.blocks.len() == 1 || !is_surplus {
                break;
            }
            dropped.extend(self.blocks.pop_front());
        }
        dropped
    }
}

/// Whether an event must not be left out for many others.
fn is_needed(event: &Event) -> bool {
    match event.what {
        What::DriverLine { .. }
        | What::OomKill { .. }
        | What::HolderBegan { .. }
        | What::HolderGoesOn { .. }
        | What::HolderEnded { .. } => false,
        What::Started { .. }
        | What::Stopped
        | What::ClockSet { .. }
        | What::SourceDown { .. }
        | What::SourceUp { .. }
        | What::GpuDown { .. }
        | What::GpuUp
        | What::Xid { .. } => true,
    }
}
