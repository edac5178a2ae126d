//! At most what was not yet written or synced is lost, never what was synced, and the rest reads.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::Random;
use crate::archive::Archive;
use crate::fixture::{
    Contents, STARTING, at, directory, event, incident, layout, moment, open_history, read, row,
};
use crate::frame::{self, Key, Kind, Scanner};
use crate::history::{History, Settings};
use crate::layout::Layout;
use crate::recording::{Damage, Recording as _};
use crate::store::{Disk, StoreSettings};
use crate::time::Range;

/// How many crashes of each kind.
fn cases() -> u64 {
    let cases = env::var("HEATSINK_HISTORY_CRASHES").ok().and_then(|text| text.parse().ok());
    cases.unwrap_or(50)
}

const CHILD: &str = "crashes::tests::child";
const DIRECTORY: &str = "HEATSINK_HISTORY_CRASH_DIRECTORY";
const SEED: &str = "HEATSINK_HISTORY_CRASH_SEED";
const BEGIN: &str = "HEATSINK_HISTORY_CRASH_BEGIN";

fn open(directory: &Path) -> History {
    let store = StoreSettings {
        directory: directory.to_owned(),
        max_bytes: 320 << 20,
        keep: Duration::from_secs(7 * 24 * 3_600),
    };
    open_history(Settings { store: Some(store), boot_id: Some("boot".to_owned()) }, Disk::default())
}

/// What was said to be on the medium.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Acknowledged {
    /// The row and the event of this second, and all rows before.
    Second(i64),
    /// The incident of this number, and whether it is closed.
    Incident(u64, bool),
}

/// Records until it is told to stop, with events and incidents at random; `acknowledge` says when to stop.
fn record(
    history: &History,
    random: &mut Random,
    begin: i64,
    acknowledge: &mut dyn FnMut(Acknowledged) -> bool,
) {
    let layouts = [layout(2, 5), layout(3, 5)];
    let mut which = 0;
    let mut number = history.next_incident();
    for second in begin.. {
        if random.once_in(200) {
            which = 1 - which;
        }
        let layout: &Arc<Layout> = &layouts[which];
        let is_urgent = random.once_in(12);
        let events = [event(second)];
        let events = if is_urgent { &events[..] } else { &[] };
        let now = moment(second.unsigned_abs());
        history.append(now, layout, Some(&row(layout, second)), events, is_urgent);
        if is_urgent && !acknowledge(Acknowledged::Second(second)) {
            return;
        }
        if is_urgent && random.once_in(4) {
            let is_closed = random.once_in(2);
            history.put_incident(&incident(number, second, is_closed));
            if !acknowledge(Acknowledged::Incident(number, is_closed)) {
                return;
            }
            number += u64::from(is_closed);
        }
    }
}

/// All that a directory has since a second. Each row is right, and comes once.
fn read_since(directory: &Path, begin: i64) -> Contents {
    let archive = Archive::open(directory).expect("it is a history");
    let contents = read(&archive, Range { from: at(begin), to: at(i64::from(u32::MAX)) });
    let seconds = contents.seconds();
    assert!(seconds.is_sorted_by(|one, other| one < other), "{seconds:?}");
    for (second, of_disk) in seconds.iter().zip(&contents.rows) {
        let layout = if of_disk.values.len() == 10 { layout(2, 5) } else { layout(3, 5) };
        assert_eq!(*of_disk, row(&layout, *second));
    }
    for of_disk in &contents.events {
        assert_eq!(*of_disk, event((of_disk.time.0 - at(0).0) / 1_000));
    }
    contents
}

/// What was acknowledged is there.
fn check(directory: &Path, begin: i64, acknowledged: &[Acknowledged]) -> Contents {
    let contents = read_since(directory, begin);
    let seconds = contents.seconds();
    let incidents = Archive::open(directory).expect("it is a history").incidents();
    let incidents = incidents.expect("it can be read");
    for acknowledged in acknowledged {
        match acknowledged {
            Acknowledged::Second(last) => {
                let all: Vec<_> = (begin..=*last).collect();
                assert!(seconds.starts_with(&all), "not all up to {last}: {seconds:?}");
                assert!(contents.events.contains(&event(*last)), "the event of {last}");
            }
            Acknowledged::Incident(number, is_closed) => {
                let incident = incidents.iter().find(|incident| incident.number == *number);
                let incident = incident.expect("it was acknowledged");
                assert!(incident.is_closed || !is_closed);
            }
        }
    }
    contents
}

/// Run by the test below in a process of its own: records until it is killed.
#[test]
#[ignore = "needs a directory, and a parent that kills it"]
fn child() {
    let Some(directory) = env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    let mut random = Random::new(number(SEED).expect("it is set"));
    let begin = number(BEGIN).expect("it is set");
    let history = open(&directory);
    println!();
    record(
        &history,
        &mut random,
        i64::try_from(begin).expect("it is small"),
        &mut |acknowledged| {
            match acknowledged {
                Acknowledged::Second(second) => println!("second {second} true"),
                Acknowledged::Incident(number, is_closed) => {
                    println!("incident {number} {is_closed}");
                }
            }
            std::io::stdout().flush().is_ok()
        },
    );
}

fn acknowledged(line: &str) -> Option<Acknowledged> {
    let mut words = line.split(' ');
    let (kind, number, is_closed) = (words.next()?, words.next()?, words.next()?);
    match kind {
        "second" => Some(Acknowledged::Second(number.parse().ok()?)),
        "incident" => Some(Acknowledged::Incident(number.parse().ok()?, is_closed.parse().ok()?)),
        _ => None,
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let mut directory = self::directory();
    let mut begin = 0;
    for seed in 0..cases() {
        if seed % 25 == 24 {
            check_all(directory.path());
            (directory, begin) = (self::directory(), 0);
        }
        let mut random = Random::new(seed);
        let starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
        let mut child = Command::new(env::current_exe().expect("it runs"))
            .args(["--exact", CHILD, "--ignored", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .env(SEED, seed.to_string())
            .env(BEGIN, begin.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        drop(starting);
        let lines = BufReader::new(child.stdout.take().expect("it is a pipe")).lines();
        let lines = lines.map(|line| line.expect("it is text"));
        let mut lines = lines.filter_map(|line| acknowledged(&line));
        let count = usize::try_from(random.below(40)).expect("it is small");
        let mut seen: Vec<_> = lines.by_ref().take(count + 1).collect();
        // In the middle of something else each time.
        thread::sleep(Duration::from_micros(random.below(5_000)));
        child.kill().expect("it runs");
        child.wait().expect("it ran");
        seen.extend(lines);
        println!("seed {seed}: killed after {} acknowledgements", seen.len());
        let contents = check(directory.path(), begin, &seen);
        assert_eq!(contents.damage, Damage::default());
        let seconds = contents.seconds();
        let last = *seconds.last().expect("something was acknowledged");
        let all: Vec<_> = (begin..=last).collect();
        assert_eq!(seconds, all, "what was written last is what is missing");
        begin = last + 100;
    }
    check_all(directory.path());
}

/// Nothing of earlier runs was harmed by later ones, and what was left open is closed.
fn check_all(directory: &Path) {
    open(directory).append(moment(0), &layout(2, 5), None, &[event(0)], true);
    let incidents = Archive::open(directory).expect("it is a history").incidents();
    assert!(incidents.expect("it can be read").iter().all(|incident| incident.is_closed));
    assert_eq!(read_since(directory, 1).damage, Damage::default());
}

/// The files of a directory.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).expect("it is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let named = paths.map(|path| {
        let name = path.file_name().expect("it has one").to_string_lossy().into_owned();
        (name, fs::read(&path).expect("it can be read"))
    });
    named.collect()
}

fn write(directory: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        fs::write(directory.join(name), bytes).expect("there is room");
    }
}

const BLOCK: usize = 4_096;

/// What is on the medium after a power cut: what was synced, and of the rest some blocks.
fn after_power_cut(random: &mut Random, synced: usize, written: &[u8]) -> Vec<u8> {
    let unsynced = written.len() - synced;
    let length = synced + random.below(unsynced as u64 + 1) as usize;
    let mut bytes = written[..length].to_vec();
    for begin in (synced / BLOCK * BLOCK..length).step_by(BLOCK) {
        let block = begin.max(synced)..(begin + BLOCK).min(length);
        match random.below(4) {
            0 => bytes[block].fill(0),
            1 => bytes[block].fill_with(|| random.below(256) as u8),
            _ => {}
        }
    }
    bytes
}

#[test]
fn a_kill_loses_at_most_five_seconds() {
    let directory = self::directory();
    let history = open(directory.path());
    let layout = layout(2, 5);
    for second in 0_i64..90 {
        let now = moment(second.unsigned_abs());
        history.append(now, &layout, Some(&row(&layout, second)), &[], false);
        let last = read_since(directory.path(), 0).seconds().last().copied();
        assert!(last.is_some_and(|last| second - last <= 5) || second < 5, "{second}: {last:?}");
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_synced() {
    for seed in 0..cases() {
        let mut random = Random::new(seed);
        let directory = self::directory();
        let mut seen = Vec::new();
        // Earlier runs end properly or are killed.
        for run in 0..1 + random.below(3) {
            let history = open(directory.path());
            let mut left = random.below(30);
            let begin = i64::try_from(run).expect("it is small") * 10_000;
            let mut of_run = Vec::new();
            record(&history, &mut random, begin, &mut |acknowledged| {
                of_run.push(acknowledged);
                left = left.saturating_sub(1);
                left > 0
            });
            seen.push((begin, of_run));
            if random.once_in(2) {
                history.close();
            }
        }
        let synced = files(directory.path());
        // It goes on, and nothing of that is synced on request.
        let history = open(directory.path());
        let layout = layout(2, 5);
        for second in 50_000..50_000 + i64::try_from(random.below(55)).expect("it is small") {
            let now = moment(second.unsigned_abs());
            history.append(now, &layout, Some(&row(&layout, second)), &[], false);
        }
        let written = files(directory.path());
        drop(history);
        let cut = self::directory();
        let of_medium = written.iter().map(|(name, bytes)| {
            let synced = match synced.get(name) {
                Some(synced) => {
                    let is_of_segment = name.starts_with("segment-");
                    assert!(!is_of_segment || bytes.starts_with(synced), "what is written stays");
                    // Files other than segments are replaced as a whole, and synced before.
                    if is_of_segment { synced.len() } else { bytes.len() }
                }
                // A new file has its name only after its first frame was synced.
                None => frame::decode(bytes).map_or(bytes.len(), |first| first.bytes.len()),
            };
            (name.clone(), after_power_cut(&mut random, synced, bytes))
        });
        write(cut.path(), &of_medium.collect());
        println!("seed {seed}: {seen:?}");
        for (begin, acknowledged) in &seen {
            check_until(cut.path(), *begin, 50_000, acknowledged);
        }
        // The next run records on.
        let next = open(cut.path());
        let previous = next.previous_run().expect("there was one");
        assert!(seen.iter().all(|(begin, _)| previous.last >= at(*begin)));
        next.append(moment(0), &layout, Some(&row(&layout, 90_000)), &[event(90_000)], true);
        assert_eq!(read_since(cut.path(), 90_000).seconds(), [90_000]);
    }
}

/// The same as `check` without what was recorded later.
fn check_until(directory: &Path, begin: i64, end: i64, acknowledged: &[Acknowledged]) {
    let contents = check(directory, begin, acknowledged);
    assert!(contents.seconds().iter().all(|second| *second >= begin));
    assert!(end > begin);
}

#[test]
fn the_rest_of_damaged_files_reads() {
    for seed in 0..cases() {
        let mut random = Random::new(seed);
        let directory = self::directory();
        let history = open(directory.path());
        let mut left = 10 + random.below(60);
        record(&history, &mut random, 0, &mut |_| {
            left -= 1;
            left > 0
        });
        history.close();
        let before = read_since(directory.path(), 0);
        let mut files = files(directory.path());
        let names: Vec<_> =
            files.keys().filter(|name| name.ends_with(".heatsink")).cloned().collect();
        for _ in 0..1 + random.below(4) {
            let name = &names[random.below(names.len() as u64) as usize];
            let bytes = files.get_mut(name).expect("it is there");
            // Nothing may be left of it.
            if bytes.is_empty() {
                continue;
            }
            let at = random.below(bytes.len() as u64) as usize;
            let end = (at + random.below(2 * BLOCK as u64) as usize).min(bytes.len());
            let blocks = (bytes.len() / BLOCK) as u64;
            match random.below(5) {
                0 => bytes.truncate(at),
                1 => bytes[at..end].fill(0),
                2 => bytes[at] ^= 1 << random.below(8),
                3 => drop(bytes.splice(at..end, (0..random.below(9_000)).map(|byte| byte as u8))),
                _ if blocks > 1 => {
                    let (one, other) =
                        (random.below(blocks) as usize, random.below(blocks) as usize);
                    let copy = bytes[one * BLOCK..(one + 1) * BLOCK].to_vec();
                    bytes.copy_within(other * BLOCK..(other + 1) * BLOCK, one * BLOCK);
                    bytes[other * BLOCK..(other + 1) * BLOCK].copy_from_slice(&copy);
                }
                _ => bytes.clear(),
            }
        }
        let damaged = self::directory();
        write(damaged.path(), &files);
        println!("seed {seed}");
        let after = read_since(damaged.path(), 0);
        assert!(after.rows.len() <= before.rows.len());
        let _ = Archive::open(damaged.path()).expect("it has a marker").incidents();
        open(damaged.path()).append(moment(0), &layout(2, 5), None, &[event(0)], true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(u32::try_from(20 * cases()).expect("it is small")))]

    #[test]
    fn frames_with_right_checksums_and_wrong_content_do_no_harm(
        frames in vec((0_u8..5, 0_u64..4, vec(any::<u8>(), 0..120)), 0..12),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
    ) {
        let directory = self::directory();
        let history = open(directory.path());
        let mut left = 4;
        record(&history, &mut Random::new(1), 0, &mut |_| { left -= 1; left > 0 });
        history.close();
        let mut files = files(directory.path());
        for (name, bytes) in files.iter_mut().filter(|(name, _)| name.ends_with(".heatsink")) {
            let mut mutated = Vec::new();
            for found in Scanner::new(bytes) {
                let mut payload = found.payload.to_vec();
                let is_empty = payload.is_empty();
                for (at, byte) in changes.iter().filter(|_| !is_empty).take(2) {
                    let at = at.index(payload.len());
                    payload[at] = *byte;
                }
                let kind = found.envelope.kind.expect("it is known");
                mutated.extend(frame::encode(kind, found.envelope.key, &payload).expect("short"));
            }
            let kinds = [Kind::Layout, Kind::Rows, Kind::Event, Kind::Incident, Kind::Summary];
            for (kind, sequence, payload) in &frames {
                let key = Key { run: 1, sequence: *sequence };
                mutated.extend(frame::encode(kinds[usize::from(*kind)], key, payload).expect("short"));
            }
            println!("{name}");
            *bytes = mutated;
        }
        write(directory.path(), &files);
        let archive = Archive::open(directory.path()).expect("it has a marker");
        read(&archive, Range::ALL);
        let _ = (archive.incidents(), archive.extent());
        let _ = open(directory.path()).previous_run();
    }

    #[test]
    fn files_of_random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..2_000)) {
        let directory = self::directory();
        for name in ["segment-1-1.heatsink", "incident-1.heatsink", "heatsink-history"] {
            fs::write(directory.path().join(name), &bytes).expect("there is room");
        }
        prop_assert!(Archive::open(directory.path()).is_err());
        let history = open(directory.path());
        prop_assert!(history.previous_run().is_none());
        // None of them is ours, so none of them takes a number.
        prop_assert_eq!(history.next_incident(), 1);
    }
}

#[test]
fn a_file_system_that_is_full_and_then_read_only() {
    let directory = self::directory();
    let mount = |args: &[&str]| {
        let mut command = Command::new("mount");
        command.args(args).arg(directory.path()).stderr(Stdio::null());
        let _starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
        command.status().is_ok_and(|status| status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"]) {
        println!(
            "not run: this process may not mount; `store::tests` has the same with made-up errors"
        );
        return;
    }
    let path = directory.path().join("history");
    let history = open(&path);
    let layout = layout(8, 40);
    let record = |seconds: std::ops::Range<i64>| {
        for second in seconds {
            let now = moment(second.unsigned_abs());
            history.append(now, &layout, Some(&row(&layout, second)), &[], false);
        }
    };
    record(0..600);
    let full = history.view().store.clone().expect("there is a directory");
    let on_disk = read(&Archive::open(&path).expect("it is a history"), Range::ALL);
    let is_grown = mount(&["-o", "remount,size=16m"]);
    record(600..640);
    let grown = history.view().store.clone().expect("there is a directory");
    let is_read_only = mount(&["-o", "remount,ro"]);
    record(640..680);
    let read_only = history.view().store.clone().expect("there is a directory");
    drop(history);
    let after = read(&Archive::open(&path).expect("it is a history"), Range::ALL);
    let starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    let unmounted = Command::new("umount").arg(directory.path()).status();
    drop(starting);
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert!(!full.is_writable && full.errors.contains_key("full"), "{full:?}");
    assert_eq!(on_disk.damage, Damage::default());
    if is_grown {
        assert!(grown.is_writable, "{grown:?}");
        let written: Vec<_> = (0..640).collect();
        assert!(after.seconds().starts_with(&written));
    }
    // A kernel may refuse it while a file is open for writing.
    assert!(!is_read_only || read_only.errors.contains_key("read_only"), "{read_only:?}");
}
