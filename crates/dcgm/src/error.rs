//! Why DCGM cannot be read.

use std::path::PathBuf;

use thiserror::Error;

use crate::code::Code;
use crate::engine::Engine;

/// Why DCGM cannot be read now.
#[derive(Error, Debug)]
pub(crate) enum DcgmError {
    #[error(
        "cannot open {}: {why}; install DCGM 4, name its library with --dcgm-library \
         (HEATSINK_DCGM_LIBRARY), or read the driver directly with --source nvml",
        .path.display()
    )]
    CannotOpen { path: PathBuf, why: String },
    #[error("{} has no {symbol}: it is not libdcgm.so.4 of DCGM 4", .path.display())]
    NotDcgm { path: PathBuf, symbol: &'static str },
    #[error("DCGM does not start: {0}")]
    DoesNotStart(Code),
    #[error("{} is of DCGM {version}; DCGM 4 is needed", .path.display())]
    LibraryTooOld { path: PathBuf, version: String },
    #[error("cannot reach {}: {code}{}", .engine.name(), .hint)]
    CannotReach { engine: Engine, code: Code, hint: Hint },
    #[error("{} does not say its version: {code}{}", .engine.name(), .hint)]
    NoVersion { engine: Engine, code: Code, hint: Hint },
    #[error(
        "{} is DCGM {version}, and this library DCGM {own}: run nv-hostengine of DCGM 4, or read the \
         driver directly with --source nvml",
        .engine.name()
    )]
    EngineTooOld { engine: Engine, version: String, own: String },
    #[error("connecting to {} went wrong", .0.name())]
    ConnectPanicked(Engine),
    #[error(
        "{} does not answer; if it is stopped or hangs, restart it, or read the driver directly with \
         --source nvml",
        .0.name()
    )]
    NoAnswer(Engine),
    #[error("no thread to connect with: {0}")]
    NoThread(#[source] std::io::Error),
    #[error(
        "{} has no group left (it has 64 of entities and 64 of fields): other clients of it hold them; \
         end those that need none, or restart it",
        .0.name()
    )]
    NoGroupLeft(Engine),
    #[error("{} does not list its entities: {code}", .engine.name())]
    NotListed { engine: Engine, code: Code },
    #[error("{} has just gone", .0.name())]
    EngineGone(Engine),
}

/// What to do about a failed connection: the end of a message.
#[derive(Clone, Debug)]
pub(crate) struct Hint(String);

impl Hint {
    /// Finds out why an engine does not answer. Takes half a second at most.
    pub(crate) fn for_engine(engine: &Engine) -> Self {
        Self(match engine {
            Engine::Embedded(_) => "; or read the driver directly with --source nvml".to_owned(),
            Engine::Remote(address) => match address.diagnosis() {
                Some(why) => format!(": {why}"),
                None => {
                    ": the program that listens there is not a host engine of DCGM 4".to_owned()
                }
            },
        })
    }
}

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
