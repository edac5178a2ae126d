//! When there is a new layout, and which column a GPU has.

use std::sync::Arc;

use history::layout::Layout;
use model::{Down, Identity, Value, field};

use crate::machine::{Machine, SECOND, identity, millis, view};

/// The layout after a change.
fn observe(machine: &mut Machine, second: &mut u32) -> Arc<Layout> {
    *second += 1;
    let before = machine.observe(SECOND * *second).layout;
    let after = machine.observe(SECOND * *second).layout;
    assert!(Arc::ptr_eq(&before, &after), "nothing has changed in between");
    after
}

#[test]
fn a_layout_stays_until_something_changes() {
    let mut machine = Machine::new(2, SECOND);
    let mut last = machine.observe(millis(0)).layout;
    let mut second = 0;
    let mut changes = |machine: &mut Machine| {
        second += 1;
        let layout = machine.observe(SECOND * second).layout;
        let is_new = !Arc::ptr_eq(&layout, &last);
        last = layout;
        is_new
    };
    assert!(!changes(&mut machine));
    machine.set(0, field::SERIAL, Ok(Value::Text("1650".into())));
    assert!(changes(&mut machine), "a serial number");
    machine.down(1, Down::Lost);
    assert!(!changes(&mut machine), "a GPU that is down keeps its column");
    let index = machine.snapshot.gpus[1].gpu.index.take();
    assert!(!changes(&mut machine), "and its index, while it is not listed");
    machine.snapshot.gpus[1].gpu.index = index;
    assert!(!changes(&mut machine), "and listed again");
    machine.snapshot.source.up = Err("no driver".to_owned());
    machine.snapshot.source.driver_version = None;
    assert!(!changes(&mut machine), "the version is not known meanwhile");
    machine.snapshot.source.driver_version = Some("590.1".into());
    assert!(changes(&mut machine));
    machine.set(0, field::SERIAL, Err(model::Reason::Late));
    assert!(!changes(&mut machine));
    let watches = machine.snapshot.watches.iter().filter(|watch| watch.field != field::GPU_TEMP);
    machine.snapshot.watches = watches.cloned().collect();
    assert!(changes(&mut machine), "a signal less");
    assert!(last.column("gpu_temperature", Some(0)).is_none());
    assert_eq!(last.gpus[0].serial.as_deref(), Some("1650"));
    assert_eq!(last.host.driver_version.as_deref(), Some("590.1"));
    assert_eq!(
        (last.host.source.as_str(), last.host.hostname.as_deref()),
        ("nvml", Some("node-1"))
    );
}

#[test]
fn a_gpu_keeps_its_column() {
    let mut machine = Machine::new(3, SECOND);
    let mut second = 0;
    let names = |layout: &Layout| -> Vec<String> {
        let name = |gpu: &history::layout::GpuInfo| {
            let index = gpu.index.map_or("-".to_owned(), |index| index.to_string());
            format!("{index}={}", gpu.uuid.as_deref().unwrap_or("?"))
        };
        layout.gpus.iter().map(name).collect()
    };
    let layout = observe(&mut machine, &mut second);
    assert_eq!(names(&layout), ["0=GPU-0", "1=GPU-1", "2=GPU-2"]);
    // GPU 0 falls off the bus, and after a new session the others have other indexes.
    let gone = machine.snapshot.gpus.remove(0);
    for (index, gpu) in machine.snapshot.gpus.iter_mut().enumerate() {
        gpu.gpu.index = Some(index as u32);
    }
    let mut absent = gone;
    (absent.gpu.index, absent.up) = (None, Err(Down::Missing));
    machine.snapshot.gpus.push(absent);
    let layout = observe(&mut machine, &mut second);
    assert_eq!(names(&layout), ["-=GPU-0", "0=GPU-1", "1=GPU-2"]);
    // It is forgotten. Its column stays until something else changes.
    machine.snapshot.gpus.pop();
    let layout = observe(&mut machine, &mut second);
    assert_eq!(layout.gpus.len(), 3);
    let watches = machine.snapshot.watches.len();
    machine.snapshot.gpus.push(view(7, watches));
    let layout = observe(&mut machine, &mut second);
    assert_eq!(names(&layout), ["0=GPU-1", "1=GPU-2", "7=GPU-7"]);
}

#[test]
fn a_gpu_that_is_identified_later_is_the_same() {
    let mut machine = Machine::new(2, SECOND);
    for gpu in &mut machine.snapshot.gpus {
        (gpu.gpu.identity, gpu.up) = (None, Err(Down::Starting));
    }
    let first = machine.observe(millis(0)).layout;
    assert_eq!((first.gpus.len(), first.gpus[1].index), (2, Some(1)));
    machine.snapshot.gpus[1].gpu.identity = Some(Arc::new(identity(1)));
    machine.snapshot.gpus[1].up = Ok(());
    let second = machine.observe(millis(100)).layout;
    assert_eq!((second.gpus.len(), second.gpus[1].uuid.as_deref()), (2, Some("GPU-1")));
}

#[test]
fn another_gpu_with_the_index_is_another_column() {
    let mut machine = Machine::new(1, SECOND);
    let before = machine.observe(millis(0)).layout;
    let other = Identity { uuid: Some("GPU-other".to_owned()), ..identity(0) };
    machine.snapshot.gpus[0].gpu.identity = Some(Arc::new(other));
    let after = machine.observe(millis(1000)).layout;
    assert_eq!(before.gpus[0].uuid.as_deref(), Some("GPU-0"));
    assert_eq!((after.gpus.len(), after.gpus[0].uuid.as_deref()), (1, Some("GPU-other")));
}

#[test]
fn the_number_of_gpus_is_bounded() {
    let mut machine = Machine::new(1000, SECOND);
    let recorded = machine.observe(millis(500));
    assert_eq!(recorded.layout.gpus.len(), 128);
    assert_eq!(recorded.row.unwrap().values.len(), recorded.layout.width());
}
