//! What measures times under load. `cargo xtask test` runs it by itself, one test at a time.

mod load;
mod web_load;
mod web_rotation;
