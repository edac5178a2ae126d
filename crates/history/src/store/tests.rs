//! What is on disk, and what happens when it cannot be.

mod limits;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::StoreView;
use rustix::io::Errno;
use tempfile::TempDir;

use super::Disk;
use super::StoreSettings;
use crate::archive::Archive;
use crate::event::{Event, What};
use crate::fixture::{at, event, incident, layout, moment, open_history, read, row};
use crate::frame::Kind;
use crate::history::{History, Settings};
use crate::incident::Incident;
use crate::layout::{HostInfo, Layout};
use crate::recording::{Damage, ReadError, Recording as _};
use crate::time::Range;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// A history in a directory.
struct Setup {
    directory: TempDir,
    disk: Disk,
    max_bytes: u64,
    layout: Arc<Layout>,
}

impl Setup {
    fn new() -> Self {
        let directory = crate::fixture::directory();
        Self { directory, disk: Disk::default(), max_bytes: 320 << 20, layout: layout(2, 3) }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("history")
    }

    fn open(&self) -> History {
        let store = StoreSettings { directory: self.path(), max_bytes: self.max_bytes, keep: WEEK };
        let boot_id = Some("boot".to_owned());
        open_history(Settings { store: Some(store), boot_id }, self.disk.clone())
    }

    /// Records the rows of these seconds.
    fn record(&self, history: &History, seconds: std::ops::Range<i64>) {
        for second in seconds {
            self.record_at(history, second.unsigned_abs(), second, &[]);
        }
    }

    fn record_at(&self, history: &History, now: u64, second: i64, events: &[Event]) {
        let row = row(&self.layout, second);
        history.append(moment(now), &self.layout, Some(&row), events, !events.is_empty());
    }

    fn archive(&self) -> Archive {
        Archive::open(&self.path()).expect("it is a history")
    }

    /// The seconds that are on disk, after it was checked that all their numbers are right.
    fn seconds(&self) -> Vec<i64> {
        let contents = read(&self.archive(), Range::ALL);
        assert_eq!(contents.damage, Damage::default());
        let seconds = contents.seconds();
        for (second, of_disk) in seconds.iter().zip(&contents.rows) {
            assert_eq!(*of_disk, row(&self.layout, *second));
        }
        seconds
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("it is there");
        let names = entries.map(|entry| entry.expect("it can be read").file_name());
        let mut names: Vec<_> =
            names.map(|name| name.into_string().expect("it is ASCII")).collect();
        names.sort();
        names
    }

    fn segments(&self) -> usize {
        self.names().iter().filter(|name| name.starts_with("segment-")).count()
    }
}

fn store_view(history: &History) -> StoreView {
    history.view().store.clone().expect("there is a directory")
}

fn errors(history: &History) -> BTreeMap<&'static str, u64> {
    store_view(history).errors
}

fn seconds(range: std::ops::Range<i64>) -> Vec<i64> {
    range.collect()
}

#[test]
fn what_was_recorded_is_on_disk() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..100);
    assert_eq!(setup.seconds(), seconds(0..100));
    setup.record_at(&history, 100, 100, &[event(100)]);
    assert_eq!(setup.seconds(), seconds(0..101), "all, after an event");
    history.close();
    let contents = read(&setup.archive(), Range::ALL);
    assert_eq!(contents.seconds(), seconds(0..101));
    assert_eq!((contents.layouts, contents.events), (vec![setup.layout.clone()], vec![event(100)]));
    let view = store_view(&history);
    assert!(view.is_writable && view.last_sync.is_some() && view.errors.is_empty());
    assert_eq!(view.rows_lost, 0);
    let on_disk: u64 = fs::read_dir(setup.path())
        .expect("it is there")
        .map(|entry| entry.expect("it can be read"))
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("segment-"))
        .map(|entry| entry.metadata().expect("it is there").len())
        .sum();
    assert_eq!((view.bytes, view.bytes_written), (on_disk, on_disk));
    let extent = setup.archive().extent().expect("it can be read");
    assert_eq!(extent, Some(Range { from: at(0), to: at(100) }));
}

#[test]
fn files_can_be_read_by_a_group_and_not_by_others() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record_at(&history, 0, 0, &[event(0)]);
    history.put_incident(&incident(1, 0, false));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&setup.path()) & !0o750, 0);
    for name in setup.names() {
        assert_eq!(mode(&setup.path().join(&name)) & !0o640, 0, "{name}");
    }
}

#[test]
fn a_segment_is_an_hour_and_only_those_of_a_range_are_read() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..3 * 3_600);
    history.close();
    assert_eq!(setup.segments(), 3);
    assert_eq!(setup.seconds(), seconds(0..3 * 3_600));
    // What a range does not need may be damaged.
    let first = setup.names().into_iter().find(|name| name.starts_with("segment-"));
    let first = setup.path().join(first.expect("there is one"));
    let mut bytes = fs::read(&first).expect("it is there");
    bytes[40_000] ^= 1;
    fs::write(&first, bytes).expect("it can be written");
    let range = Range { from: at(8_000), to: at(8_009) };
    let contents = read(&setup.archive(), range);
    assert_eq!((contents.seconds(), contents.damage), (seconds(8_000..8_010), Damage::default()));
    let all = read(&setup.archive(), Range::ALL);
    assert!(all.damage.bytes > 0 && all.damage.rows > 0);
    let lost = 3 * 3_600 - all.rows.len();
    assert!((1..=65).contains(&lost), "{lost} rows: at most the rest of a block");
}

#[test]
fn a_full_disk_costs_nothing_that_memory_still_has() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..30);
    for left in [0, 10, 31, 150, 700] {
        let begin = last_second(&history) + 1;
        setup.disk.faults.lock().expect("free").write = Some((left, Errno::NOSPC));
        setup.record(&history, begin..begin + 60);
        assert!(!store_view(&history).is_writable);
        assert!(read(&setup.archive(), Range::ALL).damage == Damage::default(), "cut off again");
        setup.disk.faults.lock().expect("free").write = None;
        setup.record(&history, begin + 60..begin + 100);
        assert!(store_view(&history).is_writable);
    }
    let end = last_second(&history) + 1;
    history.close();
    assert_eq!(setup.seconds(), seconds(0..end));
    assert_eq!(store_view(&history).rows_lost, 0);
    assert_eq!(errors(&history).keys().copied().collect::<Vec<_>>(), ["full"]);
}

fn last_second(history: &History) -> i64 {
    *read(history, Range::ALL).seconds().last().expect("there are rows")
}

#[test]
fn rows_that_memory_no_longer_has_are_counted_as_lost() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..60);
    setup.disk.faults.lock().expect("free").write = Some((0, Errno::NOSPC));
    setup.record(&history, 60..4_500);
    let lost = store_view(&history).rows_lost;
    assert!((700..900).contains(&lost), "{lost}");
    setup.disk.faults.lock().expect("free").write = None;
    setup.record(&history, 4_500..4_600);
    history.close();
    assert_eq!(setup.seconds().len() as u64, 4_600 - store_view(&history).rows_lost);
}

#[test]
fn what_could_not_be_synced_is_written_again() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..70);
    setup.disk.faults.lock().expect("free").sync = Some(Errno::IO);
    setup.record(&history, 70..200);
    history.close();
    assert_eq!(errors(&history), BTreeMap::from([("io", 1)]));
    assert_eq!(setup.segments(), 2);
    assert_eq!(setup.seconds(), seconds(0..200), "each row once");
}

#[test]
fn what_is_urgent_is_synced_after_a_failure() {
    // The write of the event fails, or there is none because one before it failed.
    for event_at in [30, 35] {
        let setup = Setup::new();
        let history = setup.open();
        setup.record(&history, 0..28);
        setup.disk.faults.lock().expect("free").write = Some((0, Errno::NOSPC));
        setup.record(&history, 28..event_at);
        setup.record_at(&history, event_at.unsigned_abs(), event_at, &[event(event_at)]);
        setup.disk.faults.lock().expect("free").write = None;
        setup.disk.faults.lock().expect("free").sync = Some(Errno::IO);
        setup.record(&history, event_at + 1..50);
        assert_eq!(setup.disk.faults.lock().expect("free").sync, None, "it is synced");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_tried_again() {
    let setup = Setup::new();
    setup.disk.faults.lock().expect("free").directory = Some(Errno::ROFS);
    let history = setup.open();
    setup.record(&history, 0..25);
    assert_eq!(errors(&history).keys().copied().collect::<Vec<_>>(), ["read_only"]);
    assert_eq!(read(&history, Range::ALL).seconds(), seconds(0..25), "memory has it");
    setup.disk.faults.lock().expect("free").directory = None;
    setup.record(&history, 25..60);
    history.close();
    assert_eq!(setup.seconds(), seconds(0..60));
}

#[test]
fn a_file_in_place_of_the_directory_is_left_alone() {
    let setup = Setup::new();
    fs::write(setup.path(), "mine").expect("there is room");
    let history = setup.open();
    setup.record(&history, 0..30);
    assert!(!store_view(&history).is_writable);
    assert_eq!(fs::read_to_string(setup.path()).expect("it is there"), "mine");
    assert!(matches!(Archive::open(&setup.path()), Err(ReadError::Io { .. })));
}

#[test]
fn a_directory_that_vanishes_is_made_again() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..30);
    fs::remove_dir_all(setup.path()).expect("it is there");
    setup.record(&history, 30..60);
    history.close();
    assert_eq!(setup.seconds(), seconds(0..60));
    assert!(errors(&history).contains_key("missing"));
}

#[test]
fn a_directory_that_is_replaced_is_written_from_then_on() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..30);
    fs::rename(setup.path(), setup.directory.path().join("before")).expect("it is there");
    fs::create_dir(setup.path()).expect("it is gone");
    setup.record(&history, 30..60);
    history.close();
    assert_eq!(setup.seconds(), seconds(0..60));
}

#[test]
fn only_one_of_two_processes_writes() {
    let setup = Setup::new();
    let first = setup.open();
    setup.record(&first, 0..30);
    let second = setup.open();
    setup.record(&second, 1_000..1_025);
    assert!(errors(&second).contains_key("locked"));
    assert_eq!((second.previous_run(), second.has_previous()), (None, true), "it goes on");
    assert_eq!(setup.seconds(), seconds(0..30));
    let both = read(&second, Range::ALL).seconds();
    assert_eq!(both, [seconds(0..30), seconds(1_000..1_025)].concat());
    first.close();
    setup.record(&second, 1_025..1_050);
    second.close();
    assert_eq!(setup.seconds(), [seconds(0..30), seconds(1_000..1_050)].concat());
}

#[test]
fn what_another_process_recorded_is_not_written_again() {
    let setup = Setup::new();
    let (first, second) = (setup.open(), setup.open());
    let record = |history: &History, range: std::ops::Range<i64>| {
        for second in range {
            let events = if second % 100 == 50 { vec![event(second)] } else { Vec::new() };
            setup.record_at(history, second.unsigned_abs(), second, &events);
        }
    };
    record(&first, 0..980);
    record(&second, 0..980);
    first.close();
    record(&second, 980..1_100);
    second.close();
    let contents = read(&setup.archive(), Range::ALL);
    let mut all = contents.seconds();
    assert!(all.len() - 1_100 <= 65, "at most a block: {}", all.len());
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, seconds(0..1_100));
    let expected: Vec<_> = (50..1_100).step_by(100).map(event).collect();
    assert_eq!(contents.events, expected, "each event once");
    assert_eq!(store_view(&second).rows_lost, 0);
}

#[test]
fn what_another_machine_recorded_does_not_replace_what_this_one_did() {
    let setup = Setup::new();
    let named = |hostname: &str| {
        let host = HostInfo { hostname: Some(hostname.to_owned()), ..setup.layout.host.clone() };
        Arc::new(Layout { host, ..Layout::clone(&setup.layout) })
    };
    let (first, second) = (setup.open(), setup.open());
    for (history, layout) in [(&first, named("one")), (&second, named("other"))] {
        for second in 0..300 {
            let row = row(&layout, second);
            history.append(moment(second.unsigned_abs()), &layout, Some(&row), &[], false);
        }
    }
    first.close();
    second.close();
    assert_eq!(setup.seconds(), [seconds(0..300), seconds(0..300)].concat());
}

#[test]
fn incidents_of_another_process_are_not_written_again() {
    let setup = Setup::new();
    let (first, second) = (setup.open(), setup.open());
    setup.record(&first, 0..1_000);
    setup.record(&second, 0..1_000);
    for (number, second_of) in (1..=8).zip((100..).step_by(100)) {
        first.put_incident(&incident(number, second_of, true));
        second.put_incident(&incident(number, second_of + 1, true));
    }
    // The other one has not seen it.
    second.put_incident(&incident(9, 333, true));
    first.close();
    setup.record(&second, 1_000..1_100);
    // Told again without news, and with some.
    second.put_incident(&incident(7, 701, true));
    let last = at(1_050);
    second.put_incident(&Incident { last, ..incident(8, 801, true) });
    second.close();
    let incidents = setup.archive().incidents().expect("it can be read");
    let began: Vec<_> = incidents.iter().map(|incident| incident.began).collect();
    assert_eq!(began, [100, 200, 300, 400, 500, 600, 700, 800, 333, 801].map(at));
}

#[test]
fn a_directory_of_a_later_version_is_left_alone() {
    let setup = Setup::new();
    fs::create_dir(setup.path()).expect("there is room");
    let marker = setup.path().join("heatsink-history");
    fs::write(&marker, "heatsink history, version 2\n").expect("there is room");
    let history = setup.open();
    setup.record(&history, 0..30);
    history.close();
    assert_eq!(setup.names(), ["heatsink-history"]);
    assert_eq!(errors(&history).keys().copied().collect::<Vec<_>>(), ["newer_version"]);
    assert_eq!(read(&history, Range::ALL).seconds(), seconds(0..30), "memory has it");
}

#[test]
fn files_of_a_later_version_are_named_and_left_alone() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..30);
    history.close();
    let name = "segment-1-900.heatsink";
    fs::write(setup.path().join(name), newer_frame()).expect("there is room");
    let contents = read(&setup.archive(), Range::ALL);
    assert_eq!(contents.damage.newer_files, [name]);
    assert_eq!(contents.seconds(), seconds(0..30));
    let setup = Setup { max_bytes: 1, ..setup };
    let history = setup.open();
    setup.record(&history, 30..200);
    assert!(setup.names().contains(&name.to_owned()));
}

#[test]
fn a_summary_of_a_later_version_is_not_read() {
    let setup = Setup { max_bytes: 1, ..Setup::new() };
    let history = setup.open();
    let name = "segment-1-900.heatsink";
    let content = [newer_frame(), newer(Kind::Summary, &[0; 32])].concat();
    fs::write(setup.path().join(name), &content).expect("there is room");
    assert_eq!(read(&setup.archive(), Range::ALL).damage.newer_files, [name]);
    // The begin of it is damaged.
    fs::write(setup.path().join(name), &content[1..]).expect("there is room");
    setup.record(&history, 0..200);
    assert!(setup.names().contains(&name.to_owned()));
}

fn newer_frame() -> Vec<u8> {
    newer(Kind::Event, b"")
}

/// A frame with the version 9.
fn newer(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let key = crate::frame::Key { run: 1, sequence: 1 };
    let frame = crate::frame::encode(kind, key, payload).expect("it is short");
    let mut frame = frame.into_vec();
    frame[4] = 9;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..28]);
    hasher.update(payload);
    frame[28..32].copy_from_slice(&hasher.finalize().to_le_bytes());
    frame
}

/// Fills a directory with what is not ours, and returns the names.
fn fill_with_garbage(path: &Path) -> Vec<String> {
    fs::create_dir_all(path).expect("there is room");
    fs::write(path.join("notes.txt"), "mine").expect("there is room");
    fs::write(path.join("segment-1-2.heatsink"), vec![7; 100_000]).expect("there is room");
    fs::write(path.join("segment-1-3.heatsink"), "").expect("there is room");
    fs::write(path.join("incident-3.heatsink"), "{}").expect("there is room");
    fs::write(path.join("incident-4.heatsink.tmp"), "mine").expect("there is room");
    fs::create_dir(path.join("segment-2-1.heatsink")).expect("there is room");
    std::os::unix::fs::symlink("notes.txt", path.join("segment-3-1.heatsink"))
        .expect("there is room");
    let entries = fs::read_dir(path).expect("it is there");
    let names = entries.map(|entry| entry.expect("it can be read").file_name());
    names.map(|name| name.into_string().expect("it is ASCII")).collect()
}

#[test]
fn a_directory_of_garbage_is_no_history() {
    let setup = Setup::new();
    fill_with_garbage(&setup.path());
    assert!(matches!(Archive::open(&setup.path()), Err(ReadError::NotAHistory { .. })));
    let nothing = setup.directory.path().join("nothing");
    assert!(matches!(Archive::open(&nothing), Err(ReadError::Io { .. })));
}

#[test]
fn nothing_is_removed_that_is_not_ours() {
    let setup = Setup { max_bytes: 30_000, ..Setup::new() };
    let garbage = fill_with_garbage(&setup.path());
    let history = setup.open();
    assert_eq!(history.next_incident(), 1, "what is not ours takes no number");
    setup.record(&history, 0..4_000);
    history.put_incident(&incident(3, 4_000, false));
    assert_eq!(errors(&history), BTreeMap::new());
    let incidents = setup.archive().incidents().expect("it can be read");
    assert_eq!(incidents, [incident(4, 4_000, false)], "the next number that is free");
    history.close();
    assert!(setup.segments() > 2);
    let names = setup.names();
    assert!(garbage.iter().all(|name| names.contains(name)), "{garbage:?} in {names:?}");
    assert_eq!(fs::read(setup.path().join("incident-3.heatsink")).expect("it is there"), b"{}");
}

#[test]
fn the_oldest_segments_go_first_and_incidents_last() {
    let setup = Setup { max_bytes: 100_000, ..Setup::new() };
    let history = setup.open();
    setup.record(&history, 0..1_000);
    history.put_incident(&incident(1, 500, true));
    setup.record(&history, 1_000..9_000);
    history.close();
    let view = store_view(&history);
    assert!(view.bytes <= 100_000, "{}", view.bytes);
    let names = setup.names();
    assert!(names.contains(&"incident-1.heatsink".to_owned()));
    let all = setup.seconds();
    let (of_incident, rest): (Vec<i64>, Vec<i64>) =
        all.into_iter().partition(|second| *second < 1_000);
    assert!(seconds(440..561).iter().all(|second| of_incident.contains(second)));
    let first = *rest.first().expect("there are newer ones");
    assert!(first > 1_000);
    assert_eq!(rest, seconds(first..9_000));
}

#[test]
fn segments_of_an_open_incident_stay_until_it_is_closed() {
    let setup = Setup { max_bytes: 100_000, ..Setup::new() };
    let history = setup.open();
    setup.record(&history, 0..600);
    history.put_incident(&incident(1, 500, false));
    setup.record(&history, 600..9_000);
    assert!(seconds(440..561).iter().all(|second| setup.seconds().contains(second)));
    history.put_incident(&incident(1, 500, true));
    setup.record(&history, 9_000..16_000);
    history.close();
    let all = setup.seconds();
    assert!(seconds(440..561).iter().all(|second| all.contains(second)));
    assert!(!all.contains(&100) && !all.contains(&1_000));
}

#[test]
fn old_segments_are_removed_one_by_one() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..4 * 3_600);
    history.close();
    assert_eq!(setup.segments(), 4);
    let history = setup.open();
    let later = 8 * 24 * 3_600;
    for second in 0..1_900 {
        setup.record_at(
            &history,
            20_000 + second,
            later + i64::try_from(second).expect("small"),
            &[],
        );
        match second {
            599 => assert_eq!(setup.segments(), 5, "the clock may be wrong at the start"),
            700 => assert_eq!(setup.segments(), 4, "one"),
            _ => {}
        }
    }
    assert_eq!(setup.segments(), 3, "the last hour before it stays, which is in two");
    assert!(read(&setup.archive(), Range::ALL).seconds()[0] >= 7_200);
}

#[test]
fn a_step_of_the_clock_ages_nothing() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..3 * 3_600);
    let years = 10 * 365 * 24 * 3_600;
    for second in 3 * 3_600..5 * 3_600_i64 {
        setup.record_at(&history, second.unsigned_abs(), years + second, &[]);
    }
    // And back.
    for second in 5 * 3_600..6 * 3_600_i64 {
        setup.record_at(&history, second.unsigned_abs(), second, &[]);
    }
    history.close();
    let all = setup.seconds();
    let steps = [
        seconds(0..3 * 3_600),
        seconds(years + 3 * 3_600..years + 5 * 3_600),
        seconds(5 * 3_600..6 * 3_600),
    ];
    assert_eq!(all, steps.concat(), "in the order in which it was recorded");
    let range = Range { from: at(5 * 3_600), to: at(5 * 3_600 + 9) };
    assert_eq!(read(&setup.archive(), range).seconds(), seconds(5 * 3_600..5 * 3_600 + 10));
}

#[test]
fn memory_and_disk_are_one_recording() {
    let setup = Setup::new();
    let before = setup.open();
    setup.record(&before, 0..100);
    before.close();
    let history = setup.open();
    setup.record(&history, 100..6_003);
    let contents = read(&history, Range::ALL);
    assert_eq!(contents.seconds(), seconds(0..6_003));
    assert_eq!(contents.layouts.len(), 1, "the same layout is handed out once");
    let extent = history.extent().expect("it can be read");
    assert_eq!(extent, Some(Range { from: at(0), to: at(6_002) }));
    let range = Range { from: at(2_000), to: at(5_000) };
    assert_eq!(read(&history, range).seconds(), seconds(2_000..5_001));
}

#[test]
fn a_run_knows_how_the_one_before_it_ended() {
    let setup = Setup::new();
    let first = setup.open();
    assert_eq!((first.previous_run(), first.next_incident()), (None, 1));
    setup.record(&first, 0..10);
    let stopped = Event { time: at(10), gpu: None, what: What::Stopped };
    first.append(moment(10), &setup.layout, None, &[stopped], true);
    first.close();
    let second = setup.open();
    let run = second.previous_run().expect("there was one");
    assert_eq!((run.was_stopped, run.machine_restarted, run.last), (true, false, at(10)));
    setup.record_at(&second, 20, 20, &[event(20)]);
    second.put_incident(&incident(1, 20, false));
    drop(second);
    let other_boot = Arc::new(Layout {
        host: HostInfo {
            boot_id: Some("earlier".into()),
            hostname: Some("gpu-node-1".into()),
            ..Default::default()
        },
        ..Layout::clone(&setup.layout)
    });
    let third = setup.open();
    let run = third.previous_run().expect("there was one");
    assert_eq!((run.was_stopped, run.machine_restarted, run.last), (false, false, at(20)));
    assert_eq!(third.next_incident(), 2);
    assert_eq!(third.view().last_incident, Some(at(20).to_system()));
    third.append(moment(30), &other_boot, Some(&row(&other_boot, 30)), &[event(30)], true);
    drop(third);
    let fourth = setup.open();
    let run = fourth.previous_run().expect("there was one");
    assert_eq!((run.was_stopped, run.machine_restarted, run.last), (false, true, at(30)));
    let is_of = [Some("gpu-node-1"), Some("gpu-node-2"), None].map(|host| fourth.is_of_host(host));
    assert_eq!(is_of, [true, false, true]);
}

#[test]
fn an_incident_that_a_killed_run_left_open_is_closed() {
    let setup = Setup { max_bytes: 60_000, ..Setup::new() };
    let killed = setup.open();
    setup.record(&killed, 0..600);
    killed.put_incident(&incident(1, 550, false));
    setup.record_at(&killed, 600, 600, &[event(600)]);
    assert!(!setup.archive().incidents().expect("it can be read")[0].is_closed);
    drop(killed);
    let history = setup.open();
    setup.record(&history, 700..9_000);
    let incidents = setup.archive().incidents().expect("it can be read");
    assert_eq!((incidents.len(), incidents[0].is_closed), (1, true));
    let all = setup.seconds();
    assert!(seconds(490..601).iter().all(|second| all.contains(second)), "its window is kept");
    assert!(!all.contains(&1_000), "its segments are gone");
}

#[test]
fn the_rest_of_a_window_is_recorded_by_the_run_after_a_kill() {
    let setup = Setup { max_bytes: 60_000, ..Setup::new() };
    let killed = setup.open();
    setup.record(&killed, 0..560);
    killed.put_incident(&incident(1, 550, false));
    killed.put_incident(&incident(2, 100_000, false));
    drop(killed);
    let is_closed = || {
        let incidents = setup.archive().incidents().expect("it can be read");
        incidents.iter().map(|incident| incident.is_closed).collect::<Vec<_>>()
    };
    let history = setup.open();
    setup.record(&history, 570..600);
    assert_eq!(is_closed(), [false, true], "the window of the other one is of another clock");
    setup.record(&history, 600..9_000);
    assert_eq!(is_closed(), [true, true]);
    let all = setup.seconds();
    let window = [seconds(490..560), seconds(570..611)].concat();
    assert!(window.iter().all(|second| all.contains(second)), "its window is kept");
    assert!(!all.contains(&1_000), "its segments are gone");
    drop(history);
    let killed = setup.open();
    setup.record(&killed, 9_000..9_010);
    killed.put_incident(&incident(3, 9_005, false));
    drop(killed);
    let history = setup.open();
    setup.record(&history, 9_020..9_030);
    assert_eq!(is_closed(), [true, true, false]);
    history.close();
    assert_eq!(is_closed(), [true, true, true], "it is not known when the next run begins");
}

#[test]
fn incidents_are_counted_and_the_newest_state_wins() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..20);
    let before = history.view();
    assert!(
        before.incidents.len() == 12 && before.incidents.values().all(|tally| tally.count == 0)
    );
    assert!(Arc::ptr_eq(&before, &history.view()));
    history.put_incident(&incident(1, 10, false));
    history.put_incident(&incident(1, 10, true));
    history.put_incident(&incident(2, 15, false));
    let view = history.view();
    assert_eq!((view.incidents["xid"].count, view.last_incident), (2, Some(at(15).to_system())));
    assert!(view.incidents["xid"].born.is_some());
    let expected = vec![incident(1, 10, true), incident(2, 15, false)];
    let mut visited = Vec::new();
    let visit = history.visit_incidents(&mut |incident| {
        visited.extend(incident);
        ControlFlow::Break(())
    });
    assert_eq!(visit.expect("it can be read"), 2);
    assert_eq!(visited, [incident(2, 15, false)], "the newest one, and no other if none is wanted");
    let numbered = |number| {
        let found = history.incident(number).expect("the directory can be read");
        found.map(|incident| incident.expect("it can be read"))
    };
    assert_eq!(numbered(2), Some(incident(2, 15, false)));
    assert_eq!(numbered(1), Some(incident(1, 10, true)));
    assert_eq!([0, 3, u64::MAX].map(numbered), [None, None, None]);
    assert_eq!(history.incidents().expect("it can be read"), expected);
    assert_eq!(setup.archive().incidents().expect("it can be read"), expected);
}

#[test]
fn an_incident_that_cannot_be_read_is_named() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..40);
    for number in 1..5 {
        history.put_incident(&incident(number, 10, true));
    }
    history.close();
    let path = |number| setup.path().join(format!("incident-{number}.heatsink"));
    fs::write(path(2), "garbage").expect("there is room");
    fs::write(path(4), newer_frame()).expect("there is room");
    let expected = [
        "incident 2 is damaged and cannot be read",
        "incident 4 was written by a later version of heatsink; use that version",
    ];
    let unread = setup.archive().unread_incidents().expect("it can be read");
    assert_eq!(unread.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);

    let next = setup.open();
    let asked = |number| {
        let found = next.incident(number).expect("the directory can be read")?;
        Some(found.map_err(|unread| unread.to_string()))
    };
    assert_eq!([2, 4].map(asked), expected.map(|why| Some(Err(why.to_owned()))));
    assert_eq!([3, 5].map(asked), [Some(Ok(incident(3, 10, true))), None]);
}

#[test]
fn an_incident_that_cannot_be_written_is_written_later() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..20);
    setup.disk.faults.lock().expect("free").write = Some((0, Errno::NOSPC));
    history.put_incident(&incident(1, 10, true));
    assert!(setup.archive().incidents().expect("it can be read").is_empty());
    assert_eq!(history.incidents().expect("it can be read").len(), 1, "memory has it");
    setup.disk.faults.lock().expect("free").write = None;
    setup.record(&history, 20..40);
    assert_eq!(setup.archive().incidents().expect("it can be read"), [incident(1, 10, true)]);
    assert!(!setup.names().iter().any(|name| name.ends_with(".tmp")), "{:?}", setup.names());
}

#[test]
fn half_written_files_of_ours_are_removed() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..20);
    history.close();
    fs::write(setup.path().join("incident-9.heatsink.tmp"), &newer_frame()[..20])
        .expect("there is room");
    fs::write(setup.path().join("segment-1-9.heatsink.tmp"), "").expect("there is room");
    fs::write(setup.path().join("incident-8.heatsink.tmp"), "mine").expect("there is room");
    let history = setup.open();
    setup.record(&history, 20..40);
    let names = setup.names();
    let unfinished: Vec<_> = names.iter().filter(|name| name.ends_with(".tmp")).collect();
    assert_eq!(unfinished, ["incident-8.heatsink.tmp"]);
}

#[test]
fn a_window_is_copied_from_memory_and_from_segments() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..5_000);
    let oldest = history.memory().oldest_row().expect("there are rows");
    let edge = (oldest.0 - at(0).0) / 1_000;
    history.put_incident(&incident(1, edge, true));
    history.close();
    for name in setup.names().iter().filter(|name| name.starts_with("segment-")) {
        fs::remove_file(setup.path().join(name)).expect("it is there");
    }
    let of_window = setup.seconds();
    assert!(seconds(edge - 60..edge + 61).iter().all(|second| of_window.contains(second)));
    assert!(of_window.len() < 121 + 2 * 65, "{} rows", of_window.len());
}

#[test]
fn a_window_that_is_too_large_loses_its_middle() {
    let setup = Setup { max_bytes: 40_000, ..Setup::new() };
    let history = setup.open();
    setup.record(&history, 0..2_000);
    let window = Range { from: at(0), to: at(1_999) };
    history.put_incident(&Incident { window, ..incident(1, 1_000, true) });
    let name = setup.path().join("incident-1.heatsink");
    assert!(fs::metadata(&name).expect("it is there").len() < 13_000);
    let other = crate::fixture::directory();
    fs::copy(&name, other.path().join("incident-1.heatsink")).expect("there is room");
    let contents = read(&Archive::open(other.path()).expect("it is ours"), Range::ALL);
    assert_eq!(contents.damage, Damage::default());
    let kept = contents.seconds();
    assert!(kept.starts_with(&seconds(0..60)) && kept.ends_with(&seconds(1_980..2_000)));
}
