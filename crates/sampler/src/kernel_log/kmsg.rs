//! One record of `/dev/kmsg`, as one read returns it, or one line of a file in that format.
//!
//! `4,1234,5678901,-;NVRM: …`: the priority, the sequence number, the printk clock in µs, flags,
//! perhaps further fields, and the text. Lines ` KEY=value` may follow.

use std::time::Duration;

/// One record of the kernel's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    /// Counts the records of a boot; a gap means that records were lost.
    pub(crate) sequence: u64,
    /// The printk clock: about the time since the machine was started. It is not wall time.
    pub(crate) at: Duration,
    /// Whether the kernel wrote it (facility 0). A process that writes to `/dev/kmsg` gets another
    /// facility.
    pub(crate) is_kernel: bool,
    /// The text, with line breaks and other bytes as they were before the kernel escaped them.
    /// Bytes that are not UTF-8 are replaced by U+FFFD.
    pub(crate) message: String,
}

/// A record; none where the text does not have the format.
///
/// The flag `c` (continues the record before) has no effect: the driver's lines carry it though
/// they are whole.
pub(crate) fn parse(record: &str) -> Option<Record> {
    let (head, text) = split(record)?;
    let text = text.split('\n').next()?;
    Some(Record {
        sequence: head.sequence,
        at: Duration::from_micros(head.micros),
        is_kernel: head.priority >> 3 == 0,
        message: unescape(text.strip_suffix('\r').unwrap_or(text)),
    })
}

/// Whether a line of a file begins a record in this format.
pub(crate) fn is_record(line: &str) -> bool {
    split(line).is_some()
}

struct Head {
    /// The facility times 8, plus the level.
    priority: u64,
    sequence: u64,
    micros: u64,
}

/// The fields before the text, and the text with all that follows.
fn split(record: &str) -> Option<(Head, &str)> {
    let (head, text) = record.split_once(';')?;
    let mut fields = head.split(',');
    let mut number = || decimal(fields.next()?);
    Some((Head { priority: number()?, sequence: number()?, micros: number()? }, text))
}

/// `parse` alone takes a sign.
fn decimal(text: &str) -> Option<u64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_decimal)
}

/// Puts bytes in the place of `\x0a`, and keeps a backslash that is not followed by such a code.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match escaped(rest) {
            Some((byte, after)) => {
                bytes.push(byte);
                rest = after;
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The byte that a text begins with in the form `\xhh`, and what follows it.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let [b'\\', b'x', high, low, after @ ..] = text else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(*high)? << 4 | digit(*low)?, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kernel(sequence: u64, micros: u64, message: &str) -> Option<Record> {
        let at = Duration::from_micros(micros);
        Some(Record { sequence, at, is_kernel: true, message: message.to_owned() })
    }

    #[test]
    fn records_are_understood() {
        let xid = "NVRM: Xid (PCI:0000:0a:00): 79, GPU has fallen off the bus.";
        for (record, expected) in [
            (format!("4,1093,12345678,-;{xid}\n"), kernel(1093, 12_345_678, xid)),
            (format!("4,1093,12345678,-;{xid}"), kernel(1093, 12_345_678, xid)),
            (format!("4,1093,12345678,-;{xid}\r\n"), kernel(1093, 12_345_678, xid)),
            // Lines of the driver continue nothing, though flagged so.
            (format!("4,1093,12345678,c;{xid}\n"), kernel(1093, 12_345_678, xid)),
            (format!("4,1093,12345678,-,caller=T99;{xid}\n"), kernel(1093, 12_345_678, xid)),
            (
                format!("4,1093,12345678,-,caller=C0,more=1,2;{xid}\n"),
                kernel(1093, 12_345_678, xid),
            ),
            // As old kernels have it, without flags.
            (format!("4,1093,12345678;{xid}\n"), kernel(1093, 12_345_678, xid)),
            (
                "6,7,8,-;nvidia 0000:0a:00.0: x\n SUBSYSTEM=pci\n DEVICE=+pci:0000:0a:00.0\n"
                    .into(),
                kernel(7, 8, "nvidia 0000:0a:00.0: x"),
            ),
            (
                r"3,7,8,-;NVRM: The NVIDIA GPU 0000:0a:00.0\x0aNVRM: (PCI ID: 10de:2330)".into(),
                kernel(7, 8, "NVRM: The NVIDIA GPU 0000:0a:00.0\nNVRM: (PCI ID: 10de:2330)"),
            ),
            (r"4,7,8,-;a;b,c\x5cd\x1b\x7f".into(), kernel(7, 8, "a;b,c\\d\u{1b}\u{7f}")),
            (r"4,7,8,-;gr\xc3\xb6\xC3\x9Fe".into(), kernel(7, 8, "größe")),
            (r"4,7,8,-;a\xffb\xc3".into(), kernel(7, 8, "a\u{fffd}b\u{fffd}")),
            // An escaped backslash starts no other code.
            (r"4,7,8,-;\x5cx0a".into(), kernel(7, 8, r"\x0a")),
            (r"4,7,8,-;\ \x \x0 \xg0 \x+1 \".into(), kernel(7, 8, r"\ \x \x0 \xg0 \x+1 \")),
            ("4,7,8,-;größe".into(), kernel(7, 8, "größe")),
            ("4,7,8,-;".into(), kernel(7, 8, "")),
            ("0,0,0,-;x".into(), kernel(0, 0, "x")),
            (
                "7,18446744073709551615,18446744073709551615,-;x".into(),
                kernel(u64::MAX, u64::MAX, "x"),
            ),
        ] {
            assert_eq!(parse(&record), expected, "{record}");
            assert!(is_record(&record), "{record}");
        }
    }

    #[test]
    fn only_facility_0_is_the_kernel() {
        for (priority, is_kernel) in [
            ("0", true),
            ("4", true),
            ("7", true),
            ("8", false),
            ("12", false),
            ("191", false),
            ("18446744073709551615", false),
        ] {
            let record = format!("{priority},7,8,-;NVRM: Xid (PCI:0000:0a:00): 79");
            assert_eq!(parse(&record).map(|record| record.is_kernel), Some(is_kernel), "{record}");
        }
    }

    #[test]
    fn other_texts_are_no_records() {
        for text in [
            "",
            ";",
            ",,,;x",
            "4,7,8,-",
            "4,7;x",
            "4,x,8,-;x",
            "4,7,x,-;x",
            "4,7,-8,-;x",
            "+4,7,8,-;x",
            " 4,7,8,-;x",
            "<4>,7,8,-;x",
            "18446744073709551616,7,8,-;x",
            "4,7,99999999999999999999,-;x",
            "٤,7,8,-;x",
            " SUBSYSTEM=pci",
            " DEVICE=+pci:0000:0a:00.0;x",
            "[   12.345678] NVRM: Xid (PCI:0000:0a:00): 79, a;b",
            "Jan  5 10:00:00 node-1 kernel: NVRM: Xid (PCI:0000:0a:00): 79, a;b",
        ] {
            assert_eq!(parse(text), None, "{text}");
            assert!(!is_record(text), "{text}");
        }
    }

    #[test]
    fn long_records_are_read() {
        for filler in ["4", ",", ";", "\\", r"\x00", "\0", "é", "\n", "\n A=b"] {
            let long = filler.repeat((1 << 20) / filler.len());
            assert!(parse(&long).is_none_or(|record| record.message.len() <= long.len()));
            let record = parse(&format!("4,7,8,-;{long}"));
            assert!(record.is_some_and(|record| record.message.len() <= long.len()), "{filler:?}");
        }
    }

    /// As the kernel does it.
    fn escape(text: &str) -> String {
        let is_plain = |byte: u8| matches!(byte, 0x20..0x7f) && byte != b'\\';
        text.bytes()
            .map(|byte| match is_plain(byte) {
                true => char::from(byte).to_string(),
                false => format!("\\x{byte:02x}"),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn nothing_panics(head in "[0-9,;x-]{0,30}", text in any::<String>()) {
            for record in [&text, &format!("{head}{text}"), &format!("4,7,8,-;{text}")] {
                prop_assert_eq!(parse(record).is_some(), is_record(record));
                let length = parse(record).map_or(0, |record| record.message.len());
                prop_assert!(length <= record.len());
            }
        }

        #[test]
        fn what_the_kernel_escapes_is_read_back(
            (priority, sequence, micros) in (0..192u64, any::<u64>(), any::<u64>()),
            message in any::<String>(),
        ) {
            let text = escape(&message);
            let record = format!("{priority},{sequence},{micros},c;{text}\n SUBSYSTEM=pci\n");
            let at = Duration::from_micros(micros);
            let expected = Record { sequence, at, is_kernel: priority < 8, message };
            prop_assert_eq!(parse(&record), Some(expected));
        }
    }
}
