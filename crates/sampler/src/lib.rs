//! Owns time: reader threads, deadlines, windows, and the snapshots that pages are made of.
//!
//! Start reading at [`Sampler::start`].
//!
//! - `state`: what is known, as plain data. No thread, no lock and no clock: the time is passed in.
//!   `apply` takes a reader's pass into it, `snapshot` is a view of it that changes nothing.
//! - `threads`: the reader threads, the session manager, the publisher and the threads that follow
//!   the kernel log and the PCI bus. They own the channels, locks and waits, and call functions of
//!   the state.
//! - `kernel_log`: where the kernel log is read from, and what its messages mean.
//!
//! A thread that is stuck in a driver call is never joined and never waited for.

#![forbid(unsafe_code)]

mod backoff;
mod inputs;
mod kernel_log;
mod sampler;
mod settings;
mod state;
mod threads;

pub use inputs::inputs;
pub use kernel_log::KernelLog;
pub use kernel_log::location::{LogError, LogLocation};
pub use sampler::{Sampler, SnapshotWatcher};
pub use settings::{DownGpu, GpuProbe, ProbeError, ProbeFn, Selection, Settings};
