//! heatsink: GPU telemetry for Prometheus.
//!
//! This crate wires the others together. It alone reads the environment and ends the process.

#![forbid(unsafe_code)]

mod acceptance;
mod address;
mod check;
mod checks;
mod cli;
mod config_file;
mod connections;
mod demo;
mod devices;
mod exit;
mod fields;
mod file_watch;
mod flag;
mod flags;
mod fleet;
mod health;
mod history;
mod holders;
mod http;
mod listen;
mod loaded;
mod logging;
#[cfg(test)]
mod manual;
mod message;
mod negotiate;
mod overview;
mod pace_groups;
mod pages;
mod parse;
mod probe;
mod reload;
mod reload_request;
mod serve;
mod settings;
mod source;
mod systemd;
mod table;
mod terminal;
mod watches;
mod webhook_url;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::Args;
use crate::exit::{EXIT_BAD_SETTINGS, EXIT_OK, EXIT_UNHEALTHY, Exit, NotWritten, NothingToRead};
use crate::flag::Command;

/// One heap for all threads: each of the two dozen that read GPUs allocates now and then, and an
/// arena for each, as the system's allocator has them, holds megabytes for nothing.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(error) => {
            // A failure to print leaves nothing to do about it.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_BAD_SETTINGS } else { EXIT_OK });
        }
    };
    let result = match args.command() {
        Command::Serve => serve::run(&args),
        Command::Demo => demo::run(&args),
        Command::Check => check::run(&args),
        Command::Fields => fields::run(&args),
        Command::Config => settings::run(&args),
        Command::Incidents => history::incidents::run(&args),
        Command::Report => history::report::run(&args),
        Command::History => history::export::run(&args),
        Command::ProbeGpu => probe::run(&args),
        Command::Acceptance => acceptance::run(&args),
    };
    match result {
        Ok(Exit { status, is_stuck: false }) => ExitCode::from(status),
        Ok(Exit { status, is_stuck: true }) => signal_hook::low_level::exit(status.into()),
        Err(error) => {
            // A failure to print leaves nothing to do about it.
            let _ = writeln!(io::stderr(), "heatsink: {error:#}");
            if error.is::<NothingToRead>() || error.is::<NotWritten>() {
                return ExitCode::from(EXIT_UNHEALTHY);
            }
            // It may have come after the threads began, and one of them may be stuck already.
            signal_hook::low_level::exit(EXIT_BAD_SETTINGS.into())
        }
    }
}
