//! Tests that read through DCGM: those of all sources, and those of features that only DCGM has.

mod rig;

#[path = "suite/counted.rs"]
mod counted;
#[path = "suite/events.rs"]
mod events;
#[path = "suite/faults.rs"]
mod faults;
#[path = "suite/mig.rs"]
mod mig;
#[path = "suite/prometheus.rs"]
mod prometheus;
#[path = "suite/signals.rs"]
mod signals;

#[path = "machines/conversion.rs"]
mod conversion;
#[path = "machines/fixture.rs"]
mod fixture;
#[path = "machines/oracle.rs"]
mod oracle;
#[path = "machines/settled.rs"]
mod settled;

#[path = "dcgm/engine.rs"]
mod engine;
#[path = "dcgm/equipment.rs"]
mod equipment;
#[path = "dcgm/machines.rs"]
mod machines;
#[path = "dcgm/memory.rs"]
mod memory;
#[path = "dcgm/parity.rs"]
mod parity;
