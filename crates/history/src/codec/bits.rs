//! Bits in a row of bytes, the lowest bit of each byte first.

/// Appends bits.
#[derive(Default, Debug)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet.
    open: u128,
    /// How many these are.
    count: u32,
}

impl BitWriter {
    /// Appends the lowest `width` bits of a number, at most 64.
    pub(crate) fn push(&mut self, number: u64, width: u32) {
        let mask = if width >= 64 { u64::MAX } else { (1 << width) - 1 };
        self.open |= u128::from(number & mask) << self.count;
        self.count += width.min(64);
        while self.count >= 8 {
            self.bytes.push((self.open & 0xFF) as u8);
            self.open >>= 8;
            self.count -= 8;
        }
    }

    /// The bytes, the last one filled up with zeros.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push((self.open & 0xFF) as u8);
        }
        self.bytes
    }
}

/// Reads bits.
#[derive(Debug)]
pub(crate) struct BitReader<'a> {
    bytes: std::slice::Iter<'a, u8>,
    open: u128,
    count: u32,
}

impl<'a> BitReader<'a> {
    /// Reads from the first byte on.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter(), open: 0, count: 0 }
    }

    /// The next `width` bits, at most 64; `None` if there are not as many.
    pub(crate) fn pull(&mut self, width: u32) -> Option<u64> {
        let width = width.min(64);
        while self.count < width {
            self.open |= u128::from(*self.bytes.next()?) << self.count;
            self.count += 8;
        }
        let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
        let number = (self.open & u128::from(u64::MAX)) as u64 & mask;
        self.open >>= width;
        self.count -= width;
        Some(number)
    }

    /// The next bit.
    pub(crate) fn bit(&mut self) -> Option<bool> {
        self.pull(1).map(|bit| bit == 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_come_back(numbers in prop::collection::vec((any::<u64>(), 0_u32..=64), 0..50)) {
            let mut writer = BitWriter::default();
            for &(number, width) in &numbers {
                writer.push(number, width);
            }
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for &(number, width) in &numbers {
                let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
                prop_assert_eq!(reader.pull(width), Some(number & mask));
            }
            prop_assert!(reader.pull(8).is_none());
        }
    }
}
