//! The device `/dev/kmsg`, and its records, which may also be lines of a file.
//!
//! `4,1234,5678901,-;NVRM: …`: the priority, the sequence number, the printk clock in µs, flags,
//! perhaps further fields, and the text. Lines ` KEY=value` may follow.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use super::batch::{Batch, MAX_BATCH, Message};

/// `open`'s flag for reads that do not wait, as Linux has it on x86-64 and aarch64.
pub(crate) const O_NONBLOCK: i32 = 0o4000;

/// The device `/dev/kmsg`: one record a read, in order, from the oldest that the kernel still has.
pub(crate) struct Kmsg<F = File> {
    file: F,
    /// The number of the last record.
    last: Option<u64>,
}

impl Kmsg {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
        Ok(Self { file, last: None })
    }
}

impl<F: Read + Seek> Kmsg<F> {
    pub(crate) fn skip(&mut self) -> io::Result<()> {
        self.last = None;
        self.file.seek(SeekFrom::End(0)).map(drop)
    }

    pub(crate) fn read(&mut self) -> io::Result<Batch> {
        let mut batch = Batch::default();
        let mut buffer = [0; 8192];
        for _ in 0..MAX_BATCH {
            let count = match self.file.read(&mut buffer) {
                Ok(0) => return Ok(batch),
                Ok(count) => count,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(batch),
                    // The kernel has overwritten what was not read in time; the next read goes on
                    // after it, and the gap in the numbers shows how many.
                    ErrorKind::BrokenPipe | ErrorKind::Interrupted => continue,
                    // A record that does not fit is passed over, and all before it is read.
                    ErrorKind::InvalidInput => {
                        batch.lost += 1;
                        self.skip()?;
                        continue;
                    }
                    _ => return Err(error),
                },
            };
            let text = String::from_utf8_lossy(&buffer[..count]);
            let Some(record) = parse(&text) else { continue };
            let next = self.last.map(|last| last + 1);
            batch.lost += next.map_or(0, |next| record.sequence.saturating_sub(next));
            self.last = Some(record.sequence);
            if record.is_kernel {
                batch.messages.push(Message { at: Some(record.at), text: record.message });
            }
        }
        batch.is_behind = true;
        Ok(batch)
    }
}

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

/// A record; `None` if the text does not have the format.
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
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// What the device answers, read by read; then that there is no more.
    struct Device(VecDeque<Result<String, i32>>);

    impl Read for Device {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.pop_front() {
                Some(Ok(record)) => {
                    buffer[..record.len()].copy_from_slice(record.as_bytes());
                    Ok(record.len())
                }
                Some(Err(number)) => Err(io::Error::from_raw_os_error(number)),
                None => Err(io::Error::from_raw_os_error(EAGAIN)),
            }
        }
    }

    impl Seek for Device {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    const EAGAIN: i32 = 11;
    const EINVAL: i32 = 22;
    const EPIPE: i32 = 32;

    fn read(answers: Vec<Result<String, i32>>) -> (Vec<String>, u64) {
        let mut kmsg = Kmsg { file: Device(answers.into()), last: None };
        let batch = kmsg.read().unwrap();
        assert!(!batch.is_behind);
        (batch.messages.into_iter().map(|message| message.text).collect(), batch.lost)
    }

    fn record(sequence: u64) -> Result<String, i32> {
        Ok(format!("4,{sequence},99,c;message {sequence}\n SUBSYSTEM=pci\n"))
    }

    #[test]
    fn overwritten_records_are_counted_as_lost() {
        let (messages, lost) = read(vec![record(7), record(8), Err(EPIPE), record(12), record(13)]);
        assert_eq!(messages, ["message 7", "message 8", "message 12", "message 13"]);
        assert_eq!(lost, 3);
        // Records that were overwritten before the first read are not lost.
        assert_eq!(read(vec![Err(EPIPE), record(900)]), (vec!["message 900".to_owned()], 0));
    }

    #[test]
    fn a_record_of_a_process_is_no_message_and_leaves_no_gap() {
        let forged = Ok("12,8,99,-;NVRM: Xid (PCI:0000:1a:00): 79".to_owned());
        let (messages, lost) = read(vec![record(7), forged, record(9)]);
        assert_eq!((messages.len(), lost), (2, 0));
    }

    #[test]
    fn a_record_that_does_not_fit_and_a_malformed_one_cost_no_other() {
        let nonsense = Ok("\u{0}".repeat(100));
        let (messages, lost) = read(vec![record(7), Err(EINVAL), nonsense, record(20)]);
        assert_eq!((messages.len(), lost), (2, 1));
    }

    #[test]
    fn a_reader_that_is_behind_says_so() {
        let all = (0..2 * MAX_BATCH as u64 + 5).map(record).collect();
        let mut kmsg = Kmsg { file: Device(all), last: None };
        let read = |kmsg: &mut Kmsg<Device>| {
            let batch = kmsg.read().unwrap();
            (batch.messages.len(), batch.is_behind, batch.lost)
        };
        assert_eq!(read(&mut kmsg), (MAX_BATCH, true, 0));
        assert_eq!(read(&mut kmsg), (MAX_BATCH, true, 0));
        assert_eq!(read(&mut kmsg), (5, false, 0));
    }

    fn kernel(sequence: u64, micros: u64, message: &str) -> Option<Record> {
        let at = Duration::from_micros(micros);
        Some(Record { sequence, at, is_kernel: true, message: message.to_owned() })
    }

    #[test]
    fn records_are_parsed() {
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
        fn escaped_bytes_are_read_back(
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
