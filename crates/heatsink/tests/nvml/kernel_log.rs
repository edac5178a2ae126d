//! XIDs from the kernel log: each is counted once, and nothing else is counted.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::counted::{counted, total};
use crate::rig::{PATIENCE, Rig, down, is_present, up};
use testkit::exporter::Exporter;
use testkit::page::{Page, metric};
use testkit::pauses;

/// Starts the binary with a short interval, and waits until all GPUs answer and it follows the log.
fn started(rig: &Rig) -> Exporter {
    let exporter = rig.started(&["-c", "200"], 8);
    let source = metric("heatsink_xid_source_info").label("source", "kernel_log");
    exporter.wait_for("the log is read", PATIENCE, |page| source.is_in(page));
    exporter
}

/// Waits until this many XIDs are counted, and then checks that there are no more.
fn settled(exporter: &Exporter, expected: u64) -> Page {
    exporter.wait_for("all are counted", PATIENCE, |page| total(&counted(page)) >= expected);
    pauses::sleep(Duration::from_millis(800));
    let page = exporter.page();
    assert_eq!(total(&counted(&page)), expected, "{:?}", counted(&page));
    page
}

fn last(page: &Page, gpu: &str) -> Option<f64> {
    page.value_of(&metric("DCGM_FI_DEV_XID_ERRORS").label("gpu", gpu))
}

#[test]
fn each_xid_is_counted_once_with_and_without_an_event() {
    let rig = Rig::new().with_kernel_log();
    let exporter = started(&rig);
    for code in [119, 31, 120, 94] {
        rig.xid(1, code);
    }
    let page = settled(&exporter, 4);
    let once = [31, 94, 119, 120].map(|code| ((1, code), 1));
    assert_eq!(counted(&page), BTreeMap::from(once));
    assert_eq!(last(&page, "1"), Some(94.0));
    // The GPU is lost.
    rig.control.add(&["gpu 1 lost"]);
    rig.xid(1, 79);
    settled(&exporter, 5);
    let (page, _) = exporter.wait_for("GPU 1 alone is lost", PATIENCE, |page| {
        up(page) == 7 && down(page, 1).as_deref() == Some("lost")
    });
    assert_eq!((last(&page, "1"), total(&counted(&page))), (Some(79.0), 5));
    assert_eq!(last(&page, "2"), Some(0.0), "the log has no XID of this GPU");
    exporter.logged("XIDs come from the kernel's log", PATIENCE);
}

#[test]
fn a_gpu_lost_before_the_start_has_its_xid() {
    let rig = Rig::new().with_kernel_log();
    rig.control.set(&["gpu 2 lost"]);
    let address = rig.address(2);
    let old = format!("4,7,1000,c;NVRM: Xid (PCI:{address}): 79, GPU has fallen off the bus.\n");
    fs::write(rig.kernel_log(), old).expect("the log can be written");
    let exporter = rig.started(&["-c", "200"], 7);
    let page = settled(&exporter, 1);
    assert_eq!(counted(&page), BTreeMap::from([((2, 79), 1)]));
    let samples = metric("heatsink_gpu_up").label("gpu", "2").value(0.0).find_in(&page);
    assert!(samples[0].label("UUID").is_some_and(|uuid| uuid.starts_with("GPU-")));
    let xid = metric("DCGM_FI_DEV_XID_ERRORS").label("gpu", "2").value(79.0);
    xid.label("pci_bus_id", format!("0000{}.0", address.to_uppercase())).assert_in(&page);
}

#[test]
fn lines_of_other_processes_are_ignored() {
    let rig = Rig::new().with_kernel_log();
    let exporter = started(&rig);
    let xid = format!("NVRM: Xid (PCI:{}): 79, pid=1", rig.address(0));
    let mut log = OpenOptions::new().append(true).open(rig.kernel_log()).expect("it is there");
    let mut write = |line: &[u8]| log.write_all(line).expect("it can be written");
    // Lines that a process writes to /dev/kmsg have facility 1.
    write(format!("12,900,99000000,-;{xid}\n").as_bytes());
    write(format!("4,901,99000000;{}\n", "x".repeat(1 << 20)).as_bytes());
    write(format!("4,902,99000000,-;{} {xid}\n", "x".repeat(1 << 20)).as_bytes());
    write(format!("4,903,99000000,-;said: {xid}\n").as_bytes());
    write(b"4,904,99000000,-;NVRM: Xid (PCI:\x00\xff\\x0a\x1b[31m): 79\n");
    write(b"4,905,99000000,-;NVRM: Xid (PCI:00ff:ff:1f): 79, of no GPU here\n");
    write(b"4,906,99000000,-;NVRM: Xid (PCI:0000:1a:00): 99999999999999999999, x\n");
    write(b"4,907,99000000,-;NVRM: Xid (PCI:0000:1a:00): , x\n4,908,99000000,-;NVRM: Xid\n");
    write(b"garbage;;;,,,\n\n\n;\n4,,,;NVRM: Xid (PCI:0000:1a:00): 79\n");
    rig.log(&[&xid.replace("79", "48")]);
    let page = settled(&exporter, 1);
    assert_eq!(counted(&page), BTreeMap::from([((0, 48), 1)]));
    metric("heatsink_kernel_log_lost_records_total").value(0.0).assert_in(&page);
}

/// The real device, if it can be read and written. Lines that root writes are not from the kernel.
#[test]
fn lines_that_root_writes_to_the_device_are_ignored() {
    let rig = Rig::new().with("HEATSINK_KERNEL_LOG", "/dev/kmsg");
    let exporter = rig.started(&["-c", "200"], 8);
    let source = metric("heatsink_xid_source_info").label("source", "kernel_log");
    if File::open("/dev/kmsg").is_err() {
        println!("/dev/kmsg cannot be read here: only that heatsink says so is tested");
        source.assert_absent_from(&exporter.page());
        exporter.logged("cannot read /dev/kmsg", PATIENCE);
        return;
    }
    exporter.wait_for("the log is read", PATIENCE, |page| source.is_in(page));
    let line = format!("NVRM: Xid (PCI:{}): 79, pid=1, name=forged", rig.address(0));
    match OpenOptions::new().write(true).open("/dev/kmsg") {
        Ok(mut kmsg) => writeln!(kmsg, "<4>{line}").expect("it can be written"),
        Err(error) => println!("/dev/kmsg cannot be written here: {error}"),
    }
    pauses::sleep(Duration::from_secs(1));
    assert_eq!(total(&counted(&exporter.page())), 0);
}

#[test]
fn ten_thousand_lines_at_once_are_counted() {
    let rig = Rig::new().with_kernel_log();
    let exporter = started(&rig);
    let mut expected = BTreeMap::new();
    let lines: Vec<String> = (0..10_000_u32)
        .map(|line| {
            let (gpu, code) = (line * 7 % 8, 13 + line % 100);
            *expected.entry((gpu, code)).or_insert(0) += 1;
            format!("NVRM: Xid (PCI:{}): {code}, pid=7, name=x, y", rig.address(gpu as usize))
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    rig.log(&lines);
    let page = settled(&exporter, 10_000);
    assert_eq!(counted(&page), expected);
    exporter.wait_for("all answer", PATIENCE, |page| up(page) == 8);
}

#[test]
fn the_kernel_log_waits_for_the_first_gpu() {
    let rig = Rig::new().with_kernel_log();
    let line = |gpu: usize| format!("NVRM: Xid (PCI:{}): 31, pid=7, name=x, y", rig.address(gpu));
    let lines: Vec<String> = (0..12_000).map(|n| line(n % 8)).collect();
    rig.log(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let exporter = rig.started(&["-c", "200"], 8);
    let page = settled(&exporter, 12_000);
    metric("heatsink_kernel_log_lost_records_total").value(0.0).assert_in(&page);
}

#[test]
fn a_rotated_or_truncated_log_loses_and_repeats_no_xid() {
    let rig = Rig::new().with_kernel_log();
    let exporter = started(&rig);
    let line = |code: u32| format!("NVRM: Xid (PCI:{}): {code}, pid=7, name=x, y", rig.address(3));
    rig.log(&[&line(13)]);
    settled(&exporter, 1);
    // Renamed, with a last line in the old file and a first line in the new one.
    rig.log(&[&line(31)]);
    fs::rename(rig.kernel_log(), rig.kernel_log().with_extension("1")).expect("it can be renamed");
    fs::write(rig.kernel_log(), "").expect("it can be made");
    // Longer than what follows: a log that has grown again before it is looked at does not seem cut.
    rig.log(&[&line(43), &"x".repeat(4096)]);
    settled(&exporter, 3);
    // Copied and truncated.
    File::create(rig.kernel_log()).expect("it can be cut");
    rig.log(&[&line(45), &line(45)]);
    let page = settled(&exporter, 5);
    let expected = [(13, 1), (31, 1), (43, 1), (45, 2)].map(|(code, count)| ((3, code), count));
    assert_eq!(counted(&page), BTreeMap::from(expected));
}

#[test]
fn a_text_log_counts_from_its_last_boot() {
    let rig = Rig::new();
    let xid = |gpu: usize, code: u32| {
        format!("NVRM: Xid (PCI:{}): {code}, pid=1, name=a b, Ch 1", rig.address(gpu))
    };
    let old = format!(
        "Nov 28 10:00:00 node-1 kernel: [ 100.0] {}\n\
         Nov 29 10:00:00 node-1 kernel: [    0.000000] Linux version 6.1.0 (debian)\n\
         Nov 29 10:00:01 node-1 kernel: [   12.345678] {}\n\
         2026-11-29T10:00:02.123456+00:00 node-1 kernel: {}\n\
         Nov 29 10:00:03 node-1 root: {}\n\
         Nov 29 10:00:03 node-1 kernel[12]: {}\n",
        xid(0, 79),
        xid(1, 48),
        xid(2, 63),
        xid(3, 79),
        xid(3, 79)
    );
    let log = rig.file("kern.log", old);
    let exporter = rig.started(&["-c", "200", "--kernel-log", &log], 8);
    settled(&exporter, 2);
    let mut file = OpenOptions::new().append(true).open(&log).expect("it is there");
    writeln!(file, "Nov 29 10:00:05 node-1 kernel: [   99.1] {}", xid(1, 119)).expect("written");
    let page = settled(&exporter, 3);
    let expected = [(1, 48), (1, 119), (2, 63)].map(|key| (key, 1));
    assert_eq!(counted(&page), BTreeMap::from(expected));
}

/// Entries of a journal, written by a program of systemd.
struct Entry<'a> {
    transport: &'a str,
    facility: &'a str,
    boot: &'a str,
    message: String,
}

fn write_journal(file: &Path, entries: &[Entry<'_>]) {
    fs::create_dir_all(file.parent().expect("a folder")).expect("it can be made");
    let uptime = fs::read_to_string("/proc/uptime").expect("Linux has it");
    let seconds: f64 = uptime.split(' ').next().and_then(|up| up.parse().ok()).expect("a number");
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = since.expect("after 1970").as_micros();
    let mut text = String::new();
    for (place, Entry { transport, facility, boot, message }) in entries.iter().enumerate() {
        let (place, mono) = (place as u128, (seconds * 1e6) as u128);
        text += &format!(
            "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={boot}\n\
             _TRANSPORT={transport}\nSYSLOG_FACILITY={facility}\nSYSLOG_IDENTIFIER=kernel\n\
             PRIORITY=4\nMESSAGE={message}\n\n",
            now + place,
            mono + place
        );
    }
    let mut writer = Command::new("/lib/systemd/systemd-journal-remote")
        .args(["--output", &file.display().to_string(), "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the package systemd-journal-remote is installed");
    let mut input = writer.stdin.take().expect("it is piped");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    assert!(writer.wait().expect("it ends").success());
}

#[test]
fn the_journal_is_read_without_a_device() {
    let rig = Rig::new();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux has it");
    let boot = boot.trim().replace('-', "");
    let other = "0123456789abcdef0123456789abcdef";
    let xid = |gpu: usize, code: u32| {
        format!("NVRM: Xid (PCI:{}): {code}, pid=1, name=a b, Ch 1", rig.address(gpu))
    };
    fn entry<'a>(
        transport: &'a str,
        facility: &'a str,
        boot: &'a str,
        message: impl Into<String>,
    ) -> Entry<'a> {
        Entry { transport, facility, boot, message: message.into() }
    }
    let file = rig.root().join("var/log/journal/5a1c6a366d5c4d0e8a0e1f7a6d9e3b11/system.journal");
    write_journal(
        &file,
        &[
            entry("kernel", "0", other, xid(0, 79)),
            entry("kernel", "0", &boot, xid(1, 79)),
            entry("kernel", "0", &boot, "usb 1-1: new device"),
            entry("syslog", "0", &boot, xid(2, 79)),
            entry("kernel", "1", &boot, xid(2, 79)),
        ],
    );
    let exporter = started(&rig);
    settled(&exporter, 1);
    exporter.logged("the kernel's log: systemd's journal", PATIENCE);
    write_journal(&file, &[entry("kernel", "0", &boot, xid(1, 119))]);
    settled(&exporter, 2);
    // Rotated: renamed, with a new file in its place.
    fs::rename(&file, file.with_file_name("system@0005f1.journal")).expect("it can be renamed");
    write_journal(&file, &[entry("kernel", "0", &boot, xid(3, 31))]);
    let page = settled(&exporter, 3);
    let expected = [(1, 79), (1, 119), (3, 31)].map(|key| (key, 1));
    assert_eq!(counted(&page), BTreeMap::from(expected));
}

#[test]
fn driver_failures_without_an_xid_are_counted_by_kind() {
    let rig = Rig::new().with_kernel_log();
    let exporter = started(&rig);
    let (one, two) = (rig.address(1), rig.address(2));
    rig.log(&[
        // The same failure, logged twice.
        &format!("NVRM: Xid (PCI:{one}): 79, pid=1, name=x, GPU has fallen off the bus."),
        &format!("NVRM: GPU {one}.0: GPU has fallen off the bus."),
        // Without an XID.
        &format!("NVRM: GPU {two}.0: GPU has fallen off the bus."),
        &format!("NVRM: GPU {two}.0: RmInitAdapter failed! (0x26:0x56:1482)"),
        &format!("nvidia: probe of {two}.0 failed with error -1"),
        "nvidia-nvswitch0: SXid (PCI:0000:0b:00.0): 20034, Fatal, Link 30 LTSSM Fault Up (First)",
        "nvidia-nvswitch0: SXid (PCI:0000:0b:00.0): 20034, Severity 1 Engine instance 30",
        "nvidia-nvswitch0: SXid (PCI:0000:0b:00.0): 20034, Data {0x1, 0x2}",
        "nvidia-nvswitch0: SXid (PCI:0000:0b:00.0): 22013, Non-fatal, Link 02 Minion",
    ]);
    let sxid = |code: &str| {
        let of_switch = metric("heatsink_nvswitch_sxid_errors_total").label("sxid", code);
        of_switch.label("pci_bus_id", "00000000:0B:00.0")
    };
    let (page, _) = exporter.wait_for("both SXids", PATIENCE, |page| {
        page.value_of(&sxid("20034")) == Some(1.0) && page.value_of(&sxid("22013")) == Some(1.0)
    });
    let pci = |address: &str| format!("0000{}.0", address.to_uppercase());
    let of = |kind: &str| {
        let errors = metric("heatsink_driver_errors_total").label("pci_bus_id", pci(two));
        page.value_of(&errors.label("kind", kind))
    };
    assert_eq!(["fallen_off_bus", "init_failed", "probe_failed"].map(of), [Some(1.0); 3]);
    let of_one = metric("heatsink_driver_errors_total").label("pci_bus_id", pci(one));
    of_one.assert_absent_from(&page);
    assert_eq!(counted(&page), BTreeMap::from([((1, 79), 1)]));
}

#[test]
fn a_log_that_appears_later_is_used_and_counts_nothing_twice() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let line = "the kernel's log cannot be read, so XIDs come from events";
    exporter.logged(line, PATIENCE);
    assert_eq!(exporter.log().matches(line).count(), 1, "{}", exporter.log());
    rig.control.add(&["gpu 4 xid 31"]);
    settled(&exporter, 1);
    // The log appears with its line. An empty one could be opened before the line is in it.
    let line = format!("NVRM: Xid (PCI:{}): 31, pid=7, name=x, y", rig.address(4));
    let new = rig.path("new-log");
    fs::write(&new, format!("4,7,1000,c;{line}\n")).expect("the log can be written");
    fs::rename(&new, rig.kernel_log()).expect("it can be renamed");
    let source = metric("heatsink_xid_source_info").label("source", "kernel_log");
    exporter.wait_for("the log is read", PATIENCE, |page| source.is_in(page));
    rig.xid(4, 119);
    rig.xid(4, 31);
    let page = settled(&exporter, 3);
    assert_eq!(counted(&page), BTreeMap::from([((4, 31), 2), ((4, 119), 1)]));
    exporter.wait_for("GPU 4 answers", PATIENCE, |page| is_present(page, 4));
}
