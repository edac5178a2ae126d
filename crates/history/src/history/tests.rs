//! Recording does not wait for the disk.

use std::sync::{Arc, PoisonError};
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::fixture::{STARTING, at, directory, event, incident, layout, moment, read, row};
use crate::store::StoreSettings;

struct Setup {
    directory: TempDir,
    layout: Arc<Layout>,
}

impl Setup {
    fn new() -> Self {
        Self { directory: directory(), layout: layout(2, 3) }
    }

    fn history(&self) -> History {
        let store = StoreSettings {
            directory: self.directory.path().join("history"),
            max_bytes: 320 << 20,
            keep: std::time::Duration::from_secs(3600),
        };
        History::new(Settings { store: Some(store), boot_id: None })
    }

    fn record(&self, history: &History, second: i64, events: &[Event]) {
        let row = row(&self.layout, second);
        let now = moment(second.unsigned_abs());
        history.record(now, &self.layout, Some(&row), events, !events.is_empty());
    }

    fn seconds(&self) -> Vec<i64> {
        let archive = Archive::open(&self.directory.path().join("history")).expect("it is there");
        let contents = read(&archive, Range::ALL);
        assert_eq!(contents.damage, Damage::default());
        contents.seconds()
    }
}

fn open(history: &History) {
    let _guard = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    history.open_directory();
}

#[test]
fn a_disk_that_hangs_holds_up_nothing_and_gets_all_later() {
    let setup = Setup::new();
    let history = setup.history();
    open(&history);
    thread::scope(|scope| {
        // The thread that writes waits for this.
        let disk = lock(&history.store);
        let writer = scope.spawn(|| history.write_until_ended());
        for second in 0..600 {
            setup.record(&history, second, &[event(second)]);
        }
        history.record_incident(&incident(1, 100, false));
        history.record_incident(&incident(1, 100, true));
        assert_eq!(read(&history, Range::ALL).seconds(), Vec::from_iter(0..600));
        assert_eq!(history.incidents().expect("they are in memory").len(), 1);
        assert_eq!(history.next_incident(), 2);
        history.end();
        drop(disk);
        writer.join().expect("it ends");
    });
    assert_eq!(setup.seconds(), Vec::from_iter(0..600));
    let view = history.view();
    let store = view.store.as_ref().expect("there is a directory");
    assert!(store.is_writable && store.errors.is_empty(), "{store:?}");
    assert_eq!(store.rows_lost, 0);
    let archive = Archive::open(&setup.directory.path().join("history")).expect("it is there");
    assert!(archive.incidents().expect("it can be read")[0].is_closed);
}

#[test]
fn what_happens_before_the_directory_is_open_is_written_then() {
    let setup = Setup::new();
    // Of a clock that was wrong.
    let earlier = setup.history();
    earlier.run.exceed(1 << 60);
    open(&earlier);
    earlier.append(moment(0), &setup.layout, Some(&row(&setup.layout, 0)), &[event(0)], true);
    earlier.put_incident(&incident(7, 0, false));
    earlier.close();
    let history = setup.history();
    for second in 10..80 {
        setup.record(&history, second, &[]);
    }
    assert_eq!((history.previous_run(), history.next_incident()), (None, 1));
    let is_writable = |history: &History| history.view().store.as_ref().map(|it| it.is_writable);
    assert_eq!(is_writable(&history), Some(false));
    open(&history);
    assert_eq!(is_writable(&history), Some(true));
    assert_eq!(history.previous_run().map(|run| run.last), Some(at(0)));
    assert_eq!(history.next_incident(), 8);
    assert_eq!(history.view().last_incident, Some(at(0).to_system()));
    setup.record(&history, 80, &[event(80)]);
    let expected = Vec::from_iter(std::iter::once(0).chain(10..81));
    assert_eq!(read(&history, Range::ALL).seconds(), expected);
    history.close();
    assert_eq!(setup.seconds(), expected);
}

#[test]
fn numbers_that_are_remembered_are_bounded() {
    let mut counts = Counts::new(None);
    for number in (1..=5_000).flat_map(|number| [number + 1, number, number]) {
        counts.add(&incident(number, 0, true));
    }
    assert_eq!(counts.by_kind["xid"].count, 5_001);
    assert!(counts.counted.len() <= COUNTED);
}

#[test]
fn errors_of_threads_are_on_the_page() {
    let setup = Setup::new();
    let history = setup.history();
    history.count_errors("panic", 1);
    setup.record(&history, 0, &[]);
    let view = history.view();
    let errors = view.store.as_ref().map(|store| store.errors.clone());
    assert_eq!(errors, Some(BTreeMap::from([("panic", 1)])));
}

#[test]
fn the_last_incident_does_not_open_the_directory_again() {
    let setup = Setup::new();
    let history = setup.history();
    open(&history);
    setup.record(&history, 0, &[event(0)]);
    history.record_incident(&incident(1, 0, true));
    history.close();
    let next = setup.history();
    open(&next);
    let store = next.view().store.clone().expect("there is a directory");
    assert!(store.is_writable && store.errors.is_empty(), "{store:?}");
    let archive = Archive::open(&setup.directory.path().join("history")).expect("it is there");
    assert_eq!(archive.incidents().expect("it can be read"), [incident(1, 0, true)]);
}

#[test]
fn without_a_directory_nothing_waits_for_it() {
    let setup = Setup::new();
    let history = History::new(Settings { store: None, boot_id: None });
    setup.record(&history, 0, &[event(0)]);
    history.record_incident(&incident(1, 0, false));
    let batch = history.handover.take(moment(0));
    assert!(batch.incidents.is_empty() && batch.dropped.is_empty() && !batch.is_urgent);
    assert_eq!(history.incidents().expect("it is in memory"), [incident(1, 0, false)]);
}
