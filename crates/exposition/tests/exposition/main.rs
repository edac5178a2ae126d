//! Whole pages, and what must hold of every page.

mod machine;
mod page;
mod promtool;
mod properties;
mod second_opinion;
