//! Drives the built library as heatsink does: copied, opened with `dlopen`, called through C.

mod driver;

mod events;
mod every_function;
mod faults;
mod fixture;
mod simulation;
