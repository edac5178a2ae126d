//! What turns metrics into action: alert rules and dashboards, from one source each to every form
//! in which they are used.

#![forbid(unsafe_code)]

pub mod ask;
