//! What a DATA object holds: one field of an entry, perhaps compressed.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The longest text of a message, in bytes. The kernel's own limit is lower.
pub(super) const LONGEST_TEXT: usize = 8 * 1024;

/// The longest field that is decompressed, in bytes.
const LONGEST_DECOMPRESSED: usize = 64 * 1024;

/// Bits of an object's flags.
const XZ: u8 = 1;
const LZ4: u8 = 2;
const ZSTD: u8 = 4;

/// One field, as far as it matters here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Field {
    /// `MESSAGE`.
    Message(String),
    /// `SYSLOG_FACILITY`: whether it is the kernel's, 0.
    Facility { is_kernel: bool },
    /// `SYSLOG_IDENTIFIER`.
    Identifier { is_kernel: bool },
    /// `_SOURCE_MONOTONIC_TIMESTAMP`, in µs.
    SourceMonotonic(u64),
    /// Any other.
    Other,
}

/// The field in a payload that is not compressed. `payload` may be cut after [`LONGEST_TEXT`] bytes
/// of text.
pub(super) fn field(payload: &[u8]) -> Field {
    if let Some(text) = payload.strip_prefix(b"MESSAGE=") {
        return Field::Message(bounded(text));
    }
    if let Some(value) = payload.strip_prefix(b"SYSLOG_FACILITY=") {
        return Field::Facility { is_kernel: value == b"0" };
    }
    if let Some(value) = payload.strip_prefix(b"SYSLOG_IDENTIFIER=") {
        return Field::Identifier { is_kernel: value == b"kernel" };
    }
    let micros = payload
        .strip_prefix(b"_SOURCE_MONOTONIC_TIMESTAMP=")
        .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    micros.map_or(Field::Other, Field::SourceMonotonic)
}

fn bounded(text: &[u8]) -> String {
    let text = text.get(..LONGEST_TEXT).unwrap_or(text);
    let mut text = String::from_utf8_lossy(text).into_owned();
    if text.len() > LONGEST_TEXT {
        let end = (0..=LONGEST_TEXT).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
    }
    text
}

/// Whether the flags of an object mark its payload as compressed.
pub(super) fn is_compressed(flags: u8) -> bool {
    flags & (XZ | LZ4 | ZSTD) != 0
}

/// The bytes that were compressed. None if they are damaged, too many, or in the format XZ, which
/// only journald before 2014 or built without LZ4 and zstd writes.
pub(super) fn decompressed(flags: u8, payload: &[u8]) -> Option<Vec<u8>> {
    match flags & (XZ | LZ4 | ZSTD) {
        LZ4 => lz4(payload),
        ZSTD => zstd(payload),
        _ => None,
    }
}

/// The length in 8 bytes, then one LZ4 block.
fn lz4(payload: &[u8]) -> Option<Vec<u8>> {
    let (length, block) = payload.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    if length > LONGEST_DECOMPRESSED {
        return None;
    }
    let mut bytes = vec![0; length];
    let count = lz4_flex::block::decompress_into(block, &mut bytes).ok()?;
    bytes.truncate(count);
    Some(bytes)
}

/// One zstd frame that states the length of its content.
fn zstd(mut payload: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = FrameDecoder::new();
    decoder.reset(&mut payload).ok()?;
    let length = usize::try_from(decoder.content_size()).ok()?;
    if length == 0 || length > LONGEST_DECOMPRESSED {
        return None;
    }
    // Ends at most one block of 128 KiB after this length, even if the frame has more.
    let all = BlockDecodingStrategy::UptoBytes(LONGEST_DECOMPRESSED);
    decoder.decode_blocks(&mut payload, all).ok()?;
    decoder.is_finished().then(|| decoder.collect())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A zstd frame with this header, whose blocks of 3 bytes say "128 KiB of x".
    fn bomb(header: &[u8], blocks: usize) -> Vec<u8> {
        let mut frame = 0xfd2f_b528_u32.to_le_bytes().to_vec();
        frame.extend(header);
        for index in 0..blocks {
            // The size, the type RLE, and whether it is the last one.
            let block = (128 * 1024) << 3 | 1 << 1 | u32::from(index + 1 == blocks);
            frame.extend(&block.to_le_bytes()[..3]);
            frame.push(b'x');
        }
        frame
    }

    /// As journald has compressed it: 9 times the text of an XID.
    const FRAME: &[u8] = b"(\xb5/\xfd`\xfc\x01\x05\x03\x00\xc2\x85\x15\x1bPMu\xffG\xb4X?\xf3\x01\
        \x8b\x91\xf1\x99!\x85\xaa\xa0\xd1\xa3\xf0L(\x99\x99\xc1\x10\x170\x93\xc7;6\x870\xf2\xd9\x8a\xc2\
        \xf0\x0c\xc73\xda\xfaYzJ^\x9a\xd4\x10\x9e?\x08\x0d\x08\xe9I\xc9\x8f\xa1\xf0\x0d\xa8.\xeb\xaa\xaa\
        n\x02\xd1\x00\x7f\xd2\xf1e\x8b\x86\x22\xa9upN\xb1\x01\x00\x5c\xa7\xab\x0aQ";

    #[test]
    fn what_journald_compresses_is_read() {
        let text = "NVRM: Xid (PCI:0000:0a:00): 79, pid=4211, name=trainer, GPU has fallen off the \
            bus. ";
        let payload = format!("MESSAGE={}", text.repeat(9)).into_bytes();
        assert_eq!(decompressed(ZSTD, FRAME), Some(payload));
    }

    #[test]
    fn what_is_compressed_stays_small() {
        // The content's length as 4 bytes, as 8 bytes, and not given.
        let length = 64 * 1024_u32;
        let honest = [[0b1010_0000].as_slice(), &length.to_le_bytes()].concat();
        let large = [[0b1110_0000].as_slice(), &(1_u64 << 40).to_le_bytes()].concat();
        for header in [honest, large, vec![0b0000_0000, 0xff]] {
            for blocks in [1, 2, 2000] {
                assert_eq!(decompressed(ZSTD, &bomb(&header, blocks)).map(|b| b.len()), None);
            }
        }
        let lz4 = [u64::MAX.to_le_bytes().as_slice(), &[0xff; 100]].concat();
        assert_eq!(decompressed(LZ4, &lz4), None);
    }

    #[test]
    fn only_one_format_is_believed() {
        for flags in [0, XZ, XZ | LZ4, LZ4 | ZSTD, 0xff] {
            assert_eq!(decompressed(flags, &[0; 100]), None);
        }
    }

    #[test]
    fn fields_are_told_apart() {
        for (payload, expected) in [
            ("MESSAGE=", Field::Message(String::new())),
            ("MESSAGE=a=b", Field::Message("a=b".into())),
            ("MESSAGE_ID=a", Field::Other),
            ("_MESSAGE=a", Field::Other),
            ("message=a", Field::Other),
            ("MESSAGE", Field::Other),
            ("", Field::Other),
            ("SYSLOG_FACILITY=0", Field::Facility { is_kernel: true }),
            ("SYSLOG_FACILITY=1", Field::Facility { is_kernel: false }),
            ("SYSLOG_FACILITY=00", Field::Facility { is_kernel: false }),
            ("SYSLOG_FACILITY=", Field::Facility { is_kernel: false }),
            ("SYSLOG_IDENTIFIER=kernel", Field::Identifier { is_kernel: true }),
            ("SYSLOG_IDENTIFIER=kernels", Field::Identifier { is_kernel: false }),
            ("_SOURCE_MONOTONIC_TIMESTAMP=12", Field::SourceMonotonic(12)),
            ("_SOURCE_MONOTONIC_TIMESTAMP=-1", Field::Other),
            ("_SOURCE_MONOTONIC_TIMESTAMP=99999999999999999999", Field::Other),
            ("_SOURCE_BOOTTIME_TIMESTAMP=12", Field::Other),
        ] {
            assert_eq!(field(payload.as_bytes()), expected, "{payload}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_may_be_decompressed(mut bytes in any::<Vec<u8>>(), flags: u8, is_frame: bool) {
            let magic = 0xfd2f_b528_u32.to_le_bytes();
            if let Some(start) = bytes.first_chunk_mut().filter(|_| is_frame) {
                *start = magic;
            }
            for flags in [flags, LZ4, ZSTD] {
                let length = decompressed(flags, &bytes).map_or(0, |bytes| bytes.len());
                prop_assert!(length <= LONGEST_DECOMPRESSED + 128 * 1024);
            }
        }

        #[test]
        fn a_damaged_frame_is_no_danger(
            changes in prop::collection::vec((0..FRAME.len(), any::<u8>()), 1..9),
        ) {
            let mut frame = FRAME.to_vec();
            for (at, byte) in changes {
                frame[at] = byte;
            }
            let length = decompressed(ZSTD, &frame).map_or(0, |bytes| bytes.len());
            prop_assert!(length <= LONGEST_DECOMPRESSED + 128 * 1024);
        }

        #[test]
        fn texts_are_bounded(text in prop::collection::vec(any::<u8>(), 8000..9000)) {
            let Field::Message(text) = field(&[b"MESSAGE=".as_slice(), &text].concat()) else {
                return Err(TestCaseError::fail("no message"));
            };
            prop_assert!(text.len() <= LONGEST_TEXT);
        }
    }
}
