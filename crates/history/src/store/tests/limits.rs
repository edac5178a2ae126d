//! Full volumes, other numbers than expected, garbage, and what is bounded.

use super::*;
use crate::files;
use crate::frame::{self, Key, Scanner};

/// An incident of about as many bytes.
fn large(number: u64, second: i64, bytes: usize, is_closed: bool) -> Incident {
    let line = "x".repeat(1_000);
    let event = Event { time: at(second), gpu: None, what: What::DriverLine { line } };
    Incident { events: vec![event; bytes / 1_000], ..incident(number, second, is_closed) }
}

fn numbers(history: &dyn crate::recording::Recording) -> Vec<u64> {
    let incidents = history.incidents().expect("it can be read");
    incidents.iter().map(|incident| incident.number).collect()
}

#[test]
fn of_a_huge_file_only_the_begin_is_read() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..30);
    history.close();
    let name = setup.names().into_iter().find(|name| name.starts_with("segment-"));
    let path = setup.path().join(name.expect("there is one"));
    let file = fs::OpenOptions::new().write(true).open(&path).expect("it is there");
    file.set_len(4 << 30).expect("it is sparse");
    let contents = read(&setup.archive(), Range::ALL);
    assert_eq!(contents.seconds(), seconds(0..30));
    assert!(contents.damage.bytes >= (4 << 30) - (16 << 20), "{:?}", contents.damage);
    let (bytes, unread) = files::read(&path).expect("it is there");
    assert_eq!((bytes.len(), unread), (16 << 20, (4 << 30) - (16 << 20)));
    assert_eq!(setup.open().previous_run(), None, "it is too large to be looked at");
}

#[test]
fn who_wrote_a_file_is_seen_from_its_begin_or_its_end() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..30);
    history.close();
    let name = setup.names().into_iter().find(|name| name.starts_with("segment-"));
    let mut bytes = fs::read(setup.path().join(name.expect("there is one"))).expect("it is there");
    let path = setup.directory.path().join("file");
    bytes[10] ^= 1;
    fs::write(&path, &bytes).expect("there is room");
    assert_eq!(files::owner(&path).expect("it is there"), files::Owner::Ours);
    bytes.splice(0..100, vec![0; 200_000]);
    fs::write(&path, &bytes).expect("there is room");
    assert_eq!(files::owner(&path).expect("it is there"), files::Owner::Ours, "by its end");
    bytes.pop();
    fs::write(&path, &bytes).expect("there is room");
    assert_eq!(files::owner(&path).expect("it is there"), files::Owner::Unknown);
}

#[test]
fn on_a_full_volume_the_oldest_segments_go_and_the_last_hour_stays() {
    let setup = Setup::new();
    setup.disk.faults.lock().expect("free").volume = Some(200_000);
    let history = setup.open();
    setup.record(&history, 0..8 * 3_600);
    history.close();
    let view = store_view(&history);
    assert_eq!((view.is_writable, view.rows_lost), (true, 0));
    assert_eq!(view.errors.keys().copied().collect::<Vec<_>>(), ["removed_for_room"]);
    let all = setup.seconds();
    assert!(all.len() >= 3_600 && all.len() < 5 * 3_600, "{}", all.len());
    assert_eq!(all, seconds(all[0]..8 * 3_600));
}

#[test]
fn on_a_volume_that_another_one_fills_the_last_hour_stays() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..3_600);
    for number in 1..=10 {
        history.put_incident(&large(number, 100, 300_000, true));
    }
    setup.record(&history, 3_600..5 * 3_600);
    let before = setup.segments();
    setup.disk.faults.lock().expect("free").write = Some((0, Errno::NOSPC));
    setup.record(&history, 5 * 3_600..5 * 3_600 + 300);
    let errors = errors(&history);
    assert_eq!(errors.keys().copied().collect::<Vec<_>>(), ["full", "removed_for_room"]);
    assert_eq!(errors["removed_for_room"], (before - setup.segments()) as u64);
    let all = setup.seconds();
    assert!(all.len() >= 3_600, "{}", all.len());
    assert!(setup.segments() >= 2);
    assert_eq!(numbers(&setup.archive()), Vec::from_iter(1..=10), "incidents last");
}

#[test]
fn on_a_full_volume_incidents_beyond_their_share_go_first() {
    // Of the size, and of a volume that is smaller than that.
    for (max_bytes, capacity) in [(5 << 20, 100 << 20), (320 << 20, 5 << 20)] {
        let setup = Setup { max_bytes, ..Setup::new() };
        setup.disk.faults.lock().expect("free").capacity = Some(capacity);
        let history = setup.open();
        setup.record(&history, 0..3 * 3_600);
        for number in 1..=12 {
            history.put_incident(&large(number, 100, 300_000, true));
        }
        let segments = setup.segments();
        setup.disk.faults.lock().expect("free").write = Some((0, Errno::NOSPC));
        setup.record(&history, 3 * 3_600..3 * 3_600 + 8);
        assert_eq!(setup.segments(), segments);
        assert!(numbers(&setup.archive())[0] > 1);
        setup.record(&history, 3 * 3_600 + 8..3 * 3_600 + 300);
        let left = numbers(&setup.archive());
        assert!((7..=9).contains(&left.len()) && left.ends_with(&[11, 12]), "{left:?}");
    }
}

#[test]
fn a_file_of_another_program_takes_no_numbers() {
    let setup = Setup::new();
    fs::create_dir(setup.path()).expect("there is room");
    for number in [(1_u64 << 53) - 1, 1 << 53] {
        for begin in ["incident", "segment-0"] {
            let name = format!("{begin}-{number}.heatsink");
            fs::write(setup.path().join(name), "garbage").expect("there is room");
        }
    }
    let history = setup.open();
    assert_eq!(history.next_incident(), 1);
    setup.record(&history, 0..30);
    history.put_incident(&incident(1, 10, true));
    history.close();
    assert_eq!(setup.seconds(), seconds(0..30));
    let names = setup.names();
    assert!(names.contains(&format!("segment-{}-1.heatsink", at(0).0)), "{names:?}");
    assert!(names.contains(&"incident-1.heatsink".to_owned()), "{names:?}");
}

#[test]
fn after_the_largest_number_comes_the_first_free_one() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..30);
    history.put_incident(&incident(1, 10, true));
    history.close();
    let copy = |from: &str, to: &str| {
        fs::copy(setup.path().join(from), setup.path().join(to)).expect("there is room");
    };
    let segment = format!("segment-{}-1.heatsink", at(0).0);
    copy("incident-1.heatsink", "incident-9007199254740991.heatsink");
    copy(&segment, &format!("segment-{}-9007199254740991.heatsink", at(0).0));
    let history = setup.open();
    assert_eq!(history.next_incident(), 2);
    setup.record(&history, 100..130);
    history.put_incident(&incident(1, 110, true));
    assert_eq!(numbers(&setup.archive())[..2], [1, 2]);
    history.close();
    assert_eq!(setup.seconds(), [seconds(0..30), seconds(100..130)].concat());
    assert!(setup.names().contains(&format!("segment-{}-2.heatsink", at(100).0)));
}

#[test]
fn an_incident_that_failed_just_before_the_end_is_written() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..30);
    setup.disk.faults.lock().expect("free").create = Some(("incident-1.", Errno::IO));
    history.put_incident(&incident(1, 10, true));
    assert_eq!(errors(&history)["io"], 1);
    setup.disk.faults.lock().expect("free").create = None;
    history.close();
    assert_eq!(numbers(&setup.archive()), [1]);
}

#[test]
fn a_large_incident_without_room_holds_up_no_small_one() {
    let setup = Setup::new();
    let killed = setup.open();
    setup.record(&killed, 0..2_000);
    let window = Range { from: at(0), to: at(2_000) };
    killed.put_incident(&Incident { window, ..incident(1, 1_000, false) });
    drop(killed);
    let history = setup.open();
    setup.record(&history, 2_001..2_010);
    let bytes = |number| {
        let name = format!("incident-{number}.heatsink");
        fs::metadata(setup.path().join(name)).map_or(0, |metadata| metadata.len())
    };
    let closed = bytes(1);
    assert!(closed > 5_000, "{closed}");
    // The same again, without the room for it.
    drop(history);
    let killed = setup.open();
    setup.record(&killed, 2_010..2_011);
    killed.put_incident(&Incident { window, ..incident(2, 1_000, false) });
    drop(killed);
    setup.disk.faults.lock().expect("free").volume = Some(closed - 500);
    let history = setup.open();
    setup.record(&history, 2_020..2_030);
    history.put_incident(&incident(3, 2_025, false));
    setup.record(&history, 2_030..2_045);
    let stored = setup.archive().incidents().expect("it can be read");
    let stored: Vec<_> = stored.iter().map(|it| (it.number, it.is_closed)).collect();
    assert_eq!(stored, [(1, true), (2, false), (3, false)]);
    assert_eq!(errors(&history).keys().copied().collect::<Vec<_>>(), ["full"]);
}

#[test]
fn what_was_written_is_synced_although_more_cannot_be() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..28);
    setup.disk.faults.lock().expect("free").write = Some((0, Errno::NOSPC));
    setup.disk.faults.lock().expect("free").sync = Some(Errno::IO);
    setup.record(&history, 28..60);
    setup.record_at(&history, 60, 60, &[event(60)]);
    assert_eq!(setup.disk.faults.lock().expect("free").sync, None, "it is synced");
}

#[test]
fn a_segment_is_synced_at_its_end_although_its_summary_cannot_be_written() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..28);
    let ends = |faults: &mut super::super::disk::Faults| {
        faults.write = Some((0, Errno::NOSPC));
        faults.sync = Some(Errno::IO);
    };
    ends(&mut setup.disk.faults.lock().expect("free"));
    history.close();
    assert_eq!(setup.disk.faults.lock().expect("free").sync, None, "it is synced");
}

#[test]
fn a_closed_incident_that_is_told_again_keeps_its_number() {
    let setup = Setup::new();
    let first = setup.open();
    setup.record(&first, 0..30);
    first.put_incident(&incident(1, 10, true));
    first.close();
    let second = setup.open();
    setup.record(&second, 1_000..1_030);
    for _ in 0..3 {
        second.put_incident(&incident(1, 1_005, true));
        assert_eq!(numbers(&setup.archive()), [1, 2]);
    }
}

/// As with two runs that begin in the same millisecond.
#[test]
fn a_run_of_which_there_is_only_an_incident_keeps_its_number() {
    let setup = Setup::new();
    let killed = setup.open();
    killed.put_incident(&incident(1, 10, false));
    drop(killed);
    assert_eq!(setup.names(), ["heatsink-history", "incident-1.heatsink", "lock"]);
    let listed = files::list(&setup.path()).expect("it is there");
    assert!(files::largest_run(&listed) > 0);
}

#[test]
fn an_incident_whose_number_is_taken_gets_the_next_one() {
    let setup = Setup::new();
    let first = setup.open();
    setup.record(&first, 0..30);
    let second = setup.open();
    setup.record(&second, 1_000..1_010);
    second.put_incident(&incident(1, 1_005, false));
    for number in 1..=2 {
        first.put_incident(&incident(number, 10, true));
    }
    assert_eq!(numbers(&second), [1, 2, 3], "one is only in memory");
    first.close();
    setup.record(&second, 1_010..1_030);
    assert_eq!(numbers(&setup.archive()), [1, 2, 3]);
    second.put_incident(&incident(1, 1_005, true));
    second.put_incident(&incident(2, 1_006, true));
    assert_eq!(numbers(&second), [1, 2, 3, 4]);
    let stored = setup.archive().incidents().expect("it can be read");
    assert_eq!(stored, second.incidents().expect("it can be read"));
    let began: Vec<_> = stored.iter().map(|incident| incident.began).collect();
    assert_eq!(began, [at(10), at(10), at(1_005), at(1_006)]);
    assert!(stored.iter().all(|incident| incident.is_closed));
}

#[test]
fn a_marker_that_was_cut_is_written_again() {
    for cut in [&b""[..], &[0; 27], b"heatsink history, ver"] {
        let setup = Setup::new();
        fs::create_dir(setup.path()).expect("there is room");
        let marker = setup.path().join(files::MARKER);
        fs::write(&marker, cut).expect("there is room");
        let history = setup.open();
        setup.record(&history, 0..30);
        assert_eq!(errors(&history), BTreeMap::new(), "{cut:?}");
        history.close();
        assert_eq!(setup.seconds(), seconds(0..30));
        assert_eq!(fs::read_to_string(&marker).expect("it is there"), files::marker_text());
    }
}

#[test]
fn a_marker_that_cannot_be_read_is_replaced_beside_files_of_ours() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..30);
    history.close();
    let marker = setup.path().join(files::MARKER);
    fs::write(&marker, "\u{1}garbage").expect("there is room");
    let history = setup.open();
    setup.record(&history, 30..60);
    history.close();
    assert_eq!(setup.seconds(), seconds(0..60));
    assert_eq!(fs::read_to_string(&marker).expect("it is there"), files::marker_text());

    let setup = Setup::new();
    fs::create_dir(setup.path()).expect("there is room");
    let marker = setup.path().join(files::MARKER);
    fs::write(&marker, "mine").expect("there is room");
    let history = setup.open();
    setup.record(&history, 0..30);
    assert!(!store_view(&history).is_writable);
    assert_eq!(fs::read_to_string(&marker).expect("it is there"), "mine");
}

#[test]
fn incidents_that_cannot_be_written_are_bounded() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..30);
    setup.disk.faults.lock().expect("free").write = Some((0, Errno::NOSPC));
    for number in 1..=150 {
        history.put_incident(&incident(number, 10, true));
    }
    assert_eq!(errors(&history)["incidents_dropped"], 50);
    for number in 151..=160 {
        history.put_incident(&large(number, 10, 300_000, true));
    }
    assert!(errors(&history)["incidents_dropped"] >= 150);
    setup.disk.faults.lock().expect("free").write = None;
    setup.record(&history, 30..60);
    assert_eq!(numbers(&setup.archive()), [158, 159, 160]);
}

#[test]
fn incidents_that_memory_has_no_room_for_are_read_from_the_directory() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..30);
    for number in 1..=10 {
        history.put_incident(&large(number, 10, 300_000, number != 1));
    }
    let memory = history.memory();
    let bytes: usize = memory.incidents.iter().map(|incident| incident.size()).sum();
    assert!(bytes <= 1 << 20, "{bytes}");
    assert_eq!(numbers(&*memory), [1, 9, 10], "one that is open stays");
    assert_eq!(numbers(&history), Vec::from_iter(1..=10));
}

#[test]
fn incidents_have_at_most_half_of_the_directory() {
    let setup = Setup { max_bytes: 200_000, ..Setup::new() };
    let history = setup.open();
    let mut number = 0;
    for second in (0..9_000).step_by(300) {
        setup.record(&history, second..second + 300);
        number += 1;
        history.put_incident(&large(number, second + 200, 20_000, true));
    }
    history.close();
    let listed = files::list(&setup.path()).expect("it is there");
    let of_incidents = |file: &&files::Listed| matches!(file.name, files::Name::Incident { .. });
    let bytes: u64 = listed.iter().filter(of_incidents).map(|file| file.bytes).sum();
    assert!((60_000..=130_000).contains(&bytes), "{bytes}");
    assert!(setup.segments() >= 2, "{:?}", setup.names());
    let numbers = numbers(&setup.archive());
    assert!(numbers[0] > 1 && numbers.ends_with(&[number - 1, number]), "{numbers:?}");
}

#[test]
fn a_segment_of_the_future_does_not_keep_older_ones() {
    let setup = Setup::new();
    let year = 365 * 24 * 3_600;
    let history = setup.open();
    setup.record(&history, year..year + 600);
    history.close();
    let history = setup.open();
    setup.record(&history, 0..3 * 3_600);
    history.close();
    assert_eq!(setup.segments(), 4);
    let history = setup.open();
    let later = 8 * 24 * 3_600;
    for second in 0..1_900_u16 {
        setup.record_at(&history, 20_000 + u64::from(second), later + i64::from(second), &[]);
    }
    assert_eq!(setup.segments(), 4, "of the future, of the last hour two, and the current one");
    let all = read(&setup.archive(), Range::ALL).seconds();
    assert!(!all.contains(&0) && all.contains(&year) && all.contains(&(2 * 3_600)));
}

#[test]
fn an_hour_of_short_segments_stays() {
    let setup = Setup::new();
    for run in 0..20 {
        let history = setup.open();
        setup.record(&history, run * 1_000..run * 1_000 + 300);
        history.close();
    }
    assert_eq!(setup.segments(), 20);
    let history = setup.open();
    let later = 8 * 24 * 3_600;
    for second in 0..3_500_u16 {
        setup.record_at(&history, 90_000 + u64::from(second), later + i64::from(second), &[]);
    }
    assert_eq!(setup.segments(), 12 + 1, "twelve times five minutes, and that of this run");
}

#[test]
fn the_segment_that_is_written_stays_whatever_its_time_is() {
    let setup = Setup { max_bytes: 1, ..Setup::new() };
    let history = setup.open();
    let year = 365 * 24 * 3_600;
    for second in 0..50_i64 {
        setup.record_at(&history, second.unsigned_abs(), second - 100 * year, &[]);
    }
    history.close();
    assert_eq!(errors(&history), BTreeMap::new());
    assert_eq!(setup.seconds(), seconds(-100 * year..50 - 100 * year));
}

#[test]
fn an_event_a_moment_before_the_first_row_makes_no_segment() {
    let setup = Setup::new();
    let history = setup.open();
    let started = Event { time: crate::time::Time(at(0).0 + 2), ..event(0) };
    history.append(moment(0), &setup.layout, None, &[started], true);
    let more = layout(3, 3);
    history.append(moment(0), &more, Some(&row(&more, 0)), &[event(0)], true);
    history.close();
    assert_eq!(setup.segments(), 1);
}

#[test]
fn a_leftover_beside_an_incident_does_not_hold_it_up() {
    let setup = Setup::new();
    let history = setup.open();
    setup.record(&history, 0..30);
    fs::write(setup.path().join("incident-1.heatsink.tmp"), "mine").expect("there is room");
    fs::write(setup.path().join("incident-2.heatsink.tmp"), "").expect("there is room");
    history.put_incident(&incident(1, 10, true));
    history.put_incident(&incident(2, 10, true));
    assert_eq!(numbers(&setup.archive()), [1, 2]);
    assert_eq!(errors(&history), BTreeMap::new());
    let mut names = setup.names();
    names.retain(|name| name.ends_with(".tmp"));
    assert_eq!(names, ["incident-1.heatsink.tmp"]);
    fs::write(setup.path().join("incident-7.heatsink.3.tmp"), "").expect("there is room");
    drop(history);
    setup.open();
    let mut names = setup.names();
    names.retain(|name| name.ends_with(".tmp"));
    assert_eq!(names, ["incident-1.heatsink.tmp"]);
}

#[test]
fn an_incident_that_fails_holds_up_nothing_else() {
    let setup = Setup { max_bytes: 60_000, ..Setup::new() };
    let history = setup.open();
    setup.record(&history, 0..30);
    setup.disk.faults.lock().expect("free").create = Some(("incident-1.", Errno::IO));
    history.put_incident(&incident(1, 10, true));
    history.put_incident(&incident(2, 10, true));
    assert_eq!(numbers(&setup.archive()), [2]);
    setup.record(&history, 30..9_000);
    let view = store_view(&history);
    assert!(view.is_writable && view.bytes <= 60_000, "{}", view.bytes);
    assert!(view.errors["io"] > 10);
    assert_eq!(view.errors.len(), 1);
    setup.disk.faults.lock().expect("free").create = None;
    setup.record(&history, 9_000..9_020);
    assert_eq!(numbers(&setup.archive()), [1, 2]);
}

#[test]
fn a_run_comes_after_those_of_a_directory_that_is_opened_late() {
    let setup = Setup::new();
    let before = setup.open();
    setup.record(&before, 0..30);
    before.close();
    // As if the clock had been wrong then.
    let name = setup.names().into_iter().find(|name| name.starts_with("segment-"));
    let path = setup.path().join(name.expect("there is one"));
    let bytes = fs::read(&path).expect("it is there");
    let frames = Scanner::new(&bytes).filter_map(|found| {
        let frame::Envelope { kind, key, .. } = found.envelope;
        let key = Key { run: key.run + (1 << 50), ..key };
        let kind = kind.filter(|kind| *kind != frame::Kind::Summary)?;
        frame::encode(kind, key, found.payload)
    });
    let later: Vec<u8> = frames.flatten().collect();
    let hidden = setup.directory.path().join("hidden");
    fs::write(&path, later).expect("there is room");
    fs::rename(setup.path(), &hidden).expect("it is there");
    setup.disk.faults.lock().expect("free").directory = Some(Errno::ROFS);
    let history = setup.open();
    setup.record(&history, 1_000..1_025);
    fs::rename(&hidden, setup.path()).expect("it is there");
    setup.disk.faults.lock().expect("free").directory = None;
    setup.record(&history, 1_025..1_060);
    let all = [seconds(0..30), seconds(1_000..1_060)].concat();
    assert_eq!(read(&history, Range::ALL).seconds(), all);
    history.put_incident(&incident(1, 1_030, true));
    history.close();
    assert_eq!(setup.seconds(), all);
    assert_eq!(numbers(&history), [1]);
    let next = setup.open();
    setup.record(&next, 2_000..2_030);
    assert_eq!(read(&next, Range::ALL).seconds(), [all, seconds(2_000..2_030)].concat());
}
