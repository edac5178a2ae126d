//! The threads of a sampler. They own the channels, locks and waits.

pub(crate) mod bus;
pub(crate) mod command;
pub(crate) mod kernel_log;
mod process;
pub(crate) mod publisher;
mod reader;
mod reader_pool;
pub(crate) mod session_manager;
pub(crate) mod shared;
mod source;
