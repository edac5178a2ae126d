//! Listens for the XIDs of one GPU, on a thread of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use fake_nvml::control::printed_xids;
use fake_nvml::control_file::POLL;
use model::field;
use model::{Moment, Pass, Reader, Readings, Reason, XidEvent};

use crate::{
    engine::Engine,
    entity::{EntityId, kind},
    value::Value,
    warn,
    watches::Sample,
};

/// How long a GPU that does not answer is left alone.
const RETRY: Duration = Duration::from_millis(200);

/// Listens until the engine is dead or `ended` is set.
pub(crate) fn start(
    engine: Arc<Engine>,
    gpu: u32,
    mut reader: Box<dyn Reader>,
    ended: Arc<AtomicBool>,
) {
    let listen = move || {
        let mut is_open = false;
        while !engine.is_dead() && !ended.load(Ordering::Acquire) {
            if engine.is_stopped(&engine.faults()) {
                thread::sleep(POLL);
                continue;
            }
            is_open = round(&mut *reader, is_open).is_ok();
            for event in reader.take_xids().into_iter().chain(logged_xids(&engine, gpu)) {
                record(&engine, gpu, event);
            }
            if !is_open {
                thread::sleep(RETRY);
            }
        }
    };
    let name = format!("fake-dcgm-xid-{gpu}");
    if let Err(error) = thread::Builder::new().name(name).spawn(listen) {
        warn(&format!("no thread for the XIDs of GPU {gpu}: {error}"));
    }
}

fn round(reader: &mut dyn Reader, was_open: bool) -> Result<(), Reason> {
    if !was_open {
        reader.open()?;
    }
    let (now, zero) = (Moment::now(), Duration::ZERO);
    let second = Duration::from_secs(1);
    let pass = Pass { now, elapsed: zero, previous: None, interval: second, cadence: second };
    reader.read(pass, &mut Readings::new(&reader.watches(), now))
}

/// The XIDs since the last call for which the driver raises no event. A real engine
/// reads them in the kernel's log of its machine, this one in the driver's control file.
fn logged_xids(engine: &Engine, gpu: u32) -> Vec<XidEvent> {
    let path = std::env::var_os("FAKE_NVML_CONTROL");
    let commands = path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let all = printed_xids(&commands, gpu);
    let mut state = engine.state();
    // XIDs from before the engine do not count.
    let seen = state.logged_xids.entry(gpu).or_insert(all.len());
    *seen = all.len().min(*seen);
    let new = all[*seen..].iter();
    *seen = all.len();
    new.map(|code| XidEvent {
        xid: model::catalog::xid::lookup(*code),
        instance: None,
        before: None,
    })
    .collect()
}

/// An event of an instance is recorded at that instance if it is watched there, else at the GPU.
fn record(engine: &Engine, gpu: u32, event: XidEvent) {
    let at = engine.clock(&engine.faults());
    let sample = Sample { at, value: Value::Int(event.xid.code.into()) };
    let mut state = engine.state();
    let instances = state.gpus.iter().filter(|it| it.index == gpu).flat_map(|it| &it.instances);
    let instance = instances
        .filter(|it| it.entity.kind == kind::GPU_INSTANCE)
        .find(|it| Some(it.instance.gpu_instance) == event.instance)
        .map(|it| it.entity);
    let is_recorded = instance.is_some_and(|entity| {
        state.watches.record_event((entity, field::XID_ERRORS.0), sample.clone())
    });
    if !is_recorded {
        state.watches.record_event((EntityId::gpu(gpu), field::XID_ERRORS.0), sample);
    }
}
