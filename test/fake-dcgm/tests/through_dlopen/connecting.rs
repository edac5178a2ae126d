//! Beginning, ending, and engines that come and go.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::client::{Client, until, versioned};

const EVERY: Duration = Duration::from_millis(50);

/// All that the library must export.
const EXPORTS: &[&str] = &[
    "dcgmInit",
    "dcgmConnect_v2",
    "dcgmConnect_v3",
    "dcgmDisconnect",
    "dcgmStartEmbedded_v2",
    "dcgmStopEmbedded",
    "dcgmVersionInfo",
    "dcgmHostengineVersionInfo",
    "dcgmGetAllDevices",
    "dcgmGetEntityGroupEntities",
    "dcgmGetGpuInstanceHierarchy",
    "dcgmGetDeviceAttributes",
    "dcgmGetGpuStatus",
    "dcgmGroupCreate",
    "dcgmGroupAddEntity",
    "dcgmGroupDestroy",
    "dcgmFieldGroupCreate",
    "dcgmFieldGroupDestroy",
    "dcgmWatchFields",
    "dcgmUnwatchFields",
    "dcgmUpdateAllFields",
    "dcgmGetLatestValues_v2",
    "dcgmGetValuesSince_v2",
    "dcgmHealthSet_v2",
    "dcgmHealthCheck",
    "dcgmGetNvLinkP2PStatus",
    "dcgmGetCpuHierarchy_v2",
    "DcgmFieldGetById",
    "errorString",
];

#[test]
fn every_function_is_exported() {
    let client = Client::new();
    for name in EXPORTS {
        // SAFETY: it is looked up and not called.
        unsafe { client.function::<unsafe extern "C" fn()>(name) };
    }
}

#[test]
fn every_call_fails_before_init() {
    type ById = unsafe extern "C" fn(u16) -> *const u8;
    let mut client = Client::new();
    assert_eq!(client.connect(10), Err(-10));
    assert_eq!(client.version(), Err(-10));
    // SAFETY: that is its type, and what it points to has 72 bytes.
    unsafe {
        let by_id = client.function::<ById>("DcgmFieldGetById");
        assert!(by_id(155).is_null());
        assert_eq!(client.init(), 0);
        let meta = std::slice::from_raw_parts(by_id(155), 72);
        assert_eq!((&meta[..2], meta[2]), (&155_u16.to_ne_bytes()[..], b'd'));
        assert!(by_id(1603).is_null() && by_id(9001).is_null());
        assert!(!by_id(858).is_null(), "the equipment has it");
    }
    client.handle = client.connect(1000).unwrap();
    assert!(client.version().unwrap().starts_with("version:4.6.0;arch:x86_64;"));
}

#[test]
fn a_wrong_version_word_is_refused() {
    let client = Client::connected();
    assert_eq!(client.connect_with(0x0200_000C, 10), Err(-12));
    for name in ["dcgmHostengineVersionInfo", "dcgmGetGpuInstanceHierarchy", "dcgmHealthSet_v2"] {
        assert_eq!(client.fill(name, &mut versioned(0x0900_0204)), -12, "{name}");
    }
}

#[test]
fn an_engine_that_is_down_is_waited_for() {
    let mut client = Client::connected();
    client.engine.set(&["engine down"]);
    thread::sleep(Duration::from_millis(10));
    assert_eq!(client.version(), Err(-21));
    let began = Instant::now();
    assert_eq!(client.connect(200), Err(-21));
    assert!(began.elapsed() >= Duration::from_millis(200));
    client.engine.clear();
    thread::sleep(Duration::from_millis(10));
    assert_eq!(client.version(), Err(-21), "that handle is dead for ever");
    client.handle = client.connect(200).unwrap();
    assert!(client.version().is_ok());
}

#[test]
fn a_restart_takes_groups_and_watches_along() {
    let mut client = Client::connected();
    let (group, fields) = (client.group(&[(1, 0)]).unwrap(), client.field_group("a", &[150]));
    client.watch(group, fields.unwrap(), EVERY).unwrap();
    client.engine.set(&["engine restart 1", "engine version 3.3.9"]);
    thread::sleep(Duration::from_millis(10));
    assert_eq!(client.latest(group, fields.unwrap()), Err(-21));
    client.handle = client.connect(1000).unwrap();
    assert!(client.version().unwrap().starts_with("version:3.3.9;"));
    assert_eq!(client.latest(group, fields.unwrap()), Err(-1));
    client.engine.set(&["engine restart 1", "engine dead-handle"]);
    thread::sleep(Duration::from_millis(10));
    assert!(client.version().is_ok(), "it is the same restart");
    client.handle = client.connect(1000).unwrap();
    assert_eq!(client.version(), Err(-21));
}

#[test]
fn a_stopped_engine_lets_callers_wait() {
    let client = Client::connected();
    client.engine.set(&["engine stopped"]);
    thread::sleep(Duration::from_millis(10));
    let began = Instant::now();
    assert_eq!(client.version(), Err(-11));
    assert!(began.elapsed() >= Duration::from_millis(500));
    thread::scope(|scope| {
        let connecting = scope.spawn(|| client.connect(10));
        thread::sleep(Duration::from_millis(100));
        assert!(!connecting.is_finished(), "its timeout does not count");
        client.engine.clear();
        assert!(connecting.join().unwrap().is_ok());
    });
    until("it answers again", || client.version().is_ok());
}

#[test]
fn only_one_embedded_engine_can_run() {
    type Start = unsafe extern "C" fn(*mut u64) -> i32;
    type Stop = unsafe extern "C" fn(usize) -> i32;
    let mut client = Client::new();
    client.engine.set(&["engine down"]);
    assert_eq!(client.init(), 0);
    let start = |client: &Client| {
        let mut params = versioned(0x0100_0048);
        params[0] |= 1 << 32;
        // SAFETY: that is its type, and the struct has its size.
        let code = unsafe { client.function::<Start>("dcgmStartEmbedded_v2")(params.as_mut_ptr()) };
        if code == 0 { Ok(params[1] as usize) } else { Err(code) }
    };
    client.handle = start(&client).unwrap();
    assert_eq!(start(&client), Err(-55));
    assert!(client.version().is_ok(), "it is not the host engine that is down");
    assert_eq!(client.entities(1), [0, 1]);
    let stop = |client: &Client| {
        // SAFETY: that is its type.
        unsafe { client.function::<Stop>("dcgmStopEmbedded")(client.handle) }
    };
    assert_eq!((stop(&client), stop(&client)), (0, -1));
    assert_eq!(client.version(), Err(-21));
    client.handle = start(&client).unwrap();
    assert_eq!(stop(&client), 0);
}
