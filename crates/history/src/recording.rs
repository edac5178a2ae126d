//! What was recorded, wherever it is kept: rows, events and incidents, in order.

use std::ops::ControlFlow;
use std::sync::Arc;

use thiserror::Error;

use crate::event::Event;
use crate::incident::Incident;
use crate::layout::Layout;
use crate::time::{Range, Time};

/// The numbers of one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// When they were read.
    pub time: Time,
    /// A number for each column of the layout, in its resolution; `None` where there was no value.
    pub values: Vec<Option<i64>>,
}

/// One piece of a recording.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// The rows that follow have these columns.
    Layout(&'a Arc<Layout>),
    /// A row.
    Row(&'a Row),
    /// An event.
    Event(&'a Event),
}

/// What could not be read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Damage {
    /// Bytes that are no frames, or whose checksum is wrong.
    pub bytes: u64,
    /// Rows that were lost with them, as far as that is known.
    pub rows: u64,
    /// Files of a later version of heatsink, which this one does not read.
    pub newer_files: Vec<String>,
}

/// An incident that is there and cannot be read.
#[derive(Debug, Error)]
pub enum UnreadIncident {
    /// Its file is damaged.
    #[error("incident {0} is damaged and cannot be read")]
    Damaged(u64),
    /// A later version of heatsink wrote it.
    #[error("incident {0} was written by a later version of heatsink; use that version")]
    Newer(u64),
    /// Its file cannot be read.
    #[error("incident {number} cannot be read ({source})")]
    Io {
        /// Its number.
        number: u64,
        /// Why.
        source: std::io::Error,
    },
}

impl UnreadIncident {
    /// The number of the incident.
    pub fn number(&self) -> u64 {
        match self {
            Self::Damaged(number) | Self::Newer(number) | Self::Io { number, .. } => *number,
        }
    }
}

/// Why nothing can be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The directory cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is no history in it.
    #[error("{path} holds no history of heatsink")]
    NotAHistory {
        /// The directory.
        path: String,
    },
}

/// Something that was recorded: in memory, or in a directory.
pub trait Recording {
    /// Calls `take` with what was recorded in the range, in the order in which it was recorded; a layout comes
    /// before the first row that has it. Ends when `take` breaks.
    ///
    /// # Errors
    ///
    /// If nothing can be read. What is damaged is skipped and counted.
    fn read(
        &self,
        range: Range,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError>;

    /// Calls `take` with each event of the range, in the order in which they were recorded, until it breaks.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn events(
        &self,
        range: Range,
        take: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let read = self.read(range, &mut |item| match item {
            Item::Event(event) => take(event),
            Item::Layout(_) | Item::Row(_) => ControlFlow::Continue(()),
        });
        read.map(drop)
    }

    /// All incidents, the oldest first.
    ///
    /// # Errors
    ///
    /// If nothing can be read.
    fn incidents(&self) -> Result<Vec<Incident>, ReadError>;

    /// The incidents that [`incidents`](Self::incidents) leaves out, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// If nothing can be read.
    fn unread_incidents(&self) -> Result<Vec<UnreadIncident>, ReadError> {
        Ok(Vec::new())
    }

    /// From the first to the last row or event; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If nothing can be read.
    fn extent(&self) -> Result<Option<Range>, ReadError>;
}
