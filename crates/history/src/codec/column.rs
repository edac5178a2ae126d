//! The numbers of one column in one frame.

use super::bits::{BitReader, BitWriter};

/// What a column was at the end of the frame before.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Column {
    /// Whether its last row had a value.
    is_present: bool,
    /// Its last value, of whichever row; 0 before the first.
    value: i64,
    /// By how much that differed from the value before it.
    delta: i64,
}

/// How numbers are predicted: each number is stored as its distance from the prediction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Prediction {
    /// It stays as it is.
    Same,
    /// It goes on to grow by as much: counters.
    Growing,
}

/// How distances are stored.
#[derive(Clone, Copy, Debug)]
enum Packing {
    /// All with this many bits.
    Fixed(u32),
    /// Rice code: the part above this many bits in unary, the rest as it is.
    Rice(u32),
}

/// The bits in which a packing is stored: one for the kind, six for its number.
const PACKING_BITS: u32 = 6;

/// From this many on, the unary part of a Rice code is replaced by the number itself.
const LONGEST_UNARY: u32 = 16;

impl Column {
    /// A column whose first number follows `value`.
    pub(crate) fn after(value: i64, delta: i64) -> Self {
        Self { is_present: true, value, delta }
    }

    /// By how much the last two values differed.
    pub(crate) fn delta(&self) -> i64 {
        self.delta
    }

    /// Appends the next rows of the column.
    pub(crate) fn encode(&mut self, rows: &[Option<i64>], writer: &mut BitWriter) {
        let last = self.is_present.then_some(self.value);
        let is_same = rows.iter().all(|row| *row == last);
        writer.push(u64::from(!is_same), 1);
        if is_same {
            if self.is_present && !rows.is_empty() {
                self.delta = 0;
            }
            return;
        }
        let all_present = rows.iter().all(Option::is_some);
        writer.push(u64::from(!all_present), 1);
        if !all_present {
            for row in rows {
                writer.push(u64::from(row.is_some()), 1);
            }
        }
        self.is_present = rows.last().is_some_and(Option::is_some);
        let values: Vec<i64> = rows.iter().copied().flatten().collect();
        if values.is_empty() {
            return;
        }
        let same = self.distances(Prediction::Same, &values);
        let growing = self.distances(Prediction::Growing, &values);
        let (for_same, for_growing) = (Packing::smallest(&same), Packing::smallest(&growing));
        let is_growing = for_growing.1 < for_same.1;
        writer.push(u64::from(is_growing), 1);
        match is_growing {
            true => for_growing.0.encode(&growing, writer),
            false => for_same.0.encode(&same, writer),
        }
        for value in values {
            self.take(value);
        }
    }

    /// Reads the next `count` rows into `rows`; `None` if there are not enough bits.
    pub(crate) fn decode(
        &mut self,
        count: usize,
        reader: &mut BitReader<'_>,
        mut put: impl FnMut(usize, Option<i64>),
    ) -> Option<()> {
        if !reader.bit()? {
            if self.is_present && count > 0 {
                self.delta = 0;
            }
            let last = self.is_present.then_some(self.value);
            (0..count).for_each(|row| put(row, last));
            return Some(());
        }
        let mut gaps = u64::MAX;
        if reader.bit()? {
            gaps = reader.pull(u32::try_from(count).ok().filter(|count| *count <= 64)?)?;
        }
        let is_present = |row: usize| row >= 64 || gaps >> row & 1 == 1;
        self.is_present = count > 0 && is_present(count - 1);
        if !(0..count).any(is_present) {
            (0..count).for_each(|row| put(row, None));
            return Some(());
        }
        let prediction = if reader.bit()? { Prediction::Growing } else { Prediction::Same };
        let packing = Packing::decode(reader)?;
        for row in 0..count {
            if !is_present(row) {
                put(row, None);
                continue;
            }
            let distance = packing.next(reader)?;
            let value = self.predict(prediction).wrapping_add(unzigzag(distance));
            self.take(value);
            put(row, Some(value));
        }
        Some(())
    }

    /// The prediction of the next value.
    fn predict(&self, prediction: Prediction) -> i64 {
        match prediction {
            Prediction::Same => self.value,
            Prediction::Growing => self.value.wrapping_add(self.delta),
        }
    }

    fn take(&mut self, value: i64) {
        self.delta = value.wrapping_sub(self.value);
        self.value = value;
    }

    /// The distance of each value from its prediction.
    fn distances(mut self, prediction: Prediction, values: &[i64]) -> Vec<u64> {
        let mut distance = |value: &i64| {
            let distance = zigzag(value.wrapping_sub(self.predict(prediction)));
            self.take(*value);
            distance
        };
        values.iter().map(&mut distance).collect()
    }
}

impl Packing {
    /// The packing that needs the fewest bits, and how many these are.
    fn smallest(distances: &[u64]) -> (Self, u64) {
        let widest = distances.iter().map(|distance| 64 - distance.leading_zeros()).max();
        let widest = widest.unwrap_or_default();
        // 63 stands for 64, so that six bits suffice.
        let fixed = Self::Fixed(if widest >= 63 { 64 } else { widest });
        let rice = (widest.saturating_sub(4)..widest).map(Self::Rice);
        let packings = std::iter::once(fixed).chain(rice);
        let sized = packings.map(|packing| (packing, packing.bits(distances)));
        sized.min_by_key(|(_, bits)| *bits).unwrap_or((fixed, 0))
    }

    /// How many bits the distances need.
    fn bits(self, distances: &[u64]) -> u64 {
        let of = |distance: &u64| match self {
            Self::Fixed(width) => u64::from(width),
            Self::Rice(low) => match distance >> low {
                high if high < u64::from(LONGEST_UNARY) => high + 1 + u64::from(low),
                _ => u64::from(LONGEST_UNARY) + 64,
            },
        };
        distances.iter().map(of).sum()
    }

    fn encode(self, distances: &[u64], writer: &mut BitWriter) {
        match self {
            Self::Fixed(width) => {
                writer.push(0, 1);
                writer.push(u64::from(width.min(63)), PACKING_BITS);
                distances.iter().for_each(|distance| writer.push(*distance, width));
            }
            Self::Rice(low) => {
                writer.push(1, 1);
                writer.push(u64::from(low), PACKING_BITS);
                for distance in distances {
                    // As many zeros as the high part says, then a one.
                    match u32::try_from(distance >> low) {
                        Ok(high) if high < LONGEST_UNARY => {
                            writer.push(1 << high, high + 1);
                            writer.push(*distance, low);
                        }
                        _ => {
                            writer.push(0, LONGEST_UNARY);
                            writer.push(*distance, 64);
                        }
                    }
                }
            }
        }
    }

    fn decode(reader: &mut BitReader<'_>) -> Option<Self> {
        let is_rice = reader.bit()?;
        let number = u32::try_from(reader.pull(PACKING_BITS)?).ok()?;
        Some(match is_rice {
            true => Self::Rice(number),
            false => Self::Fixed(if number == 63 { 64 } else { number }),
        })
    }

    fn next(self, reader: &mut BitReader<'_>) -> Option<u64> {
        match self {
            Self::Fixed(width) => reader.pull(width),
            Self::Rice(low) => {
                for high in 0..u64::from(LONGEST_UNARY) {
                    if reader.bit()? {
                        let high = high.checked_shl(low).unwrap_or_default();
                        return Some(high | reader.pull(low)?);
                    }
                }
                reader.pull(64)
            }
        }
    }
}

/// Small numbers of either sign as small numbers without one.
fn zigzag(number: i64) -> u64 {
    (number.wrapping_shl(1) ^ (number >> 63)).cast_unsigned()
}

/// The number that [`zigzag`] made this of.
fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ (number & 1).cast_signed().wrapping_neg()
}
