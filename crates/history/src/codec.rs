//! Rows as few bytes.
//!
//! A frame has five seconds of rows: five numbers in each of some hundred columns. General codecs for numbers
//! (`pco`, or a block of Gorilla) need hundreds of numbers in a column before their tables and headers pay
//! off; keeping rows back until there are as many would lose minutes in a crash. This one needs one bit for a
//! column that did not change, which is most of them, and some ten bits before the numbers of one that did:
//!
//! - Gaps are a bit for each row, and only in columns that have one in this frame.
//! - A number is the distance from a prediction: the number before it, or, for counters, the number before it
//!   plus the last difference. Whichever is shorter is chosen for each column and frame.
//! - Distances have the same width, or are Rice codes with the width of most of them.
//!
//! A frame continues the rows of the frame before it. The first frame of a **block** continues nothing and
//! can be read alone: blocks are a minute long, and what is damaged costs at most the rest of its block.

mod bits;
mod column;

use self::bits::{BitReader, BitWriter};
use self::column::Column;
use crate::recording::Row;
use crate::time::{Range, Time};

/// The most rows of a frame.
pub(crate) const MAX_ROWS: usize = 64;

/// The most columns of a row. A layout with more is not read: with [`MAX_ROWS`] it limits what a frame can
/// ask for.
pub(crate) const MAX_COLUMNS: usize = 16_384;

/// The begin of the payload of a frame of rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RowsHeader {
    /// The sequence number of the frame with the layout.
    pub(crate) layout: u64,
    /// The sequence number of the first frame of rows of the block.
    pub(crate) block: u64,
    /// How many frames of rows of the block came before.
    pub(crate) part: u32,
    /// The number of rows.
    pub(crate) rows: u32,
    /// The times of its first and last row.
    pub(crate) range: Range,
}

const HEADER_BYTES: usize = 8 + 8 + 4 + 4 + 8 + 8;

impl RowsHeader {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(self.layout.to_le_bytes());
        bytes.extend(self.block.to_le_bytes());
        bytes.extend(self.part.to_le_bytes());
        bytes.extend(self.rows.to_le_bytes());
        bytes.extend(self.range.from.0.to_le_bytes());
        bytes.extend(self.range.to.0.to_le_bytes());
        bytes
    }

    /// Reads the begin of a payload; returns the rest as well.
    pub(crate) fn read(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (layout, rest) = payload.split_first_chunk()?;
        let (block, rest) = rest.split_first_chunk()?;
        let (part, rest) = rest.split_first_chunk()?;
        let (rows, rest) = rest.split_first_chunk()?;
        let (from, rest) = rest.split_first_chunk()?;
        let (to, rest) = rest.split_first_chunk()?;
        let header = Self {
            layout: u64::from_le_bytes(*layout),
            block: u64::from_le_bytes(*block),
            part: u32::from_le_bytes(*part),
            rows: u32::from_le_bytes(*rows),
            range: Range {
                from: Time(i64::from_le_bytes(*from)),
                to: Time(i64::from_le_bytes(*to)),
            },
        };
        let is_possible = (1..=MAX_ROWS).contains(&usize::try_from(header.rows).ok()?)
            && header.range.from <= header.range.to;
        is_possible.then_some((header, rest))
    }
}

/// Encodes the rows of one block after another.
#[derive(Default, Debug)]
pub(crate) struct Encoder {
    columns: Vec<Column>,
    /// The last difference of times.
    time_delta: i64,
    layout: u64,
    /// The sequence number of the first frame of the block, once there is one.
    block: Option<u64>,
    part: u32,
}

impl Encoder {
    /// Begins a block whose rows have this layout.
    pub(crate) fn begin(&mut self, layout: u64, width: usize) {
        self.columns.clear();
        self.columns.resize(width, Column::default());
        (self.time_delta, self.layout, self.block, self.part) = (0, layout, None, 0);
    }

    /// The payload of the frame of this sequence number, and its header. Values beyond the width of the
    /// layout are left out, those that are missing are gaps. `None` without rows.
    pub(crate) fn encode(&mut self, sequence: u64, rows: &[Row]) -> Option<(RowsHeader, Vec<u8>)> {
        let (first, last) = (rows.first()?, rows.last()?);
        let block = *self.block.get_or_insert(sequence);
        let header = RowsHeader {
            layout: self.layout,
            block,
            part: self.part,
            rows: u32::try_from(rows.len()).ok().filter(|_| rows.len() <= MAX_ROWS)?,
            range: Range { from: first.time, to: last.time },
        };
        self.part += 1;
        let mut writer = BitWriter::default();
        let mut times = Column::after(first.time.0, self.time_delta);
        let rest: Vec<_> = rows.iter().skip(1).map(|row| Some(row.time.0)).collect();
        times.encode(&rest, &mut writer);
        self.time_delta = times.delta();
        let mut numbers = Vec::with_capacity(rows.len());
        for (position, column) in self.columns.iter_mut().enumerate() {
            numbers.clear();
            numbers.extend(rows.iter().map(|row| row.values.get(position).copied().flatten()));
            column.encode(&numbers, &mut writer);
        }
        let mut payload = header.to_bytes();
        payload.extend(writer.finish());
        Some((header, payload))
    }
}

/// Decodes the rows of one block after another. What is no continuation is not decoded.
#[derive(Default, Debug)]
pub(crate) struct Decoder {
    columns: Vec<Column>,
    time_delta: i64,
    /// The run, the block and the part that comes next; `None` after something that could not be decoded.
    next: Option<(u64, u64, u32)>,
}

impl Decoder {
    /// The rows of a frame of this run, with `width` columns; `None` if a frame before it is missing, or the
    /// payload is none.
    pub(crate) fn decode(
        &mut self,
        run: u64,
        header: RowsHeader,
        rest: &[u8],
        width: usize,
    ) -> Option<Vec<Row>> {
        let expected = self.next.take();
        if header.part == 0 {
            self.columns.clear();
            self.columns.resize(width, Column::default());
            self.time_delta = 0;
        } else if expected != Some((run, header.block, header.part)) {
            return None;
        }
        // A column needs a bit.
        if width > MAX_COLUMNS || self.columns.len() != width || rest.len() < width / 8 {
            return None;
        }
        let count = usize::try_from(header.rows).ok().filter(|count| *count <= MAX_ROWS)?;
        let mut rows = vec![Row { time: header.range.from, values: vec![None; width] }; count];
        let mut reader = BitReader::new(rest);
        let mut times = Column::after(header.range.from.0, self.time_delta);
        times.decode(count.checked_sub(1)?, &mut reader, |row, time| {
            if let (Some(row), Some(time)) = (rows.get_mut(row + 1), time) {
                row.time = Time(time);
            }
        })?;
        for (position, column) in self.columns.iter_mut().enumerate() {
            column.decode(count, &mut reader, |row, value| {
                if let Some(cell) = rows.get_mut(row).and_then(|row| row.values.get_mut(position)) {
                    *cell = value;
                }
            })?;
        }
        if rows.last().is_none_or(|row| row.time != header.range.to) {
            return None;
        }
        self.time_delta = times.delta();
        self.next = Some((run, header.block, header.part.checked_add(1)?));
        Some(rows)
    }
}

#[cfg(test)]
mod tests;
