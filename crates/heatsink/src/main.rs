//! heatsink: GPU telemetry for Prometheus.
//!
//! This room wires the others together. It alone reads the environment and ends the process.

#![forbid(unsafe_code)]

mod check;
mod cli;
mod connections;
mod demo;
mod devices;
mod fields;
mod fleet;
mod http;
mod listen;
mod logging;
#[cfg(test)]
mod manual;
mod origin;
mod overview;
mod pages;
mod probe;
mod serve;
mod settings;
mod systemd;
mod table;
mod upstream;
mod wanted;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, ProbeArgs};

/// One heap for all threads: each of the two dozen that read GPUs allocates now and then, and an
/// arena for each, as the system's allocator has them, holds megabytes for nothing.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// What a run came to.
pub(crate) struct Outcome {
    /// The exit status.
    pub(crate) status: u8,
    /// Whether a thread is stuck inside the driver. Ordinary exit would run the driver library's
    /// exit handlers under it.
    pub(crate) stuck: bool,
}

impl Outcome {
    /// All went well, and all threads have ended.
    pub(crate) const DONE: Self = Self { status: DONE, stuck: false };
}

/// Exit status when all went well.
pub(crate) const DONE: u8 = 0;

/// Exit status when what was asked is answered, and the answer is no.
pub(crate) const NO: u8 = 1;

/// Exit status for settings that cannot work: nothing was served.
const BAD_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.peek().is_some_and(|first| first == cli::PROBE_GPU) {
        return ExitCode::from(probe::run(&ProbeArgs::parse_from(args)));
    }
    let cli = match Cli::try_parse_from(cli::with_dashes(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            // A failure to print leaves nothing to do about it.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { BAD_SETTINGS } else { 0 });
        }
    };
    let result = match cli.command {
        None => serve::run(&cli.serve),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Check(args)) => check::run(&args),
        Some(Command::Fields(args)) => fields::run(&args),
    };
    match result {
        Ok(Outcome { status, stuck: false }) => ExitCode::from(status),
        Ok(Outcome { status, stuck: true }) => signal_hook::low_level::exit(status.into()),
        Err(error) => {
            // A failure to print leaves nothing to do about it.
            let _ = writeln!(io::stderr(), "heatsink: {error:#}");
            // It may have come after the threads began, and one of them may be stuck already.
            signal_hook::low_level::exit(BAD_SETTINGS.into())
        }
    }
}
