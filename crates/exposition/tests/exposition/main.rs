//! Whole pages, and what must hold of every page.

mod arbitrary;
mod devices;
mod heatsink_families;
mod machine;
mod page;
mod parts;
mod per_device;
mod promtool;
mod properties;
mod second_opinion;
