//! Finds signs in rows and events.

use std::sync::Arc;

use crate::event::Event;
use crate::layout::Layout;
use crate::recording::Row;
use crate::sign::Sign;

/// Follows rows and events, and finds signs in them. Uses no clock: time is that of rows and events, so that it
/// finds the same in a recording as when it was made.
#[derive(Debug, Default)]
pub struct Detector {}

impl Detector {
    /// Takes a row, if one was recorded, and events. Returns the signs that are new or have changed since: a
    /// sign that goes on is returned again when it ends.
    pub fn observe(
        &mut self,
        layout: &Arc<Layout>,
        row: Option<&Row>,
        events: &[Event],
    ) -> Vec<Sign> {
        let _ = (layout, row, events);
        Vec::new()
    }
}
