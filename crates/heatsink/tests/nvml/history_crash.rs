//! Whatever happens to the folder of the history, or of the process that writes it: the page goes on, and
//! what was written is read.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::exporter::Exporter;
use testkit::page::Page;

use crate::incidents::{self, LIMIT};
use crate::rig::{BINARY, PATIENCE, is_present, up, watch};

/// A healthy job on eight simulated GPUs, recorded in this folder ten times a second.
fn recording(folder: &Path) -> Exporter {
    let folder = folder.display().to_string();
    let args = [
        "--source",
        "sim",
        "--sim-scenario",
        "steady",
        "--collect-interval",
        "100",
        "--history-dir",
        &folder,
    ];
    let exporter = Exporter::start(BINARY, &args, &[]);
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8 && are_present(page));
    exporter
}

/// The rows and events that a folder holds, a line each.
fn exported(folder: &Path) -> Vec<String> {
    let (text, status) = incidents::command(&["history", "export", "--format", "jsonl"], folder);
    assert_eq!(status, Some(0), "{text}");
    text.lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect()
}

/// Waits until a folder holds more than `before` lines, and returns them.
fn wait_for_more(folder: &Path, before: usize, exporter: &Exporter) -> Vec<String> {
    let end = Instant::now() + LIMIT;
    loop {
        let (text, status) =
            incidents::command(&["history", "export", "--format", "jsonl"], folder);
        let lines = text.lines().filter(|line| line.starts_with('{'));
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        if status == Some(0) && lines.len() > before {
            return lines;
        }
        assert!(Instant::now() < end, "no more than {before}:\n{text}\n{}", exporter.log());
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn are_present(page: &Page) -> bool {
    (0..8).all(|gpu| is_present(page, gpu))
}

fn all_present(page: &Page) {
    assert!(are_present(page));
}

/// Ends it as the kernel ends a process whose memory is gone.
fn kill(exporter: Exporter) {
    exporter.signal("KILL");
    drop(exporter);
}

#[test]
fn what_was_written_survives_kills() {
    let folder = TempDir::new().expect("a temporary folder");
    let history = folder.path().join("history");
    let mut written: Vec<String> = Vec::new();
    for round in 0..4 {
        let exporter = recording(&history);
        // Each round is killed at another place between two writes.
        std::thread::sleep(Duration::from_millis(170 * round));
        let now = wait_for_more(&history, written.len(), &exporter);
        assert!(now.starts_with(&written), "round {round}: what was read before is read again");
        exporter.wait_for("all GPUs have readings", PATIENCE, are_present);
        kill(exporter);
        let after = exported(&history);
        assert!(after.starts_with(&now), "round {round}");
        let (list, status) = incidents::command(&["incidents"], &history);
        assert_eq!(status, Some(0), "{list}");
        written = after;
    }
    // On a busy machine readings may be late, as if a GPU hung.
    let mut others = incidents::listed(&history);
    others.retain(|incident| !["hung", "driver_hung"].contains(&&*incident.verdict));
    assert!(others.is_empty(), "a kill of heatsink is no incident: {others:?}");
}

#[test]
fn two_processes_on_one_folder_both_serve() {
    let folder = TempDir::new().expect("a temporary folder");
    let history = folder.path().join("history");
    let first = recording(&history);
    let before = wait_for_more(&history, 0, &first);
    let second = recording(&history);
    for exporter in [&first, &second] {
        watch(exporter, Duration::from_secs(2), all_present);
    }
    let meanwhile = wait_for_more(&history, before.len(), &first);
    kill(second);
    let after = wait_for_more(&history, meanwhile.len(), &first);
    assert!(
        before.iter().all(|line| after.contains(line)),
        "the second process took something away"
    );
}

#[test]
fn a_folder_that_cannot_be_made_costs_no_page() {
    let exporter = recording(Path::new("/proc/heatsink/history"));
    watch(&exporter, Duration::from_secs(2), all_present);
    exporter.logged("/proc/heatsink/history", PATIENCE);
    let (status, _, log) = exporter.terminate();
    assert!(status.success(), "{log}");
}

#[test]
fn a_folder_that_vanishes_costs_no_page() {
    let folder = TempDir::new().expect("a temporary folder");
    let history = folder.path().join("history");
    let exporter = recording(&history);
    wait_for_more(&history, 0, &exporter);
    fs::remove_dir_all(&history).expect("it can be removed");
    watch(&exporter, Duration::from_secs(2), all_present);
    // It is written again where that is possible.
    wait_for_more(&history, 0, &exporter);
}

/// A small file system of its own, as long as this lives.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// One of 2 MiB; `None` if this user may not mount.
    fn mount() -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { folder });
        }
        println!("a file system cannot be mounted here: a full and a read-only one are not tested");
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Leaves no free byte.
    fn fill(&self) {
        let mut file = File::create(self.path("filler")).expect("it is empty");
        while file.write_all(&[b'.'; 4096]).is_ok() {}
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let mounted = Command::new("mount").args(["-o", &options]).arg(self.folder.path()).status();
        assert!(mounted.is_ok_and(|status| status.success()), "cannot remount it {how}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Busy only if a test failed with its process still alive.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

#[test]
fn a_full_disk_costs_no_page_and_is_written_again_once_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let history = disk.path("history");
    let exporter = recording(&history);
    let before = wait_for_more(&history, 0, &exporter);
    disk.fill();
    watch(&exporter, Duration::from_secs(8), all_present);
    let full = exported(&history);
    assert!(before.iter().all(|line| full.contains(line)), "nothing is lost that was written");
    fs::remove_file(disk.path("filler")).expect("it is there");
    wait_for_more(&history, full.len(), &exporter);
    let (status, _, log) = exporter.terminate();
    assert!(status.success(), "{log}");
}

#[test]
fn a_read_only_folder_costs_no_page_and_can_be_read() {
    let Some(disk) = SmallDisk::mount() else { return };
    let history = disk.path("history");
    let exporter = recording(&history);
    wait_for_more(&history, 0, &exporter);
    kill(exporter);
    let before = exported(&history);
    disk.remount("ro");
    assert_eq!(exported(&history), before);
    let exporter = recording(&history);
    watch(&exporter, Duration::from_secs(2), all_present);
    drop(exporter);
    disk.remount("rw");
    assert_eq!(exported(&history), before);
}
