//! Tests of whole pages, and properties of all pages.

mod arbitrary;
mod devices;
mod formats;
mod heatsink_families;
mod holders;
mod machine;
mod page;
mod parts;
mod past;
mod per_device;
mod promtool;
mod properties;
mod second_opinion;
mod wire;
