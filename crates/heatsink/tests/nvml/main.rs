//! Everything that is not about DCGM, through NVML's test library where a driver is needed: one program
//! for all tests, which links once and waits for many at a time.

#[path = "../rig/mod.rs"]
mod rig;

#[path = "../suite/counted.rs"]
mod counted;

#[path = "../machines/budgets.rs"]
mod budgets;
#[path = "../machines/conversion.rs"]
mod conversion;
#[path = "../machines/fixture.rs"]
mod fixture;
#[path = "../machines/oracle.rs"]
mod oracle;
#[path = "../machines/settled.rs"]
mod settled;
#[path = "../machines/twins.rs"]
mod twins;

mod acceptance;
mod check;
mod clocks;
mod deploy;
mod events;
mod faults;
mod fleet;
mod http;
mod kernel_log;
mod machines;
mod messages;
mod mig;
mod pages;
mod prometheus;
mod random_walk;
mod sessions;
mod settings;
mod signals;
mod soak;
mod systemd;
