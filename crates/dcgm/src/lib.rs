//! Reads GPUs, NVSwitches and CPUs through NVIDIA's DCGM, `libdcgm.so.4`: with a host engine inside
//! this process, or one that already runs.
//!
//! The library is opened at run time, so the binary starts on machines without it. Each of its calls
//! may block for as long as the engine does. The modules:
//!
//! - `abi`: DCGM's structures and functions; `library`: opens it; `malloc`: limits the memory that the
//!   C library keeps for it; `code`: return codes; `error`: why DCGM cannot be read.
//! - `address`, `engine`: which engine is read; `handle`: a connection to it, made in bounded time.
//! - `group`: groups and watches in the engine, which end when they are dropped; `fetch`: fetches values.
//! - `entities`: the entities of the engine; `plan`: which fields are read of them and how often;
//!   `watching`: makes the engine watch them.
//! - `value`, `base_units`, `plausible`: turn values into readings; `moments`: how old they are.
//! - `collect`: one pass over everything; `xids`, `health`, `peers`: what is not the value of a field.
//! - `reader`, `source`: the readers and the source that the sampler uses.

#![allow(unsafe_code)]

mod abi;
mod address;
mod base_units;
mod code;
mod collect;
mod engine;
mod entities;
mod error;
mod fetch;
mod group;
mod handle;
mod health;
mod library;
mod malloc;
mod moments;
mod peers;
mod plan;
mod plausible;
mod reader;
mod source;
mod value;
mod watching;
mod xids;

pub use address::{Address, AddressError};
pub use engine::Log;
pub use source::{DcgmSource, Options, serves};

use code::Code;
use handle::Handle;
