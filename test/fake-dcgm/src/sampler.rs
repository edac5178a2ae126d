//! The thread that samples: one for all GPUs of an engine, so that one that hangs holds up all.

use std::{io, sync::Arc, thread, time::Duration};

use model::field;
use model::{Entity, FieldId, Value as Raw, WatchIndex};

use crate::{
    engine::{Engine, Mode},
    equipment::Equipment,
    gpu::Gpu,
    look::POLL,
    machine::{Machine, NEVER_READ},
    orders::Orders,
    pair::Pair,
    readers::{Found, Readers},
    value::{Blank, Value},
    watches::Sample,
};

/// Every how many ticks the GPUs are looked at even if nobody watches anything.
const ANYWAY: u64 = 10;

/// How many ticks rounds are apart at least: rates between two that are closer have no value.
const APART: u64 = 3;

/// How long after the first reading of a session with the driver the second one is.
const SECOND_READING: Duration = Duration::from_millis(120);

/// Starts the thread. It ends when the engine is dead.
pub(crate) fn start(engine: Arc<Engine>) -> io::Result<()> {
    let sample = move || {
        let mut machine = Machine::new(&engine);
        let mut last = None;
        while !engine.is_dead() {
            let orders = engine.orders();
            if engine.is_stopped(&orders) {
                thread::sleep(POLL);
                continue;
            }
            let (wanted, served) = {
                let state = engine.state();
                (state.wanted, state.served)
            };
            let is_wanted = wanted > served;
            let is_new = machine.refresh(&engine, is_wanted);
            let tick = engine.tick();
            let runs = engine.mode != Mode::Manual || last.is_none();
            let is_due = runs && last.is_none_or(|last| tick >= last + APART) && {
                tick.is_multiple_of(ANYWAY) || is_new || engine.state().watches.is_due(tick)
            };
            if is_wanted || is_due {
                last = Some(tick);
                if is_new {
                    // Rates need two readings, and a driver has something new every 100 ms.
                    for (_, readers) in &mut machine.gpus {
                        readers.pass();
                    }
                    thread::sleep(SECOND_READING);
                }
                Round { engine: &engine, orders: &orders, tick, all: is_wanted }.run(&mut machine);
                engine.end_round(wanted);
            }
            engine.wait(tick);
        }
    };
    thread::Builder::new().name("fake-dcgm".to_owned()).spawn(sample).map(|_| ())
}

/// One round of sampling.
struct Round<'a> {
    engine: &'a Engine,
    orders: &'a Orders,
    tick: u64,
    /// Whether everything is sampled, due or not.
    all: bool,
}

impl Round<'_> {
    fn run(&self, machine: &mut Machine) {
        if self.orders.stale {
            return;
        }
        self.equipment();
        for at in 0..machine.gpus.len() {
            let (gpu, readers) = &mut machine.gpus[at];
            // What comes from the driver bears the time at which it was asked.
            let began = self.engine.clock(self.orders);
            gpu.down = readers.pass();
            if gpu.down.is_none() {
                gpu.notice(readers.parts());
            }
            if self.orders.gpu(gpu.index).is_none_or(|orders| !orders.stale) {
                self.publish(machine, at, began);
            }
        }
        // What no GPU has any more is not to be looked for at every tick.
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
        for ((pair, field), watched) in state.watches.due(self.tick, self.all) {
            let is_global = pair == Pair::MACHINE;
            // What is true of the machine, any GPU that answers tells.
            let asked = if is_global { Pair::gpu(gpu.index) } else { pair };
            let Some(whose) = gpu.whose(asked) else { continue };
            let value = match machine.position(field) {
                Some(_) if gpu.down.is_some() && is_global => continue,
                Some(_) if gpu.down.is_some() => Some(Value::Blank(Blank::Plain)),
                Some(position) => {
                    match readers.find(WatchIndex(position), |entity| gpu.is(whose, entity)) {
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
            let value = self.ordered(field).or(value);
            watched.sampled(self.tick, value.map(|value| Sample { at: began, value }));
        }
    }

    /// Samples what the driver knows nothing of.
    fn equipment(&self) {
        let at = self.engine.clock(self.orders);
        let equipment = &self.engine.setup.equipment;
        let mut state = self.engine.state();
        for ((pair, field), watched) in state.watches.due(self.tick, self.all) {
            if Equipment::owns(pair) {
                let absent = || Value::Blank(Blank::NotSupported);
                let value = || equipment.value(pair, field).cloned().unwrap_or_else(absent);
                let value = self.ordered(field).unwrap_or_else(value);
                watched.sampled(self.tick, Some(Sample { at, value }));
            }
        }
    }

    /// The value that the control file gives a field.
    fn ordered(&self, field: u16) -> Option<Value> {
        let order = self.orders.field(field)?;
        Value::ordered(order, self.engine.setup.fields.get(field)?.value)
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
