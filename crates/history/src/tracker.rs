//! Groups signs into incidents.

use std::sync::Arc;

use crate::event::Event;
use crate::incident::Incident;
use crate::layout::Layout;
use crate::recording::Row;
use crate::time::Time;

/// The open incidents, and what is needed to open one: the events of the last ten minutes, and who has
/// which GPU.
#[derive(Debug, Default)]
pub struct Tracker {}

impl Tracker {
    /// A tracker whose first incident has this number.
    pub fn new(next_number: u64) -> Self {
        let _ = next_number;
        Self {}
    }

    /// Takes a row, if one was recorded, and events; finds signs in them. Returns the incidents that were
    /// opened, joined or closed, as they are now.
    pub fn observe(
        &mut self,
        now: Time,
        layout: &Arc<Layout>,
        row: Option<&Row>,
        events: &[Event],
    ) -> Vec<Incident> {
        let _ = (now, layout, row, events);
        Vec::new()
    }
}
