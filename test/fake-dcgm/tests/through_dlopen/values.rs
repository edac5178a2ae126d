//! Watching, and what comes of it.

use std::{
    thread,
    time::{Duration, SystemTime},
};

use crate::client::{Client, TIMEOUT, until};

const EVERY: Duration = Duration::from_millis(50);
const BLANK: i64 = 0x7FFF_FFFF_FFFF_FFF0;

fn now_us() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as i64
}

#[test]
fn values_have_a_status_each() {
    let client = Client::connected();
    let group = client.group(&[(1, 0), (1, 1)]).unwrap();
    let fields = client.field_group("some", &[1, 50, 150, 155, 230]).unwrap();
    let values = client.latest(group, fields).unwrap();
    let found: Vec<_> =
        values.iter().map(|it| (it.entity, it.field, it.status, it.letter)).collect();
    let expected = [(1, 's'), (50, 's'), (150, 'i'), (155, 'd'), (230, 'i')];
    let of = |gpu| expected.iter().map(move |(field, letter)| ((1, gpu), *field, -16, *letter));
    assert_eq!(found, of(0).chain(of(1)).collect::<Vec<_>>());
    assert_eq!((values[2].int(), values[0].text()), (BLANK, "<<<NULL>>>"));
    let began = now_us();
    client.watch(group, fields, EVERY).unwrap();
    client.updated();
    let values = client.latest(group, fields).unwrap();
    let statuses: Vec<_> = values.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [0, 0, 0, 0, -14, 0, 0, 0, 0, -14]);
    assert!(values[0].text().starts_with("550."), "{}", values[0].text());
    assert!(values[1].text().starts_with("NVIDIA"));
    assert!((10..100).contains(&values[2].int()), "{}", values[2].int());
    assert!((10.0..1000.0).contains(&values[3].float()));
    assert!(values[2].at >= began && values[2].at <= now_us());
    until("it is sampled again", || client.latest(group, fields).unwrap()[2].at > values[2].at);
}

#[test]
fn values_since_a_moment_have_placeholders() {
    let client = Client::connected();
    let group = client.group(&[(1, 0)]).unwrap();
    let fields = client.field_group("some", &[150, 230]).unwrap();
    client.watch(group, fields, EVERY).unwrap();
    client.updated();
    let (values, next) = client.since(group, fields, 0);
    assert_eq!(values.iter().map(|it| it.status).min(), Some(-14));
    let newest = values.iter().filter(|it| it.field == 150).map(|it| it.at).max();
    assert_eq!(newest, Some(next - 1));
    client.driver.set(&["gpu 0 xid 48", "gpu 0 xid 79"]);
    let codes = || -> Vec<i64> {
        let (values, _) = client.since(group, fields, 0);
        let xids = values.into_iter().filter(|it| it.field == 230 && it.status == 0);
        xids.map(|it| it.int()).collect()
    };
    until("both are there", || codes().len() == 2);
    assert_eq!(codes(), [48, 79]);
    let (values, next) = client.since(group, fields, now_us() + 60_000_000);
    assert!(values.iter().all(|it| it.status == -14) && values.len() == 2);
    assert!(next > now_us());
}

#[test]
fn without_profiling_the_other_fields_are_watched() {
    let client = Client::connected();
    client.engine.set(&["no-profiling", "field 140 unsupported", "field 157 refused"]);
    thread::sleep(Duration::from_millis(10));
    let group = client.group(&[(1, 0)]).unwrap();
    let fields = client.field_group("some", &[150, 1001, 140]).unwrap();
    assert_eq!(client.watch(group, fields, EVERY), Err(-33));
    client.updated();
    let statuses: Vec<_> =
        client.latest(group, fields).unwrap().iter().map(|it| it.status).collect();
    assert_eq!(statuses, [0, -16, -16]);
    assert_eq!(client.field_group("other", &[150, 157]), Err(-1));
    client.engine.clear();
    thread::sleep(Duration::from_millis(10));
    assert_eq!(client.watch(group, fields, EVERY), Ok(()));
    until("it can be profiled", || client.latest(group, fields).unwrap()[1].status == 0);
}

#[test]
fn limits_are_those_of_the_library() {
    let client = Client::connected();
    assert_eq!(client.field_group("many", &[150; 128]), Err(-1));
    assert_eq!(client.field_group("none", &[150, 1600]), Err(-13));
    assert!(client.field_group("many", &[150; 127]).is_ok());
    let made = (0..100).map_while(|_| client.group(&[]).ok()).count();
    assert_eq!((made, client.group(&[])), (59, Err(-24)));
    let made = (0..100).map_while(|at| client.field_group(&format!("{at}"), &[150]).ok()).count();
    assert_eq!(made, 58);
    let other = client.connect(1000).unwrap();
    type Disconnect = unsafe extern "C" fn(usize) -> i32;
    // SAFETY: that is its type.
    let disconnect = unsafe { client.function::<Disconnect>("dcgmDisconnect") };
    // SAFETY: it takes a number.
    assert_eq!(unsafe { (disconnect(other), disconnect(other)) }, (0, -21));
    assert_eq!(client.group(&[(1, 0)]), Err(-24), "the other one's going frees nothing");
    // SAFETY: it takes a number.
    assert_eq!(unsafe { disconnect(client.handle) }, 0);
}

#[test]
fn an_entity_must_be_there() {
    let client = Client::connected();
    assert_eq!(client.group(&[(1, 2)]), Err(-1));
    assert_eq!(client.group(&[(1, 0), (1, 0)]), Err(-1));
    assert!(client.group(&[(3, 0), (8, 65), (6, 0x0000_0101), (6, 0x0100_0001)]).is_ok());
}

#[test]
fn fields_can_be_blank_or_have_a_value_and_engines_can_stand_still() {
    let client = Client::connected();
    client.engine.set(&["field 150 value 99", "field 155 blank", "clock 3600"]);
    thread::sleep(Duration::from_millis(10));
    let group = client.group(&[(1, 0), (1, 1)]).unwrap();
    let fields = client.field_group("some", &[150, 155]).unwrap();
    let began = now_us();
    client.watch(group, fields, EVERY).unwrap();
    client.updated();
    let values = client.latest(group, fields).unwrap();
    assert_eq!((values[0].int(), values[1].float(), values[1].status), (99, 2_f64.powi(47), 0));
    assert!((began..=now_us()).contains(&(values[0].at - 3_600_000_000)));
    // A round that begins after the file is due again sees what is set.
    let set = |command: &str| {
        client.engine.set(&[command]);
        thread::sleep(Duration::from_millis(10));
        client.updated();
    };
    set("gpu 0 stale");
    let before = client.latest(group, fields).unwrap();
    until("the other one goes on", || client.latest(group, fields).unwrap()[2].at > before[2].at);
    assert_eq!(client.latest(group, fields).unwrap()[0], before[0]);
    set("stale");
    let before = client.latest(group, fields).unwrap();
    thread::sleep(Duration::from_millis(500));
    assert_eq!(client.latest(group, fields).unwrap(), before);
}

#[test]
fn a_gpu_that_hangs_holds_up_all() {
    let client = Client::connected();
    let group = client.group(&[(1, 0), (1, 1)]).unwrap();
    let fields = client.field_group("some", &[150]).unwrap();
    client.watch(group, fields, EVERY).unwrap();
    client.updated();
    client.driver.set(&["gpu 0 hang"]);
    until("it stands still", || {
        let before = client.latest(group, fields).unwrap();
        thread::sleep(Duration::from_millis(500));
        client.latest(group, fields).unwrap() == before
    });
    let before = client.latest(group, fields).unwrap();
    assert_eq!(client.update(), Err(TIMEOUT));
    assert_eq!(client.latest(group, fields).unwrap(), before);
    client.driver.clear();
    until("it goes on", || client.latest(group, fields).unwrap()[1].at > before[1].at);
}
