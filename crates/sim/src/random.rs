//! The random numbers of the simulation: splitmix64, with an independent stream for each GPU and
//! the job.

/// A stream of numbers that its seed determines.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Stream number `stream` of `seed`. The streams of a seed are independent.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut of_seed = Self(seed);
        let mut of_stream = Self(stream ^ 0x5851_F42D_4C95_7F2D);
        Self(of_seed.next() ^ of_stream.next())
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1u64 << 53) as f64;
        (self.next() >> 11) as f64 * STEP
    }

    /// A number between `low` and `high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A number of events whose mean is `expected`: its whole part, and one more with the
    /// probability of its fraction.
    pub(crate) fn count(&mut self, expected: f64) -> u64 {
        let whole = expected.floor();
        whole as u64 + u64::from(self.unit() < expected - whole)
    }

    /// `GPU-` and a version 4 UUID.
    pub(crate) fn gpu_uuid(&mut self) -> String {
        let high = self.next() & !0xF000 | 0x4000;
        let low = self.next() & !(0b11 << 62) | (0b10 << 62);
        format!(
            "GPU-{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xFFFF,
            high & 0xFFFF,
            low >> 48,
            low & 0xFFFF_FFFF_FFFF
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_sequence_is_splitmix64() {
        // The first outputs of the reference implementation for the seed 1234567.
        let mut random = Random(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn unit_is_uniform_in_its_range() {
        let mut random = Random::new(7, 0);
        let sum: f64 = (0..10_000)
            .map(|_| random.unit())
            .inspect(|x| assert!((0.0..1.0).contains(x), "{x}"))
            .sum();
        assert!((4_900.0..5_100.0).contains(&sum), "{sum}");
    }

    #[test]
    fn a_uuid_is_of_version_4() {
        let uuid = Random::new(1, 2).gpu_uuid();
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [3, 8, 4, 4, 4, 12], "{uuid}");
        assert_eq!(uuid.as_bytes()[18], b'4', "{uuid}");
        assert!(b"89ab".contains(&uuid.as_bytes()[23]), "{uuid}");
    }
}
