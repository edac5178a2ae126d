//! All tests that do not need DCGM. They use the fake NVML library where they need a driver. One test
//! binary links once, and its tests wait in parallel.

#[path = "../rig/mod.rs"]
mod rig;

#[path = "../web/mod.rs"]
mod web;

#[path = "../suite/counted.rs"]
mod counted;

#[path = "../machines/budgets.rs"]
mod budgets;
#[path = "../machines/conversion.rs"]
mod conversion;
#[path = "../machines/fixture.rs"]
mod fixture;
#[path = "../machines/generations.rs"]
mod generations;
#[path = "../machines/oracle.rs"]
mod oracle;
#[path = "../machines/settled.rs"]
mod settled;

mod acceptance;
mod check;
mod clocks;
mod deploy;
mod events;
mod faults;
mod fleet;
mod history_api;
mod history_crash;
mod history_demo;
mod history_export;
mod history_recording;
mod history_stories;
mod history_told;
mod holders;
mod http;
mod incidents;
mod kernel_log;
mod machines;
mod messages;
mod mig;
mod pages;
mod pod_churn;
mod prometheus;
mod random;
mod random_walk;
mod reload;
mod sessions;
mod settings;
mod signals;
mod soak;
mod systemd;
mod timed;
mod web_config;
