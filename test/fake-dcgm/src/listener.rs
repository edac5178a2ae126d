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
use model::field;
use model::{Moment, Pass, Reader, Readings, Reason, XidEvent};

use crate::{
    engine::Engine,
    look::{POLL, complain},
    pair::{Pair, kind},
    value::Value,
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
            if engine.is_stopped(&engine.orders()) {
                thread::sleep(POLL);
                continue;
            }
            is_open = round(&mut *reader, is_open).is_ok();
            for event in reader.take_xids().into_iter().chain(printed(&engine, gpu)) {
                tell(&engine, gpu, event);
            }
            if !is_open {
                thread::sleep(RETRY);
            }
        }
    };
    let name = format!("fake-dcgm-xid-{gpu}");
    if let Err(error) = thread::Builder::new().name(name).spawn(listen) {
        complain(&format!("no thread for the XIDs of GPU {gpu}: {error}"));
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

/// The XIDs that have come since the last look and that the driver raises no event for. A real engine
/// reads them in the kernel's log of its machine; here, the driver's control file stands for that.
fn printed(engine: &Engine, gpu: u32) -> Vec<XidEvent> {
    let path = std::env::var_os("FAKE_NVML_CONTROL");
    let commands = path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let all = printed_xids(&commands, gpu);
    let mut state = engine.state();
    // What was there before the engine is not told.
    let seen = state.printed.entry(gpu).or_insert(all.len());
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

/// An event about an instance is told of that instance if somebody watches it there, else of the GPU.
fn tell(engine: &Engine, gpu: u32, event: XidEvent) {
    let at = engine.clock(&engine.orders());
    let sample = Sample { at, value: Value::Int(event.xid.code.into()) };
    let mut state = engine.state();
    let instances = state.gpus.iter().filter(|it| it.index == gpu).flat_map(|it| &it.instances);
    let instance = instances
        .filter(|it| it.pair.kind == kind::GPU_INSTANCE)
        .find(|it| Some(it.instance.gpu_instance) == event.instance)
        .map(|it| it.pair);
    let is_told = instance
        .is_some_and(|pair| state.watches.tell((pair, field::XID_ERRORS.0), sample.clone()));
    if !is_told {
        state.watches.tell((Pair::gpu(gpu), field::XID_ERRORS.0), sample);
    }
}
