//! The thread that samples: one for all GPUs of an engine, so that one that hangs holds up all.

use std::{sync::Arc, thread, time::Duration};

use fake_nvml::control_file::POLL;
use model::field;
use model::{Entity, FieldId, Value as Raw, WatchIndex};

use crate::{
    engine::{Engine, Mode, Setup},
    entity::EntityId,
    equipment::Equipment,
    faults::Faults,
    gpu::Gpu,
    machine::{Machine, NEVER_READ},
    readers::{Found, Readers},
    status::Status,
    value::{Blank, Value},
    watches::Sample,
};

/// The ticks between two rounds when no field is watched.
const IDLE_TICKS: u64 = 10;

/// The least number of ticks between two rounds: closer, rates have no value.
const MIN_TICKS: u64 = 3;

/// How long after the first reading of a session with the driver the second one is.
const SECOND_READING: Duration = Duration::from_millis(120);

/// Starts an engine with its thread, which ends when the engine is dead.
pub(crate) fn start(setup: Arc<Setup>, mode: Mode) -> Result<Arc<Engine>, Status> {
    let started = Arc::new(Engine::new(setup, mode));
    let engine = Arc::clone(&started);
    let sample = move || {
        let mut machine = Machine::new(&engine);
        let mut last = None;
        while !engine.is_dead() {
            let faults = engine.faults();
            if engine.is_stopped(&faults) {
                thread::sleep(POLL);
                continue;
            }
            let (requested, done) = {
                let state = engine.state();
                (state.rounds_requested, state.rounds_done)
            };
            let is_requested = requested > done;
            let is_new = machine.refresh(&engine, is_requested);
            let tick = engine.tick();
            let is_due = last.is_none_or(|last| tick >= last + MIN_TICKS) && {
                tick.is_multiple_of(IDLE_TICKS) || is_new || engine.state().watches.is_due(tick)
            };
            if is_requested || is_due {
                last = Some(tick);
                if is_new {
                    // Rates need two readings, and a driver has something new every 100 ms.
                    for (_, readers) in &mut machine.gpus {
                        readers.pass();
                    }
                    thread::sleep(SECOND_READING);
                }
                Round { engine: &engine, faults: &faults, tick, all: is_requested }
                    .run(&mut machine);
                engine.end_round(requested);
            }
            engine.wait(tick);
        }
    };
    let thread = thread::Builder::new().name("fake-dcgm".to_owned()).spawn(sample);
    thread.map(|_| started).map_err(|_| Status::GENERIC_ERROR)
}

/// One round of sampling.
struct Round<'a> {
    engine: &'a Engine,
    faults: &'a Faults,
    tick: u64,
    /// Whether everything is sampled, due or not.
    all: bool,
}

impl Round<'_> {
    fn run(&self, machine: &mut Machine) {
        if self.faults.stale {
            return;
        }
        self.equipment();
        for at in 0..machine.gpus.len() {
            let (gpu, readers) = &mut machine.gpus[at];
            // A sample of the driver has the time at which the driver was asked.
            let began = self.engine.clock(self.faults);
            gpu.down = readers.pass();
            if gpu.down.is_none() {
                gpu.update_parts(readers.parts());
            }
            if self.faults.gpu(gpu.index).is_none_or(|faults| !faults.stale) {
                self.publish(machine, at, began);
            }
        }
        // A field that no GPU has any more is not read at every tick.
        for ((_, field), watched) in self.engine.state().watches.due(self.tick, false) {
            if machine.position(field).is_some() {
                watched.sampled(self.tick, None);
            }
        }
    }

    /// Samples what was read of one GPU.
    fn publish(&self, machine: &mut Machine, at: usize, began: i64) {
        let peers = machine.position(field::EXP_P2P_STATUS.0);
        let Machine { gpus, texts, .. } = machine;
        let (gpu, readers) = &mut gpus[at];
        if gpu.down.is_none() {
            note_peers(gpu, readers, peers);
            note_texts(gpu, readers, texts);
        }
        let machine = &*machine;
        let (gpu, readers) = &machine.gpus[at];
        let mut state = self.engine.state();
        if let Some(known) = state.gpus.iter_mut().find(|known| known.index == gpu.index) {
            known.clone_from(gpu);
        }
        for ((entity, field), watched) in state.watches.due(self.tick, self.all) {
            let is_global = entity == EntityId::MACHINE;
            // Fields of the machine can be read from any GPU that answers.
            let read_from = if is_global { EntityId::gpu(gpu.index) } else { entity };
            let Some(part) = gpu.part(read_from) else { continue };
            let value = match machine.position(field) {
                Some(_) if gpu.down.is_some() && is_global => continue,
                Some(_) if gpu.down.is_some() => Some(Value::Blank(Blank::Plain)),
                Some(position) => {
                    match readers.find(WatchIndex(position), |entity| gpu.is(part, entity)) {
                        Found::Reading(reading) => Value::of(reading),
                        Found::Nothing => Some(Value::Blank(Blank::NotSupported)),
                        Found::Failed => Some(Value::Blank(Blank::Plain)),
                    }
                }
                None if NEVER_READ.contains(&FieldId(field)) => {
                    Some(Value::Blank(Blank::NotSupported))
                }
                // Watched since this round began.
                None if model::catalog::by_id(FieldId(field)).is_some() => continue,
                None => Some(Value::Blank(Blank::NotSupported)),
            };
            let value = self.commanded(field).or(value);
            watched.sampled(self.tick, value.map(|value| Sample { at: began, value }));
        }
    }

    /// Samples NVSwitches and CPUs.
    fn equipment(&self) {
        let at = self.engine.clock(self.faults);
        let equipment = &self.engine.setup.equipment;
        let mut state = self.engine.state();
        for ((entity, field), watched) in state.watches.due(self.tick, self.all) {
            if Equipment::owns(entity) {
                let absent = || Value::Blank(Blank::NotSupported);
                let value = || equipment.value(entity, field).cloned().unwrap_or_else(absent);
                let value = self.commanded(field).unwrap_or_else(value);
                watched.sampled(self.tick, Some(Sample { at, value }));
            }
        }
    }

    /// The value that a fault command gives a field.
    fn commanded(&self, field: u16) -> Option<Value> {
        let fault = self.faults.field(field)?;
        Value::commanded(fault, self.engine.setup.fields.get(field)?.value)
    }
}

fn note_peers(gpu: &mut Gpu, readers: &Readers, position: Option<usize>) {
    let Some(position) = position else { return };
    gpu.peers = readers
        .of_peers(WatchIndex(position))
        .filter_map(|(peer, reading)| match reading {
            Ok(Raw::Int(state)) => Some((peer, *state)),
            _ => None,
        })
        .collect();
}

fn note_texts(gpu: &mut Gpu, readers: &Readers, fields: &[(u16, usize)]) {
    for (field, position) in fields {
        let found = readers.find(WatchIndex(*position), |entity| *entity == Entity::Gpu);
        if let Found::Reading(Ok(Raw::Text(text))) = found {
            gpu.texts.insert(*field, text.to_string());
        }
    }
}
