//! Whole pages, and what must hold of every page.

mod derived;
mod devices;
mod machine;
mod own;
mod page;
mod promtool;
mod properties;
mod second_opinion;
