//! Whole pages, and what must hold of every page.

mod arbitrary;
mod derived;
mod devices;
mod machine;
mod own;
mod page;
mod parts;
mod promtool;
mod properties;
mod second_opinion;
