//! The flight recorder: what happened on this machine before a fault, at the collection interval.
//!
//! A recorder turns snapshots into **rows** (one number per column, or a gap) and **events** (an XID, a line
//! of the kernel log, a GPU that went down, a job that began). They are encoded to **frames**, kept in
//! memory for an hour, and appended to **segments** on disk. A detector finds **signs** in them; some signs
//! open an **incident**, which gets a **verdict** from a table.
//!
//! - `signal`: what is recorded, one row per signal. `layout`: which columns a row has.
//! - `recorder`: from snapshots to rows and events.
//! - `frame`, `codec`, `memory`, `store`, `archive`: how rows and events are kept, and read again.
//! - `sign`, `detector`, `incident`, `tracker`, `verdict`: what went wrong.
//! - `query`, `report`: what people and programs ask.
//!
//! Nothing here waits for a scrape, and no scrape waits for anything here.

#![forbid(unsafe_code)]

pub mod archive;
mod codec;
#[cfg(test)]
mod crashes;
mod detector;
pub mod event;
mod files;
#[cfg(test)]
mod fixture;
mod frame;
pub mod history;
pub mod host;
pub mod incident;
pub mod layout;
pub mod memory;
mod pattern;
pub mod query;
pub mod recorder;
pub mod recording;
mod replay;
pub mod report;
pub mod sign;
pub mod signal;
#[cfg(test)]
mod sizes;
pub mod store;
#[cfg(test)]
mod story;
pub mod time;
pub mod tracker;
pub mod verdict;
mod wording;
