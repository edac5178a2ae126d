//! Files written by systemd's own `systemd-journal-remote`, which takes entries with any fields.
//! What is in them is what `journalctl` finds.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const REMOTE: &str = "/lib/systemd/systemd-journal-remote";

const MACHINE: &str = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";
const BOOT: &str = "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0";
const OTHER_BOOT: &str = "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c";

/// Regular or compact, with hashes that have a key or not.
const FORMATS: [[(&str, &str); 2]; 4] = [
    [("SYSTEMD_JOURNAL_COMPACT", "0"), ("SYSTEMD_JOURNAL_KEYED_HASH", "0")],
    [("SYSTEMD_JOURNAL_COMPACT", "0"), ("SYSTEMD_JOURNAL_KEYED_HASH", "1")],
    [("SYSTEMD_JOURNAL_COMPACT", "1"), ("SYSTEMD_JOURNAL_KEYED_HASH", "0")],
    [("SYSTEMD_JOURNAL_COMPACT", "1"), ("SYSTEMD_JOURNAL_KEYED_HASH", "1")],
];
const COMPACT: [(&str, &str); 2] = FORMATS[3];
const REGULAR: [(&str, &str); 2] = FORMATS[0];

/// An entry to be written.
#[derive(Clone)]
struct Line {
    boot: &'static str,
    /// When it is received, in µs of the monotonic clock and of the wall clock.
    monotonic: u64,
    realtime: u64,
    fields: Vec<(&'static str, Vec<u8>)>,
}

/// One of the kernel's.
fn kernel(monotonic: u64, text: impl AsRef<[u8]>) -> Line {
    let source = monotonic.saturating_sub(3).to_string();
    line(monotonic, "kernel", text)
        .with("SYSLOG_FACILITY", "0")
        .with("SYSLOG_IDENTIFIER", "kernel")
        .with("PRIORITY", "4")
        .with("_SOURCE_MONOTONIC_TIMESTAMP", &source)
}

fn line(monotonic: u64, transport: &str, text: impl AsRef<[u8]>) -> Line {
    let fields = vec![
        ("MESSAGE", text.as_ref().to_vec()),
        ("_TRANSPORT", transport.as_bytes().to_vec()),
        ("_MACHINE_ID", MACHINE.into()),
        ("_HOSTNAME", "node-1".into()),
    ];
    Line { boot: BOOT, monotonic, realtime: 1_700_000_000_000_000 + monotonic, fields }
}

impl Line {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.fields.retain(|(known, _)| *known != name);
        self.fields.push((name, value.into()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| *known != name);
        self
    }

    fn of_boot(mut self, boot: &'static str) -> Self {
        self.boot = boot;
        self
    }

    fn message(&self) -> Message {
        let text = &self.fields.iter().find(|(name, _)| *name == "MESSAGE").unwrap().1;
        Message {
            at: Some(Duration::from_micros(self.monotonic.saturating_sub(3))),
            text: String::from_utf8_lossy(text).into_owned(),
        }
    }

    /// In the journal's export format.
    fn export(&self, out: &mut Vec<u8>) {
        writeln!(out, "__REALTIME_TIMESTAMP={}", self.realtime).unwrap();
        writeln!(out, "__MONOTONIC_TIMESTAMP={}", self.monotonic).unwrap();
        writeln!(out, "_BOOT_ID={}", self.boot).unwrap();
        for (name, value) in &self.fields {
            writeln!(out, "{name}").unwrap();
            out.extend(u64::try_from(value.len()).unwrap().to_le_bytes());
            out.extend(value);
            out.push(b'\n');
        }
        out.push(b'\n');
    }
}

/// Appends to a file, or makes one.
fn write(path: &Path, format: &[(&str, &str)], lines: &[Line]) {
    let mut input = Vec::new();
    for line in lines {
        line.export(&mut input);
    }
    let mut remote = Command::new(REMOTE)
        .args(["--split-mode=none", "--output"])
        .arg(path)
        .arg("-")
        .envs(format.iter().copied())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the package systemd-journal-remote");
    remote.stdin.take().unwrap().write_all(&input).unwrap();
    let output = remote.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("after writing {} entries", lines.len())), "{said}");
}

/// The texts of the kernel's messages that `journalctl` finds.
fn listed(path: &Path) -> String {
    let output = Command::new("journalctl")
        .args(["--quiet", "--all", "--output=cat", "--file"])
        .arg(path)
        .args(["_TRANSPORT=kernel", "SYSLOG_FACILITY=0"])
        .arg(format!("_BOOT_ID={BOOT}"))
        .output()
        .expect("the package systemd");
    String::from_utf8(output.stdout).unwrap()
}

/// `/run/log/journal` and `/var/log/journal`, with the machine's folder in both.
struct Folders {
    root: TempDir,
}

impl Folders {
    fn new() -> Self {
        let folders = Self { root: tempfile::tempdir().unwrap() };
        for place in ["run", "var"] {
            fs::create_dir_all(folders.root.path().join(place).join(MACHINE)).unwrap();
        }
        folders
    }

    fn roots(&self) -> Vec<PathBuf> {
        vec![self.root.path().join("run"), self.root.path().join("var")]
    }

    fn run(&self, name: &str) -> PathBuf {
        self.root.path().join("run").join(MACHINE).join(name)
    }

    fn var(&self, name: &str) -> PathBuf {
        self.root.path().join("var").join(MACHINE).join(name)
    }

    fn open(&self) -> Journal {
        Journal::open(self.roots(), BOOT).unwrap()
    }
}

/// All that there is to read.
fn read_all(journal: &mut Journal) -> (Vec<Message>, u64) {
    let (mut messages, mut lost) = (Vec::new(), 0_u64);
    for _ in 0..10_000 {
        let batch = journal.read(1000).unwrap();
        assert!(batch.messages.len() <= 1000);
        messages.extend(batch.messages);
        lost = lost.saturating_add(batch.lost);
        if !batch.is_behind {
            return (messages, lost);
        }
    }
    panic!("there is no end");
}

fn expect(journal: &mut Journal, lines: &[Line]) {
    let expected = lines.iter().map(Line::message).collect::<Vec<_>>();
    assert_eq!(read_all(journal), (expected, 0));
    assert_eq!(journal.read(1000).unwrap(), Batch::default());
}

/// Kernel messages of consecutive milliseconds, and others in between.
fn mixed(range: std::ops::Range<u64>) -> Vec<Line> {
    let lines = range.flat_map(|n| {
        let text = format!("NVRM: Xid (PCI:0000:0a:00): 79, pid={n}, GPU has fallen off the bus.");
        let other = line(n * 1000 + 1, "journal", format!("started {n}"));
        [kernel(n * 1000, text), other.with("_PID", &n.to_string())]
    });
    lines.collect()
}

fn kernels(lines: &[Line]) -> Vec<Line> {
    let is_kernel = |line: &&Line| line.fields.contains(&("_TRANSPORT", b"kernel".to_vec()));
    lines.iter().filter(is_kernel).cloned().collect()
}

/// The objects of a file: the offset, the type, and the length.
fn objects(bytes: &[u8]) -> Vec<(usize, u8, usize)> {
    let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let number = |at| usize::try_from(number(at)).unwrap();
    let (mut at, tail) = (number(88), number(136));
    let mut objects = Vec::new();
    while at <= tail {
        objects.push((at, bytes[at], number(at + 8)));
        at = (at + number(at + 8)).next_multiple_of(8);
    }
    objects
}

fn entries(bytes: &[u8]) -> Vec<usize> {
    let is_entry = |object: &&(usize, u8, usize)| object.1 == 3;
    objects(bytes).iter().filter(is_entry).map(|object| object.0).collect()
}

/// Where arrays of a compact file lead to an entry.
fn references(bytes: &[u8], entry: usize) -> Vec<usize> {
    let is_array = |object: &&(usize, u8, usize)| object.1 == 6;
    let arrays = objects(bytes);
    let items = arrays.iter().filter(is_array).flat_map(|&(at, _, len)| {
        (at + 24..at + len).step_by(4).filter(|&item| bytes[item..].starts_with(&offset(entry)))
    });
    items.collect()
}

/// As a compact file has it.
fn offset(at: usize) -> [u8; 4] {
    u32::try_from(at).unwrap().to_le_bytes()
}

fn patch(path: &Path, at: usize, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, u64::try_from(at).unwrap()).unwrap();
}

#[test]
fn messages_are_read_in_every_format() {
    for format in FORMATS {
        let folders = Folders::new();
        let path = folders.var("system.journal");
        let long = format!("NVRM: {}", "GPU has fallen off the bus. ".repeat(40));
        let lines = [
            kernel(5, "Linux version 6.8.0"),
            kernel(1_000, "NVRM: The NVIDIA GPU 0000:0a:00.0\nNVRM: (PCI ID: 10de:2330)"),
            // Compressed.
            kernel(1_001, &long),
            kernel(1_001, "größer = größe"),
            kernel(1_002, "the same"),
            kernel(1_003, "the same"),
            kernel(1_004, "no facility, as old versions store it").without("SYSLOG_FACILITY"),
            kernel(7_000_000, &long),
            kernel(8_000_000, "a\tb\u{7f}"),
            kernel(9_000_000, "twice at once"),
            kernel(9_000_000, "twice at once"),
        ];
        write(&path, &format, &lines);
        expect(&mut folders.open(), &lines);

        let found =
            lines.iter().filter(|line| line.fields.iter().any(|f| f.0 == "SYSLOG_FACILITY"));
        let texts = found.map(|line| line.message().text + "\n").collect::<String>();
        assert_eq!(listed(&path), texts);
    }
}

#[test]
fn any_text_is_read_and_bounded() {
    let folders = Folders::new();
    let random = (0..9000_u64).map(|n| char::from(b'a' + (n * n * 7 / 13 % 26) as u8));
    let random = random.collect::<String>();
    let lines = [
        kernel(1, [b"a\xffb\xc3".as_slice(), b"\0c"].concat()),
        kernel(2, "x".repeat(60_000)),
        kernel(3, &random),
        kernel(4, "é".repeat(8000)),
        kernel(5, [0xff; 8192]),
        kernel(6, "last").without("_SOURCE_MONOTONIC_TIMESTAMP"),
    ];
    write(&folders.var("system.journal"), &COMPACT, &lines);
    let (messages, lost) = read_all(&mut folders.open());
    assert_eq!(lost, 0);
    let texts = messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>();
    assert_eq!(texts[0], "a\u{fffd}b\u{fffd}\0c");
    assert_eq!(texts[1], "x".repeat(8192));
    assert_eq!(texts[2], &random[..8192]);
    assert_eq!(texts[3], "é".repeat(4096));
    assert_eq!(texts[4], "\u{fffd}".repeat(2730));
    assert_eq!(messages[5], Message { at: Some(Duration::from_micros(6)), text: "last".into() });
}

#[test]
fn forged_entries_never_come_out() {
    let folders = Folders::new();
    let text = "NVRM: Xid (PCI:0000:0a:00): 79, forged";
    let lines = [
        kernel(1, "real"),
        // Written to /dev/kmsg.
        kernel(2, text).with("SYSLOG_FACILITY", "1"),
        kernel(3, text).with("SYSLOG_FACILITY", "3"),
        kernel(4, text).with("SYSLOG_FACILITY", "00"),
        kernel(5, text).with("SYSLOG_IDENTIFIER", "NVRM"),
        kernel(6, text).without("SYSLOG_FACILITY").with("SYSLOG_IDENTIFIER", "NVRM"),
        kernel(7, text).without("SYSLOG_FACILITY").without("SYSLOG_IDENTIFIER"),
        // By `logger`, and by the journal's own socket.
        kernel(8, text).with("_TRANSPORT", "syslog"),
        kernel(9, text).with("_TRANSPORT", "journal"),
        kernel(10, text).with("_TRANSPORT", "stdout"),
        kernel(11, text).with("TRANSPORT", "kernel").with("_TRANSPORT", "journal"),
        kernel(12, text).without("_TRANSPORT"),
        line(13, "syslog", "Missed 7 kernel messages"),
        line(14, "driver", "Suppressed 7 messages from user.slice"),
        line(15, "driver", "Missed -7 kernel messages"),
        kernel(16, "also real"),
    ];
    write(&folders.var("system.journal"), &COMPACT, &lines);
    expect(&mut folders.open(), &[lines[0].clone(), lines[15].clone()]);
}

#[test]
fn missed_messages_are_counted_once() {
    let folders = Folders::new();
    let lines = [
        line(1, "driver", "Journal started"),
        kernel(2, "a"),
        line(3, "driver", "Missed 7 kernel messages"),
        line(4, "driver", "Missed 5 kernel messages").of_boot(OTHER_BOOT),
        kernel(5, "b"),
        line(6, "driver", "Missed 10 kernel messages"),
    ];
    for path in [folders.run("system.journal"), folders.var("system.journal")] {
        write(&path, &COMPACT, &lines);
    }
    let mut journal = folders.open();
    let (messages, lost) = read_all(&mut journal);
    assert_eq!((messages.len(), lost), (2, 17));
    write(
        &folders.var("system.journal"),
        &COMPACT,
        &[
            line(9, "driver", format!("Missed {} kernel messages", u64::MAX)),
            line(10, "driver", "Missed 1 kernel messages"),
        ],
    );
    assert_eq!(read_all(&mut journal), (vec![], u64::MAX));
}

#[test]
fn only_entries_of_this_boot_are_read() {
    let folders = Folders::new();
    let old = mixed(1..300).into_iter().map(|line| line.of_boot(OTHER_BOOT)).collect::<Vec<_>>();
    let path = folders.var("system.journal");
    write(&folders.var("system@1-1-1.journal"), &COMPACT, &old);
    write(&path, &COMPACT, &old);
    let mut journal = folders.open();
    expect(&mut journal, &[]);
    // The new boot's clock starts again.
    let new = mixed(1..200);
    write(&path, &COMPACT, &new);
    expect(&mut journal, &kernels(&new));
    expect(&mut folders.open(), &kernels(&new));
    let with_dashes = "b0b0b0b0-b0b0-b0b0-b0b0-b0b0b0b0b0b0";
    expect(&mut Journal::open(folders.roots(), with_dashes).unwrap(), &kernels(&new));
}

#[test]
fn what_is_appended_is_read_once() {
    for format in [COMPACT, REGULAR] {
        let folders = Folders::new();
        let path = folders.var("system.journal");
        write(&path, &format, &[line(1, "journal", "nothing of the kernel's yet")]);
        let mut journal = folders.open();
        expect(&mut journal, &[]);
        // So that arrays are filled and new ones begun.
        let mut from = 1;
        for count in [1, 1, 2, 3, 5, 8, 1, 100, 1, 400, 1] {
            let lines = mixed(from..from + count);
            write(&path, &format, &lines);
            expect(&mut journal, &kernels(&lines));
            from += count;
        }
        expect(&mut folders.open(), &kernels(&mixed(1..from)));
    }
}

#[test]
fn rotated_files_are_read_to_their_end() {
    let folders = Folders::new();
    let path = folders.var("system.journal");
    let lines = mixed(1..60);
    write(&path, &COMPACT, &lines[..20]);
    let mut journal = folders.open();
    expect(&mut journal, &kernels(&lines[..20]));
    write(&path, &COMPACT, &lines[20..40]);
    fs::rename(&path, folders.var("system@1-1-1.journal")).unwrap();
    write(&path, &COMPACT, &lines[40..60]);
    expect(&mut journal, &kernels(&lines[20..60]));
    // Damaged, in journald's opinion.
    write(&path, &COMPACT, &lines[60..80]);
    fs::rename(&path, folders.var("system@2-2.journal~")).unwrap();
    write(&path, &COMPACT, &lines[80..100]);
    expect(&mut journal, &kernels(&lines[60..100]));
    // Twice between two reads.
    for (name, range) in [("system@3-3-3.journal", 100..104), ("system@4-4-4.journal", 104..110)] {
        fs::rename(&path, folders.var(name)).unwrap();
        write(&path, &COMPACT, &lines[range]);
    }
    expect(&mut journal, &kernels(&lines[100..110]));
    assert_eq!(journal.files.len(), 1, "archived files are closed once they are read");
    expect(&mut folders.open(), &kernels(&lines[..110]));
}

#[test]
fn a_file_that_is_removed_is_read_to_its_end() {
    let folders = Folders::new();
    let path = folders.var("system.journal");
    let lines = mixed(1..40);
    write(&path, &COMPACT, &lines[..20]);
    let mut journal = folders.open();
    assert_eq!(journal.read(3).unwrap().messages.len(), 3);
    fs::remove_file(&path).unwrap();
    write(&path, &COMPACT, &lines[20..40]);
    expect(&mut journal, &kernels(&lines[6..40]));
    assert_eq!(journal.files.len(), 1);

    fs::remove_dir_all(folders.root.path().join("var")).unwrap();
    let batch = journal.read(3).unwrap();
    assert_eq!(batch, Batch::default());
    for _ in 0..3 {
        let error = journal.read(3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    fs::create_dir_all(folders.root.path().join("var").join(MACHINE)).unwrap();
    write(&path, &COMPACT, &lines[40..60]);
    expect(&mut journal, &kernels(&lines[40..60]));
}

#[test]
fn what_is_copied_from_run_to_var_is_read_once() {
    let lines = mixed(1..50);
    // The first entries of a boot have one time.
    let mut same = (0..40).map(|n| kernel(1, format!("line {n}"))).collect::<Vec<_>>();
    same.extend(lines);
    for seen in [0, 1, 20, 60, 100] {
        let folders = Folders::new();
        write(&folders.run("system.journal"), &COMPACT, &same[..100]);
        let mut journal = folders.open();
        let first = journal.read(seen).unwrap().messages;
        // Part of the way, and there are entries of another boot before.
        let old = mixed(1..50).into_iter().map(|line| line.of_boot(OTHER_BOOT)).collect::<Vec<_>>();
        write(&folders.var("system.journal"), &COMPACT, &old);
        write(&folders.var("system.journal"), &COMPACT, &same[..50]);
        let mut messages = [first, read_all(&mut journal).0].concat();
        write(&folders.var("system.journal"), &COMPACT, &same[50..100]);
        fs::remove_file(folders.run("system.journal")).unwrap();
        messages.extend(read_all(&mut journal).0);
        write(&folders.var("system.journal"), &COMPACT, &same[100..]);
        messages.extend(read_all(&mut journal).0);
        let expected = kernels(&same).iter().map(Line::message).collect::<Vec<_>>();
        assert_eq!(messages, expected, "{seen}");
        expect(&mut folders.open(), &kernels(&same));
    }
}

#[test]
fn order_does_not_depend_on_the_wall_clock() {
    let folders = Folders::new();
    let mut lines = mixed(1..40);
    for line in &mut lines[40..] {
        line.realtime -= 3_600_000_000;
    }
    write(&folders.var("system@1-1-1.journal"), &COMPACT, &lines[..40]);
    write(&folders.var("system.journal"), &COMPACT, &lines[40..60]);
    let mut journal = folders.open();
    expect(&mut journal, &kernels(&lines[..60]));
    write(&folders.var("system.journal"), &COMPACT, &lines[60..]);
    expect(&mut journal, &kernels(&lines[60..]));
}

/// The shortest of some times: the machine may stand still in one of them.
fn quickest(mut action: impl FnMut()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        action();
        start.elapsed()
    };
    (0..5).map(time).min().unwrap()
}

#[test]
fn ten_thousand_messages_are_read_at_once() {
    let folders = Folders::new();
    let lines = mixed(1..10_001);
    write(&folders.var("system.journal"), &COMPACT, &lines);
    let mut journal = folders.open();
    let batch = journal.read(10).unwrap();
    assert!(batch.is_behind);
    assert_eq!(batch.messages.len(), 10);
    let rest = read_all(&mut journal).0;
    assert_eq!(rest.len(), 9990);
    // Some 5 ms with optimizations.
    let took = quickest(|| assert_eq!(read_all(&mut folders.open()).0.len(), 10_000));
    assert!(took < Duration::from_secs(2), "{took:?}");
    let took = quickest(|| {
        for _ in 0..1000 {
            assert_eq!(journal.read(1000).unwrap(), Batch::default());
        }
    });
    assert!(took < Duration::from_secs(1), "{took:?} for 1000 reads of nothing");
}

#[test]
fn lz4_is_read_and_what_is_not_read_is_counted() {
    for format in [COMPACT, REGULAR] {
        let folders = Folders::new();
        let path = folders.var("system.journal");
        let long = "GPU has fallen off the bus. ".repeat(40);
        write(&path, &format, &[kernel(1, "a"), kernel(2, &long), kernel(3, "b")]);
        let bytes = fs::read(&path).unwrap();
        let is_compressed =
            |object: &&(usize, u8, usize)| object.1 == 1 && bytes[object.0 + 1] != 0;
        let data = objects(&bytes).iter().find(is_compressed).unwrap().0;

        patch(&path, data + 1, &[1]);
        let (messages, lost) = read_all(&mut folders.open());
        assert_eq!((messages.len(), lost), (2, 1), "XZ");

        // A new object after the last one, to which the entry leads.
        let text = format!("MESSAGE={long}");
        let mut block = vec![0; 2000];
        let count = lz4_flex::block::compress_into(text.as_bytes(), &mut block).unwrap();
        let head_len = if format == COMPACT { 72 } else { 64 };
        let mut object = vec![0; head_len];
        object[..2].copy_from_slice(&[1, 2]);
        object.extend(u64::try_from(text.len()).unwrap().to_le_bytes());
        object.extend(&block[..count]);
        let len = u64::try_from(object.len()).unwrap();
        object[8..16].copy_from_slice(&len.to_le_bytes());
        let tail = *objects(&bytes).last().unwrap();
        let offset = (tail.0 + tail.2).next_multiple_of(8);
        patch(&path, offset, &object);
        let entry = entries(&bytes)[1];
        let items = entry + 64..entry + 64 + 200;
        let width = if format == COMPACT { 4 } else { 8 };
        let old = &data.to_le_bytes()[..width];
        let item = items.step_by(4).find(|&item| bytes[item..].starts_with(old)).unwrap();
        patch(&path, item, &offset.to_le_bytes()[..width]);
        expect(&mut folders.open(), &[kernel(1, "a"), kernel(2, &long), kernel(3, "b")]);
        assert_eq!(listed(&path), format!("a\n{long}\nb\n"), "as journalctl sees it");
    }
}

#[test]
fn damage_costs_what_is_damaged() {
    let folders = Folders::new();
    let path = folders.var("system.journal");
    let mut lines = mixed(1..50);
    lines[23] = kernel(12_001, "forged").with("_TRANSPORT", "syslog");
    write(&path, &COMPACT, &lines);
    let bytes = fs::read(&path).unwrap();
    // Every second entry is the kernel's.
    let all = entries(&bytes);
    let entries = all.iter().copied().step_by(2).collect::<Vec<_>>();
    let damaged = [3, 5, 7, 9, 11];
    // No entry; of another boot; of the far future; without fields; with those of another entry,
    // which the kernel did not write.
    patch(&path, entries[3], &[7]);
    patch(&path, entries[5] + 40, &[0xff]);
    patch(&path, entries[7] + 32, &[0xff; 8]);
    patch(&path, entries[9] + 8, &64_u64.to_le_bytes());
    let other = &bytes[all[23]..entries[12]];
    let items = [&other[64..], &[0; 100]].concat();
    let len = bytes[entries[11] + 8] - 64;
    patch(&path, entries[11] + 64, &items[..usize::from(len)]);

    for (name, content) in [
        ("system@1-1-1.journal", [b"LPKSHHRH".as_slice(), &[0xff; 1000]].concat()),
        ("system@2-2-2.journal", b"LPKSHHRH".to_vec()),
        ("system@3-3-3.journal~", vec![]),
        ("system@4-4-4.journal", vec![0; 10_000]),
        ("system@5-5-5.journal", b"text\n".repeat(1000)),
    ] {
        fs::write(folders.var(name), content).unwrap();
    }
    fs::create_dir(folders.var("system@6-6-6.journal")).unwrap();
    std::os::unix::fs::symlink(&path, folders.var("system@7-7-7.journal")).unwrap();

    let mut journal = folders.open();
    let expected = kernels(&lines);
    let expected = expected.iter().enumerate().filter(|(index, _)| !damaged.contains(index));
    let expected = expected.map(|(_, line)| line.message()).collect::<Vec<_>>();
    assert_eq!(read_all(&mut journal), (expected, 0));

    let more = mixed(50..60);
    write(&folders.run("system.journal"), &COMPACT, &more);
    expect(&mut journal, &kernels(&more));
}

#[test]
fn an_array_is_read_as_far_as_it_is_filled() {
    let folders = Folders::new();
    let path = folders.var("system.journal");
    let lines = mixed(1..40);
    write(&path, &COMPACT, &lines);
    let bytes = fs::read(&path).unwrap();
    let entry = entries(&bytes)[40];
    for item in references(&bytes, entry) {
        patch(&path, item, &[0; 4]);
    }
    let mut journal = folders.open();
    assert_eq!(read_all(&mut journal).0.len(), 20);
    for item in references(&bytes, entry) {
        patch(&path, item, &offset(entry));
    }
    expect(&mut journal, &kernels(&lines[40..]));
    // Nothing will be filled in.
    for item in references(&bytes, entry) {
        patch(&path, item, &[0; 4]);
    }
    fs::rename(&path, folders.var("system@1-1-1.journal~")).unwrap();
    let others = [&lines[..40], &lines[41..]].concat();
    expect(&mut folders.open(), &kernels(&others));
}

#[test]
fn an_entry_that_is_listed_twice_is_read_once() {
    let folders = Folders::new();
    let path = folders.var("system.journal");
    let lines = mixed(1..40);
    write(&path, &COMPACT, &lines);
    let bytes = fs::read(&path).unwrap();
    let entries = entries(&bytes);
    for item in references(&bytes, entries[40]) {
        patch(&path, item, &offset(entries[38]));
    }
    let others = [&lines[..40], &lines[41..]].concat();
    expect(&mut folders.open(), &kernels(&others));
}

#[test]
fn a_circle_is_not_followed() {
    let (folders, path, bytes, _) = sample(&COMPACT);
    for (at, kind, _) in objects(&bytes) {
        let itself = u64::try_from(at).unwrap().to_le_bytes();
        match kind {
            // The next one with this hash, the next value, and how many entries there are.
            1 => {
                patch(&path, at + 24, &itself);
                patch(&path, at + 32, &itself);
                patch(&path, at + 56, &[0xff; 8]);
            }
            // The next one with this hash.
            2 => patch(&path, at + 24, &itself),
            // The next array.
            6 => patch(&path, at + 16, &itself),
            _ => {}
        }
    }
    assert!(read_damaged(&folders) <= 40);
    for (at, kind, _) in objects(&bytes) {
        let link = if kind == 1 { at + 32 } else { at + 24 };
        if matches!(kind, 1 | 2) {
            patch(&path, link, &bytes[link..link + 8]);
        }
    }
    // The first entry, and those in the first array.
    assert_eq!(read_damaged(&folders), 5);
}

#[test]
fn a_file_that_becomes_whole_is_read() {
    let folders = Folders::new();
    let lines = mixed(1..50);
    let whole = folders.root.path().join("whole.journal");
    write(&whole, &COMPACT, &lines);
    let path = folders.var("system.journal");
    // As journald makes one: empty at first.
    File::create(&path).unwrap();
    let mut journal = folders.open();
    expect(&mut journal, &[]);
    fs::copy(&whole, &path).unwrap();
    expect(&mut journal, &kernels(&lines));
    // Emptied, and written again.
    File::create(&path).unwrap();
    assert_eq!(read_all(&mut journal), (vec![], 0));
    fs::copy(&whole, &path).unwrap();
    assert_eq!(read_all(&mut journal), (vec![], 0), "nothing is read twice");
    let more = mixed(50..60);
    write(&path, &COMPACT, &more);
    expect(&mut journal, &kernels(&more));
}

#[test]
fn what_cannot_be_opened_says_why() {
    let fails = |roots: &[PathBuf], boot: &str| {
        let error = Journal::open(roots.to_vec(), boot).err().unwrap();
        (error.kind(), error.to_string())
    };
    let folders = Folders::new();
    let roots = folders.roots();
    let (run, var) = (roots[0].display(), roots[1].display());
    let nothing = format!("no system.journal in {run} or {var}");
    assert_eq!(fails(&roots, BOOT), (ErrorKind::NotFound, nothing));
    // Other files are none of the kernel's.
    write(&folders.var("user-1000.journal"), &COMPACT, &mixed(1..3));
    write(&folders.var("remote.journal"), &COMPACT, &mixed(1..3));
    fs::create_dir(roots[1].join(format!("{MACHINE}.namespace"))).unwrap();
    let other = roots[1].join(format!("{MACHINE}.namespace/system.journal"));
    write(&other, &COMPACT, &mixed(1..3));
    assert_eq!(fails(&roots, BOOT).0, ErrorKind::NotFound);
    let missing = [folders.root.path().join("missing")];
    assert_eq!(fails(&missing, BOOT).0, ErrorKind::NotFound);
    assert_eq!(fails(&[], BOOT).0, ErrorKind::NotFound);
    for boot in ["", "b0", &BOOT[1..], "zz".repeat(16).as_str(), &format!("{BOOT}00")] {
        assert_eq!(fails(&roots, boot).0, ErrorKind::InvalidInput);
    }

    let path = folders.var("system.journal");
    write(&path, &COMPACT, &mixed(1..3));
    // The machine's own folder, and one of a root that is not there.
    let own = vec![roots[0].join("missing"), roots[1].join(MACHINE)];
    expect(&mut Journal::open(own, BOOT).unwrap(), &kernels(&mixed(1..3)));
    patch(&path, 12, &[0xff]);
    let (kind, text) = fails(&roots, BOOT);
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    // Root may read everything, so that a test cannot be denied anything.
    let mut found = find::Found::default();
    found.note(path, &ErrorKind::PermissionDenied.into());
    let error = found.into_error().unwrap();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("the group systemd-journal"), "{error}");
}

/// A small file, cut after its last object, and the places in it that mean something.
fn sample(format: &[(&str, &str)]) -> (Folders, PathBuf, Vec<u8>, Vec<usize>) {
    let folders = Folders::new();
    let path = folders.var("system.journal");
    let mut lines = mixed(1..40);
    lines.push(kernel(99_000, "GPU has fallen off the bus. ".repeat(40)));
    lines.push(line(99_001, "driver", "Missed 3 kernel messages"));
    write(&path, format, &lines);
    let mut bytes = fs::read(&path).unwrap();
    let objects = objects(&bytes);
    let &(tail, _, len) = objects.last().unwrap();
    bytes.truncate(tail + len);
    let mut places = (0..264).collect::<Vec<_>>();
    for (offset, kind, len) in objects {
        // Hash tables are mostly empty.
        let is_table = matches!(kind, 4 | 5);
        places.extend(offset..offset + if is_table { 16 } else { len });
    }
    fs::write(&path, &bytes).unwrap();
    (folders, path, bytes, places)
}

fn read_damaged(folders: &Folders) -> usize {
    let start = Instant::now();
    let Ok(mut journal) = Journal::open(folders.roots(), BOOT) else {
        return 0;
    };
    let (messages, _) = read_all(&mut journal);
    for message in &messages {
        assert!(message.text.len() <= 8192);
    }
    // Another look finds nothing more.
    assert!(read_all(&mut journal).0.is_empty());
    let took = start.elapsed();
    // Some ms, but the machine may stand still.
    assert!(took < Duration::from_secs(30), "{took:?}");
    messages.len()
}

#[test]
fn a_file_that_is_cut_is_read_as_far_as_it_goes() {
    for format in [COMPACT, REGULAR] {
        let (folders, path, bytes, places) = sample(&format);
        assert_eq!(read_damaged(&folders), 40);
        let mut most = 0;
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        // Growing, so that only what is missing has to be written.
        file.set_len(0).unwrap();
        let mut len = 0;
        for place in places.into_iter().step_by(11) {
            file.write_all_at(&bytes[len..place], u64::try_from(len).unwrap()).unwrap();
            len = place;
            let count = read_damaged(&folders);
            assert!(count >= most, "{count} messages with {len} bytes, and {most} with less");
            most = count;
        }
        assert!(most >= 39, "{most}");
    }
}

#[test]
fn each_byte_may_be_wrong() {
    for format in [COMPACT, REGULAR] {
        let (folders, path, bytes, places) = sample(&format);
        for (index, &place) in places.iter().enumerate().step_by(7) {
            let value = [0, 0xff, bytes[place] ^ 1, bytes[place] ^ 0x80][index % 4];
            patch(&path, place, &[value]);
            let count = read_damaged(&folders);
            assert!(count <= 41, "{count} messages with {value} at {place}");
            patch(&path, place, &bytes[place..=place]);
        }
        assert_eq!(read_damaged(&folders), 40);
    }
}

#[test]
fn nothing_panics() {
    for format in [COMPACT, REGULAR] {
        let (folders, path, bytes, places) = sample(&format);
        let place = (any::<prop::sample::Index>(), any::<[u8; 8]>(), 1..9_usize);
        proptest!(|(changes in prop::collection::vec(place, 1..12))| {
            let mut damaged = Vec::new();
            for (index, value, len) in changes {
                let place = *index.get(&places);
                let end = (place + len).min(bytes.len());
                patch(&path, place, &value[..end - place]);
                damaged.push(place..end);
            }
            read_damaged(&folders);
            for range in damaged {
                patch(&path, range.start, &bytes[range]);
            }
        });
        assert_eq!(read_damaged(&folders), 40);
    }
}

#[test]
fn texts_of_journald_are_understood() {
    assert_eq!(missed("Missed 12 kernel messages"), Some(12));
    for other in ["Missed kernel messages", "Missed 1", "Missed x kernel messages", "", "Missed "] {
        assert_eq!(missed(other), None, "{other}");
    }
}
