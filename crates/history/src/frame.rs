//! The envelope of everything that is kept: 32 bytes before each payload, in memory and in files.
//!
//! | bytes | content |
//! |---|---|
//! | 4 | a mark, by which the next frame is found after damage |
//! | 1 | the version of the payload |
//! | 1 | its kind |
//! | 2 | zero |
//! | 8 | the run: which process recorded it. Later runs have larger numbers |
//! | 8 | the sequence number within the run |
//! | 4 | the length of the payload |
//! | 4 | CRC-32 of all that, without itself, and of the payload |
//!
//! Numbers are little-endian. The envelope is the same in all versions of the format, so that a frame of a
//! later version is known as such and not taken for damage. Run and sequence number name a frame: a copy of
//! it is the same frame, and what was recorded later has larger numbers, whatever the clock said.

use crate::event::Event;
use crate::time::Time;

/// The version of payloads that this version of heatsink writes, and the latest that it reads.
pub(crate) const VERSION: u8 = 1;

/// Longer payloads are not written, and a length beyond it is damage.
pub(crate) const MAX_PAYLOAD: usize = 4 << 20;

const MARK: [u8; 4] = [0xF1, b'H', b'S', 0x9E];
const CHECKED: usize = 28;

/// The bytes of an envelope.
pub(crate) const ENVELOPE: usize = CHECKED + 4;

/// What a payload is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A layout, as JSON.
    Layout,
    /// Rows ([`crate::codec`]).
    Rows,
    /// The time of an event in milliseconds, as eight bytes, and the event as JSON.
    Event,
    /// The newest state of an incident, as JSON.
    Incident,
    /// What a file has: the last frame of one that is complete.
    Summary,
}

const KINDS: [(Kind, u8); 5] =
    [(Kind::Layout, 1), (Kind::Rows, 2), (Kind::Event, 3), (Kind::Incident, 4), (Kind::Summary, 5)];

/// What names a frame, and its place in the order of everything recorded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Key {
    /// The run.
    pub(crate) run: u64,
    /// The sequence number.
    pub(crate) sequence: u64,
}

/// An envelope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Envelope {
    /// The version of the payload.
    pub(crate) version: u8,
    /// Its kind; `None` for one that this version does not know.
    pub(crate) kind: Option<Kind>,
    /// Its name.
    pub(crate) key: Key,
}

/// A frame in a run of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Found<'a> {
    /// Its envelope.
    pub(crate) envelope: Envelope,
    /// Envelope and payload.
    pub(crate) bytes: &'a [u8],
    /// The payload.
    pub(crate) payload: &'a [u8],
}

/// A frame with this payload; `None` if it is too long.
pub(crate) fn encode(kind: Kind, key: Key, payload: &[u8]) -> Option<Box<[u8]>> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD)?;
    let (_, number) = KINDS.iter().find(|(other, _)| *other == kind)?;
    let mut bytes = Vec::with_capacity(ENVELOPE + payload.len());
    bytes.extend(MARK);
    bytes.extend([VERSION, *number, 0, 0]);
    bytes.extend(key.run.to_le_bytes());
    bytes.extend(key.sequence.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    let checksum = checksum(&bytes, payload);
    bytes.extend(checksum.to_le_bytes());
    bytes.extend(payload);
    Some(bytes.into_boxed_slice())
}

fn checksum(checked: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(checked);
    hasher.update(payload);
    hasher.finalize()
}

/// How long a frame is that begins like this, envelope included; `None` if none begins here.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    let envelope = bytes.get(..ENVELOPE)?;
    let (_, rest) = envelope.strip_prefix(&MARK)?.split_first_chunk::<20>()?;
    let payload = usize::try_from(u32::from_le_bytes(*rest.first_chunk()?)).ok()?;
    (payload <= MAX_PAYLOAD).then_some(ENVELOPE + payload)
}

/// Whether these bytes begin with the mark of frames.
pub(crate) fn has_mark(bytes: &[u8]) -> bool {
    bytes.starts_with(&MARK)
}

/// Whether these bytes may be the begin of a frame that goes on after them.
fn is_cut(bytes: &[u8]) -> bool {
    let mark = bytes.get(..MARK.len()).unwrap_or(bytes);
    let is_begun = MARK.starts_with(mark);
    is_begun && (bytes.len() < ENVELOPE || length(bytes).is_some_and(|length| length > bytes.len()))
}

/// The frame at the begin of these bytes, if there is a complete one.
pub(crate) fn decode(bytes: &[u8]) -> Option<Found<'_>> {
    let bytes = bytes.get(..length(bytes)?)?;
    let (envelope, payload) = bytes.split_at_checked(ENVELOPE)?;
    let (checked, expected) = envelope.split_at_checked(CHECKED)?;
    if u32::from_le_bytes(*expected.first_chunk()?) != checksum(checked, payload) {
        return None;
    }
    let ([version, kind, _, _], rest) = checked.get(MARK.len()..)?.split_first_chunk()?;
    let (run, rest) = rest.split_first_chunk()?;
    let (sequence, _) = rest.split_first_chunk()?;
    let key = Key { run: u64::from_le_bytes(*run), sequence: u64::from_le_bytes(*sequence) };
    let kind = KINDS.iter().find(|(_, number)| number == kind).map(|(kind, _)| *kind);
    Some(Found { envelope: Envelope { version: *version, kind, key }, bytes, payload })
}

/// The payload of a frame with an event; `None` if it cannot be written as JSON.
pub(crate) fn of_event(event: &Event) -> Option<Vec<u8>> {
    let mut payload = event.time.0.to_le_bytes().to_vec();
    serde_json::to_writer(&mut payload, event).ok()?;
    Some(payload)
}

/// The time of the event in this payload, and its JSON.
pub(crate) fn event_time(payload: &[u8]) -> Option<(Time, &[u8])> {
    let (time, json) = payload.split_first_chunk()?;
    Some((Time(i64::from_le_bytes(*time)), json))
}

/// All frames in some bytes, whatever is between them.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    rest: &'a [u8],
    /// Bytes that were no frames.
    damaged: u64,
    /// How many there were before what may be the begin of a frame that the end of the file cuts off.
    before_cut: Option<u64>,
    /// How many bytes may still be checked in vain: bytes that are made to look like many long frames would
    /// otherwise take the square of their number.
    budget: usize,
}

impl<'a> Scanner<'a> {
    /// Scans from the begin.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, damaged: 0, before_cut: None, budget: bytes.len().saturating_mul(16) }
    }

    /// Bytes that were no frames, so far. A frame that is cut off by the end was being written, and is no
    /// damage.
    pub(crate) fn damaged(&self) -> u64 {
        self.before_cut.unwrap_or(self.damaged)
    }

    fn skip(&mut self, count: usize) {
        let count = count.min(self.rest.len());
        self.damaged += count as u64;
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        while !self.rest.is_empty() {
            if let Some(found) = decode(self.rest) {
                self.rest = self.rest.get(found.bytes.len()..).unwrap_or_default();
                self.before_cut = None;
                return Some(found);
            }
            if is_cut(self.rest) {
                self.before_cut.get_or_insert(self.damaged);
            }
            let checked = length(self.rest).filter(|length| *length <= self.rest.len());
            match self.budget.checked_sub(checked.unwrap_or_default()) {
                Some(budget) => self.budget = budget,
                None => self.skip(self.rest.len()),
            }
            let after = self.rest.get(1..).unwrap_or_default();
            let next = after.windows(MARK.len()).position(|bytes| bytes == MARK);
            self.skip(next.map_or(self.rest.len(), |next| next + 1));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const KEY: Key = Key { run: 3, sequence: 9 };

    fn frames(payloads: &[Vec<u8>]) -> Vec<Box<[u8]>> {
        let key = |sequence| Key { run: 1, sequence };
        let frames = (0..).zip(payloads);
        frames.map(|(at, payload)| encode(Kind::Rows, key(at), payload).expect("short")).collect()
    }

    proptest! {
        #[test]
        fn frames_come_back_whatever_is_between_them(
            parts in vec((vec(any::<u8>(), 0..60), vec(any::<u8>(), 0..60)), 0..8),
        ) {
            let payloads: Vec<_> = parts.iter().map(|(payload, _)| payload.clone()).collect();
            let mut bytes = Vec::new();
            for (frame, (_, garbage)) in frames(&payloads).iter().zip(&parts) {
                bytes.extend(garbage);
                bytes.extend(frame);
            }
            let mut scanner = Scanner::new(&bytes);
            let found: Vec<_> = scanner.by_ref().map(|found| found.payload.to_vec()).collect();
            prop_assert_eq!(found, payloads);
            let garbage: usize = parts.iter().map(|(_, garbage)| garbage.len()).sum();
            prop_assert_eq!(scanner.damaged(), garbage as u64);
        }

        #[test]
        fn a_changed_frame_is_not_taken_and_the_others_are(
            payloads in vec(vec(any::<u8>(), 1..60), 2..6),
            changed: prop::sample::Index,
            at: prop::sample::Index,
            change in 1_u8..,
        ) {
            let mut frames = frames(&payloads);
            let changed = changed.index(frames.len());
            let at = at.index(frames[changed].len());
            frames[changed][at] ^= change;
            let mut bytes = frames.concat();
            // Without it, the last one may look cut off.
            let end = Key { run: 1, sequence: payloads.len() as u64 };
            bytes.extend(encode(Kind::Rows, end, &[]).expect("it is short"));
            let mut scanner = Scanner::new(&bytes);
            let found = scanner.by_ref().map(|found| found.envelope.key.sequence);
            let found: Vec<_> = found.collect();
            let others: Vec<_> =
                (0..=payloads.len() as u64).filter(|at| *at != changed as u64).collect();
            prop_assert_eq!(found, others);
            prop_assert_eq!(scanner.damaged(), frames[changed].len() as u64);
        }

        #[test]
        fn a_frame_that_is_cut_off_is_no_damage(
            payloads in vec(vec(any::<u8>(), 1..60), 1..4),
            cut: prop::sample::Index,
        ) {
            let frames = frames(&payloads);
            let last = frames.last().expect("there is one").len();
            let mut bytes = frames.concat();
            bytes.truncate(bytes.len() - last + cut.index(last));
            let mut scanner = Scanner::new(&bytes);
            prop_assert_eq!(scanner.by_ref().count(), frames.len() - 1);
            prop_assert_eq!(scanner.damaged(), 0);
        }

        #[test]
        fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..300)) {
            let mut with_mark = MARK.to_vec();
            with_mark.extend(&bytes);
            prop_assert_eq!(Scanner::new(&bytes).count(), 0);
            prop_assert_eq!(Scanner::new(&with_mark).count(), 0);
        }
    }

    #[test]
    fn an_envelope_has_all_that_was_said() {
        for (kind, _) in KINDS {
            let frame = encode(kind, KEY, b"payload").expect("it is short");
            let found = decode(&frame).expect("it is whole");
            let envelope = Envelope { version: VERSION, kind: Some(kind), key: KEY };
            assert_eq!((found.envelope, found.payload), (envelope, &b"payload"[..]));
        }
    }

    #[test]
    fn a_frame_that_claims_4_gib_is_damage() {
        let mut bytes = encode(Kind::Rows, KEY, b"").expect("it is short").to_vec();
        bytes[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(length(&bytes), None);
        let good = encode(Kind::Rows, KEY, b"good").expect("it is short");
        bytes.extend(good);
        assert_eq!(Scanner::new(&bytes).count(), 1);
        assert_eq!(encode(Kind::Rows, KEY, &vec![0; MAX_PAYLOAD + 1]), None);
    }

    #[test]
    fn bytes_that_look_like_many_long_frames_are_given_up() {
        let mut envelope = encode(Kind::Rows, KEY, b"").expect("it is short").to_vec();
        envelope[24..28].copy_from_slice(&(MAX_PAYLOAD as u32).to_le_bytes());
        let mut bytes = envelope.repeat(200_000);
        bytes.resize(bytes.len() + MAX_PAYLOAD, 0);
        let mut scanner = Scanner::new(&bytes);
        assert_eq!(scanner.by_ref().count(), 0);
        assert!(scanner.damaged() > 0);
    }
}
