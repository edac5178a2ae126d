//! Reads GPUs, NVSwitches and CPUs through NVIDIA's DCGM, `libdcgm.so.4`: a host engine inside this
//! process, or one that runs already.
//!
//! The library is opened at run time, so the binary starts on machines that have none. Every call
//! of it may block for as long as the engine does. The rooms of this crate:
//!
//! - `abi`: DCGM's structures and functions; `library`: opening it; `malloc`: what of its memory is
//!   kept; `code`: what its answers mean.
//! - `address`: where a host engine is; `handle`: a connection, and how one is made in bounded time.
//! - `group`: groups of entities, groups of fields, watches: each undoes itself when dropped.
//! - `entities`: what there is to read; `wanted`: which fields of it, and how often; `watching`: puts
//!   the two together in the engine.
//! - `value`, `twins`, `plausible`: how the engine's values become readings; `moments`: how old they
//!   are.
//! - `collect`: one pass over everything; `xids`, `health`, `peers`: what is not a field's value.
//! - `reader`, `source`: what the sampler sees.

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
