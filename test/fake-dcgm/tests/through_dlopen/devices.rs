//! GPUs, what is in them, and what is beside them.

use std::time::Duration;

use crate::client::{Client, text_at, u32_at, until, versioned};

const EVERY: Duration = Duration::from_millis(50);

fn attributes(client: &Client, gpu: u32) -> Vec<u64> {
    type Get = unsafe extern "C" fn(usize, u32, *mut u64) -> i32;
    let mut place = versioned(0x0300_1464);
    // SAFETY: that is its type, and the struct has its size.
    let code = unsafe {
        let get = client.function::<Get>("dcgmGetDeviceAttributes");
        get(client.handle, gpu, place.as_mut_ptr())
    };
    assert_eq!(code, 0);
    place
}

fn devices(client: &Client) -> Vec<u32> {
    type List = unsafe extern "C" fn(usize, *mut u32, *mut i32) -> i32;
    let (mut ids, mut count) = ([0; 32], 0);
    // SAFETY: that is its type, and there is room for 32.
    let code = unsafe {
        let list = client.function::<List>("dcgmGetAllDevices");
        list(client.handle, ids.as_mut_ptr(), &mut count)
    };
    assert_eq!(code, 0);
    ids[..count as usize].to_vec()
}

#[test]
fn gpus_say_what_they_are() {
    let client = Client::connected();
    assert_eq!(client.entities(1), [0, 1]);
    let found = attributes(&client, 1);
    let [uuid, name, bus, driver] =
        [1028, 260, 516, 1804].map(|offset| text_at(&found, 3120 + offset));
    assert!(uuid.starts_with("GPU-") && name.starts_with("NVIDIA"), "{uuid} {name}");
    assert!(bus.starts_with("00000000:") && driver.starts_with("550."), "{bus} {driver}");
    assert_eq!(u32_at(&found, 5188), 0x7FFF_FFF0);
}

#[test]
fn a_lost_gpu_has_blanks_that_are_fresh() {
    let client = Client::connected();
    let group = client.group(&[(1, 0), (1, 1)]).unwrap();
    let fields = client.field_group("some", &[150]).unwrap();
    client.watch(group, fields, EVERY).unwrap();
    client.driver.set(&["gpu 1 lost"]);
    until("it is lost", || client.gpu_state(1) == 4);
    client.updated();
    let values = client.latest(group, fields).unwrap();
    assert_eq!((values[1].status, values[1].int()), (0, 0x7FFF_FFFF_FFFF_FFF0));
    assert!(values[1].at.abs_diff(values[0].at) < 500_000);
    assert_eq!((client.gpu_state(0), client.entities(1)), (1, vec![0, 1]));
    assert_eq!(devices(&client), [0, 1]);
    client.engine.set(&["gpu 0 fake", "gpu 1 detached"]);
    until("it is fake", || (client.gpu_state(0), client.gpu_state(1)) == (5, 7));
    client.engine.clear();
    client.driver.clear();
    until("it is back", || client.latest(group, fields).unwrap()[1].int() < 200);
    assert_eq!(client.gpu_state(1), 1);
    client.driver.set(&["gpus 1"]);
    until("one is gone", || client.entities(1) == [0]);
}

#[test]
fn instances_are_listed_with_what_they_are_in() {
    let client = Client::connected();
    client.driver.set(&["gpu 1 mig on", "gpu 1 mig-create 3 1g.10gb"]);
    until("they are there", || !client.entities(5).is_empty());
    let (whole, inside) = (client.entities(4)[0], client.entities(5)[0]);
    assert_eq!(inside, 64);
    let mut found = versioned(0x0201_1F08);
    assert_eq!(client.fill("dcgmGetGpuInstanceHierarchy", &mut found), 0);
    assert_eq!(u32_at(&found, 4), 2);
    let row = |row: usize| {
        [0, 4, 8, 12, 144, 148, 152, 156, 160].map(|at| u32_at(&found, 8 + row * 164 + at))
    };
    assert_eq!(row(0), [4, whole, 1, 1, 1, 3, u32::MAX, 1, 1]);
    assert_eq!(row(1), [5, inside, 4, whole, 1, 3, 0, 30, 1]);
    assert!(text_at(&found, 24).starts_with("GPU-"));
    let group = client.group(&[(4, whole), (5, inside)]).unwrap();
    let fields = client.field_group("some", &[50, 250, 150, 230]).unwrap();
    client.watch(group, fields, EVERY).unwrap();
    client.updated();
    let values = client.latest(group, fields).unwrap();
    assert_eq!((values[0].text(), values[4].text()), ("1g.10gb", "1g.10gb"));
    assert!(values[1].int() > 0 && values[1].int() < 20_000, "{}", values[1].int());
    assert_eq!(values[2].int(), 0x7FFF_FFFF_FFFF_FFF2, "an instance has no temperature");
    client.driver.add(&["gpu 1 xid 43 instance 3"]);
    until("the instance has it", || {
        let values = client.latest(group, fields).unwrap();
        values[3].status == 0 && values[3].int() == 43
    });
}

#[test]
fn links_and_peers_are_known() {
    let client = Client::connected();
    let links = client.entities(6);
    let of_gpus = links.iter().filter(|id| **id & 0xFF == 1).count();
    assert!(of_gpus > 2 && links.contains(&0x0000_0103), "{links:x?}");
    let group = client.group(&[(6, links[0])]).unwrap();
    let fields = client.field_group("some", &[1525, 150]).unwrap();
    client.watch(group, fields, EVERY).unwrap();
    client.updated();
    let values = client.latest(group, fields).unwrap();
    assert_eq!((values[0].entity, values[0].status), ((6, links[0]), 0));
    assert!(values[0].int() < 1_000_000, "{}", values[0].int());
    assert_eq!(values[1].int(), 0x7FFF_FFFF_FFFF_FFF2, "a link has no temperature");
    let mut peers = versioned(0x0100_1088);
    assert_eq!(client.fill("dcgmGetNvLinkP2PStatus", &mut peers), 0);
    assert_eq!((u32_at(&peers, 4), u32_at(&peers, 8 + 132)), (2, 1));
    assert_eq!((u32_at(&peers, 8 + 4 + 4), u32_at(&peers, 8 + 4)), (0, 6));
}

#[test]
fn equipment_is_sampled_too() {
    let client = Client::connected();
    let of = |kind| client.entities(kind);
    assert_eq!((of(3), of(7), of(8)), (vec![0], vec![0], vec![0, 65]));
    let group = client.group(&[(3, 0), (8, 65)]).unwrap();
    let fields = client.field_group("some", &[858, 1110]).unwrap();
    client.watch(group, fields, EVERY).unwrap();
    client.updated();
    let values = client.latest(group, fields).unwrap();
    assert_eq!((values[0].int(), values[3].float()), (42, 0.5));
    assert_eq!(values[2].int(), 0x7FFF_FFFF_FFFF_FFF2);
    let mut cpus = versioned(0x0200_0C88);
    assert_eq!(client.fill("dcgmGetCpuHierarchy_v2", &mut cpus), 0);
    assert_eq!((u32_at(&cpus, 4), cpus[3], cpus[4]), (1, 1, 2));
}

#[test]
fn health_is_what_the_control_file_says() {
    type Check = unsafe extern "C" fn(usize, usize, *mut u64) -> i32;
    let client = Client::connected();
    client.engine.set(&["gpu 1 health MEM 20 46 row remap failed", "gpu 1 health PCIE 10 3"]);
    std::thread::sleep(Duration::from_millis(10));
    let group = client.group(&[(1, 0), (1, 1)]).unwrap();
    let check = || {
        let mut response = versioned(0x0510_500C);
        // SAFETY: that is its type, and the struct has its size.
        let code = unsafe {
            let check = client.function::<Check>("dcgmHealthCheck");
            check(client.handle, group, response.as_mut_ptr())
        };
        assert_eq!(code, 0);
        response
    };
    assert_eq!(u32_at(&check(), 8), 0, "nothing is watched yet");
    let mut params = versioned(0x0200_0028);
    (params[1], params[2]) = (group as u64, 0x10);
    assert_eq!(client.fill("dcgmHealthSet_v2", &mut params), 0);
    let found = check();
    assert_eq!([4, 8, 12, 16].map(|at| u32_at(&found, at)), [20, 1, 0x10, 20]);
    assert_eq!(text_at(&found, 20), "row remap failed");
    assert_eq!([1044, 1048, 1052].map(|at| u32_at(&found, at)), [46, 1, 1]);
}
